"""The logs that the engine follows, as one sequence of rows that can be resumed after every row, and the engine's clocks."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import count
from typing import Any, ClassVar, NamedTuple, Self, cast

import numpy as np
import pyarrow as pa

from stats.live.tokens import head_of, parse_tokens, position_of, record_of
from store.arrays import Integers
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.declarations import Dataset
from store.exceptions import Expired, StorageError, UnknownSymbol
from store.instruments import Instrument
from store.market_store import MarketStore
from store.protocol import ALL_TIME, CommitId
from store.rows.knowledge import LIVE_NS, event_ends_ns
from store.timestamps import DAY_NS
from store.walk import (
    ALL_ROWS,
    BEGINNING,
    CommitRecord,
    CommittedCorrection,
    CommittedCorrections,
    CommittedRows,
    LogPosition,
    Resync,
)
from trading.core.events import RowRef
from trading.core.rows import MarketRow, RowCorrection, StoredRow
from trading.exceptions import LogRestored, LogUnreadable
from trading.market.prices import bars_until_ns
from trading.market.rows import FollowedRows, market_values


class EngineClock(ABC):
    """The engine's time, which never goes back. now_ns: nanoseconds UTC.

    bars_late_ns: a day order waits for its bar for as long as the bar is, and at most so long.
    """

    bars_late_ns: ClassVar[int]

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    @abstractmethod
    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        """Return when each row of a commit was known. newest_ns: the largest event time in its log up to each row."""

    @abstractmethod
    def idle(self) -> int:
        """Return the time when there is no row. Who passes time up to it moves the clock."""

    def advance(self, known_ns: int) -> int:
        """Move on to an instant unless it is past, and return the time."""
        self.now_ns = max(self.now_ns, known_ns)
        return self.now_ns


class WallClock(EngineClock):
    """Live: a row was known when it was committed; without rows the time goes on."""

    bars_late_ns = DAY_NS

    def __init__(self, now_ns: int = 0, *, clock: Callable[[], int] = time.time_ns) -> None:
        super().__init__(now_ns)
        self._clock = clock

    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        return np.full(len(newest_ns), committed_ns, np.int64)

    def idle(self) -> int:
        return max(self.now_ns, self._clock())


class DataClock(EngineClock):
    """Backtests: a row was known at the largest event time of its log so far; without rows the time stands still."""

    # A row that was stored later counts as known at its time.
    bars_late_ns = LIVE_NS

    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        return newest_ns

    def idle(self) -> int:
        return self.now_ns


# So many rows of a piece are values at once.
_VALUES_AT_ONCE = 1_024


class ReadPosition(NamedTuple):
    """How far a log was read. newest_ns: the largest event time until there, nanoseconds UTC."""

    position: LogPosition
    newest_ns: int


class Arrival(NamedTuple):
    """What a log has next. The first three fields are the order of all logs.

    place: after it. row: None if only the place moved, over rows that nobody wants or a commit without rows.
    """

    known_ns: int
    dataset: str
    symbol: str
    place: ReadPosition
    row: MarketRow | None


class FollowedLog:
    """A log that the engine follows.

    place: after what the engine has done; the engine sets it to that of an arrival once it is stored. is_wanted:
    whether rows are asked for; if not, only corrections are. Rows that were passed over do not come back: follow the
    log from its token instead.
    """

    def __init__(
        self, store: MarketStore, clock: EngineClock, dataset: Dataset, symbol: str, place: ReadPosition
    ) -> None:
        self.dataset, self.symbol = dataset, symbol
        self.place = place
        self.is_wanted = True
        self._store, self._clock = store, clock
        self._end: tuple[Hashable, ReadPosition] | None = None
        self._record: CommitRecord | None = None

    @classmethod
    def after(cls, store: MarketStore, clock: EngineClock, dataset: Dataset, symbol: str, token: str) -> Self:
        """Return a log that is followed from after a commit. Raises `LogRestored`, `LogUnreadable`."""
        try:
            position = position_of(store, dataset, symbol, parse_tokens(token)[""])
            newest_ns = ALL_TIME.start_ns
            if position != BEGINNING and dataset is not CORPORATE_ACTIONS:
                completeness = store.log(dataset, symbol).at(position.commit.number).completeness()
                newest_ns = completeness.newest_ns
        except Resync as error:
            raise LogRestored(dataset.name, symbol, error) from error
        except StorageError as error:
            raise LogUnreadable(dataset.name, symbol, error) from error
        return cls(store, clock, dataset, symbol, ReadPosition(position, newest_ns))

    @classmethod
    def at_head(cls, store: MarketStore, clock: EngineClock, dataset: Dataset, symbol: str) -> Self:
        """Return a log that is followed from its newest commit on, or from its first one if it has none."""
        try:
            token = head_of(store, dataset, symbol).token
        except StorageError as error:
            raise LogUnreadable(dataset.name, symbol, error) from error
        return cls.after(store, clock, dataset, symbol, token)

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what the log has after `place`, up to its newest commit at the call.

        Raises `LogRestored`, `LogUnreadable`.
        """
        try:
            stamp = self._store.heads(self.dataset, (self.symbol,)).get(self.symbol)
            if stamp is not None and self._end == (stamp, self.place):
                return
            place = self.place
            for arrival in self._arrivals():
                place = arrival.place
                yield arrival
            self._end = stamp, place
        except UnknownSymbol:
            return
        except (Resync, Expired) as error:
            raise LogRestored(self.dataset.name, self.symbol, error) from error
        except StorageError as error:
            raise LogUnreadable(self.dataset.name, self.symbol, error) from error

    def _arrivals(self) -> Iterator[Arrival]:
        position, newest_ns = self.place
        self._record = self._record_at(position)
        for piece in self._store.log(self.dataset, self.symbol).commits(position):
            if isinstance(piece, CommitRecord):
                self._record = piece
                if not piece.length:
                    place = ReadPosition(LogPosition(piece.id), newest_ns)
                    yield self._arrival(self._known(np.array([newest_ns]))[0], place, None)
            elif isinstance(piece, CommittedRows):
                newest = self._newest(piece.rows, newest_ns)
                yield from self._rows(piece, newest)
                newest_ns = int(newest[-1])
            else:
                yield from self._corrections(piece, newest_ns)

    def _record_at(self, position: LogPosition) -> CommitRecord | None:
        """Return the record of a commit that was read in part."""
        if position == BEGINNING or position.ordinal == ALL_ROWS:
            return None
        if self._record is not None and self._record.id == position.commit:
            return self._record
        return record_of(self._store, self.dataset, self.symbol, position.commit)

    def _newest(self, rows: pa.RecordBatch, before_ns: int) -> Integers:
        """Return the largest event time before the rows, then up to each.

        A row that is dated after its commit counts as one of the commit's time, as in `Completeness`. The time of a
        corporate action does not count: it takes effect later than it is known.
        """
        assert self._record is not None  # noqa: S101 a record comes before its rows
        times = np.minimum(event_ends_ns(self.dataset, rows), self._record.committed_at)
        if self.dataset is CORPORATE_ACTIONS:
            times = np.full(rows.num_rows, before_ns)
        newest: Integers = np.maximum.accumulate(np.append(before_ns, times))
        return newest

    def _known(self, newest_ns: Integers) -> Integers:
        assert self._record is not None  # noqa: S101 a record comes before its rows
        return self._clock.known_ns(self._record.committed_at, newest_ns)

    def _rows(self, piece: CommittedRows, newest_ns: Integers) -> Iterator[Arrival]:
        """Yield the rows of a piece. newest_ns: see `_newest`."""
        known_ns = self._known(newest_ns[1:])
        for start in range(0, piece.rows.num_rows, _VALUES_AT_ONCE):
            if not self.is_wanted:
                place = ReadPosition(piece.position, int(newest_ns[-1]))
                yield self._arrival(known_ns[-1], place, None)
                return
            part = slice(start, start + _VALUES_AT_ONCE)
            known = known_ns[part]
            values = self._values(piece, start, known, newest_ns[start : start + len(known)])
            ordinals, newest = count(piece.ordinal + start + 1), newest_ns[1:][part].tolist()
            for value, ordinal, newest_of_row in zip(values, ordinals, newest, strict=False):
                place = ReadPosition(LogPosition(piece.commit, ordinal), newest_of_row)
                yield self._arrival(value.known_ns, place, value)

    def _values(
        self, piece: CommittedRows, start: int, known_ns: Integers, before_ns: Integers
    ) -> Iterator[StoredRow]:
        assert self._record is not None  # noqa: S101 a record comes before its rows
        rows = piece.rows.slice(start, len(known_ns))
        times = enumerate(rows.column(0).to_pylist(), piece.ordinal + start)
        refs = (self._ref(piece.commit, ordinal, time_ns) for ordinal, time_ns in times)
        # On the clock of the data all rows are of the past.
        is_filled = self._record.facts.fill is not None and isinstance(self._clock, WallClock)
        until_ns = ALL_TIME.end_ns
        if self.dataset is BARS:
            until_ns = bars_until_ns(self._store, self.symbol, head_of(self._store, TRADES, self.symbol))
        return market_values(
            FollowedRows(
                self.dataset, self._instrument(), rows, refs, known_ns, before_ns, until_ns, is_filled
            )
        )

    def _instrument(self) -> Instrument:
        return self._store.instrument(self.symbol)

    def _corrections(self, piece: CommittedCorrections, newest_ns: int) -> Iterator[Arrival]:
        known_ns = int(self._known(np.array([newest_ns]))[0])
        for start in range(0, len(piece.corrections), _VALUES_AT_ONCE):
            some = piece.corrections[start : start + _VALUES_AT_ONCE]
            befores = self._corrected(some, [each.before for each in some], known_ns)
            changed = [each for each in some if each.after is not None]
            afters = self._corrected(changed, [each.after for each in changed], known_ns)
            for ordinal, (each, before) in enumerate(zip(some, befores, strict=True), piece.ordinal + start):
                row = RowCorrection(
                    ref=self._ref(piece.commit, ordinal, before.ref.timestamp_ns),
                    action=each.action.value,
                    before=before,
                    after=None if each.after is None else next(afters),
                    known_ns=known_ns,
                )
                place = ReadPosition(LogPosition(piece.commit, ordinal + 1), newest_ns)
                yield self._arrival(known_ns, place, row)

    def _corrected(
        self, corrections: Sequence[CommittedCorrection], rows: Sequence[Any], known_ns: int
    ) -> Iterator[StoredRow]:
        """Return the values of corrected rows, each with the place where the row was stored. rows: their columns."""
        refs = []
        for each in corrections:
            commit = self._store.log(self.dataset, self.symbol).at(each.target_commit).commit
            refs.append(self._ref(commit, each.target_ordinal, cast("int", each.before["timestamp"])))
        batch = pa.RecordBatch.from_pylist(rows, schema=self.dataset.schema)
        known = np.full(len(rows), known_ns, np.int64)
        return market_values(FollowedRows(self.dataset, self._instrument(), batch, refs, known, known))

    def _ref(self, commit: CommitId, ordinal: int, time_ns: int) -> RowRef:
        return RowRef(
            dataset=self.dataset.name,
            symbol=self.symbol,
            commit=commit.token,
            ordinal=ordinal,
            timestamp_ns=time_ns,
        )

    def _arrival(self, known_ns: int, place: ReadPosition, row: MarketRow | None) -> Arrival:
        return Arrival(int(known_ns), self.dataset.name, self.symbol, place, row)


def merged(logs: Iterable[FollowedLog]) -> Iterator[Arrival]:
    """Yield what the logs have after their places, by (known_ns, dataset, symbol), within a log in order of arrival.

    It ends at the commits that the logs had at the call. After an error call it again, with other logs or later. Each
    log holds at most one piece of its commits in memory. Raises `LogRestored`, `LogUnreadable`.
    """
    return merge(*(each.arrivals() for each in logs), key=lambda arrival: arrival[:3])
