"""Two hundred clients with one key while Redis is killed, emptied or frozen: never more than burst + rate x time."""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.hostile.figures import Told
from tests.hostile.scale import SOAK
from tests.system.installation import WORKERS, Installation
from tests.system.redis_faults import frozen_redis, kill_redis
from tests.system.swarm import Seen, admitted_of, swarm
from tests.system.test_crowd_on_one_key import BURST, CLIENTS, RATE
from tests.system.test_limits import PATH
from tests.system.undisturbed import losses, settle

pytestmark = pytest.mark.xdist_group("installation")

SECONDS = 10.0 if SOAK else 4.0
FROZEN_SECONDS = 0.5
ATTEMPTS = 5


def emptied(installation: Installation) -> None:
    with contextlib.closing(installation.redis) as redis:
        redis.flushall()


def frozen(installation: Installation) -> None:
    with frozen_redis(installation):
        time.sleep(FROZEN_SECONDS)


@dataclass(frozen=True)
class Attempt:
    seen: list[Seen]
    faults: int
    is_more_than_the_fault: bool
    """Whether a process lost Redis more often than by the fault: who is cut off alone gives its share beside the whole."""

    @property
    def share(self) -> float:
        return admitted_of(self.seen).share_of(burst=BURST, rate=RATE)


def attempted(installation: Installation, fault: Callable[[Installation], None]) -> Attempt:
    settle(installation)
    before, key, faults = len(losses(installation)), installation.new_key(rate=RATE), 0
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(swarm, installation.port, key, PATH, clients=CLIENTS, seconds=SECONDS)
        while not asking.done():
            time.sleep(1.0)
            if not asking.done():
                fault(installation)
                faults += 1
        seen = asking.result()
    # Each process says that it has lost it, and that it has found it again.
    most = 0 if fault is emptied else 2 * WORKERS * faults
    return Attempt(seen, faults, len(losses(installation)) - before > most)


@pytest.mark.parametrize("fault", [kill_redis, emptied, frozen])
def test_a_crowd_is_admitted_no_more_when_redis_is_killed_emptied_or_frozen_each_second(
    installation: Installation, told: Told, fault: Callable[[Installation], None]
):
    for _ in range(ATTEMPTS):
        attempt = attempted(installation, fault)
        admitted = admitted_of(attempt.seen)
        told(
            f"17 admitted, 200 clients on one key, {fault.__name__} {attempt.faults} times",
            f"{admitted.count} of {len(attempt.seen)} in {admitted.seconds:.3f} s: {attempt.share:.4f} of burst + rate x time",
        )
        # A machine that is slow enough asks for less than there is.
        assert {each.status for each in attempt.seen} <= {404, 429}
        if attempt.share <= 1 or not attempt.is_more_than_the_fault:
            break
    assert attempt.share <= 1
