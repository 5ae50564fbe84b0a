"""Run in a process of its own: many symbols on many dates with few file handles.

What is sent: for each pass over symbols how many were asked, how many answered as they should, and how many
handles were open behind it.
"""

import os
import resource
import shutil
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Window
from store.timestamps import format_timestamp
from tests.faults.power import UnsyncedDisk
from tests.store.builders import DAY, NOON, SYMBOL, Row, batch, stored, trade


@dataclass(frozen=True)
class Subject:
    """How much there is; of the symbols so many are written, the others are copies of the first."""

    symbols: int
    written: int
    dates: int
    handles: int


@cache
def rows_on(dates: int) -> tuple[Row, ...]:
    """One row on each date."""
    return tuple(trade(NOON + date * DAY, 1.0 + date, trade_id=str(date)) for date in range(dates))


def late_row(dates: int) -> Row:
    return trade(NOON + (dates // 2) * DAY + 1, 7.0, trade_id="late")


def copy_log(folder: Path, target: Path, written_to: str) -> None:
    """Another symbol with the same rows. Links do for files that nobody will write to."""
    target.mkdir()
    for path in folder.iterdir():
        if path.name in {"commits.jsonl", written_to}:
            shutil.copyfile(path, target / path.name)
        elif path.is_file():
            os.link(path, target / path.name)


class Passes:
    """Each pass asks one thing of every symbol."""

    def __init__(self, folder: Path, names: list[str], dates: int) -> None:
        self._folder = folder
        self._names = names
        self._dates = dates
        self.reports: list[dict[str, Any]] = []

    def each(self, what: str, names: list[str]) -> None:
        store = CsvStore(self._folder, disk=UnsyncedDisk())
        right = sum(getattr(self, what)(store, name) for name in names)
        self.reports.append({"pass": what, "asked": len(names), "right": right, "handles": handles()})

    def copy(self, written: int) -> None:
        """The other symbols: as the first one."""
        folder = self._folder / TRADES.name
        day = format_timestamp(late_row(self._dates)["timestamp"])[:10]
        for name in self._names[written:]:
            copy_log(folder / self._names[0], folder / name, f"{day}.csv")
        assert CsvStore(self._folder).symbols(TRADES) == sorted(self._names)

    def write(self, store: CsvStore, name: str) -> bool:
        """All dates at once."""
        return store.append(batch(*rows_on(self._dates), symbol=name)).stored == self._dates

    def read(self, store: CsvStore, name: str) -> bool:
        return stored(store, symbol=name) == list(rows_on(self._dates))

    def write_late(self, store: CsvStore, name: str) -> bool:
        return store.append(batch(late_row(self._dates), symbol=name)).stored == 1

    def read_late(self, store: CsvStore, name: str) -> bool:
        late = late_row(self._dates)
        window = Window(late["timestamp"] - 1, late["timestamp"] + 1)
        return stored(store, window, symbol=name) == [rows_on(self._dates)[self._dates // 2], late]


def handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def main(folder: Path, subject: Subject, inbox: Connection, outbox: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (subject.handles, subject.handles))
    names = [f"{SYMBOL}{number}" for number in range(subject.symbols)]
    passes = Passes(folder, names, subject.dates)
    passes.each("write", names[: subject.written])
    passes.copy(subject.written)
    for what in ("read", "write_late", "read_late", "read_late"):
        passes.each(what, names)
    outbox.send(passes.reports)
    inbox.recv()
