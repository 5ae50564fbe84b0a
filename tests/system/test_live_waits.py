"""What the live feed does by the clock: pings that tell a silent market from a silent feed, and ends of silent clients."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count

import pytest
from websockets import InvalidStatus

from store.datasets import TRADES
from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.system import short_waits
from tests.system.batches import Batch
from tests.system.clients import connected
from tests.system.installation import UNLIMITED, WEB_ONLY, Installation, installed, switched
from tests.system.live_clients import Conversation, talking
from tests.system.live_raw import RawSocket
from tests.system.redis_faults import frozen_redis

pytestmark = pytest.mark.xdist_group("live_waits")

# With SOAK=1 the server waits as long as it does for everybody.
PING_SECONDS = 15.0 if SOAK else short_waits.PING_SECONDS
FIRST_MESSAGE_SECONDS = 10.0 if SOAK else short_waits.FIRST_MESSAGE_SECONDS
IDLE_SECONDS = 30.0 if SOAK else short_waits.IDLE_SECONDS
SETTINGS = {} if SOAK else switched(app="tests.system.short_waits.ShortWaits")
SLOTS = 15
OPENED = 200 if SOAK else 60
DECLARED, SILENT = "trades:DECLARED", "trades:SILENT"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("waits")
    environment = {**WEB_ONLY, **SETTINGS, "MAX_CONNECTIONS_PER_ADDRESS": str(SLOTS)}
    with installed(folder, data_dir=None, **environment) as installation:
        yield installation


@pytest.fixture
def key(running: Installation) -> str:
    key = running.new_key(tier="internal", rate=UNLIMITED)
    with connected(running.port, key) as client:
        for channel in (DECLARED, SILENT):
            symbol = channel.partition(":")[2]
            assert client.ingest(Batch(1, symbol, 3, has_ids=True).body).status == 200
    return key


def ping(talk: Conversation) -> dict[str, dict[str, str]]:
    """The state of the logs in the next ping."""
    found = talk.next(lambda message: message.get("op") == "ping", seconds=PING_SECONDS + 10)
    logs: dict[str, dict[str, str]] = found["logs"]
    return logs


def test_complete_until_moves_with_a_quiet_feed_and_stays_with_a_silent_one(running, key) -> None:
    with talking(running.port, key) as talk, connected(running.port, key) as client:
        assert talk.ask(op="subscribe", channels=[DECLARED, SILENT])["op"] == "subscribed"
        before = ping(talk)
        assert before.keys() == {DECLARED, SILENT}
        declared = "2025-01-02T20:59:00Z"
        query = f"symbol=DECLARED&complete_until={declared}"
        assert client.ingest(b"", query=query).status == 200
        frame = talk.next(lambda message: "seq" in message)
        assert (frame["complete_until"], frame.get("data", [])) == (declared, [])
        after = ping(talk)
        assert after[SILENT] == before[SILENT]
        assert after[DECLARED]["complete_until"] == declared > before[DECLARED]["complete_until"]
        assert after[DECLARED]["head"] == frame["seq"] == running.store.log(TRADES, "DECLARED").head.token


def test_a_client_that_never_authenticates_is_closed(running) -> None:
    began = time.monotonic()
    with talking(running.port) as talk:
        ended = talk.ended()
    assert (ended.code, ended.closing["code"]) == (4401, "not_authenticated")
    assert time.monotonic() - began >= FIRST_MESSAGE_SECONDS


def test_only_a_client_from_which_nothing_comes_is_closed(running, key) -> None:
    """A library's client answers the protocol's pings by itself, and stays."""
    with talking(running.port, key) as answering, RawSocket.opened(running.port, key) as silent:
        began = time.monotonic()
        code = silent.close_code()
        assert code == 4408
        assert time.monotonic() - began >= IDLE_SECONDS - 1
        assert answering.ask(op="ping", id=1) == {"op": "pong", "id": 1}


def test_without_redis_a_message_is_a_little_late_and_pings_say_so(running, key) -> None:
    with talking(running.port, key) as talk, connected(running.port, key) as client:
        assert talk.ask(op="subscribe", channels=[DECLARED])["op"] == "subscribed"
        with frozen_redis(running):
            assert client.ingest(Batch(2, "DECLARED", 3, has_ids=True).body).status == 200
            talk.next(lambda message: "seq" in message)
            talk.next(lambda message: message.get("degraded") == ["redis"])
        talk.next(lambda message: message.get("degraded") == [])


def open_and_lose(port: int, key: str, number: int) -> None:
    """A connection that ends in one of the ways in which connections end."""
    if number % 3 == 0:
        with talking(port, key) as talk:
            talk.ask(op="ping")
    elif number % 3 == 1:
        with RawSocket.opened(port, key):
            pass
    else:
        with pytest.raises(InvalidStatus), talking(port, "md_abcdefgh_wrong"):
            pass


def test_connections_that_end_give_their_slots_back(running, key) -> None:
    """No address may have more than `SLOTS` connections to a process."""

    def most() -> int:
        with ExitStack() as stack, contextlib.suppress(ConnectionRefusedError):
            for opened in count():  # noqa: B007 how many there were is what counts
                stack.enter_context(RawSocket.opened(running.port, key))
        return opened

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: open_and_lose(running.port, key, number), range(OPENED)))
    assert eventually(lambda: most() >= SLOTS)
    assert eventually(lambda: most() >= SLOTS)
