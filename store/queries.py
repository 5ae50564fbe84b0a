"""What every store answers beyond `MarketStore`: windows of rows, bars, what they depend on, revisions."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa

from store.bar_policies import EVERY_PRINT, BarPolicy
from store.bars.aggregation import bars_of_prints
from store.bars.bars import Bars
from store.bars.prints import Prints, prints_of
from store.bars.session_bars import session_bars_of
from store.bars.spans import Spans, span_bars_of_prints
from store.datasets import TRADES
from store.declarations import Dataset
from store.protocol import ALL_TIME, Append, MarketStore, Receipt, Window
from store.rows.revisions import Revision, values_at, within
from store.rows.stored_rows import ArrivalRun, stored_rows


class QueryableStore(MarketStore):
    """A `MarketStore` with the answers that are functions of its rows and commits.

    A backend inherits them. It overrides those that it has a faster way for, with the same answers: rollups
    in files, SQL in a cluster. Here each of them reads the rows that it needs, every time.
    `commit` and what is raised are as in `MarketStore`.
    """

    def prepare_append(self, batch: Append) -> Callable[[], Receipt]:
        """Do the part of an append that needs no lock; the function that is returned does the rest.

        Another thread may call it.
        """
        return partial(self.append, batch)

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
        """The part of the window from its start, or end, that has at least so many rows, or all of it.

        rows: 1 or more. It has no more than so many but for those that share the last one's event time. A
        faster way reads no row: its cost does not grow with the window.
        """
        times = self.rows(dataset, symbol, window, commit=commit).column(0).to_pylist()
        if len(times) < rows:
            return window
        if from_end:
            return Window(times[-rows], window.end_ns)
        return Window(window.start_ns, times[rows - 1] + 1)

    def row_bound(self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None) -> int:
        """At most so many rows are in the window. Here it is their number.

        A faster way is cheap, whatever the window's length: it reads no row that is counted already, in
        derived files or in commits, and may count rows that do not stand at `commit`.
        """
        return int(self.rows(dataset, symbol, window, commit=commit).num_rows)

    def bars(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy = EVERY_PRINT,
        commit: int | None = None,
    ) -> Bars:
        """Bars of the trades in the window, which begins and ends on whole multiples of `interval_ns`.

        Volume of an interval without a price is credited to the bar before it, across the window's edges,
        too.
        """
        prints = self._prints(symbol, Window(window.start_ns, ALL_TIME.end_ns), policy, commit)
        return within(window, bars_of_prints(prints, interval_ns))

    def session_bars(
        self, symbol: str, window: Window, *, policy: BarPolicy, commit: int | None = None
    ) -> Bars:
        """Daily bars of the regular session, by the policy's table for the day, of whole event dates.

        time_ns: UTC midnight of the event date.
        """
        return session_bars_of(_as_stored(self.rows(TRADES, symbol, window, commit=commit)), policy)

    def span_bars(
        self,
        symbol: str,
        spans: Spans,
        *,
        policy: BarPolicy = EVERY_PRINT,
        credits: bool,
        commit: int | None = None,
    ) -> Bars:
        """One bar, at `time_ns`, for each label of the spans that has a price, of all trades in its windows.

        With `credits` the volume of a span whose label has no price goes to the bar before it, if all spans
        from that bar's last one on touch: each ends where the next one starts. What is credited to nobody is
        in no bar. Nothing outside of the spans is looked at.
        """
        prints = self._prints(symbol, ALL_TIME, policy, commit)
        return span_bars_of_prints(prints, spans, credits=credits)

    def dependency_window(
        self, symbol: str, window: Window, interval_ns: int, *, policy: BarPolicy, commit: int | None = None
    ) -> Window:
        """The window that a window's bars depend on: volume credited to its last bar may lie behind it.

        It ends with the first interval, at or after the window's end, that has a price; if there is none,
        with all time. It is the window itself where every print counts.
        """
        if policy.counts_every_print or window.end_ns >= ALL_TIME.end_ns:
            return window
        prints = self._prints(symbol, Window(window.end_ns, ALL_TIME.end_ns), policy, commit)
        times = prints.time[prints.sets_open_close]
        end_ns = int(times[0]) // interval_ns * interval_ns + interval_ns if len(times) else ALL_TIME.end_ns
        return Window(window.start_ns, end_ns)

    def revisions(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy,
        after: int,
        commit: int | None = None,
    ) -> list[Revision]:
        """What commits in `(after, commit]` changed of the window's bars that could be seen, by commit and time.

        An absence could be seen if a row at or behind the bar's end was stored by an earlier commit. Here
        the bars of every commit are made and compared with those before.
        """
        found: list[Revision] = []
        seen: set[int] = set()
        known_ns = ALL_TIME.start_ns
        before = self.bars(symbol, window, interval_ns, policy=policy, commit=0)
        for number in range(1, self.head(TRADES, symbol, commit=commit).number + 1):
            now = self.bars(symbol, window, interval_ns, policy=policy, commit=number)
            seen.update(start for start in now.time_ns.tolist() if start + interval_ns <= known_ns)
            for start in sorted(seen):
                values = values_at(before, start), values_at(now, start)
                if values[0] != values[1] and number > after:
                    found.append(Revision(start, number, self.committed_at(TRADES, symbol, number), *values))
            seen.update(now.time_ns.tolist())
            times = self.rows(TRADES, symbol, ALL_TIME, commit=number).column(0).to_numpy()
            known_ns = max(known_ns, int(np.max(times, initial=known_ns)))
            before = now
        return found

    def _prints(self, symbol: str, window: Window, policy: BarPolicy, commit: int | None) -> Prints:
        return prints_of(_as_stored(self.rows(TRADES, symbol, window, commit=commit)), policy)


def _as_stored(rows: pa.Table) -> pa.Table:
    """Rows that stand, in order, with the system columns that prints are made of."""
    return stored_rows(rows, [ArrivalRun(0, 1, rows.num_rows)])
