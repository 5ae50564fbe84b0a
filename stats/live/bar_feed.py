"""The bars of one channel: which bars each commit changes, as `GET ohlcv` answers them at the same commit."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from stats.market_data.answers.bars_snapshot import BarPosition, bars_snapshot, canonical_bar_query
from stats.market_data.ohlcv.bar_changes import BarsSnapshot, Touched, changed_bars
from stats.market_data.query import MarketDataQuery
from stats.rendering.table import Table
from store.arrays import Integers
from store.datasets import BARS
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import ALL_TIME, CommitId
from store.resolutions import Resolution
from store.timestamps import DAY_NS
from store.walk import CommitPiece, CommitRecord, CommittedCorrections, CommittedRows
from trades.stores import market_store

__all__ = [
    "BarFeed",
    "BarPosition",
    "BarStep",
    "TouchedCommit",
    "canonical_bar_query",
    "merged_steps",
    "touched_commits",
]

_MAX_COMMITS, _MAX_ROWS = 256, 65_536
# A stored day, week or month counts for a date that begins up to a day before it. If the date is closed, it counts
# for the next trading date.
_DATE_BEFORE_NS, _DATE_AFTER_NS = DAY_NS, 14 * DAY_NS


@dataclass(frozen=True, slots=True)
class TouchedCommit:
    """A commit of trades or stored bars, and the times of all rows that it stored, cancelled or corrected.

    newest_ns: the largest event time, at most `committed_at`; `ALL_TIME.start_ns` without rows. complete_until_ns: as
    the feed declared; `ALL_TIME.start_ns` if it did not.
    """

    dataset: Dataset
    id: CommitId
    committed_at: int
    touched: Touched
    newest_ns: int
    complete_until_ns: int


def touched_commits(dataset: Dataset, pieces: Iterable[CommitPiece]) -> Iterator[TouchedCommit]:
    """Yield the commits of a walk. pieces: of one log, from a commit's record to the end of a commit."""
    record: CommitRecord | None = None
    parts: list[Touched] = []
    for piece in pieces:
        if not isinstance(piece, CommitRecord):
            parts.append(_touched(dataset, piece))
            continue
        if record is not None:
            yield _commit(dataset, record, parts)
        record, parts = piece, []
    if record is not None:
        yield _commit(dataset, record, parts)


def _commit(dataset: Dataset, record: CommitRecord, parts: list[Touched]) -> TouchedCommit:
    touched = Touched.joined(parts)
    newest_ns = (
        min(int(touched.start_ns[-1]), record.committed_at) if len(touched.start_ns) else ALL_TIME.start_ns
    )
    declared_ns = (
        ALL_TIME.start_ns if record.facts.complete_until_ns is None else record.facts.complete_until_ns
    )
    return TouchedCommit(dataset, record.id, record.committed_at, touched, newest_ns, declared_ns)


def _touched(dataset: Dataset, piece: CommittedRows | CommittedCorrections) -> Touched:
    """Return the times of a piece's rows or corrections. A correction does not change a row's time."""
    names = ["timestamp"] if dataset is not BARS else ["timestamp", "resolution"]
    if isinstance(piece, CommittedRows):
        columns = [np.asarray(piece.rows.column(name)) for name in names]
    else:
        rows = pa.Table.from_pylist([dict(each.before) for each in piece.corrections], schema=dataset.schema)
        columns = [np.asarray(rows.column(name)) for name in names]
    start_ns = columns[0].astype(np.int64)
    end_ns = start_ns + 1
    if dataset is BARS:
        start_ns, end_ns = _of_stored_bars(start_ns, columns[1])
    order = np.argsort(start_ns, kind="stable")
    return Touched(start_ns[order], end_ns[order])


def _of_stored_bars(start_ns: Integers, names: np.ndarray) -> tuple[Integers, Integers]:
    """Return the starts and ends of the times in which bars may be made of stored bars of these resolutions."""
    resolutions = list(map(Resolution.parse, names.tolist()))
    is_period = np.array([each.is_period for each in resolutions], np.bool_)
    length_ns = np.array([each.length_ns for each in resolutions], np.int64)
    return (
        np.where(is_period, start_ns - _DATE_BEFORE_NS, start_ns),
        start_ns + np.where(is_period, _DATE_AFTER_NS + 1, length_ns),
    )


@dataclass(frozen=True, slots=True)
class BarStep:
    """The bars that consecutive commits changed.

    position, committed_at: of the last commit; if bars became final without a commit, of the newest ones. rows: new
    and changed bars, ascending. removed: the times of bars that no longer exist, ascending. is_lossless: whether a
    client must get it, because one of the bars is final, was, or was removed. final_until_ns: bars that end by then were
    final before. is_resync: whether the instrument was
    declared anew, so that all bars may differ; there are no rows then.
    """

    position: BarPosition
    committed_at: int
    rows: Table
    removed: tuple[int, ...] = ()
    is_lossless: bool = False
    is_resync: bool = False
    final_until_ns: int = 0

    def __bool__(self) -> bool:
        """Whether there is something to tell."""
        return self.is_resync or bool(self.removed) or len(self.rows) > 0


def merged_steps(earlier: BarStep, later: BarStep) -> BarStep:
    """Return one step with the effect of two, for clients that do not take every update of an open bar.

    Neither step may be a resync.
    """
    old, new = (step.rows.data.column("timestamp").to_numpy() for step in (earlier, later))
    gone = np.array(later.removed, np.int64)
    kept = earlier.rows.data.filter(pa.array(~np.isin(old, np.concatenate([new, gone]))))
    rows = pa.concat_tables([kept, later.rows.data]).sort_by("timestamp")
    removed = sorted({*earlier.removed, *later.removed}.difference(new.tolist()))
    return replace(
        later,
        rows=Table(later.rows.columns, rows),
        removed=tuple(removed),
        is_lossless=earlier.is_lossless or later.is_lossless,
    )


