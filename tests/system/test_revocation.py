"""A key that one process revokes is refused by every other within a second, although each of them remembers keys."""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import pytest

from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.marketdata_project.serve_process import SETTINGS
from tests.patience import PATIENCE_SECONDS, is_kept
from tests.system.clients import OHLC, Client, Crowd, clients_of_every_web, connected
from tests.system.installation import UNLIMITED, WORKERS, Installation
from tests.system.keys_in_database import committed_revocation, key_id

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("installation")]

TIMES = 20 if SOAK else 1
EFFECTIVE_SECONDS = 1.0
PATH = f"{OHLC}?symbol=NOTSTORED"
Revoke = Callable[[int], object]


@contextlib.contextmanager
def commands(installation: Installation) -> Iterator[Revoke]:
    """The command, in a process that is ready to run it, so that its start is not waited for each time."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.system.revoker"],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "DATA_DIR": str(installation.served.data_dir),
            "REDIS_URL": "",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    to, answers = process.stdin, process.stdout
    assert to is not None
    assert answers is not None

    def revoke(number: int) -> None:
        print(number, file=to, flush=True)

    try:
        assert answers.readline() == "ready\n"
        yield revoke
    finally:
        _close(to, answers)
        assert process.wait(PATIENCE_SECONDS) == 0


def _close(to: IO[str], answers: IO[str]) -> None:
    to.close()
    answers.read()
    answers.close()


@contextlib.contextmanager
def calls(installation: Installation) -> Iterator[Revoke]:
    """The API, at whichever of the web processes the connection is."""
    manager = installation.new_key(tier="internal", rate=UNLIMITED, accounts='["*"]')
    with connected(installation.port, manager) as client:

        def revoke(number: int) -> None:
            reply = client.call("DELETE", f"/api/v1/keys/{number}")
            assert reply.status < 300, reply.body

        yield revoke


def longest_acceptance(installation: Installation, revoke: Revoke, *, after: float) -> float:
    """Seconds from the commit of a revocation to the last request that was still accepted when it was sent, of all processes."""
    key = installation.new_key(rate=UNLIMITED)
    number = key_id(installation.served.data_dir, key)
    accepted: dict[int | None, float] = {}

    def ask(client: Client, _stopping: threading.Event) -> None:
        began = sent = time.monotonic()
        while client.get(PATH).status != 401 and sent < began + PATIENCE_SECONDS:
            accepted[client.process] = sent
            sent = time.monotonic()

    with clients_of_every_web(installation.served, key, each=1) as clients, ThreadPoolExecutor(1) as pool:
        assert len(clients) == WORKERS
        with Crowd(clients, ask) as crowd:
            assert eventually(lambda: len(accepted) == WORKERS)
            time.sleep(after)
            committed = pool.submit(committed_revocation, installation.served.data_dir, number)
            revoke(number)
            committed_at = committed.result()
        assert crowd.errors == []
    return max(0.0, max(accepted.values()) - committed_at)


@pytest.mark.parametrize("way", [commands, calls], ids=["command", "API"])
def test_a_revoked_key_is_refused_by_every_process_within_a_second(
    installation: Installation,
    told: Told,
    seed: int,
    way: Callable[..., contextlib.AbstractContextManager[Revoke]],
):
    rng = random.Random(seed)
    with way(installation) as revoke:
        longest = [longest_acceptance(installation, revoke, after=rng.uniform(0, 1)) for _ in range(TIMES)]
    told(
        f"11 revoked by {way.__name__}",
        f"{TIMES} times, accepted for {max(longest):.3f} s at most, {sum(longest) / TIMES:.3f} s on average",
    )
    assert is_kept(EFFECTIVE_SECONDS, *longest)
