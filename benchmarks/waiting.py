"""200 callers that wait for the ends of jobs: how late they learn of them, and what cached reads cost meanwhile."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from statistics import mean

from benchmarks.clients import Connection
from benchmarks.generated_trades import Stream, stored
from benchmarks.load import MISSING, load
from benchmarks.market_data import NOT_HELD, bar_window
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from benchmarks.servers import Server, our_server

_CALLERS = 200
_SECONDS = 12
_STREAM = Stream(a_minute=20)
_HELD = f"{next(iter(NOT_HELD.values()))}&{bar_window(100)}"


def measure_waiting(sizes: Sizes) -> Iterator[Row]:
    """Yield the rate of held answers beside waiting callers, and the delays after the jobs' ends."""
    if MISSING:
        yield Note(f"Left out: waiting for jobs: {MISSING}.")
        return
    with our_server(settings={"JOB_THREADS": "0"}) as server:
        yield from _reads_beside(server, sizes)
    with our_server() as server:
        delays = sorted(_delays(server))
    yield Ratio(
        f"the last of {_CALLERS} waiting callers, after its job's end",
        delays[-1],
        None,
        "ms",
        Goal(most=200, unit="ms"),
    )
    yield Ratio("the median of them", delays[_CALLERS // 2], None, "ms")


def _reads_beside(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Yield the rate of held answers while callers wait for jobs that do not start."""
    stored(server.folder, _STREAM, 1440 * _STREAM.a_minute)
    with Connection(server) as connection:
        connection.exchange(server.request("GET", _HELD))
    requests = server.by_all_keys(_HELD)
    seconds = min(sizes.seconds, _SECONDS // 3)
    load(server, requests, seconds)
    rates = [load(server, requests, seconds).per_second]
    with ThreadPoolExecutor(_CALLERS) as threads:
        waiting = [threads.submit(partial(_wait, server, number)) for number in range(_CALLERS)]
        time.sleep(_SECONDS / 4)
        beside = load(server, requests, seconds)
        if any(each.done() for each in waiting):
            raise UnexpectedAnswer("a caller did not wait")
    rates.append(load(server, requests, seconds).per_second)
    yield Ratio(
        f"held answers while {_CALLERS} callers wait for jobs",
        beside.per_second,
        mean(rates),
        "answers/s",
        Goal(least=0.9),
    )


def _delays(server: Server) -> list[float]:
    """Return the milliseconds from the end of each job to its caller's answer."""
    with ThreadPoolExecutor(_CALLERS) as threads:
        return list(threads.map(partial(_wait, server), range(_CALLERS)))


def _wait(server: Server, number: int) -> float:
    """Submit a job, which fails because nothing is stored under its symbol, and wait for its end."""
    body = json.dumps({"symbol": f"NONE{number}", "start": "2025-01-02", "end": "2025-01-03"}).encode()
    request = server.request("POST", "/api/v1/backfills", body, Prefer=f"wait={_SECONDS}")
    with Connection(server) as connection:
        _, answer = connection.answer(request, expected=(202,))
    finished = json.loads(answer)["finished_at"]
    now = datetime.now(UTC)
    return 0.0 if finished is None else (now - datetime.fromisoformat(finished)).total_seconds() * 1000
