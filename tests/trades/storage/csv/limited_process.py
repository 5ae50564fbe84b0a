"""Run as a process by test_limits: a store under a limit of the operating system, and what it answered.

Argument: a folder. Prints JSON: for each limit (`space`, `handles`, `permission`) the tries under it: the error's
class (null where there was none) and how many rows are read afterwards by the same and by a new store; then the
batch's commit, and how many rows there are once the limit is gone.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.trades.storage.builders import DAY, SYMBOL, batch, stored, trade
from trades.storage.csv import CsvStore
from trades.storage.exceptions import StorageError

PRIOR = batch(*(trade(number, trade_id=f"old{number}") for number in range(20)))
NEW = batch(
    *(trade(number * 10**6 + day * DAY, trade_id=f"new{number}") for number in range(40) for day in (0, 1)),
    request_key="k",
)
NOBODY = 65534


@contextmanager
def lowered(limit: int, value: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(limit, (soft, hard))


def attempt(store: CsvStore) -> str | None:
    try:
        store.append(NEW)
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
    everything = [folder, *folder.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    yield attempt(store), len(stored(store)), len(stored(CsvStore(folder)))
    try:
        store.append(batch(trade(0), symbol="MSFT"))
    except StorageError as error:
        yield type(error).__name__, len(stored(store)), len(stored(CsvStore(folder)))
    if os.getuid() == 0:
        os.seteuid(0)
    for path in everything:
        path.chmod(0o755 if path.is_dir() else 0o644)


def under(limit: str, folder: Path) -> dict[str, Any]:
    store = CsvStore(folder)
    store.append(PRIOR)
    stored(store)
    if limit == "permission":
        tries = list(attempts_without_permission(store, folder))
    elif limit == "handles":
        free = lowest_free_descriptor()
        tries = list(attempts_under(resource.RLIMIT_NOFILE, range(free, free + 50), store, folder))
    else:
        size = (folder / "trades" / SYMBOL / "2025-01-02.csv").stat().st_size
        tries = list(attempts_under(resource.RLIMIT_FSIZE, range(size - 200, 10**6, 97), store, folder))
    receipt = store.append(NEW)
    return {"tries": tries, "commit": receipt.commit.number, "rows": len(stored(CsvStore(folder)))}


def main(folder: Path) -> None:
    answers = {limit: under(limit, folder / limit) for limit in ("space", "handles", "permission")}
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
