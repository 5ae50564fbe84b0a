"""Expires rows of a log: keeps their bars, records the expiry, and a day later deletes the rows (`docs/retention.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from store import lazy_pyarrow as pa
from store.datasets import KEPT_BARS, OPTION_QUOTES, QUOTES, TRADES
from store.declarations import Dataset
from store.exceptions import CommitConflict
from store.kept_bars import check_kept, kept_rows, made_aggregates
from store.log import Snapshot
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Append, CommitId, Dedupe, Expiry, Window
from store.timestamps import DAY_NS

EXPIRING = (TRADES, QUOTES, OPTION_QUOTES)
"""The datasets whose rows can expire: those with a file for each date."""

REMOVED_AFTER_NS = DAY_NS
"""Rows stay so long after the record of their expiry, so that a copy or backup that began before it is whole."""

CALLER = "retention"
# So many dates get one record: what a killed run has to do again.
_DATES_AT_ONCE = 16
_TRIES = 5


@dataclass(frozen=True, slots=True)
class LogExpiry:
    """What would expire of one log. dates: days since 1970. rows, bytes: about how many these dates have."""

    dataset: Dataset
    symbol: str
    before_ns: int
    dates: tuple[int, ...]
    rows: int = 0
    bytes: int = 0


def planned(store: MarketStore, dataset: Dataset, symbol: str, before_ns: int) -> LogExpiry:
    """Return what would expire of a log. before_ns: a midnight UTC. Raises `UnknownSymbol`.

    The newest date with rows never expires: a symbol keeps its last price.
    """
    snapshot = store.log(dataset, symbol).at()
    if (extent := snapshot.extent(ALL_TIME)) is not None:
        before_ns = min(before_ns, extent[1] * DAY_NS)
    dates = _dates(snapshot, before_ns)
    if not dates:
        return LogExpiry(dataset, symbol, before_ns, ())
    begin, end = (store.bytes_before(dataset, symbol, each) for each in (dates[0] * DAY_NS, before_ns))
    rows = snapshot.row_bound(Window(dates[0] * DAY_NS, before_ns))
    return LogExpiry(dataset, symbol, before_ns, tuple(dates), rows, end - begin)


def expire(store: MarketStore, plan: LogExpiry) -> None:
    """Keep the bars of a log's dates before the plan's end, and record their expiry. A run that was killed can be repeated.

    Two runs at once keep the bars of each date once. Raises `CommitConflict` if rows of these dates keep coming, and
    `DataDamaged` if the kept bars differ from those made of the trades; then nothing more expires.
    """
    conflicts = 0
    while dates := _dates(snapshot := store.log(plan.dataset, plan.symbol).at(), plan.before_ns):
        now = dates[:_DATES_AT_ONCE]
        end_ns = plan.before_ns if now == dates else (now[-1] + 1) * DAY_NS
        try:
            kept = _keep_bars(store, snapshot, now) if plan.dataset is TRADES else 0
            _record_unchanged(store, snapshot, Expiry(Window(now[0] * DAY_NS, end_ns), kept))
            conflicts = 0
        except CommitConflict:
            conflicts += 1
            if conflicts == _TRIES:
                raise


def remove_due(store: MarketStore, dataset: Dataset, symbol: str, now_ns: int) -> int:
    """Delete the rows of a log that expired at least a day ago; return about how many bytes they took.

    First a record says so. A run that was killed can be repeated. Raises `UnknownSymbol`, `StoreUnavailable`.
    """
    snapshot = store.log(dataset, symbol).at()
    due_ns, start_ns = snapshot.expired.due_ns(now_ns - REMOVED_AFTER_NS), snapshot.expired.removed_before_ns
    if due_ns > start_ns:
        _record(store, snapshot, Expiry(Window(start_ns, due_ns), is_removed=True))
    return store.remove_expired(dataset, symbol) if max(due_ns, start_ns) > ALL_TIME.start_ns else 0


def _dates(snapshot: Snapshot, before_ns: int) -> list[int]:
    """Return the dates before an instant, days since 1970, that have rows and have not expired."""
    window = Window(snapshot.expired.before_ns, before_ns)
    dates: list[int] = snapshot.touched_dates(window)[0].tolist() if window.start_ns < before_ns else []
    return dates


def _keep_bars(store: MarketStore, snapshot: Snapshot, dates: Sequence[int]) -> int:
    """Store the bars of dates, and read them back; return the number of their commit, 0 without bars."""
    log, made = snapshot.log, {day: made_aggregates(snapshot, day) for day in dates}
    bars = pa.concat_tables([kept_rows(each) for each in made.values()])
    if not bars.num_rows:
        return 0
    (rows,) = bars.combine_chunks().to_batches()
    kept = store.append(Append(KEPT_BARS, log.symbol, rows, CALLER, Dedupe.NONE)).commit.number
    for day, aggregates in made.items():
        check_kept(snapshot, day, aggregates, kept)
    return kept


def _record_unchanged(store: MarketStore, snapshot: Snapshot, expiry: Expiry) -> None:
    """Record an expiry. Raises `CommitConflict` if rows of its dates came since a snapshot, or another run recorded it."""
    newest, dates = snapshot.log.at(), Window(ALL_TIME.start_ns, expiry.window.end_ns)
    before, now = ((each.expired.before_ns, each.version(dates)) for each in (snapshot, newest))
    if before != now:
        raise CommitConflict
    _record(store, newest, expiry, after=newest.commit)


def _record(store: MarketStore, snapshot: Snapshot, expiry: Expiry, *, after: CommitId | None = None) -> None:
    log = snapshot.log
    rows = pa.RecordBatch.from_pylist([], schema=log.dataset.schema)
    store.append(Append(log.dataset, log.symbol, rows, CALLER, Dedupe.NONE, after=after, expiry=expiry))
