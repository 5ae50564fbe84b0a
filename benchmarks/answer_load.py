"""As many GET requests as a server answers: by wrk where it is installed, else by a small client of our own."""

import asyncio
import re
import shutil
import subprocess
import time
from dataclasses import dataclass

from benchmarks.posting import UnexpectedAnswer
from benchmarks.servers import Server

_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Answers:
    """How many answers a second, and the median and the 99th percentile of their latencies."""

    per_second: float
    p50_ms: float
    p99_ms: float


def client_name() -> str:
    """What makes the load."""
    return "wrk" if shutil.which("wrk") else "a Python client, which takes a good part of its core"


def load(server: Server, target: str, *, connections: int, seconds: int) -> Answers:
    """Ask for one target on persistent connections. Raises `UnexpectedAnswer` if an answer is not a 200."""
    if shutil.which("wrk"):
        return _by_wrk(server, target, connections, seconds)
    return asyncio.run(_by_asyncio(server, target, connections, seconds))


def _by_wrk(server: Server, target: str, connections: int, seconds: int) -> Answers:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["-H", f"X-API-Key: {server.key}", server.url(target)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    if "Non-2xx" in printed or "Socket errors" in printed:
        raise UnexpectedAnswer(printed)
    return Answers(
        per_second=float(re.findall(r"Requests/sec:\s+([0-9.]+)", printed)[0]),
        p50_ms=_percentile(printed, 50),
        p99_ms=_percentile(printed, 99),
    )


def _percentile(printed: str, percent: int) -> float:
    value, unit = re.findall(rf"{percent}%\s+([0-9.]+)(us|ms|s)", printed)[0]
    return float(value) * _UNITS_MS[unit]


async def _by_asyncio(server: Server, target: str, connections: int, seconds: int) -> Answers:
    request, latencies = server.request("GET", target), list[float]()
    end = time.perf_counter() + seconds
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_ask(server, request, end, latencies))
    taken = time.perf_counter() - started
    latencies.sort()
    return Answers(
        per_second=len(latencies) / taken,
        p50_ms=1000 * latencies[len(latencies) // 2],
        p99_ms=1000 * latencies[len(latencies) * 99 // 100],
    )


async def _ask(server: Server, request: bytes, end: float, latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=2**20)
    try:
        while (asked := time.perf_counter()) < end:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise UnexpectedAnswer(repr(head))
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
            latencies.append(time.perf_counter() - asked)
    finally:
        writer.close()
