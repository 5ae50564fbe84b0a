"""Moves a store of files to another store, while processes read it and write to it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from store.backends import NoSuchStore, store_at
from store.copying import StoreCopy
from store.csv.files.disk import unavailable_on_error
from store.csv.files.file_names import MIRROR_FILE
from store.csv.log.move_file import MOVE_FILE, move_of
from store.csv.store import CsvStore
from store.declarations import Dataset
from store.exceptions import StoreMoves, StoreUnavailable
from store.log import Log
from store.market_store import MarketStore
from store.protocol import Amendment, Append, PreparedCorrections, Receipt
from store.walk import CommitHook

PAUSE_SECONDS = 4.0
"""So long writers wait at most for a move. Then it is given up, and tried again."""

_PATIENCE_SECONDS, _POLL_SECONDS = PAUSE_SECONDS + 2, 0.005
_ATTEMPTS = 5


class NotMoved(Exception):
    """The store stays where it is."""


class MovableStore(MarketStore):
    """The store in a folder, or the one to which its data moved: whoever uses it goes there without noticing.

    A read looks whether the store has moved, which costs a system call. A write that meets a move waits for it.
    """

    def __init__(self, path: Path | str, **options: Any) -> None:
        """Create it. options: those of a `CsvStore`."""
        self.committed: list[CommitHook] = []
        self._folder, self._move_file = Path(path), f"{path}/{MOVE_FILE}"
        self._mutex = threading.Lock()
        self._has_moved = False
        self._options = options
        self._store: MarketStore = CsvStore(path, **options)
        self._store.committed = self.committed

    @property
    def current(self) -> MarketStore:
        if not self._has_moved and os.access(self._move_file, os.F_OK):
            self._follow()
        return self._store

    def move(self, to: str, on_attempt: Callable[[str], object] = lambda _: None) -> float:
        """Copy everything into another store, and let all processes use that one. Return the seconds that writers waited.

        to: a folder, or the URL of a store. Raises `NotMoved`, and the errors of `copy_log`; then all is as before,
        unless the disk failed when the file that says so had been written.
        """
        store = self.current
        if self._has_moved or not isinstance(store, CsvStore):
            raise NotMoved(
                f"the data moved before, as {self._move_file} says: set MARKET_STORE to where they are"
            )
        if (self._folder / MIRROR_FILE).exists():
            raise NotMoved("the store is a mirror, which cannot move")
        copy = StoreCopy(store, store_at(to, create=True))
        if stranger := next(copy.strangers(), None):
            raise NotMoved(f"TO has another {stranger} than this store: choose an empty one")
        for _ in range(_ATTEMPTS):
            _copy_all(copy)
            began = time.monotonic()
            with store.paused() as move_file:
                if _is_level(copy, began + PAUSE_SECONDS):
                    move_file.complete(to)
                    return time.monotonic() - began
            on_attempt(f"after {PAUSE_SECONDS:g} s there was more to copy: writers go on")
        raise NotMoved("more is written than can be copied in a pause: try again when less is written")

    def log(self, dataset: Dataset, symbol: str) -> Log:
        return self.current.log(dataset, symbol)

    def prepare_rows(self, batch: Append) -> Callable[[], Receipt]:
        return partial(self._written, self.current.prepare_rows(batch), partial(self._rows_again, batch))

    def _rows_again(self, batch: Append) -> Receipt:
        return self.current.prepare_rows(batch)()

    def correct(self, amendment: Amendment) -> Receipt:
        return self.prepare_correct(amendment).store()

    def prepare_correct(self, amendment: Amendment) -> PreparedCorrections:
        prepared = self.current.prepare_correct(amendment)
        write = partial(self._written, prepared.store, lambda: self.current.correct(amendment))
        return prepared._replace(store=write)

    def heads(self, dataset: Dataset, symbols: Sequence[str] | None = None) -> dict[str, Hashable]:
        return self.current.heads(dataset, symbols)

    def change_stamp(self, logs: Iterable[tuple[Dataset, str]]) -> Callable[[], Hashable]:
        """See `MarketStore.change_stamp`. The function does not open the store to which the data moved: it costs too much."""
        names, made = tuple(logs), dict[MarketStore, Callable[[], Hashable]]()

        def stamp() -> Hashable:
            if not self._has_moved and self._is_moved():
                return object()
            own = made.get(self._store)
            if own is None:
                made.clear()
                own = made[self._store] = self._store.change_stamp(names)
            return own()

        return stamp

    def problem(self) -> str:
        return self.current.problem()

    def catalogue_stamp(self) -> Hashable:
        return self.current.catalogue_stamp()

    def symbols(self, dataset: Dataset) -> list[str]:
        return self.current.symbols(dataset)

    def _is_moved(self) -> bool:
        if not os.access(self._move_file, os.F_OK):
            return False
        move = move_of(self._folder)
        return move is not None and move.is_complete

    def _follow(self) -> None:
        """Use the store to which the data moved, if they did."""
        with self._mutex, unavailable_on_error:
            move = None if self._has_moved else move_of(self._folder)
            if move is not None and move.is_complete:
                try:
                    store = store_at(move.to, **self._options)
                except NoSuchStore as error:
                    raise StoreUnavailable("the store to which the data moved is not there") from error
                store.committed = self.committed
                self._store, self._has_moved = store, True

    def _written(self, write: Callable[[], Receipt], again: Callable[[], Receipt]) -> Receipt:
        """Write; after a move that came between, write again. Raises `StoreMoves` if the move takes too long."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return write()
            except StoreMoves:
                while (move := move_of(self._folder)) is not None and not move.is_complete:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_POLL_SECONDS)
                write = again


def moved_to(folder: Path) -> Path | str:
    """Return where the data of a store in a folder are: the folder or URL to which they moved, or the folder."""
    move = move_of(folder)
    return folder if move is None or not move.is_complete else move.to


def _copy_all(copy: StoreCopy) -> None:
    """Copy until what a round leaves can be copied in a pause, or does not get less. Raises `NotMoved`."""
    last, took = float("inf"), 0.0
    while took < last * 0.8:
        began = time.monotonic()
        _copied(copy)
        last, took = took or last, time.monotonic() - began
        if took < PAUSE_SECONDS / 4:
            return


def _is_level(copy: StoreCopy, deadline: float) -> bool:
    """Copy what is left; return whether all is copied before an instant of the monotonic clock."""
    while time.monotonic() < deadline:
        if not _copied(copy, deadline):
            return time.monotonic() < deadline
    return False


def _copied(copy: StoreCopy, deadline: float = float("inf")) -> bool:
    """Copy a round, until an instant; return whether there was anything to copy. Raises `NotMoved`."""
    is_any = False
    for each in copy.round():
        is_any = True
        if each.problem:
            raise NotMoved(f"{each.dataset}/{each.symbol}: {each.problem}")
        if time.monotonic() > deadline:
            break
    return is_any
