"""Two hundred clients with one key while Redis is killed, emptied or frozen: never more than burst + rate x time."""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from ratelimit.limits.token_bucket import burst_of
from tests.hostile.figures import Told
from tests.system.installation import WORKERS, Installation
from tests.system.limits import PATH
from tests.system.redis_faults import frozen_redis, kill_redis
from tests.system.swarm import Seen, admitted_of, is_refused, rates_from, swarm
from tests.system.undisturbed import settle, times_lost

pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("installation")]

CLIENTS = 200
RATE = 100
SECONDS = 10.0
FROZEN_SECONDS = 0.5
ATTEMPTS = 7


def emptied(installation: Installation) -> None:
    with contextlib.closing(installation.redis) as redis:
        redis.flushall()


def frozen(installation: Installation) -> None:
    with frozen_redis(installation):
        time.sleep(FROZEN_SECONDS)


@dataclass(frozen=True)
class Attempt:
    seen: list[Seen]
    rate: int
    faults: int
    is_more_than_the_fault: bool
    """Whether a process lost Redis more often than by the fault."""

    @property
    def share(self) -> float:
        """Admitted calls as a share of rate x time and the bursts of `docs/limits.md`: one, and two for each fault."""
        burst = (1 + 2 * self.faults) * burst_of(self.rate)
        return admitted_of(self.seen).share_of(burst=burst, rate=self.rate)


def attempted(installation: Installation, fault: Callable[[Installation], None], *, rate: int) -> Attempt:
    settle(installation)
    before, key, faults = times_lost(installation), installation.new_key(rate=rate), 0
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(swarm, installation.port, key, PATH, clients=CLIENTS, seconds=SECONDS)
        while not asking.done():
            time.sleep(1.0)
            if not asking.done():
                fault(installation)
                faults += 1
        seen = asking.result()
    most = 0 if fault is emptied else WORKERS * faults
    return Attempt(seen, rate, faults, times_lost(installation) - before > most)


@pytest.mark.parametrize("fault", [kill_redis, emptied, frozen])
def test_a_crowd_stays_limited_when_redis_is_killed_emptied_or_frozen_each_second(
    installation: Installation, told: Told, fault: Callable[[Installation], None]
):
    rates = rates_from(RATE)
    rate = next(rates)
    for _ in range(ATTEMPTS):
        attempt = attempted(installation, fault, rate=rate)
        admitted = admitted_of(attempt.seen)
        told(
            f"17 admitted, 200 clients on one key, {fault.__name__} {attempt.faults} times",
            f"{admitted.count} of {len(attempt.seen)} in {admitted.seconds:.3f} s: {attempt.share:.4f} of the bursts + rate x time",
        )
        assert {each.status for each in attempt.seen} <= {404, 429}
        assert attempt.share <= 1 or attempt.is_more_than_the_fault
        if not is_refused(attempt.seen):
            rate = next(rates)
        elif attempt.share <= 1:
            return
    raise AssertionError("nobody is refused, or Redis is lost again and again")
