"""A client of the live feed that stops reading is cut off with its token, and costs the server and all others nothing."""

import re
import statistics
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from stats.live.tokens import record_of, seq_of
from store.csv.store import CsvStore
from store.datasets import TRADES
from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.hostile.gauge import Gauge
from tests.patience import is_kept
from tests.system.batches import Batch
from tests.system.clients import connected
from tests.system.installation import UNLIMITED, WEB_ONLY, Installation, installed
from tests.system.live_clients import Conversation, Feed, LiveCrowd, talking
from tests.system.live_logs import LogItems
from tests.system.streaming import Webs, narrow_socket
from tests.system.test_drain import stopped

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("live")]

SYMBOL = "SLOWFEED"
CHANNEL = f"trades:{SYMBOL}"
OTHERS = 50 if SOAK else 10
ROUNDS, ATTEMPTS = (3, 5) if SOAK else (1, 1)
# A batch is about 200 KiB in frames, a small one 60 KiB.
BATCH_ROWS, SMALL_ROWS, BATCHES = 2_000, 600, 40 if SOAK else 10
# Bytes that the client's end takes before the server has to keep any.
NARROW = 4_096
# They are 160 frames, more than may wait.
BEYOND_BATCHES = 40
# After so many batches that change nothing it takes no more.
SAME = 5
PAUSE_SECONDS = 0.02
CUT_SECONDS = 10.0
HELD_MIB = 20.0
LATER = 1.2
NUMBERS = count(1)


class Load:
    """Batches that are sent one after the other."""

    def __init__(self, installation: Installation, key: str) -> None:
        self._port, self._key = installation.port, key

    def send(self, batches: int, *, rows: int = BATCH_ROWS) -> Iterator[None]:
        """Send so many batches; yield after each."""
        with connected(self._port, self._key) as client:
            for _ in range(batches):
                reply = client.ingest_patiently(Batch(next(NUMBERS), SYMBOL, rows, has_ids=False).body)
                assert reply.status == 200, reply.body
                yield
                time.sleep(PAUSE_SECONDS)

    def send_all(self, batches: int) -> None:
        for _ in self.send(batches):
            pass


class Cut(NamedTuple):
    """What came of a client that stopped reading: seconds from when the kernel took nothing more for it to its end."""

    seconds: float
    peak_mib: float
    code: int
    feed: Feed


def slow_ends(installation: Installation) -> int:
    """How many connections were ended because their client took nothing."""
    with connected(installation.port, installation.key) as client:
        reply = client.get("/metrics")
    assert reply.status == 200, reply.body
    found = re.search(
        rb'^marketdata_live_ends_total\{reason="slow_consumer"\} (\d+)', reply.body, re.MULTILINE
    )
    return int(found[1]) if found else 0


def in_kernel(talk: Conversation, port: int) -> int:
    """Bytes that the server's kernel has for a client, 0 once the connection is closed."""
    local = talk.socket.socket.getsockname()[1]
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = f"0100007F:{port:04X}", f"0100007F:{local:04X}"
    return next((int(row[4].partition(":")[0], 16) for row in rows if (row[1], row[2]) == ends), 0)


def peak_mib(load: Load, gauge: Gauge, batches: int) -> float:
    """The most memory that the web processes use while so many batches are sent."""
    return max(gauge.anonymous_mib() for _ in load.send(batches))


def left_alone(installation: Installation) -> None:
    """Wait until one more connection was ended because its client took nothing."""
    ends = slow_ends(installation)
    assert eventually(lambda: slow_ends(installation) > ends)


def fill(talk: Conversation, port: int, load: Load, *, rows: int = SMALL_ROWS) -> None:
    """Send batches of so many rows until the kernel takes nothing more for a client."""
    taken: list[int] = []
    for _ in load.send(10 * BATCHES, rows=rows):
        taken.append(in_kernel(talk, port))
        if taken[-1] and len(taken) > SAME and len(set(taken[-SAME:])) == 1:
            return
    raise AssertionError(f"the kernel takes more and more: {taken}")


def cut_off(installation: Installation, key: str, load: Load, *, is_flooded: bool) -> Cut:
    """Have a client stop to read until it is cut off; then it reads on. is_flooded: whether it is sent more all the while."""
    feed, peak = Feed(None), 0.0
    with talking(installation.port, key, max_queue=1, sock=narrow_socket(installation.port, NARROW)) as talk:
        feed.subscribed(talk.ask(op="subscribe", channels=[CHANNEL])["channels"][CHANNEL])
        fill(talk, installation.port, load, rows=BATCH_ROWS if is_flooded else SMALL_ROWS)
        full_at = time.monotonic()
        if is_flooded:
            peak = peak_mib(load, Webs(installation).gauge, BEYOND_BATCHES)
        else:
            left_alone(installation)
        seconds = time.monotonic() - full_at
        ended = talk.ended(keep=lambda message: feed.take(message) if "seq" in message else None)
    # A client that begins to read too late is not told, because its connection was aborted.
    if ended.code != 1006:
        assert (ended.code, ended.closing["code"]) == (4413, "slow_consumer")
        assert ended.closing["from"] == {CHANNEL: feed.token}
    return Cut(seconds, peak, ended.code, feed)


