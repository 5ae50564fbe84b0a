"""Run in a process of its own: a store under a limit of the operating system, and what it answered.

What is sent: for `space`, `handles` and `permission`: the tries under it, each the error's class (null where
there was none) and how many rows are read afterwards by the same and by a new store; then the batch's commit,
and how many rows there are once the limit is gone. For `derived`: how many answers were given while
`.derived` could not be written, and how many of them were not as they should be.
"""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from store.csv import CsvStore
from store.exceptions import StorageError
from tests.chance import SOAK
from tests.faults.batches import all_rows, batch_of, rows_sent
from tests.store.builders import DAY, SYMBOL, batch, stored, trade

PRIOR = batch(*(trade(number, trade_id=f"old{number}") for number in range(20)))
NEW = batch(
    *(trade(number * 10**6 + day * DAY, trade_id=f"new{number}") for number in range(40) for day in (0, 1)),
    request_key="k",
)
NOBODY = 65534
STEP_BYTES = 19 if SOAK else 97
TRIES_WITHOUT_PERMISSION = 100 if SOAK else 10


@contextmanager
def lowered(limit: int, value: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(limit, (soft, hard))


@contextmanager
def nobody() -> Iterator[None]:
    """As a user who owns nothing; unchanged where the process has no right to become another user."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    everything = [folder, *folder.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with nobody():
            yield
    finally:
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)


def attempt(store: CsvStore, symbol: str = SYMBOL) -> str | None:
    try:
        store.append(NEW if symbol == SYMBOL else batch(trade(0), symbol=symbol))
    except StorageError as error:
        return type(error).__name__
    return None


def lowest_free_descriptor() -> int:
    descriptor = os.open("/", os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def attempts_under(limit: int, values: range, store: CsvStore, folder: Path) -> Iterator[tuple[Any, ...]]:
    for value in values:
        with lowered(limit, value):
            error = attempt(store)
        yield error, len(stored(store)), len(stored(CsvStore(folder)))
        if error is None:
            return


def attempts_without_permission(store: CsvStore, folder: Path) -> Iterator[tuple[Any, ...]]:
    with read_only(folder):
        for number in range(TRIES_WITHOUT_PERMISSION):
            error = attempt(store, "MSFT" if number % 2 else SYMBOL)
            yield error, len(stored(store)), len(stored(CsvStore(folder)))


def tries(limit: str, store: CsvStore, folder: Path) -> Iterator[tuple[Any, ...]]:
    if limit == "permission":
        return attempts_without_permission(store, folder)
    if limit == "handles":
        free = lowest_free_descriptor()
        return attempts_under(resource.RLIMIT_NOFILE, range(free, free + 50), store, folder)
    size = (folder / "trades" / SYMBOL / "2025-01-02.csv").stat().st_size
    return attempts_under(resource.RLIMIT_FSIZE, range(size - 200, 10**6, STEP_BYTES), store, folder)


def under(limit: str, folder: Path) -> dict[str, Any]:
    store = CsvStore(folder)
    store.append(PRIOR)
    stored(store)
    tried = list(tries(limit, store, folder))
    receipt = store.append(NEW)
    return {"tries": tried, "commit": receipt.commit.number, "rows": len(stored(CsvStore(folder)))}


def without_derived(_limit: str, folder: Path) -> dict[str, int]:
    """Appends and reads beside a `.derived` that belongs to somebody else."""
    answers = wrong = 0
    CsvStore(folder).append(batch_of(1))
    derived = folder / "trades" / SYMBOL / ".derived"
    derived.mkdir(exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, *((0, 0) if path.is_relative_to(derived) else (NOBODY, NOBODY)))
    with read_only(derived):
        store = CsvStore(folder)
        for number in range(2, 2 + TRIES_WITHOUT_PERMISSION):
            right = rows_sent(range(1, number))
            wrong += [all_rows(store), all_rows(CsvStore(folder))] != [right, right]
            answers += 1
            store.append(batch_of(number))
    return {"answers": answers, "wrong": wrong}


def main(limit: str, folder: Path, inbox: Connection, outbox: Connection) -> None:
    work: Callable[[str, Path], dict[str, Any]] = without_derived if limit == "derived" else under
    outbox.send(work(limit, folder))
    inbox.recv()
