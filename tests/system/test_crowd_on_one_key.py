"""Two hundred clients with one key over both web processes are admitted burst + rate x time, and never more."""

import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from tests.hostile.figures import Told
from tests.hostile.gauge import Gauge
from tests.hostile.scale import SOAK
from tests.system.clients import connected
from tests.system.installation import WORKERS, Installation
from tests.system.swarm import Seen, admitted_of, least_share_of, swarm
from tests.system.test_limits import PATH, until_refused
from tests.system.undisturbed import settle

pytestmark = pytest.mark.xdist_group("installation")

CLIENTS = 200
RATE, BURST = 100, 200
SECONDS = 10.0 if SOAK else 4.0
LEAST = 0.98
# A machine that does something else meanwhile may stand still until a bucket is full and tokens are lost.
ATTEMPTS = 5


def crowds(installation: Installation) -> Iterator[list[Seen]]:
    """What the clients see, again and again, each time with a key of its own."""
    ask = partial(swarm, installation.port, path=PATH, clients=CLIENTS)
    ask(installation.new_key(rate=RATE), seconds=0.5)
    for _ in range(ATTEMPTS):
        yield ask(installation.new_key(rate=RATE), seconds=SECONDS)
        settle()


def in_words(seen: list[Seen]) -> str:
    admitted = admitted_of(seen)
    share = admitted.share_of(burst=BURST, rate=RATE)
    kinds = Counter((each.status, each.retry_after, each.is_disturbed) for each in seen)
    return (
        f"{admitted.count} of {len(seen)} in {admitted.seconds:.3f} s: {share:.4f} of burst + rate x time; "
        f"by status, wait and whether Redis was away: {dict(kinds)}"
    )


def test_two_hundred_clients_on_one_key_share_its_rate_exactly(installation: Installation, told: Told):
    webs = [Gauge([pid]) for pid in installation.webs()]
    before = [web.processor_seconds() for web in webs]
    least = 0.0
    for seen in crowds(installation):
        told("17 admitted, 200 clients on one key", in_words(seen))
        assert {each.status for each in seen} == {404, 429}
        if any(each.is_disturbed for each in seen):
            continue
        assert {each.retry_after for each in seen if not each.admitted} == {1}
        assert admitted_of(seen).share_of(burst=BURST, rate=RATE) <= 1
        least = least_share_of(seen, burst=BURST, rate=RATE)
        if least >= LEAST:
            break
    assert least >= LEAST
    worked = [web.processor_seconds() - was for web, was in zip(webs, before, strict=True)]
    assert len(worked) == WORKERS
    assert min(worked) > 0.1, "one of the processes was asked nothing"


@pytest.mark.parametrize("rate", [1, 3, 10])
def test_a_refused_client_that_waits_as_told_is_admitted(installation: Installation, rate: int):
    with connected(installation.port, installation.new_key(rate=rate)) as client:
        refused, _ = until_refused(client)
        time.sleep(int(refused.headers["retry-after"]))
        assert client.get(PATH).status == 404
