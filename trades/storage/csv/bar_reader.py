"""Bars made of the stored rows of a log, as plainly as they can be."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from trades.bar_policies import BarPolicy
from trades.datasets import Dataset
from trades.storage.aggregate import Bars, bars_of_prints, prints_of
from trades.storage.csv.history import History
from trades.storage.csv.reader import read_stored
from trades.storage.prints import standing
from trades.storage.protocol import ALL_TIME, Revision, Window
from trades.storage.revisions import Revised, revisions_of, within
from trades.storage.session_bars import session_bars_of
from trades.storage.visible import ordered


class BarReader:
    """Bars of one log's commits so far; `at` as in `MarketStore`. Raises `DataDamaged`; `OSError` from the system."""

    def __init__(self, dataset: Dataset, folder: Path, history: History) -> None:
        self._dataset = dataset
        self._folder = folder
        self._history = history

    def bars(self, window: Window, interval_ns: int, policy: BarPolicy, at: int | None) -> Bars:
        """See `MarketStore.bars`."""
        rows = self._rows(self.influence(window, interval_ns, policy, at), at)
        return within(window, bars_of_prints(prints_of(rows, policy, at=at), interval_ns))

    def session_bars(self, window: Window, policy: BarPolicy, at: int | None) -> Bars:
        """See `MarketStore.session_bars`."""
        return session_bars_of(self._rows(window, at), policy, at=at)

    def influence(self, window: Window, interval_ns: int, policy: BarPolicy, at: int | None) -> Window:
        """See `MarketStore.influence`."""
        return self._influence(window, interval_ns, policy, since=at, at=at)

    def revisions(self, revised: Revised) -> list[Revision]:
        """See `MarketStore.revisions`."""
        window = self._influence(
            revised.window, revised.interval_ns, revised.policy, since=revised.after, at=revised.at
        )
        return revisions_of(self._rows(window, revised.at), revised, self._history.committed_at_of)

    def _rows(self, window: Window, at: int | None) -> pa.Table:
        parts = self._history.parts_in(window, at)
        return ordered(read_stored(self._dataset, self._folder, parts), window)

    def _influence(
        self, window: Window, interval_ns: int, policy: BarPolicy, *, since: int | None, at: int | None
    ) -> Window:
        """What bars depend on at every commit from `since` to `at`: up to a price that stood all the while."""
        if policy.counts_every_print:
            return window
        for rows in self._dates(Window(window.end_ns, ALL_TIME.end_ns), at):
            prints = prints_of(rows.filter(pa.array(standing(rows, at))), policy, at=since)
            times = prints.time[prints.sets_open_close]
            if len(times):
                return Window(window.start_ns, int(times[0]) // interval_ns * interval_ns + interval_ns)
        return Window(window.start_ns, max(window.end_ns, ALL_TIME.end_ns))

    def _dates(self, window: Window, at: int | None) -> Iterator[pa.Table]:
        """The ordered rows in the window, one event date after the other."""
        for _, parts in groupby(self._history.parts_in(window, at), key=lambda stored: stored.part.day):
            yield ordered(read_stored(self._dataset, self._folder, list(parts)), window)
