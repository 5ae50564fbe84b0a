"""Redis frozen and killed while many ask: when it is back, the processes come to it one by one."""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest

from front.application import READ_THREADS
from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.patience import PATIENCE_SECONDS
from tests.system.installation import WORKERS, Installation
from tests.system.limits import PATH
from tests.system.redis_faults import (
    frozen_redis,
    is_whole_everywhere,
    kill_redis,
)
from tests.system.swarm import Seen, swarm
from tests.system.undisturbed import times_lost

pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("installation")]

RATE = 50
AWAY_SECONDS = 5.0 if SOAK else 1.0
HERD_CLIENTS = 200
HERD_SECONDS = 1.0
# So many that those under way when the count begins or ends are few of them.
MANY_COMMANDS = 20 * HERD_CLIENTS
ATTEMPTS = 7


@pytest.fixture(autouse=True)
def _whole(installation: Installation) -> None:
    assert is_whole_everywhere(installation)


@contextlib.contextmanager
def meanwhile(installation: Installation, *, clients: int) -> Iterator[Future[list[Seen]]]:
    """What so many clients with one key see until something else ends."""
    key, stopping = installation.new_key(rate=RATE), threading.Event()
    asking = partial(swarm, clients=clients, seconds=PATIENCE_SECONDS, stopping=stopping)
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(asking, installation.port, key, PATH)
        finally:
            stopping.set()


def counted(installation: Installation) -> dict[str, int]:
    with contextlib.closing(installation.redis) as redis:
        stats = redis.info("stats")
    return {name: stats[f"total_{name}"] for name in ("connections_received", "commands_processed")}


def has_done(installation: Installation, commands: int) -> bool:
    """Whether Redis has done so many commands; looks again after a while only, for looking is a command, too."""
    time.sleep(0.5)
    return counted(installation)["commands_processed"] >= commands


def answered(seen: list[Seen], since: float, until: float) -> int:
    return sum(since <= each.received <= until for each in seen)


@dataclass(frozen=True)
class Return:
    """What was asked of Redis within a second after it was back, and what was answered meanwhile."""

    connects: int
    commands: int
    answers: int
    usually: float
    """Commands for each answer before."""
    is_more_than_the_fault: bool
    """Whether a process lost Redis more often than by the fault, and came back more often."""

    @property
    def is_without_a_herd(self) -> bool:
        # Each thread that reads keeps one connection for its buckets and shares others; the rest look after
        # Redis's health. And by half as many commands more where answers wait for one another differently than
        # before; a herd would ask many times as much.
        few = self.connects <= 2 * WORKERS * READ_THREADS + 10
        return few and self.commands <= 3 * self.usually * self.answers


def returned(installation: Installation, fault: str) -> Return:
    lost = times_lost(installation)
    with meanwhile(installation, clients=HERD_CLIENTS) as asking:
        time.sleep(0.3)
        first, began = counted(installation), time.monotonic()
        assert eventually(partial(has_done, installation, first["commands_processed"] + MANY_COMMANDS))
        usual, ended = counted(installation), time.monotonic()
        before = usual
        if fault == "frozen":
            with frozen_redis(installation):
                time.sleep(AWAY_SECONDS)
        else:
            kill_redis(installation)
            before = dict.fromkeys(usual, 0)
        back_at = time.monotonic()
        time.sleep(HERD_SECONDS)
        after, until = counted(installation), time.monotonic()
    seen = asking.result()
    assert {404} <= {each.status for each in seen} <= {404, 429}
    connects, commands = (after[name] - before[name] for name in after)
    usually = (usual["commands_processed"] - first["commands_processed"]) / answered(seen, began, ended)
    # Who was cut off in the middle of a request sends it once more.
    answers = answered(seen, back_at, until) + HERD_CLIENTS
    return Return(connects, commands, answers, usually, times_lost(installation) - lost > WORKERS)


@pytest.mark.parametrize("fault", ["frozen", "killed"])
def test_a_redis_that_comes_back_is_met_by_no_herd(installation: Installation, told: Told, fault: str):
    """No thread connects twice, and a request asks hardly more of it than before.

    Where it stands still once more meanwhile, they do, and such a return counts for nothing. Others may have been
    disturbed unseen: a herd is forgiven where more than twice as many returns are without one.
    """
    lone = herds = 0
    for _ in range(ATTEMPTS):
        found = returned(installation, fault)
        told(
            f"04 Redis {fault}, then back",
            f"{found.connects} connects and {found.commands} commands within {HERD_SECONDS:.0f} s, "
            f"{found.commands / found.answers:.1f} for each answer to {HERD_CLIENTS} clients, {found.usually:.1f} before",
        )
        lone += found.is_without_a_herd
        herds += not found.is_without_a_herd and not found.is_more_than_the_fault
        if lone > 2 * herds:
            return
        assert is_whole_everywhere(installation)
    raise AssertionError(found)
