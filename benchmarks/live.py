"""The live feed under load, against a bare `websockets` server with the same clients and the same batches.

1,000 clients have one of 20 symbols each; 5,000 trades a second come in batches of 100. Both servers have two web
processes on all cores, and take the load by turns. A *message* is a frame of one batch to one client. Its delay is the
time from the sender's reading of the acknowledgement to the client's reading of the frame. It is negative if the frame
is first. After each load every client must have each row of its symbol, once and in order.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from statistics import median, quantiles

from benchmarks.clients import INGEST_PATH, Connection, check_stored, header, run_together
from benchmarks.generated_trades import batch_rows, json_body
from benchmarks.live_clients import Clients, Received, live_clients
from benchmarks.live_peer import PEER, live_peer
from benchmarks.load import MISSING, Load, load, medians
from benchmarks.processes import CORES, memory_of_process, on_cores, processor_seconds
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from benchmarks.servers import WEB, Server, our_server

CLIENTS = 1_000
_SYMBOLS = [f"L{number:04}" for number in range(20)]
_ROWS = 100
_BATCHES_A_SECOND = 50
_SENDERS = 4  # a divisor of the number of symbols: each has its own, so that a symbol's batches come in order
_START_SECONDS = 0.1
_ROUNDS = 2
_WARM_UP_CLIENTS = 20
_SETTLING_SECONDS = 0.3  # until the last messages are sent
_KIB = 2**10
_LABEL = f"{CLIENTS:,} live clients, {_BATCHES_A_SECOND * _ROWS:,} trades/s"
_AGAINST = "against bare websockets"
_WINDOW = "start=2025-01-06T00:00:00Z&end=2025-01-06T09:30:00Z"
_HELD = f"/v1/stats/ohlc?symbol={_SYMBOLS[0]}&interval=1min&{_WINDOW}"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A batch that was acknowledged: its symbol, the commit, and when, by `time.monotonic`."""

    symbol: str
    commit: str
    at: float


