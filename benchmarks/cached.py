"""A bar query whose answer is cached, through the whole chain: key, bucket, cache, headers, audit."""

import json
from pathlib import Path
from statistics import median

from benchmarks.answer_load import Answers, client_name, load
from benchmarks.posting import Connection, UnexpectedAnswer
from benchmarks.report import Report
from benchmarks.servers import Server, naive_peer, our_server, peer_obstacle
from benchmarks.sizes import Sizes
from benchmarks.tape import BATCH_ROWS, json_body, spread_rows

CONNECTIONS = 16
# So many bars are an answer of about 60 KB.
MINUTES = 570
_QUERY = "?symbol=BENCH&interval=1min&start=2025-01-06T00:00:00Z&end=2025-01-06T09:30:00Z"
OURS, PEERS = "/api/v1/stats/ohlc" + _QUERY, "/v1/stats/cached" + _QUERY


def measure_cached(report: Report, sizes: Sizes, peers: Path | None) -> None:
    """Requests per second against the plain peer's, and the latencies of both."""
    obstacle = peer_obstacle(peers)
    with our_server() as server:
        size = _prepare(server, OURS)
        if peers is None or obstacle:
            ours = [_load(server, OURS, sizes.seconds) for _ in range(sizes.rounds)]
            report.left_out.append(f"cached bars against the plain peer: {obstacle}")
            _add_tail(report, "cached bars", ours)
            return
        with naive_peer(peers) as peer:
            peer_size = _prepare(peer, PEERS)
            pairs = [
                (_load(server, OURS, sizes.seconds), _load(peer, PEERS, sizes.seconds))
                for _ in range(sizes.rounds)
            ]
    report.notes.append(
        f"a cached answer has {MINUTES} bars, {size:,} bytes here and {peer_size:,} of the peer's;"
        f" {CONNECTIONS} connections; the load is made by {client_name()}"
    )
    _add_ratios(report, [ours for ours, _ in pairs], [theirs for _, theirs in pairs])


def _add_ratios(report: Report, ours: list[Answers], theirs: list[Answers]) -> None:
    def add(name: str, values: tuple[list[float], list[float]], unit: str, wanted: str) -> None:
        here, peer = map(median, values)
        report.add(
            f"cached bars, {name}, against the plain peer", here=here, peer=peer, unit=unit, wanted=wanted
        )

    add("answers", ([a.per_second for a in ours], [a.per_second for a in theirs]), "1/s", "at least 2")
    add("median latency", ([a.p50_ms for a in ours], [a.p50_ms for a in theirs]), "ms", "under 3 ms")
    add("99th percentile", ([a.p99_ms for a in ours], [a.p99_ms for a in theirs]), "ms", "under 8 ms")
    _add_tail(report, "cached bars", ours)


def _add_tail(report: Report, name: str, answers: list[Answers]) -> None:
    p50, p99 = median(a.p50_ms for a in answers), median(a.p99_ms for a in answers)
    report.add(
        f"{name}, 99th percentile against the median", here=p99, peer=p50, unit="ms", wanted="under 8 to 3"
    )


def _prepare(server: Server, target: str) -> int:
    """Store the trades, ask once so that the answer is cached; returns its size in bytes."""
    with Connection(server) as connection:
        connection.post([(json_body(spread_rows(BATCH_ROWS, minutes=MINUTES)), BATCH_ROWS)])
        answer = connection.exchange(server.request("GET", target))
    bars = len(json.loads(answer)["data"])
    if bars != MINUTES:
        raise UnexpectedAnswer(f"{bars} bars instead of {MINUTES}")
    _load(server, target, 1)
    return len(answer)


def _load(server: Server, target: str, seconds: int) -> Answers:
    return load(server, target, connections=CONNECTIONS, seconds=seconds)
