"""Many symbols, each in small batches, by eight clients; the processes' own memory afterwards.

The default set-up, not pinned. A client sends one batch of each of its symbols, then the next one of each.
"""

import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.clients import post_together
from benchmarks.generated_trades import batch_rows, json_body
from benchmarks.ingest import bare_files, store_bare
from benchmarks.processes import CORES, memory_of_process, on_cores
from benchmarks.report import Goal, Ratio, Row, Sizes
from benchmarks.servers import WEB, Server, our_server

_CLIENTS = 8
_ROWS = 100
_MB = 1e6


def measure_small_batches(sizes: Sizes) -> Iterator[Row]:
    """Yield requests per second against the bare work by as many threads, and the memory of each process."""
    symbols = max(sizes.logs // _CLIENTS, 1)
    bodies = [list(_bodies(client, symbols, sizes.small_batches)) for client in range(_CLIENTS)]
    count = _CLIENTS * symbols * sizes.small_batches
    with on_cores(CORES), our_server(workers=None, pinned=False) as server:
        here = count / post_together(server, bodies)
        memory = list(memory_rows(server, f"after {count:,} batches of {_CLIENTS * symbols:,} symbols"))
    with on_cores(CORES), tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bare = count / _bare_seconds(bodies, symbols, Path(folder))
    label = f"{_CLIENTS * symbols:,} symbols x {sizes.small_batches * _ROWS:,} rows in batches of {_ROWS}"
    yield Ratio(
        f"{label}, {_CLIENTS} clients, against the bare work in a plain script's threads",
        here=here,
        beside=bare,
        unit="requests/s",
        goal=Goal(least=650, unit="requests/s"),
    )
    yield from memory


def memory_rows(server: Server, when: str) -> Iterator[Row]:
    """Yield each process's own memory."""
    for pid, name in server.processes().items():
        goal = Goal(most=250, unit="MB") if name == WEB else None
        program = name.rpartition(".")[2]
        yield Ratio(
            f"own memory of {program} {when}", memory_of_process("RssAnon", pid) / _MB, None, "MB", goal
        )


def _bodies(client: int, symbols: int, batches: int) -> Iterator[tuple[bytes, int]]:
    for number in range(batches):
        for symbol in range(symbols):
            name = f"S{client * symbols + symbol:04}"
            yield json_body(batch_rows(number, size=_ROWS), symbol=name), _ROWS


def _bare_seconds(by_client: Sequence[Sequence[tuple[bytes, int]]], symbols: int, folder: Path) -> float:
    """Store the batches by a thread for each client, with two files for each symbol; return the seconds."""
    ready = threading.Barrier(len(by_client) + 1)
    threads = [
        threading.Thread(target=_store_all, args=(bodies, folder / str(client), symbols, ready))
        for client, bodies in enumerate(by_client)
    ]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def _store_all(
    bodies: Iterable[tuple[bytes, int]], folder: Path, symbols: int, ready: threading.Barrier
) -> None:
    folder.mkdir()
    ready.wait()
    for number, (body, _) in enumerate(bodies):
        with bare_files(folder, str(number % symbols)) as files:
            store_bare(body, *files)
