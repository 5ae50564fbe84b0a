"""A bar query over HTTP whose answer is cached: key, rate limit, cache, headers, audit. wrk sends the requests."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from benchmarks.generated_trades import BATCH_ROWS, json_body, spread_rows
from benchmarks.report import Note, Ratio, Row, Sizes
from benchmarks.servers import Connection, Server, UnexpectedAnswer, naive_peer, our_server, peer_obstacle

_CONNECTIONS = 16
_MINUTES = 570  # an answer of about 60 KB
_QUERY = "?symbol=BENCH&interval=1min&start=2025-01-06T00:00:00Z&end=2025-01-06T09:30:00Z"
_OURS, _PEERS = "/api/v1/stats/ohlc" + _QUERY, "/v1/stats/cached" + _QUERY
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Load(NamedTuple):
    """Answers per second, and the median and the 99th percentile of their latencies."""

    per_second: float
    p50_ms: float
    p99_ms: float


def measure_cached(sizes: Sizes) -> Iterator[Row]:
    """Yield answers per second and latencies, against the plain peer's if it can be run."""
    if not shutil.which("wrk"):
        yield Note("Left out: cached bars: wrk is not installed")
        return
    with our_server() as server:
        size = _prepare(server, _OURS)
        if obstacle := peer_obstacle():
            ours = _medians([_load(server, _OURS, sizes.seconds) for _ in range(sizes.rounds)])
            yield Note(f"Left out: cached bars against the plain peer: {obstacle}")
        else:
            with naive_peer() as peer:
                peer_size = _prepare(peer, _PEERS)
                pairs = [
                    (_load(server, _OURS, sizes.seconds), _load(peer, _PEERS, sizes.seconds))
                    for _ in range(sizes.rounds)
                ]
            ours, theirs = (_medians(loads) for loads in zip(*pairs, strict=True))
            name = "cached bars, {}, against the plain peer"
            yield Ratio(name.format("answers"), ours.per_second, theirs.per_second, "1/s", "at least 2")
            yield Ratio(name.format("median latency"), ours.p50_ms, theirs.p50_ms, "ms", "under 3 ms")
            yield Ratio(name.format("99th percentile"), ours.p99_ms, theirs.p99_ms, "ms", "under 8 ms")
            yield Note(f"a cached answer has {size:,} bytes here and {peer_size:,} of the peer's")
    yield Ratio(
        "cached bars, 99th percentile against the median", ours.p99_ms, ours.p50_ms, "ms", "under 8 to 3"
    )


def _medians(loads: list[Load] | tuple[Load, ...]) -> Load:
    return Load(*map(median, zip(*loads, strict=True)))


def _prepare(server: Server, target: str) -> int:
    """Store the trades and request the answer, so that it is cached; return its size in bytes."""
    with Connection(server) as connection:
        connection.post([(json_body(spread_rows(BATCH_ROWS, minutes=_MINUTES)), BATCH_ROWS)])
        answer = connection.exchange(server.request("GET", target))
    bars = len(json.loads(answer)["data"])
    if bars != _MINUTES:
        raise UnexpectedAnswer(f"{bars} bars instead of {_MINUTES}")
    _load(server, target, 1)
    return len(answer)


def _load(server: Server, target: str, seconds: int) -> Load:
    """Send requests for `seconds` on persistent connections. Raises `UnexpectedAnswer` if an answer is not 2xx."""
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "--latency"]
    command += ["-H", f"X-API-Key: {server.key}", f"http://{server.host}:{server.port}{target}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    if "Non-2xx" in printed or "Socket errors" in printed:
        raise UnexpectedAnswer(printed)
    rate = float(re.findall(r"Requests/sec:\s+([0-9.]+)", printed)[0])
    latencies = [re.findall(rf"{percent}%\s+([0-9.]+)(us|ms|s)", printed)[0] for percent in (50, 99)]
    return Load(rate, *(float(value) * _UNITS_MS[unit] for value, unit in latencies))
