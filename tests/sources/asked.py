"""What tests of sources ask, and servers that answer them: this project's API, or a vendor's published examples."""

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pyarrow as pa

from sources.protocol import SourcePage, Wanted
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import Window
from store.timestamps import parse_timestamp
from tests.api_client import Api
from tests.ops.outbound.hostile_server import Call, Server, says, served

Result = TypeVar("Result")
QUICK = {"connect": 5, "read": 5, "total": 10, "attempts": 1, "rate": None}


def window(start: str, end: str) -> Window:
    return Window(parse_timestamp(start), parse_timestamp(end))


def wanted(
    dataset: Dataset = TRADES, symbol: str = "AAPL", resolution: str | None = None, **terms: Any
) -> Wanted:
    if dataset is BARS:
        resolution = resolution or "1m"
    return Wanted(dataset, Instrument(symbol, **terms), symbol, resolution)


def rows_of(pages: Iterable[SourcePage]) -> pa.Table:
    """The rows of pages, which must lie in what their pages answer, without two answers of one instant."""
    found, end_ns = [], 0
    for page in pages:
        times = page.rows.column(0).to_pylist()
        assert end_ns <= page.answered.start_ns < page.answered.end_ns
        assert times == sorted(times)
        assert all(page.answered.start_ns <= each < page.answered.end_ns for each in times)
        end_ns = page.answered.end_ns
        found.append(page.rows)
    return pa.Table.from_batches(found) if found else pa.table({})


def answered_of(pages: Iterable[SourcePage]) -> list[Window]:
    """What pages answer, neighbours merged."""
    merged: list[Window] = []
    for _, each, _ in pages:
        if merged and merged[-1].end_ns == each.start_ns:
            merged[-1] = Window(merged[-1].start_ns, each.end_ns)
        else:
            merged.append(each)
    return merged


def by_the_api(api: Api, use: Callable[[Server], Result], below: str = "") -> Result:
    """Return what `use` returns for a server whose answers are this project's, below a prefix.

    This thread makes the answers, because other threads do not see the test's transaction.
    """
    calls: queue.Queue[tuple[Call, threading.Event] | None] = queue.Queue()
    results: list[Result] = []
    errors: list[Exception] = []

    def behave(call: Call) -> None:
        answered = threading.Event()
        calls.put((call, answered))
        answered.wait(30)

    def run(server: Server) -> None:
        try:
            results.append(use(server))
        except Exception as error:  # noqa: BLE001 raised again below
            errors.append(error)
        calls.put(None)

    with served(behave) as server:
        thread = threading.Thread(target=run, args=(server,))
        thread.start()
        while (each := calls.get(timeout=30)) is not None:
            answer = api.call("GET", each[0].path.removeprefix(below))
            headers = {
                name.replace("-", "_"): answer[name]
                for name in ("Link", "X-Commit", "Retry-After")
                if name in answer
            }
            says(answer.content, answer.status_code, **headers)(each[0])
            each[1].set()
        thread.join()
    if errors:
        raise errors[0]
    return results[0]