def resume(installation: Installation, key: str, feed: Feed) -> None:
    """Take the rest on another connection, and check that the whole is the store's."""
    items = LogItems(installation.store, TRADES, SYMBOL)
    with talking(installation.port, key) as talk:
        answer = talk.ask(op="subscribe", channels=[CHANNEL], **{"from": {CHANNEL: feed.token}})
        feed.subscribed(answer["channels"][CHANNEL])
        talk.collect(feed, items.last)
    items.check(feed.received)


def is_another_due(codes: list[int]) -> bool:
    """Whether a client is to be cut off once more. On a slow machine one may read too late to be told."""
    return len(codes) < ROUNDS or (4413 not in codes and len(codes) < ATTEMPTS)


def p99_ms(crowd: LiveCrowd, store: CsvStore) -> float:
    """The 99th percentile of what clients waited for their frames since the last call."""
    newest = record_of(store, TRADES, SYMBOL, store.log(TRADES, SYMBOL).head)
    assert crowd.have({CHANNEL: seq_of(newest)})
    delays = crowd.delays_ms()
    return delays[len(delays) * 99 // 100]


@pytest.fixture
def key(installation: Installation) -> str:
    return installation.new_key(tier="internal", rate=UNLIMITED)


@pytest.fixture
def load(installation: Installation, key: str) -> Load:
    load = Load(installation, key)
    load.send_all(5)
    return load


def test_a_client_that_stops_reading_is_cut_off_and_costs_the_others_nothing(
    installation: Installation, key: str, load: Load, told: Told
) -> None:
    store, grown, ratios = installation.store, [], []
    cuts: list[Cut] = []
    keys = [installation.new_key(tier="internal", rate=UNLIMITED) for _ in range(-(-OTHERS // 10))]
    with LiveCrowd(installation.port, *keys) as crowd:
        for _ in range(OTHERS):
            crowd.add(CHANNEL)
        assert crowd.are_subscribed()
        load.send_all(BATCHES)
        p99_ms(crowd, store)
        while is_another_due([each.code for each in cuts]):
            usual_mib = peak_mib(load, Webs(installation).gauge, BATCHES)
            quiet = p99_ms(crowd, store)
            # While it is flooded, a slow machine may take so long that nobody is told.
            cuts.append(cut_off(installation, key, load, is_flooded=len(cuts) < ROUNDS))
            grown.append(cuts[-1].peak_mib - usual_mib)
            ratios.append(p99_ms(crowd, store) / quiet)
        items = LogItems(store, TRADES, SYMBOL)
        assert crowd.faults() == []
        for client in crowd.clients:
            assert client.connections == 1
            items.check(client.feeds[CHANNEL].received)
    for each in cuts:
        resume(installation, key, each.feed)
    seconds = max(each.seconds for each in cuts)
    told(
        "15 a live client that stops reading",
        f"cut off {seconds:.1f} s after the kernel was full, memory + {max(grown):.1f} MiB; p99 of {OTHERS} others "
        f"{statistics.median(ratios):.2f} times that before (of {len(cuts)}, least {min(ratios):.2f})",
    )
    assert not SOAK or 4413 in {each.code for each in cuts}
    assert is_kept(CUT_SECONDS, seconds)
    assert is_kept(HELD_MIB, *grown)
    assert is_kept(LATER, min(ratios))


@pytest.mark.soak
def test_a_client_that_takes_nothing_is_cut_off_although_nothing_more_is_sent(
    installation: Installation, key: str, load: Load, told: Told
) -> None:
    cut = cut_off(installation, key, load, is_flooded=False)
    resume(installation, key, cut.feed)
    told("15 a live client that takes nothing", f"cut off {cut.seconds:.1f} s after the kernel was full")
    assert is_kept(CUT_SECONDS, cut.seconds)


@pytest.mark.soak
def test_a_stop_is_told_to_every_client_and_waits_for_none_that_does_not_read(
    tmp_path: Path, told: Told
) -> None:
    with installed(tmp_path, **WEB_ONLY) as installation:
        keys = [installation.new_key(tier="internal", rate=UNLIMITED) for _ in range(-(-OTHERS // 10))]
        key = installation.new_key(tier="internal", rate=UNLIMITED)
        load = Load(installation, key)
        load.send_all(1)
        with (
            LiveCrowd(installation.port, *keys) as crowd,
            talking(
                installation.port, key, max_queue=1, sock=narrow_socket(installation.port, NARROW)
            ) as stalled,
        ):
            clients = [crowd.add(CHANNEL) for _ in range(OTHERS)]
            assert crowd.are_subscribed()
            assert stalled.ask(op="subscribe", channels=[CHANNEL])["op"] == "subscribed"
            fill(stalled, installation.port, load)
            seconds = stopped(installation.served)
            assert eventually(lambda: all(client.codes for client in clients))
        last = LogItems(installation.store, TRADES, SYMBOL).last
        assert crowd.faults() == []
        assert "Traceback" not in installation.served.output.read_text()
    closings = [client.closings[0] for client in clients]
    assert {client.codes[0] for client in clients} == {1012}
    assert {closing["code"] for closing in closings} == {"restarting"}
    assert all(closing["from"] == {CHANNEL: last} for closing in closings)
    waits = {closing["retry_after"] for closing in closings}
    assert len(waits) > 1, "all would come back at once"
    assert min(waits) > 0
    told("15 a stop beside live clients", f"{OTHERS} told, one does not read; ended in {seconds:.1f} s")
    assert is_kept(CUT_SECONDS, seconds)
