"""Held answers: answers that the server has computed before. wrk sends real keys by turns on 32 connections.

Each answer is measured in three ways, which alternate: one web process on a core of its own, the default set-up on all
cores, and the peers, which answer the same bytes. Those of `_PROXIED` are also measured through the nginx of `deploy/`,
by turns with direct ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import msgspec

from benchmarks.clients import Connection, header
from benchmarks.generated_trades import BATCH_ROWS, json_body, spread_rows
from benchmarks.load import MISSING, Load, load, medians
from benchmarks.peers import (
    BEHIND_NGINX,
    FLOOR,
    NGINX,
    Peer,
    behind_nginx,
    nginx_peer,
    peers_missing,
    pipelined_peer,
    uvicorn_peer,
)
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from benchmarks.servers import KEYS, Server, our_server

_MINUTES = 570  # bars of about 60 KB
_SECONDS = 1  # of a load, which is thousands of answers
_WINDOW = "start=2025-01-06T00:00:00Z&end=2025-01-06T09:30:00Z"
_OHLC = f"/api/v1/stats/ohlc?symbol=BENCH&interval=1min&{_WINDOW}"
_TREE = "/api/v1/market-data/equities/BENCH"
_BARS = f"{_TREE}/ohlcv.%s?resolution=1m&limit=1000&{_WINDOW}"
_HOUR = "start=2025-01-06T00:00:00Z&end=2025-01-06T01:00:00Z"
_TRADES = f"/api/v1/market-data/equities/TICKS/trades.%s?limit={BATCH_ROWS}&{_HOUR}"
_PINNED, _DEFAULT = "one pinned worker", "default set-up"


@dataclass(frozen=True, slots=True)
class _Case:
    """An answer. pipelined: the goal against that peer; None leaves all peers out. rows: of the answer, if checked."""

    name: str
    target: str
    pipelined: Goal | None = None
    rows: int = 0
    unchanged: bool = False  # ask with the answer's ETag, for a 304


_CASES = (
    _Case("bars of `/stats/ohlc`", _OHLC, Goal(least=4), _MINUTES),
    _Case("page of bars, JSON", _BARS % "json", Goal(least=4), _MINUTES),
    _Case("page of bars, columnar", _BARS % "columnar"),
    _Case("page of bars, msgpack", _BARS % "msgpack"),
    _Case("page of 10,000 trades, JSON", _TRADES % "json", rows=BATCH_ROWS),
    _Case("page of 10,000 trades, msgpack", _TRADES % "msgpack"),
    _Case("`latest`", f"{_TREE}/latest", Goal(least=3)),
    _Case("`snapshot`", f"{_TREE}/snapshot", Goal(least=2)),
    _Case("304 of a page of bars", _BARS % "json", unchanged=True),
)
_QUICK_CASES = _CASES[:2]
_PROXIED = [case for case in _CASES if case.pipelined]


def measure_held(sizes: Sizes) -> Iterator[Row]:
    """Yield each answer's rate, latencies and processor time, beside those of the peers and the default set-up."""
    if MISSING:
        yield Note(f"Left out: held answers: {MISSING}.")
        return
    yield Note(
        f"Held answers: {KEYS} keys of tier `internal` by turns, 32 connections, no `Accept-Encoding`."
    )
    with ExitStack() as stack:
        ours = {
            _PINNED: stack.enter_context(our_server()),
            _DEFAULT: stack.enter_context(our_server(workers=None, pinned=False)),
        }
        for server in ours.values():
            _store(server)
        peers: list[Peer] = []
        yield from _add_peers(stack, peers)
        for case in _CASES if sizes.rounds > 1 else _QUICK_CASES:
            yield from _measure_case(case, sizes, ours, peers)
    if NGINX:
        yield from _measure_proxied(sizes)


def _measure_proxied(sizes: Sizes) -> Iterator[Row]:
    """Yield the rates through nginx against direct ones, and against those of a bare uvicorn through the same nginx."""
    with ExitStack() as stack:
        server = stack.enter_context(our_server(settings=BEHIND_NGINX))
        bare = stack.enter_context(uvicorn_peer())
        behind, bare_behind = (stack.enter_context(behind_nginx(each)) for each in (server, bare.server))
        _store(server)
        for case in _PROXIED:
            _, body = _warmed(server, case)
            bare.serve(body)
            requests = server.by_all_keys(case.target)
            floor = bare_behind.by_all_keys(bare.target)
            runs = ((behind, requests), (server, requests), (bare_behind, floor))
            loads: list[list[Load]] = [[] for _ in runs]
            for _ in range(sizes.rounds):
                for (each, asked), done in zip(runs, loads, strict=True):
                    load(each, asked, 1)
                    done.append(load(each, asked, _SECONDS))
            proxied, direct, least = map(medians, loads)
            label = f"{case.name} ({len(body):,} bytes): through nginx over TLS, against "
            yield Ratio(f"{label}direct", proxied.per_second, direct.per_second, "answers/s", Goal(least=0.8))
            yield Ratio(f"{label}{FLOOR} through it", proxied.per_second, least.per_second, "answers/s")
            yield Ratio(
                f"{label}direct: processor time of the server",
                proxied.processor_us,
                direct.processor_us,
                "µs",
            )


