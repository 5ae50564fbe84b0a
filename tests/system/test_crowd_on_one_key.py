"""Two hundred clients with one key over both web processes are admitted burst + rate x time, and never more."""

import time
from collections import Counter
from functools import partial

import pytest

from tests.hostile.figures import Told
from tests.hostile.gauge import Gauge
from tests.patience import PATIENCE_SECONDS
from tests.system.installation import WORKERS, Installation
from tests.system.limits import PATH
from tests.system.swarm import Seen, admitted_of, least_share_of, swarm
from tests.system.undisturbed import while_limits_are_shared

pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("installation")]

CLIENTS = 200
RATE, BURST = 100, 200
SECONDS = 10.0
LEAST = 0.98
WORKED_SECONDS = 0.1


def crowd(installation: Installation) -> tuple[list[Seen], list[float]]:
    """What the clients see with a key of their own, and the processor seconds of each web process meanwhile."""
    key, webs = installation.new_key(rate=RATE), [Gauge([pid]) for pid in installation.webs()]
    assert len(webs) == WORKERS
    before = [web.processor_seconds() for web in webs]
    seen = swarm(installation.port, key, PATH, clients=CLIENTS, seconds=SECONDS)
    return seen, [web.processor_seconds() - was for web, was in zip(webs, before, strict=True)]


def in_words(seen: list[Seen]) -> str:
    admitted = admitted_of(seen)
    share = admitted.share_of(burst=BURST, rate=RATE)
    kinds = Counter((each.status, each.retry_after, each.is_disturbed) for each in seen)
    return (
        f"{admitted.count} of {len(seen)} in {admitted.seconds:.3f} s: {share:.4f} of burst + rate x time; "
        f"by status, wait and whether Redis was away: {dict(kinds)}"
    )


def least_of(seen: list[Seen]) -> float:
    """The least that was admitted, as a share of burst + rate x time; nothing where nobody asked for more."""
    if all(each.admitted for each in seen):
        return 0.0
    return least_share_of(seen, burst=BURST, rate=RATE)


def test_two_hundred_clients_on_one_key_share_its_rate_exactly(installation: Installation, told: Told):
    least, worked, ends_at = 0.0, [0.0], time.monotonic() + PATIENCE_SECONDS
    # A machine that does something else meanwhile may stand still until a bucket is full and tokens are lost, may
    # not ask for all that there is, and may have one process take all connections.
    while (least < LEAST or min(worked) < WORKED_SECONDS) and time.monotonic() < ends_at:
        seen, worked = while_limits_are_shared(installation, partial(crowd, installation))
        told("17 admitted, 200 clients on one key", in_words(seen))
        assert {each.status for each in seen} <= {404, 429}
        assert {each.retry_after for each in seen if not each.admitted} <= {1}
        assert admitted_of(seen).share_of(burst=BURST, rate=RATE) <= 1
        least = least_of(seen)
    assert least >= LEAST
    assert min(worked) >= WORKED_SECONDS, "one of the processes was asked nothing"
