"""Queries that are computed from the methods of `MarketStore`: windows of rows, bars, revisions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import partial

import numpy as np

from store import lazy_pyarrow as pa
from store.bar_policies import EVERY_PRINT, BarPolicy
from store.bars.aggregation import aggregate_prints, bars_of_prints
from store.bars.bars import Bars
from store.bars.credit import DatesOf, credit_dates, credit_end_ns, utc_dates
from store.bars.prints import STANDS, Prints, prints_of
from store.bars.session_bars import session_bars_of
from store.bars.spans import Spans, span_bars_of
from store.bars.versions import versions_of
from store.datasets import TRADES
from store.declarations import Dataset
from store.protocol import ALL_TIME, Amendment, Append, MarketStore, PreparedCorrections, Receipt, Window
from store.rows.revisions import RevisionQuery, Revisions, revisions_of
from store.rows.stored_rows import ArrivalRun, stored_rows
from store.timestamps import DAY_NS


class QueryableStore(MarketStore):
    """A `MarketStore` with queries that need only its rows and commits.

    A backend overrides the queries that it can answer faster; results must be the same. Here each query reads
    all rows that it needs. `commit` and errors are as in `MarketStore`.
    """

    def prepare_append(self, batch: Append) -> Callable[[], Receipt]:
        """Do the part of an append that needs no lock; return a function that does the rest.

        Another thread may call that function.
        """
        return partial(self.append, batch)

    def prepare_correct(self, amendment: Amendment) -> PreparedCorrections:
        """Do the part of `correct` that needs no lock. Raises `UnknownSymbol`, `DataDamaged`."""
        return PreparedCorrections(0, partial(self.correct, amendment))

    def take_window(
        self,
        dataset: Dataset,
        symbol: str,
        window: Window,
        rows: int,
        *,
        from_end: bool = False,
        commit: int | None = None,
    ) -> Window:
        """Return the part of the window, at its start or its end, that has `rows` rows.

        rows: at least 1. If the window has fewer rows, it is returned whole. The part has more rows only if
        further rows have the same event time as the last one. An override's cost does not grow with the window.
        """
        times = self.rows(dataset, symbol, window, commit=commit).column(0).to_pylist()
        if len(times) < rows:
            return window
        if from_end:
            return Window(times[-rows], window.end_ns)
        return Window(window.start_ns, times[rows - 1] + 1)

    def row_bound(self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None) -> int:
        """Return an upper bound of the number of rows in the window; here it is exact.

        An override is cheap for windows of any length. It uses the counts in derived files and commits, and
        so may count rows that are cancelled or replaced at `commit`.
        """
        return int(self.rows(dataset, symbol, window, commit=commit).num_rows)

    def extent(
        self, dataset: Dataset, symbol: str, window: Window, *, after: int = 0, commit: int | None = None
    ) -> tuple[int, int] | None:
        """Return the first and the last event date of the window that a commit touches, in days since 1970.

        Return None if there is none. after: leave out this commit and those before it. Here it is found by some 30
        calls of `version`.
        """

        def touches(start_ns: int, end_ns: int) -> bool:
            return self.version(dataset, symbol, Window(start_ns, end_ns), commit=commit).number > after

        if window.start_ns >= window.end_ns or not touches(window.start_ns, window.end_ns):
            return None
        dates = range(window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS + 1)
        first = bisect_left(dates, True, key=lambda date: touches(window.start_ns, (date + 1) * DAY_NS))
        untouched = bisect_left(dates, True, key=lambda date: not touches(date * DAY_NS, window.end_ns))
        return dates[first], dates[untouched - 1]

    def bars(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy = EVERY_PRINT,
        dates_of: DatesOf = utc_dates,
        commit: int | None = None,
    ) -> Bars:
        """Return bars of the trades in the window, which must be aligned to `interval_ns`.

        Volume of an interval without a price is credited to the nearest bar before it of the same trading
        date, even if the interval is after the window. dates_of: returns the trading dates of instants; for
        intervals of a day or longer nothing is credited.
        """
        prints = self._prints(symbol, Window(window.start_ns, ALL_TIME.end_ns), policy, commit)
        bars = bars_of_prints(prints, interval_ns, credit_dates(policy, interval_ns, dates_of))
        return bars.between(window.start_ns, window.end_ns)

    def session_bars(
        self, symbol: str, window: Window, *, policy: BarPolicy, commit: int | None = None
    ) -> Bars:
        """Return daily bars of the regular session by the policy's daily table, for whole event dates.

        time_ns: UTC midnight of the event date.
        """
        return session_bars_of(_as_stored(self.rows(TRADES, symbol, window, commit=commit)), policy)

    def span_bars(
        self,
        symbol: str,
        spans: Spans,
        *,
        policy: BarPolicy = EVERY_PRINT,
        dates_of: DatesOf | None,
        commit: int | None = None,
    ) -> Bars:
        """Return a bar at each label that has a price, made of all trades in the label's spans.

        If a span's label has no price, its volume goes to the nearest bar before it of the same trading date.
        Without such a bar, or if `dates_of` is None, it is dropped. Trades outside the spans are ignored.
        """
        prints = self._prints(symbol, ALL_TIME, policy, commit)
        return span_bars_of([aggregate_prints(prints, 1)], spans, dates_of)

    def dependency_window(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy,
        dates_of: DatesOf = utc_dates,
        commit: int | None = None,
    ) -> Window:
        """Return the window of rows on which a window's bars depend; see `bars`.

        Volume after the window may be credited to its last bar. So the result ends with the first interval
        after the window that has a price, and at the latest with the trading date of the window's last
        interval.
        """
        end_ns = credit_end_ns(window.end_ns, interval_ns, credit_dates(policy, interval_ns, dates_of))
        if end_ns == window.end_ns:
            return window
        prints = self._prints(symbol, Window(window.end_ns, end_ns), policy, commit)
        times = prints.time[prints.sets_open_close]
        if len(times):
            end_ns = int(times[0]) // interval_ns * interval_ns + interval_ns
        return Window(window.start_ns, end_ns)

    def revisions(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy,
        dates_of: DatesOf = utc_dates,
        after: int,
        commit: int | None = None,
    ) -> Revisions:
        """Return changes to visible bars by the commits in `(after, commit]`, by time and commit; see `bars`.

        A missing bar counts as visible if an earlier commit stored a row at or after the bar's end. The cost of an
        override grows with the window's rows, not with the commits.
        """
        dates = credit_dates(policy, interval_ns, dates_of)
        needed = Window(window.start_ns, credit_end_ns(window.end_ns, interval_ns, dates))
        rows = self.versions(TRADES, symbol, needed, commit=commit)
        later = Window(window.end_ns, ALL_TIME.end_ns)
        behind = self.versions(TRADES, symbol, later, commit=commit, columns=()).column("commit").to_pylist()
        return revisions_of(
            versions_of(rows, policy, interval_ns),
            RevisionQuery(window, interval_ns, policy, after, commit, dates),
            min(behind, default=None),
            lambda numbers: np.array([self.committed_at(TRADES, symbol, each) for each in numbers.tolist()]),
        )

    def change_bound(
        self, symbol: str, window: Window, interval_ns: int, *, after: int, commit: int | None = None
    ) -> int:
        """Return an upper bound of how often trades of the window's intervals changed; here it is exact.

        Counts pairs of an interval and a commit in `(after, commit]` that stored, cancelled or replaced trades of the
        interval. An override is cheap: it reads no rows.
        """
        rows = self.versions(TRADES, symbol, window, commit=commit, columns=())
        start, stored, ended = (rows.column(name).to_numpy() for name in ("timestamp", "commit", "until"))
        pairs = np.stack([np.tile(start // interval_ns, 2), np.concatenate([stored, ended])])
        changes = np.unique(pairs[:, (pairs[1] > after) & (pairs[1] != STANDS)], axis=1)
        return int(changes.shape[1])

    def _prints(self, symbol: str, window: Window, policy: BarPolicy, commit: int | None) -> Prints:
        return prints_of(_as_stored(self.rows(TRADES, symbol, window, commit=commit)), policy)


def _as_stored(rows: pa.Table) -> pa.Table:
    """Return ordered rows with the columns `arrival`, `commit` and `until`, which prints need."""
    return stored_rows(rows, [ArrivalRun(0, 1, rows.num_rows)])
