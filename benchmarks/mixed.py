"""Readers and feeds at once: of ten requests eight are for held answers, one is computed, one stores 100 trades.

Two web processes, not pinned. The bars are of one symbol, the feeds send others.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.clients import INGEST_PATH, Connection
from benchmarks.generated_trades import Stream, batch_rows, json_body, stored
from benchmarks.load import MISSING, load
from benchmarks.market_data import NOT_HELD, bar_window
from benchmarks.report import Goal, Note, Ratio, Row, Sizes
from benchmarks.servers import Server, our_server

_MINUTES, _STREAM = 30 * 1440, Stream(a_minute=20)
_TARGETS = list(NOT_HELD.values())
_HELD = [f"{target}&{bar_window(41_000 + number)}" for number in range(10) for target in _TARGETS]
_MOST_PER_SECOND = 6_000
_BATCH_ROWS, _SYMBOLS = 100, 20
_RUNS = ("mixed load", "mixed load just after a restart")


def measure_mixed(sizes: Sizes) -> Iterator[Row]:
    """Yield latencies and processor time of the mixture, also in the first seconds after a restart."""
    if MISSING:
        yield Note(f"Left out: the mixed load: {MISSING}.")
        return
    seconds = 2 * sizes.seconds
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        serve = partial(our_server, workers=2, pinned=False, data=Path(folder) / "data")
        keys = None
        for run, label in enumerate(_RUNS):
            with serve(keys=keys) as server:
                if keys is None:
                    keys = server.keys
                    _prepare(server)
                requests = _mixture(server, seconds * _MOST_PER_SECOND, run)
                yield from _rows(label, server, requests, seconds)


def _prepare(server: Server) -> None:
    """Store the bars' trades, and ask for the answers that are to be held."""
    stored(server.folder, _STREAM, _MINUTES * _STREAM.a_minute)
    with Connection(server) as connection:
        for target in _HELD:
            connection.exchange(server.request("GET", target))


def _mixture(server: Server, count: int, run: int) -> list[bytes]:
    """Return `count` requests. No other run has the same ones, except those for held answers."""
    requests = []
    for number in range(count):
        turn, place = number // 10 + run * count // 10, number % 10
        if place == 4:
            target = f"{_TARGETS[turn % 2]}&{bar_window(turn % 40_000)}"
            requests.append(server.request("GET", target))
        elif place == 9:
            rows = batch_rows(turn // _SYMBOLS, size=_BATCH_ROWS)
            body = json_body(rows, symbol=f"LIV{turn % _SYMBOLS:02}")
            requests.append(server.request("POST", INGEST_PATH, body))
        else:
            requests.append(server.request("GET", _HELD[number % len(_HELD)]))
    return requests


def _rows(label: str, server: Server, requests: list[bytes], seconds: int) -> Iterator[Row]:
    figures = load(server, requests, seconds, once=True)
    yield Ratio(f"{label}: two workers", figures.per_second, None, "answers/s")
    yield Ratio(f"{label}: p99 against p50", figures.p99_ms, figures.p50_ms, "ms", Goal(most=4))
    yield Ratio(f"{label}: p99.9 against p50", figures.p999_ms, figures.p50_ms, "ms")
    yield Ratio(f"{label}: processor time", figures.processor_us, None, "µs")
