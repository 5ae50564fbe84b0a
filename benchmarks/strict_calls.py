"""Calls that are recorded before they are answered: sixteen callers against one."""

import json
import time
from collections.abc import Iterator

from benchmarks.report import Ratio, Row, Sizes
from benchmarks.servers import Connection, Server, our_server, run_together

_CALLERS = 16
_WARM_UP_CALLS = 20
_KEY = json.dumps({"name": "bench", "tier": "default", "scopes": ["market:read"]}).encode()


def measure_strict_calls(sizes: Sizes) -> Iterator[Row]:
    """Calls per second and latencies of callers that make keys."""
    with our_server() as server:
        _make_keys(server, callers=1, each=_WARM_UP_CALLS)
        rate, p50, p99 = _make_keys(server, callers=1, each=sizes.posts)
        many_rate, many_p50, many_p99 = _make_keys(server, callers=_CALLERS, each=sizes.posts // 4)
    name = f"keys made by {_CALLERS} callers against one"
    yield Ratio(name, many_rate, rate, "calls/s")
    yield Ratio(f"{name}: median", many_p50, p50, "ms")
    yield Ratio(f"{name}: 99th percentile", many_p99, p99, "ms")


def _make_keys(server: Server, *, callers: int, each: int) -> tuple[float, float, float]:
    """Calls per second, and the median and 99th percentile of the milliseconds of a call."""
    request = server.request("POST", "/api/v1/keys", _KEY)
    milliseconds: list[float] = []

    def call(connection: Connection) -> None:
        for _ in range(each):
            began = time.perf_counter()
            connection.exchange(request)
            milliseconds.append(1000 * (time.perf_counter() - began))

    seconds = run_together(server, [call] * callers)
    milliseconds.sort()
    count = len(milliseconds)
    return count / seconds, milliseconds[count // 2], milliseconds[count * 99 // 100]