class BarFeed:
    """The state of one channel of bars: its bars at a position, and how they change from there on.

    Not thread-safe. Reads the store.
    """

    def __init__(
        self,
        query: MarketDataQuery,
        position: BarPosition,
        bars: BarsSnapshot,
        instrument: Instrument,
        committed_at: int,
    ) -> None:
        self._query = query
        self._bars = bars
        self._instrument = instrument
        self.position = position
        self.committed_at = committed_at

    @classmethod
    def at(cls, query: MarketDataQuery, position: BarPosition, *, now_ns: int) -> Self:
        """Return the feed that continues from what REST answers now. position: the newest commits.

        query: of `canonical_bar_query`. Raises the errors of `bars_snapshot`.
        """
        instrument = market_store().instrument(query.symbols[0])
        bars = bars_snapshot(query, position, instrument=instrument, now_ns=now_ns)
        return cls(query, position, bars, instrument, now_ns)

    @classmethod
    def resumed(cls, query: MarketDataQuery, position: BarPosition, *, committed_at: int) -> Self:
        """Return the feed that continues from a client's token. committed_at: of its newer commit; 0 without one.

        Whether a client already knows that other logs of the exchange made a bar final is not known: it is told again.
        """
        instrument = market_store().instrument(query.symbols[0])
        bars = bars_snapshot(query, position, instrument=instrument, now_ns=committed_at, by_own_log=True)
        return cls(query, position, bars, instrument, committed_at)

    @property
    def due_ns(self) -> int | None:
        """When `settle` is to be called although no commit came; None if nothing can change without one."""
        return self._bars.due_ns

    def advance(self, commits: Iterable[TouchedCommit], *, now_ns: int) -> Iterator[BarStep]:
        """Take the next commits, and yield the steps. Take all steps before anything else is asked of the feed.

        commits: of one of the two logs; those before the position are skipped. A commit begins a step if it changes a
        bar that was final. A commit of stored bars is a step of its own. All other commits join the step before.
        """
        if self._is_declared_anew():
            yield self._resync(now_ns)
        for run in self._runs(commits):
            yield self._step(run, now_ns)

    def settle(self, *, now_ns: int) -> BarStep | None:
        """Return the bars that became final without a commit; None if there are none."""
        if self._is_declared_anew():
            return self._resync(now_ns)
        return self._moved(self.position, max(now_ns, self._bars.now_ns), _UNTOUCHED) or None

    def _is_declared_anew(self) -> bool:
        return market_store().instrument(self._query.symbols[0]) != self._instrument

    def _resync(self, now_ns: int) -> BarStep:
        """Take the instrument's new terms, and return the step that says so."""
        self._instrument = market_store().instrument(self._query.symbols[0])
        self._bars = bars_snapshot(self._query, self.position, instrument=self._instrument, now_ns=now_ns)
        rows = Table.empty(self._bars.reader.columns)
        return BarStep(self.position, self.committed_at, rows, is_resync=True)

    def _runs(self, commits: Iterable[TouchedCommit]) -> Iterator[list[TouchedCommit]]:
        """Yield the commits of each step. The caller makes the step before it asks for the next run."""
        run: list[TouchedCommit] = []
        rows, final_until_ns = 0, self._bars.final.until_ns
        for commit in commits:
            if commit.id.number <= self._log_position(commit.dataset).number:
                continue
            if run and (
                _is_apart(run[-1], commit, final_until_ns) or len(run) == _MAX_COMMITS or rows > _MAX_ROWS
            ):
                yield run
                run, rows, final_until_ns = [], 0, self._bars.final.until_ns
            run.append(commit)
            rows += len(commit.touched.start_ns)
            final_until_ns = max(
                final_until_ns, commit.complete_until_ns, commit.newest_ns - self._instrument.settle_ns
            )
        if run:
            yield run

    def _log_position(self, dataset: Dataset) -> CommitId:
        return self.position.bars if dataset is BARS else self.position.trades

    def _step(self, run: list[TouchedCommit], now_ns: int) -> BarStep:
        """Take the commits of one step. "Now" is the time of the last one, so that a resumed feed sends the same bars."""
        last = run[-1]
        moved = {"bars": last.id} if last.dataset is BARS else {"trades": last.id}
        self.committed_at = max(self.committed_at, last.committed_at)
        bars_now_ns = max(self._bars.now_ns, min(now_ns, last.committed_at))
        touched = Touched.joined([commit.touched for commit in run])
        return self._moved(replace(self.position, **moved), bars_now_ns, touched)

    def _moved(self, position: BarPosition, now_ns: int, touched: Touched) -> BarStep:
        """Move to a position, and return the step from the old one."""
        after = bars_snapshot(self._query, position, instrument=self._instrument, now_ns=now_ns)
        changes = changed_bars(self._bars, after, touched)
        final_until_ns = self._bars.final.until_ns
        self.position, self._bars = position, after
        return BarStep(
            position,
            self.committed_at,
            changes.rows,
            tuple(changes.removed.tolist()),
            changes.has_final,
            final_until_ns=final_until_ns,
        )


_UNTOUCHED = Touched.joined([])


def _is_apart(before: TouchedCommit, commit: TouchedCommit, final_until_ns: int) -> bool:
    """Return whether a commit begins another step than the one before it. final_until_ns: bars end before it that may be final."""
    first_ns = int(commit.touched.start_ns[0]) if len(commit.touched.start_ns) else ALL_TIME.end_ns
    return before.dataset is BARS or commit.dataset is BARS or first_ns < final_until_ns
