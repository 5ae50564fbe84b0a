"""A store's logs, and logs as of a commit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import EVERY_PRINT, BarPolicy
from store.bars.aggregates import Aggregates
from store.bars.bars import Bars, bars_of
from store.bars.credit import DatesOf, credit_dates, credit_end_ns, utc_dates
from store.bars.prints import STANDS
from store.bars.session_bars import aggregate_rows
from store.bars.spans import Spans
from store.declarations import Dataset
from store.expiries import NOTHING_EXPIRED, ExpiredDates
from store.protocol import ALL_TIME, NO_COMMIT, NOTHING_COMPLETE, CommitId, Completeness, Fill, Window
from store.rows.stored_rows import stored_schema, with_columns
from store.timestamps import DAY_NS
from store.walk import CommitPiece, CommitRecord, LogEnd, LogPosition
from store.whole_commits import WholeCommit
from store.window_list import WindowList, layers_of

# How many intervals after a window are first searched for a price, before which volume is credited to the window.
_INTERVALS_BEHIND = 4


class Log(ABC):
    """The commits of one dataset and symbol. It need not exist yet; then methods raise `UnknownSymbol`.

    log_of: `MarketStore.log`, which gives other logs of the same store.
    """

    def __init__(self, log_of: Callable[[Dataset, str], Log], dataset: Dataset, symbol: str) -> None:
        self.log_of = log_of
        self.dataset = dataset
        self.symbol = symbol
        self._key = log_of, dataset.name, symbol

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Log) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @abstractmethod
    def at(self, commit: CommitId | int | None = None) -> Snapshot:
        """Return the log as of a commit; None means the newest.

        `NO_COMMIT` and 0 are the log before its first commit, which need not exist. A number must exist. Raises `Resync`
        if the log does not have the commit.
        """

    @property
    def head(self) -> CommitId:
        """The newest commit."""
        return self.at().commit

    @abstractmethod
    def as_of(self, instant_ns: int) -> Snapshot:
        """Return the log as of the newest commit made at or before an instant (nanoseconds UTC)."""

    @abstractmethod
    def committed_times(self, numbers: Integers) -> Integers:
        """Return the times of commits, in nanoseconds UTC. numbers: must exist."""

    def committed_at(self, number: int) -> int:
        """Return the time of a commit, in nanoseconds UTC. number: must exist."""
        return int(self.committed_times(np.array([number]))[0])

    @abstractmethod
    def commits(self, after: LogPosition, upto: int | None = None) -> Iterator[CommitPiece]:
        """Yield the commits after a position: for each its record, then its rows or corrections in pieces.

        Rows are in order of arrival; corrections are by event date, then in the order in which they apply.
        after: `BEGINNING`, or the `position` of the last piece that was taken. upto: the number of the last
        commit; None, or a number not yet reached, means the newest commit at the call. Everything yielded is
        durable, whichever process wrote it. Raises `Resync`, also during iteration, if the log does not have
        the commit of `after`. Iteration also raises the errors of reads.
        """

    @abstractmethod
    def records(self, after: CommitId, count: int) -> list[CommitRecord]:
        """Return the records of at most `count` commits after one, without reading rows. after: may be `NO_COMMIT`.

        Raises `Resync` if the log does not have that commit, and `UnknownSymbol` for a log without commits.
        """

    @abstractmethod
    def end(self) -> LogEnd:
        """Return the newest commit, its time and the number of rows; `LogEnd()` of a log without commits."""

    @abstractmethod
    def add_commits(self, base: CommitId, commits: Sequence[WholeCommit]) -> None:
        """Store commits of another log as they are, durably, all of them or none. No hook is called.

        base: the commit that they follow. Raises `StoreUnavailable` if it is not the newest one any more.
        """


class Snapshot(ABC):
    """A log as of one commit. Safe for many threads.

    Reads raise `Resync` if the log no longer has the commit, because it was restored, `UnknownSymbol` if there is no log,
    `DataDamaged` if bytes that they need are damaged, and `Expired` if rows that they need have expired. expired: the dates
    that have, whatever the commit.
    """

    expired: ExpiredDates = NOTHING_EXPIRED

    def __init__(self, log: Log, commit: CommitId) -> None:
        self.log = log
        self.commit = commit

    def __eq__(self, other: object) -> bool:
        own = self.log, self.commit, self.expired
        return isinstance(other, Snapshot) and own == (other.log, other.commit, other.expired)

    def __hash__(self) -> int:
        return hash((self.log, self.commit))

    @property
    def is_empty(self) -> bool:
        """Whether it is the log before its first commit."""
        return self.commit == NO_COMMIT

    def check_readable(self, window: Window) -> None:
        """Raise `Expired` if the window has rows that have expired.

        One that begins before `ALL_TIME` names no start: then it may have rows that are left, too.
        """
        before_ns = self.expired.before_ns
        is_open = window.start_ns < ALL_TIME.start_ns and window.end_ns > before_ns
        if not is_open and self._has_dates(Window(window.start_ns, min(before_ns, window.end_ns))):
            raise self.expired.error(self.log.dataset, self.log.symbol)

    def times_of_minutes(self, window: Window) -> Integers:
        """Return the starts of the minutes with trades in the expired part of a window."""
        return np.empty(0, np.int64)

    @abstractmethod
    def rows(self, window: Window, *, coded_texts: bool = False) -> pa.Table:
        """Return the rows in the window by (event time, sequence, arrival), in the dataset's schema.

        coded_texts: a column of few distinct texts may be dictionary-encoded, with `int32` indices.
        """

    @abstractmethod
    def versions(self, window: Window, columns: Collection[str] | None = None) -> pa.Table:
        """Return every version of the window's rows that commits up to this one stored, in the order of `rows`.

        A correction stores a new version of its row. The columns are the dataset's and `arrival`, `commit`, `until`
        (see `store.rows.stored_rows`); `until` is `STANDS` if a later commit ended the version. columns: of the
        dataset's columns only event time and these; None means all.
        """

    @abstractmethod
    def row_origin(self, *, timestamp_ns: int, arrival: int) -> tuple[CommitId, int]:
        """Return the commit that stored a row first, and the row's ordinal in it.

        timestamp_ns, arrival: of a version of the row (see `versions`). Its cost does not grow with the commit's rows.
        """

    @abstractmethod
    def version(self, window: Window) -> CommitId:
        """Return the newest commit that touches an event date of the window; `NO_COMMIT` if none does."""

    @abstractmethod
    def completeness(self) -> Completeness:
        """Return how far the log is known to be complete."""

    @abstractmethod
    def fills(self, window: Window) -> list[tuple[int, Fill]]:
        """Return the fills whose windows overlap a window, each with its commit's number, in order of commit.

        Its cost does not grow with the number of other commits. `version` changes only with a fill's rows.
        """

    @abstractmethod
    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        """Return the part of the window, at its start or its end, that has `rows` rows.

        rows: at least 1. If the window has fewer rows, it is returned whole. The part has more rows only if
        further rows have the same event time as the last one. Its cost does not grow with the window.
        """

    @abstractmethod
    def row_bound(self, window: Window) -> int:
        """Return the number of rows in the window; of damaged rows an upper bound.

        It is the same whenever it is asked, and cheap: only where rows were cancelled or replaced, or came later, are
        they looked at one by one.
        """

    @abstractmethod
    def touched_dates(self, window: Window) -> tuple[Integers, Integers]:
        """Return the event dates of the window that commits touch, and the newest commit's number of each.

        Dates are days since 1970, ascending.
        """

    def extent(self, window: Window, *, after: int = 0) -> tuple[int, int] | None:
        """Return the first and the last of `touched_dates`, or None. after: without this commit and those before it."""
        if window.start_ns >= window.end_ns:
            return None
        dates, newest = self.touched_dates(window)
        dates = dates[newest > after]
        return (int(dates[0]), int(dates[-1])) if len(dates) else None

    def aggregates(self, windows: WindowList, interval_ns: int, policy: BarPolicy) -> Aggregates:
        """Return the aggregate of each interval of the windows that has stored trades, ascending.

        windows: aligned to `interval_ns`. policy: one of sessions has aggregates of days only, which are bars and cannot
        be merged. All bars are made from these.
        """
        made = aggregate_rows(self.versions(windows.bounds), interval_ns, policy)
        return made[windows.indices(made.time)]

    def first_commit_from(self, instant_ns: int) -> int | None:
        """Return the number of the first commit that stored a row at or after an instant; None without one."""
        later = self.versions(Window(instant_ns, ALL_TIME.end_ns), columns=())
        return min(later.column("commit").to_pylist(), default=None)

    def bars(
        self,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy = EVERY_PRINT,
        dates_of: DatesOf = utc_dates,
    ) -> Bars:
        """Return bars of the trades in the window, which must be aligned to `interval_ns`.

        Volume of an interval without a price is credited to the nearest bar before it of the same trading
        date, even if the interval is after the window. dates_of: returns the trading dates of instants; for
        intervals of a day or longer nothing is credited.
        """
        dates = credit_dates(policy, interval_ns, dates_of)
        if dates is None:
            return bars_of(self.aggregates(WindowList.of(window), interval_ns, policy))
        found = self._with_next(window, interval_ns, policy)
        own = int(found.time.searchsorted(window.end_ns))
        if own < len(found) and found.price_count[: own + 1].all():
            # No volume can be credited: each bar has a price, and so has the next one.
            return bars_of(found[:own])
        needed = self.dependency_window(window, interval_ns, policy=policy, dates_of=dates_of)
        bars = bars_of(self.aggregates(WindowList.of(needed), interval_ns, policy), dates)
        return bars[: int(bars.time_ns.searchsorted(window.end_ns))]

    def session_bars(self, window: Window, *, policy: BarPolicy) -> Bars:
        """Return daily bars of the regular session by the policy's daily table, for whole event dates.

        time_ns: UTC midnight of the event date.
        """
        dates = window.whole_dates()
        return bars_of(self.aggregates(WindowList.of(dates), DAY_NS, policy.session))

    def span_aggregates(self, spans: Spans, *, policy: BarPolicy) -> list[Aggregates]:
        """Return aggregates of all trades in some spans. None crosses a span's edge, and no trade is in two."""
        layers = layers_of(WindowList(spans.start_ns, spans.end_ns))
        return [self.aggregates(windows, level_ns, policy) for level_ns, windows in layers.items()]

    def dependency_window(
        self, window: Window, interval_ns: int, *, policy: BarPolicy, dates_of: DatesOf = utc_dates
    ) -> Window:
        """Return the window of rows on which a window's bars depend; see `bars`.

        Volume after the window may be credited to its last bar. So the result ends with the first interval
        after the window that has a price, and at the latest with the trading date of the window's last
        interval.
        """
        dates = credit_dates(policy, interval_ns, dates_of)
        end_ns = credit_end_ns(window.end_ns, interval_ns, dates)
        for behind in windows_behind(window.end_ns, interval_ns, end_ns):
            found = self.aggregates(WindowList.of(behind), interval_ns, policy)
            priced = found.time[found.price_count > 0]
            if len(priced):
                return Window(window.start_ns, int(priced[0]) + interval_ns)
        return Window(window.start_ns, end_ns)

    def change_bound(self, window: Window, interval_ns: int, *, after: int) -> int:
        """Return an upper bound of how often trades of the window's intervals changed.

        Counts pairs of an interval and a commit after `after` that stored, cancelled or replaced trades of the
        interval.
        """
        rows = self.versions(window, columns=())
        start, stored, ended = (rows.column(name).to_numpy() for name in ("timestamp", "commit", "until"))
        pairs = np.stack([np.tile(start // interval_ns, 2), np.concatenate([stored, ended])])
        changes = np.unique(pairs[:, (pairs[1] > after) & (pairs[1] != STANDS)], axis=1)
        return int(changes.shape[1])

    def _has_dates(self, window: Window) -> bool:
        return window.start_ns < window.end_ns and len(self.touched_dates(window)[0]) > 0

    def _with_next(self, window: Window, interval_ns: int, policy: BarPolicy) -> Aggregates:
        """Return the aggregates of a window and, in the same read, those of a few intervals after it."""
        last_ns = ALL_TIME.end_ns // interval_ns * interval_ns
        end_ns = max(window.end_ns, min(window.end_ns + _INTERVALS_BEHIND * interval_ns, last_ns))
        return self.aggregates(WindowList.of(Window(window.start_ns, end_ns)), interval_ns, policy)


def windows_behind(start_ns: int, interval_ns: int, end_ns: int) -> Iterator[Window]:
    """Yield the parts of a window, each four times as long as the one before."""
    length_ns = _INTERVALS_BEHIND * interval_ns
    while start_ns < end_ns:
        part = Window(start_ns, min(start_ns + length_ns, end_ns))
        yield part
        start_ns, length_ns = part.end_ns, 4 * length_ns


class EmptySnapshot(Snapshot):
    """A log before its first commit. The log need not exist."""

    def __init__(self, log: Log) -> None:
        super().__init__(log, NO_COMMIT)

    def rows(self, window: Window, *, coded_texts: bool = False) -> pa.Table:
        return self.log.dataset.schema.empty_table()

    def versions(self, window: Window, columns: Collection[str] | None = None) -> pa.Table:
        return with_columns(stored_schema(self.log.dataset).empty_table(), columns)

    def row_origin(self, *, timestamp_ns: int, arrival: int) -> tuple[CommitId, int]:
        raise LookupError("there are no rows")

    def version(self, window: Window) -> CommitId:
        return NO_COMMIT

    def completeness(self) -> Completeness:
        return NOTHING_COMPLETE

    def fills(self, window: Window) -> list[tuple[int, Fill]]:
        return []

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        return window

    def row_bound(self, window: Window) -> int:
        return 0

    def touched_dates(self, window: Window) -> tuple[Integers, Integers]:
        return np.empty(0, np.int64), np.empty(0, np.int64)
