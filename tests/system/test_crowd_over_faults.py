"""Two hundred clients with one key while Redis is killed, emptied or frozen: never more than burst + rate x time."""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.hostile.figures import Told
from tests.hostile.scale import SOAK
from tests.system.installation import Installation
from tests.system.redis_faults import frozen_redis, is_whole_everywhere, kill_redis
from tests.system.swarm import admitted_of, swarm
from tests.system.test_crowd_on_one_key import BURST, CLIENTS, RATE
from tests.system.test_limits import PATH

pytestmark = pytest.mark.xdist_group("installation")

SECONDS = 10.0 if SOAK else 4.0
FROZEN_SECONDS = 0.5


def emptied(installation: Installation) -> None:
    with contextlib.closing(installation.redis) as redis:
        redis.flushall()


def frozen(installation: Installation) -> None:
    with frozen_redis(installation):
        time.sleep(FROZEN_SECONDS)


@pytest.mark.parametrize("fault", [kill_redis, emptied, frozen])
def test_a_crowd_is_admitted_no_more_when_redis_is_killed_emptied_or_frozen_each_second(
    installation: Installation, told: Told, fault: Callable[[Installation], None]
):
    assert is_whole_everywhere(installation)
    key, faults = installation.new_key(rate=RATE), 0
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(swarm, installation.port, key, PATH, clients=CLIENTS, seconds=SECONDS)
        while not asking.done():
            time.sleep(1.0)
            if not asking.done():
                fault(installation)
                faults += 1
        seen = asking.result()
    admitted = admitted_of(seen)
    share = admitted.share_of(burst=BURST, rate=RATE)
    told(
        f"17 admitted, 200 clients on one key, {fault.__name__} {faults} times",
        f"{admitted.count} of {len(seen)} in {admitted.seconds:.3f} s: {share:.4f} of burst + rate x time",
    )
    # A machine that is slow enough asks for less than there is.
    assert {each.status for each in seen} <= {404, 429}
    assert share <= 1
