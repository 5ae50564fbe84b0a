"""A store in memory, written for plainness: what it answers is what every other store must answer."""

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from trades.bar_policies import EVERY_PRINT, BarPolicy
from trades.datasets import TRADES, Dataset
from trades.storage.aggregate import Bars, bars_of_prints, prints_of
from trades.storage.corrections import Change, Life, Row, changes
from trades.storage.duplicates import Identified, stored_before
from trades.storage.exceptions import RequestKeyReused, UnknownSymbol
from trades.storage.instruments import Instrument
from trades.storage.prints import STANDS
from trades.storage.protocol import (
    ALL_TIME,
    DUPLICATE_ROWS_KEPT,
    NO_COMMIT,
    Action,
    Amendment,
    Append,
    CommitId,
    Dedupe,
    Receipt,
    Revision,
    Window,
)
from trades.storage.revisions import values_at, within
from trades.storage.session_bars import session_bars_of
from trades.storage.visible import ordered, stored_schema, visible
from trades.timestamps import DAY_NS


@dataclass
class _Version:
    """A row's values from a commit on, until another."""

    arrival: int
    commit: int
    values: Row
    until: int = STANDS


@dataclass(frozen=True)
class _Commit:
    id: CommitId
    committed_at: int
    request: object
    dates: set[int]
    answer_to: tuple[str, str] | None
    receipt: Receipt


@dataclass
class _Log:
    """Versions of one arrival number follow one another in the order in which they were made."""

    commits: list[_Commit] = field(default_factory=list)
    versions: list[_Version] = field(default_factory=list)

    @property
    def head(self) -> CommitId:
        return self.commits[-1].id if self.commits else NO_COMMIT

    @property
    def originals(self) -> dict[int, _Version]:
        """By arrival number, the rows as they came in."""
        return {version.arrival: version for version in reversed(self.versions)}