@dataclass(slots=True)
class Feed:
    """A server that takes batches and fans them out. sent: the number of batches of each symbol so far."""

    server: Server
    port: int
    sent: int = 0

    def send(self, seconds: float) -> list[Acknowledged]:
        """Send batches of all symbols by turns, evenly; return the acknowledgements."""
        turns = max(int(seconds * _BATCHES_A_SECOND) // len(_SYMBOLS), 1)
        requests = [self._request(self.sent + turn, symbol) for turn in range(turns) for symbol in _SYMBOLS]
        self.sent += turns
        found: list[Acknowledged] = []
        start = time.monotonic() + _START_SECONDS
        senders = [partial(_send, numbered, start, found) for numbered in _shared_out(requests)]
        run_together(self.server, senders)
        return found

    def _request(self, number: int, symbol: str) -> bytes:
        body = json_body(batch_rows(number, size=_ROWS), symbol=symbol)
        return self.server.request("POST", INGEST_PATH, body)

    @contextmanager
    def clients(self, count: int = CLIENTS) -> Iterator[Clients]:
        """Connect clients to the symbols by turns."""
        told = [(f"trades:{_SYMBOLS[n % len(_SYMBOLS)]}", self.server.next_key()) for n in range(count)]
        with live_clients(self.server.host, self.port, told) as clients:
            yield clients


def _shared_out(requests: Sequence[bytes]) -> list[list[tuple[int, bytes]]]:
    """Return each sender's requests with their places among all. A symbol's requests have the same sender."""
    numbered = list(enumerate(requests))
    return [numbered[sender::_SENDERS] for sender in range(_SENDERS)]


def _send(
    requests: Sequence[tuple[int, bytes]], start: float, found: list[Acknowledged], connection: Connection
) -> None:
    """Send each request at its time, or as soon as the one before is acknowledged."""
    for number, request in requests:
        time.sleep(max(0.0, start + number / _BATCHES_A_SECOND - time.monotonic()))
        head, answer = connection.answer(request)
        acknowledged = time.monotonic()
        check_stored(answer, _ROWS)
        commit = header(head, "x-commit").removeprefix("trades=")
        found.append(Acknowledged(_SYMBOLS[number % len(_SYMBOLS)], commit, acknowledged))


@dataclass(frozen=True, slots=True)
class _Load:
    """The server's processor seconds during a load, each message's delay."""

    processor_seconds: float
    delays_ms: list[float]

    def per_core(self, less: "_Load | None" = None) -> float:
        """Return the messages a second that a busy core would send. less: a load to subtract."""
        messages = len(self.delays_ms) - (len(less.delays_ms) if less else 0)
        seconds = self.processor_seconds - (less.processor_seconds if less else 0)
        return messages / max(seconds, 1 / os.sysconf("SC_CLK_TCK"))


@dataclass(frozen=True, slots=True)
class _Run:
    """The same load without clients, and with all."""

    alone: _Load
    all: _Load


def measure_live(sizes: Sizes) -> Iterator[Row]:
    """Yield delays and messages a second per core, against the bare server."""
    settings = {"MAX_LIVE_CONNECTIONS_PER_CALLER": str(CLIENTS)}
    with (
        on_cores(CORES),
        our_server(workers=2, pinned=False, settings=settings) as server,
        live_peer() as (peer, port),
    ):
        feeds = [Feed(server, server.port), Feed(peer, port)]
        for feed in feeds:
            _warm_up(feed)
        rounds = min(sizes.rounds, _ROUNDS)
        pairs = [[_run(feed, sizes.live_seconds) for feed in feeds] for _ in range(rounds)]
    ours, bare = ([pair[place] for pair in pairs] for place in range(2))
    yield from _delay_rows(ours, bare)
    yield from _cost_rows(ours, bare)


def measure_quiet(sizes: Sizes) -> Iterator[Row]:
    """Yield the memory of connections to which nothing is sent, and the rate of held answers beside them."""
    # One web process has all of them, and wrk's.
    settings = {
        "MAX_CONNECTIONS_PER_ADDRESS": str(2 * CLIENTS),
        "MAX_LIVE_CONNECTIONS_PER_CALLER": str(CLIENTS),
    }
    with our_server(settings=settings) as server, live_peer() as (peer, port):
        feed, bare = Feed(server, server.port), Feed(peer, port)
        here, beside = _memory_each(feed), _memory_each(bare)
        label = f"own memory of the web process for each of {CLIENTS:,} quiet live clients, {_AGAINST}"
        yield Ratio(label, here / _KIB, beside / _KIB, "KiB")
        if MISSING:
            yield Note(f"Left out: held answers beside quiet connections: {MISSING}.")
        else:
            yield from _held_rows(feed, sizes)


def check_complete(received: Sequence[Received], acknowledged: Sequence[Acknowledged]) -> list[float]:
    """Return the milliseconds from each message's acknowledgement to its receipt.

    Raises `UnexpectedAnswer` if a client lacks a row of its symbol, has one twice or out of order, or if tokens have a gap.
    """
    by_channel: dict[str, list[Acknowledged]] = {}
    for each in acknowledged:
        by_channel.setdefault(f"trades:{each.symbol}", []).append(each)
    delays: list[float] = []
    for client in received:
        batches, messages = by_channel.get(client.channel, []), client.messages
        commits = [message.seq.partition(".")[0] for message in messages]
        tokens = [client.token, *(message.seq for message in messages)]
        if commits != [each.commit for each in batches]:
            raise UnexpectedAnswer(f"{client.channel}: {len(batches)} commits were stored, {commits} came")
        if [message.prev for message in messages] != tokens[:-1]:
            raise UnexpectedAnswer(f"{client.channel}: a `prev` is not the token before: {messages}")
        if any(message.rows != _ROWS for message in messages):
            raise UnexpectedAnswer(f"{client.channel}: {[message.rows for message in messages]} rows")
        pairs = zip(messages, batches, strict=True)
        delays += [(message.received - batch.at) * 1e3 for message, batch in pairs]
    return delays


def _warm_up(feed: Feed) -> None:
    """Send some batches, and then some to clients: the first ones import modules and make folders."""
    feed.send(1)
    with feed.clients(_WARM_UP_CLIENTS) as clients:
        acknowledged = feed.send(1)
        check_complete(clients.received(), acknowledged)


def _run(feed: Feed, seconds: int) -> _Run:
    return _Run(_loaded(feed, seconds)[0], _received(feed, seconds))


def _loaded(feed: Feed, seconds: int) -> tuple[_Load, list[Acknowledged]]:
    """Send batches for `seconds`."""
    before = processor_seconds(feed.server.roots)
    acknowledged = feed.send(seconds)
    time.sleep(_SETTLING_SECONDS)
    return _Load(processor_seconds(feed.server.roots) - before, []), acknowledged


def _received(feed: Feed, seconds: int) -> _Load:
    """Send batches to the clients for `seconds`; check what they received."""
    with feed.clients() as clients:
        load, acknowledged = _loaded(feed, seconds)
        received = clients.received()
    return replace(load, delays_ms=check_complete(received, acknowledged))


def _delay_rows(ours: Sequence[_Run], bare: Sequence[_Run]) -> Iterator[Row]:
    """Yield medians over the rounds, of the figure of each round."""
    figures: list[tuple[str, Callable[[list[float]], float], Goal | None]] = [
        ("median", median, Goal(most=3)),
        ("p99", lambda delays: quantiles(delays, n=100)[-1], None),
        ("worst", max, None),
    ]
    for name, figure, goal in figures:
        here, beside = (median(figure(run.all.delays_ms) for run in runs) for runs in (ours, bare))
        yield Ratio(f"{_LABEL}, acknowledgement to receipt, {name}, {_AGAINST}", here, beside, "ms", goal)


def _cost_rows(ours: Sequence[_Run], bare: Sequence[_Run]) -> Iterator[Row]:
    """Yield messages a second per core, with and without the ingest."""
    figures: list[tuple[str, Callable[[_Run], float], Goal | None]] = [
        ("ingest included", lambda run: run.all.per_core(), None),
        ("without the ingest", lambda run: run.all.per_core(less=run.alone), Goal(least=0.5)),
    ]
    for name, figure, goal in figures:
        here, beside = (median(map(figure, runs)) for runs in (ours, bare))
        yield Ratio(f"{_LABEL}, per core, {name}, {_AGAINST}", here, beside, "messages/s", goal)


def _memory_each(feed: Feed) -> float:
    """Return the bytes by which the server's processes of clients grow for each client."""
    _warm_up(feed)
    serving = [pid for pid, name in feed.server.processes().items() if name in (WEB, PEER)]
    before = sum(memory_of_process("RssAnon", pid) for pid in serving)
    with feed.clients():
        return (sum(memory_of_process("RssAnon", pid) for pid in serving) - before) / CLIENTS


def _held_rows(feed: Feed, sizes: Sizes) -> Iterator[Row]:
    """Measure without clients and beside them by turns."""
    with Connection(feed.server) as connection:
        connection.exchange(feed.server.request("GET", _HELD))
    requests = feed.server.by_all_keys(_HELD)
    alone, beside = list[Load](), list[Load]()
    for _ in range(sizes.rounds):
        alone.append(_held_load(feed.server, requests, sizes.seconds))
        with feed.clients():
            beside.append(_held_load(feed.server, requests, sizes.seconds))
    without, with_clients = medians(alone), medians(beside)
    label = f"held answers beside {CLIENTS:,} quiet live clients"
    yield Ratio(label, with_clients.per_second, without.per_second, "answers/s", Goal(least=0.9))
    yield Ratio(f"{label}, processor time", with_clients.processor_us, without.processor_us, "µs")


def _held_load(server: Server, requests: Sequence[bytes], seconds: int) -> Load:
    load(server, requests, 1)  # not counted, as in `held`
    return load(server, requests, seconds)