def _store(server: Server) -> None:
    bars, ticks = (spread_rows(BATCH_ROWS, minutes=minutes) for minutes in (_MINUTES, 60))
    with Connection(server) as connection:
        connection.post([(json_body(bars), BATCH_ROWS), (json_body(ticks, symbol="TICKS"), BATCH_ROWS)])


def _add_peers(stack: ExitStack, peers: list[Peer]) -> Iterator[Note]:
    if reason := peers_missing():
        yield Note(f"Left out: held answers against FastAPI: {reason}.")
    else:
        peers.append(stack.enter_context(pipelined_peer()))
    peers.append(stack.enter_context(uvicorn_peer()))
    if NGINX:
        peers.append(stack.enter_context(nginx_peer()))
    else:
        yield Note("Left out: held answers against nginx: it is not installed.")


def _measure_case(
    case: _Case, sizes: Sizes, ours: Mapping[str, Server], peers: Sequence[Peer]
) -> Iterator[Row]:
    requests, bodies = {}, []
    for name, server in ours.items():
        headers, body = _warmed(server, case)
        requests[name] = server.by_all_keys(case.target, **headers)
        bodies.append(body)
    runs = {name: partial(load, ours[name], requests[name]) for name in ours}
    for peer in peers if case.pipelined else ():
        peer.serve(bodies[0])
        runs[peer.name] = partial(load, peer.server, peer.server.by_all_keys(peer.target))
    loads: dict[str, list[Load]] = {name: [] for name in runs}
    for _ in range(sizes.rounds):
        for name, run in runs.items():
            # A second that is not counted: after a pause the first call of each key waits for the database.
            run(1)
            loads[name].append(run(_SECONDS))
    yield from _rows(case, {name: medians(each) for name, each in loads.items()}, len(bodies[0]))


def _warmed(server: Server, case: _Case) -> tuple[dict[str, str], bytes]:
    """Ask twice; return the headers for wrk's requests, and the answer. Raises `UnexpectedAnswer` for a wrong one."""
    with Connection(server) as connection:
        connection.exchange(server.request("GET", case.target))
        head, body = connection.answer(server.request("GET", case.target))
        headers = {"If_None_Match": header(head, "etag")} if case.unchanged else {}
        if case.unchanged:
            connection.answer(server.request("GET", case.target, **headers), expected=(304,))
    rows = (
        next(iter(v for v in msgspec.json.decode(body).values() if isinstance(v, list))) if case.rows else ()
    )
    if len(rows) != case.rows:
        raise UnexpectedAnswer(f"{len(rows)} rows instead of {case.rows}: {case.target}")
    return headers, body


def _rows(case: _Case, by_name: Mapping[str, Load], size: int) -> Iterator[Row]:
    one = by_name[_PINNED]
    label = f"{case.name} ({0 if case.unchanged else size:,} bytes): "
    if not case.pipelined:
        yield Ratio(label + _PINNED, one.per_second, None, "answers/s")
    for name in [name for name in by_name if name not in (_PINNED, _DEFAULT)]:
        # The others serve bytes without a check: they show what the machine can do.
        is_rival = name == "pipelined FastAPI"
        goal = case.pipelined if is_rival else None
        theirs = by_name[name].per_second
        against = f"{label}{_PINNED}, against {name}"
        yield Ratio(against, one.per_second, theirs, "answers/s", goal, rival=is_rival)
    yield Ratio(f"{label}{_PINNED}, p99 against p50", one.p99_ms, one.p50_ms, "ms")
    other, against = by_name[_DEFAULT], f"{label}{_DEFAULT}, against {_PINNED}"
    yield Ratio(against, other.per_second, one.per_second, "answers/s")
    yield Ratio(f"{against}, processor time", other.processor_us, one.processor_us, "µs")
    yield Ratio(f"{label}{_DEFAULT}, p99 against p50", other.p99_ms, other.p50_ms, "ms")