class MemoryStore:
    """A `MarketStore` for one process, lost with it."""

    def __init__(self, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._logs: dict[tuple[str, str], _Log] = defaultdict(_Log)
        self._instruments: dict[str, list[tuple[int, Instrument]]] = defaultdict(list)
        self._mutex = threading.Lock()

    def append(self, batch: Append) -> Receipt:
        """See `MarketStore.append`."""
        with self._mutex:
            log, rows = self._logs[batch.dataset.name, batch.symbol], batch.rows.to_pylist()
            replayed = _replayed(log, batch, rows)
            if replayed is not None:
                return replayed
            duplicates = _duplicates(batch, rows, log)
            new = sorted((row for place, row in enumerate(rows) if place not in set(duplicates)), key=_date)
            if not new and batch.request_key is None:
                return Receipt(len(rows), 0, tuple(duplicates[:DUPLICATE_ROWS_KEPT]), log.head)
            receipt = self._commit(log, batch, rows, duplicates, {_date(row) for row in new})
            arrival = len(log.originals)
            log.versions += [_Version(arrival + n, receipt.commit.number, row) for n, row in enumerate(new)]
            return receipt

    def correct(self, amendment: Amendment) -> Receipt:
        """See `MarketStore.correct`."""
        with self._mutex:
            log, corrections = self._log(amendment.dataset, amendment.symbol), amendment.corrections
            replayed = _replayed(log, amendment, corrections)
            if replayed is not None:
                return replayed
            made = changes(corrections, _lives(log))
            applied = {change.place for change in made}
            duplicates = [place for place in range(len(corrections)) if place not in applied]
            if not made and amendment.request_key is None:
                return Receipt(len(corrections), 0, tuple(duplicates[:DUPLICATE_ROWS_KEPT]), log.head)
            dates = {_date(change.row) for change in made}
            receipt = self._commit(log, amendment, corrections, duplicates, dates)
            for change in made:
                _apply(log, change, receipt.commit.number)
            return receipt

    def rows(self, dataset: Dataset, symbol: str, window: Window, *, at: int | None = None) -> pa.Table:
        """See `MarketStore.rows`."""
        return visible(_stored(dataset, self._log(dataset, symbol)), at, window)

    def bars(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy = EVERY_PRINT,
        at: int | None = None,
    ) -> Bars:
        """See `MarketStore.bars`. They are cut out of the bars of all that is stored."""
        rows = ordered(_stored(TRADES, self._log(TRADES, symbol)))
        return within(window, bars_of_prints(prints_of(rows, policy, at=at), interval_ns))

    def session_bars(self, symbol: str, window: Window, *, policy: BarPolicy, at: int | None = None) -> Bars:
        """See `MarketStore.session_bars`."""
        rows = ordered(_stored(TRADES, self._log(TRADES, symbol)), window)
        return session_bars_of(rows, policy, at=at)

    def influence(
        self, symbol: str, window: Window, interval_ns: int, *, policy: BarPolicy, at: int | None = None
    ) -> Window:
        """See `MarketStore.influence`."""
        if policy.counts_every_print:
            return window
        later = Window(window.end_ns, ALL_TIME.end_ns)
        starts = self.bars(symbol, later, interval_ns, policy=policy, at=at).time_ns.tolist()
        return Window(
            window.start_ns, starts[0] + interval_ns if starts else max(window.end_ns, ALL_TIME.end_ns)
        )

    def revisions(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy,
        after: int,
        at: int | None = None,
    ) -> list[Revision]:
        """See `MarketStore.revisions`. Every commit's bars are made and compared with those before."""
        found: list[Revision] = []
        seen: set[int] = set()
        before = self.bars(symbol, window, interval_ns, policy=policy, at=0)
        for commit in self._log(TRADES, symbol).commits[:at]:
            now = self.bars(symbol, window, interval_ns, policy=policy, at=commit.id.number)
            for start in sorted(seen):
                values = values_at(before, start), values_at(now, start)
                if values[0] != values[1] and commit.id.number > after:
                    found.append(Revision(start, commit.id.number, commit.committed_at, *values))
            seen.update(now.time_ns.tolist())
            before = now
        return found

    def version(self, dataset: Dataset, symbol: str, window: Window, *, at: int | None = None) -> CommitId:
        """See `MarketStore.version`."""
        dates = range(window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS + 1)
        for commit in reversed(self._log(dataset, symbol).commits[:at]):
            if any(date in dates for date in commit.dates):
                return commit.id
        return NO_COMMIT

    def head(self, dataset: Dataset, symbol: str, *, at: int | None = None) -> CommitId:
        """See `MarketStore.head`."""
        commits = self._log(dataset, symbol).commits[:at]
        return commits[-1].id if commits else NO_COMMIT

    def commit_as_of(self, dataset: Dataset, symbol: str, instant_ns: int) -> int:
        """See `MarketStore.commit_as_of`."""
        return sum(commit.committed_at <= instant_ns for commit in self._log(dataset, symbol).commits)

    def instrument(self, symbol: str, *, as_of_ns: int | None = None) -> Instrument:
        """See `MarketStore.instrument`."""
        changes = [each for at, each in self._instruments[symbol] if as_of_ns is None or at <= as_of_ns]
        return changes[-1] if changes else Instrument(symbol)

    def set_instrument(self, instrument: Instrument) -> None:
        """See `MarketStore.set_instrument`."""
        self._instruments[instrument.symbol].append((self._clock(), instrument))

    def symbols(self, dataset: Dataset) -> list[str]:
        """See `MarketStore.symbols`."""
        logs = self._logs.items()
        return sorted(symbol for (name, symbol), log in logs if name == dataset.name and log.commits)

    def _log(self, dataset: Dataset, symbol: str) -> _Log:
        log = self._logs.get((dataset.name, symbol))
        if log is None or not log.commits:
            raise UnknownSymbol(symbol)
        return log

    def _commit(
        self,
        log: _Log,
        request: Append | Amendment,
        content: Sequence[object],
        duplicates: list[int],
        dates: set[int],
    ) -> Receipt:
        number, received = len(log.commits) + 1, len(content)
        chained = hashlib.sha256(f"{log.head.hash}{number}{content}".encode()).hexdigest()
        kept = tuple(duplicates[:DUPLICATE_ROWS_KEPT])
        receipt = Receipt(received, received - len(duplicates), kept, CommitId(number, chained))
        committed_at = max(self._clock(), log.commits[-1].committed_at + 1 if log.commits else 0)
        key = None if request.request_key is None else (request.caller, request.request_key)
        log.commits.append(_Commit(receipt.commit, committed_at, content, dates, key, receipt))
        return receipt


def _date(row: Row) -> int:
    time_ns = row["timestamp"]
    assert isinstance(time_ns, int)  # noqa: S101 the dataset's first column
    return time_ns // DAY_NS


def _replayed(log: _Log, request: Append | Amendment, content: Sequence[object]) -> Receipt | None:
    for commit in log.commits:
        if request.request_key is not None and commit.answer_to == (request.caller, request.request_key):
            if commit.request != content:
                raise RequestKeyReused
            return replace(commit.receipt, replayed=True)
    return None


def _duplicates(batch: Append, rows: list[Row], log: _Log) -> list[int]:
    if batch.dedupe is Dedupe.NONE:
        return []
    if batch.dedupe is Dedupe.BATCH:
        known = any(commit.request == rows for commit in log.commits)
        return list(range(len(rows))) if known else []
    stored = defaultdict(list)
    originals = {id(version) for version in log.originals.values()}
    for version in log.versions:
        row = _identified(batch.dataset, 0, version.values)
        if row.has_id or id(version) in originals:
            stored[row.identity].append(row.value)
    return stored_before([_identified(batch.dataset, place, row) for place, row in enumerate(rows)], stored)


def _identified(dataset: Dataset, place: int, row: Row) -> Identified:
    if not dataset.id_columns or row[dataset.id_columns[-1]] is None:
        return Identified(place, tuple(row.values()), None, has_id=False)
    identity = (_date(row), *(row[name] for name in dataset.id_columns))
    said = tuple(value for name, value in row.items() if name not in dataset.arrival_columns)
    return Identified(place, identity, said, has_id=True)


def _lives(log: _Log) -> list[Life]:
    lives: dict[int, Life] = {}
    for version in log.versions:
        life = lives.setdefault(version.arrival, Life(version.arrival, []))
        life.states.append(version.values)
        life.stands = version.until == STANDS
    return [lives[arrival] for arrival in sorted(lives)]


def _apply(log: _Log, change: Change, number: int) -> None:
    standing = next(v for v in log.versions if v.arrival == change.arrival and v.until == STANDS)
    standing.until = number
    if change.action is Action.CORRECT:
        log.versions.append(_Version(change.arrival, number, change.row))


def _stored(dataset: Dataset, log: _Log) -> pa.Table:
    rows = [
        {**version.values, "arrival": version.arrival, "commit": version.commit, "until": version.until}
        for version in log.versions
    ]
    return pa.Table.from_pylist(rows, schema=stored_schema(dataset))
