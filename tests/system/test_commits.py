"""Callers wait for commits over two web processes: soon told, whoever writes, and without a thread of the server."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import orjson
import pytest

from tests.patience import is_kept
from tests.system.batches import Batch
from tests.system.clients import Client, connected
from tests.system.installation import UNLIMITED, WORKERS, Installation

pytestmark = pytest.mark.xdist_group("installation")

WAITING = 100
SYMBOL = "WAITED"
COMMITS = f"/api/v1/market-data/equities/{SYMBOL}/trades/commits"
HELD = {"Prefer": "wait=30"}


def test_waiting_callers_are_told_within_a_second_and_hold_no_thread(installation: Installation) -> None:
    key = installation.new_key(tier="internal", rate=UNLIMITED)
    with ExitStack() as stack, ThreadPoolExecutor(WAITING) as threads:
        # Connections go to the two processes by turns.
        clients = [stack.enter_context(connected(installation.port, key)) for _ in range(WAITING)]
        writer, reader = (stack.enter_context(connected(installation.port, key)) for _ in range(WORKERS))
        stored(writer, 1)
        assert {ask(client, "0").status for client in clients} == {200}
        after = orjson.loads(ask(writer, "0").body.splitlines()[-1])["seq"]
        delays = []
        for number in range(2, 5):
            waiting = [threads.submit(told, client, after) for client in clients]
            time.sleep(1)
            began = time.monotonic()
            assert reader.get(f"/api/v1/market-data/equities/{SYMBOL}/coverage").status == 200
            assert time.monotonic() - began < 10
            assert not any(each.done() for each in waiting)
            committed = time.monotonic()
            stored(writer, number)
            answers = [each.result() for each in waiting]
            waited = [at for at, _, has_waited in answers if has_waited]
            # On a slow machine some ask after the commit.
            assert len(waited) > WAITING / 2
            delays.append(max(waited) - committed)
            (after,) = {seq for _, seq, _ in answers}
        assert is_kept(1.0, delays), delays


def stored(client: Client, number: int) -> None:
    assert client.ingest(Batch(number, SYMBOL, 3, has_ids=True).body).status == 200


def ask(client: Client, after: str):
    return client.get(f"{COMMITS}?after={after}", HELD)


def told(client: Client, after: str) -> tuple[float, str, bool]:
    """When the next commit came, its token, and whether the call waited for it."""
    reply = ask(client, after)
    at = time.monotonic()
    (line,) = reply.body.splitlines()
    return at, orjson.loads(line)["seq"], reply.headers.get("preference-applied") == "wait"
