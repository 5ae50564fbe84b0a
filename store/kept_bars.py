"""Keeps the aggregates of expired trades, from which bars go on to be made, equal bit by bit (`docs/retention.md`).

Three lengths are kept: minutes under each bar policy, seconds of the prints of auctions, and the days of a policy's daily
table. Aggregates of minutes make those of all longer intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BAR_POLICIES, EVERY_PRINT, BarPolicy
from store.bars.aggregates import AFTER_ALL, BEFORE_ALL, COLUMNS, NO_AGGREGATES, Aggregates
from store.bars.session_bars import aggregate_rows
from store.datasets import KEPT_BARS, TRADES
from store.exceptions import DataDamaged
from store.expiries import ExpiredDates
from store.log import Log, Snapshot
from store.protocol import Window
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS

# So many dates are read at once.
_DATES_AT_ONCE = 64
# What an aggregate without a print has there; other columns have NaN.
_MISSING = dict.fromkeys(("first_time", "first_sequence", "first_arrival"), AFTER_ALL) | dict.fromkeys(
    ("last_time", "last_sequence", "last_arrival"), BEFORE_ALL
)
# Two stores number the arrivals of an interval differently; no bar depends on it.
_COMPARED = COLUMNS.keys() - {"first_arrival", "last_arrival"}

Made: TypeAlias = list[tuple[BarPolicy, Aggregates]]


def kept_length(policy: BarPolicy) -> int:
    """Return the length in nanoseconds of the kept aggregates under a policy."""
    return DAY_NS if policy.is_session else SECOND_NS if policy.is_auction else MINUTE_NS


def made_aggregates(snapshot: Snapshot, day: int) -> Made:
    """Return the aggregates of `kept_length` of an event date (days since 1970), made of its trades."""
    versions = snapshot.versions(_date(day))
    return [(policy, aggregate_rows(versions, kept_length(policy), policy)) for policy in _policies()]


def kept_rows(made: Made) -> pa.Table:
    """Return the rows of `KEPT_BARS` of a date.

    Minutes that are the same under a policy with a daily table and under the policy `all` are kept once.
    """
    every = next(aggregates for policy, aggregates in made if policy.key == EVERY_PRINT.key)
    parts = [
        _rows_of(aggregates, policy)
        for policy, aggregates in made
        if policy.daily is None or kept_length(policy) != MINUTE_NS or not _is_equal(aggregates, every)
    ]
    return pa.concat_tables(parts)


def check_kept(snapshot: Snapshot, day: int, made: Made, kept: int) -> None:
    """Raise `DataDamaged` unless a commit of kept bars has the aggregates of a date's trades."""
    log, expired = snapshot.log, ExpiredDates(kept=(kept,))
    kept_log = log.log_of(KEPT_BARS, log.symbol)
    for policy, aggregates in made:
        if not _is_equal(aggregates, kept_aggregates(kept_log, _date(day), policy, expired)):
            raise DataDamaged(
                f"the kept bars of {log.symbol} differ from those of its trades: nothing has expired"
            )


def kept_aggregates(log: Log, window: Window, policy: BarPolicy, expired: ExpiredDates) -> Aggregates:
    """Return a window's kept aggregates under a policy, of `kept_length`, ascending. log: of `KEPT_BARS`.

    Raises `DataDamaged` if commits of kept bars are missing, and `Expired` if a later version has another policy of this
    name.
    """
    head = log.end().head
    if head.number < max(expired.kept, default=0):
        raise DataDamaged(
            f"kept bars of {log.symbol} are missing: restore kept_bars/{log.symbol} from a backup"
        )
    snapshot = log.at(head)
    parts = [_read(snapshot, part, policy, expired) for part in _parts(window)]
    return Aggregates.joined([part for part in parts if len(part)] or [NO_AGGREGATES])


def _date(day: int) -> Window:
    return Window(day * DAY_NS, (day + 1) * DAY_NS)


def _policies() -> Iterator[BarPolicy]:
    for policy in BAR_POLICIES.values():
        yield from (policy, policy.auctions)
        if policy.daily is not None:
            yield policy.session


def _parts(window: Window) -> Iterator[Window]:
    step_ns = _DATES_AT_ONCE * DAY_NS
    for start_ns in range(window.start_ns // step_ns * step_ns, window.end_ns, step_ns):
        yield Window(start_ns, start_ns + step_ns).within(window)


def _read(snapshot: Snapshot, window: Window, policy: BarPolicy, expired: ExpiredDates) -> Aggregates:
    rows = snapshot.versions(window)
    rows = rows.filter(pa.array(np.isin(rows.column("commit").to_numpy(), expired.kept)))
    encoded = rows.column("policy").combine_chunks().dictionary_encode()
    codes, keys = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    days = rows.column("timestamp").to_numpy() // DAY_NS

    def places_of(is_wanted: Callable[[str], bool]) -> Integers:
        return np.flatnonzero(np.isin(codes, [code for code, key in enumerate(keys) if is_wanted(key)]))

    own, every = places_of(policy.key.__eq__), places_of(EVERY_PRINT.key.__eq__)
    known = places_of(lambda key: key.startswith(f"{policy.name}-{policy.fingerprint}"))
    if len(np.setdiff1d(days[every], days[known])):
        raise expired.error(
            TRADES, snapshot.log.symbol, f"bars under the present policy {policy.name}, and the trades,"
        )
    if kept_length(policy) == MINUTE_NS and len(every) and policy.key != EVERY_PRINT.key:
        own = np.sort(np.append(own, every[~np.isin(days[every], days[own])]))
    return _aggregates_of(rows.take(pa.array(own)))


def _rows_of(aggregates: Aggregates, policy: BarPolicy) -> pa.Table:
    count, arrays = len(aggregates), dict[str, object]()
    for name in COLUMNS:
        values = getattr(aggregates, name)
        is_missing = values == _MISSING[name] if name in _MISSING else np.isnan(values.astype(np.float64))
        arrays["timestamp" if name == "time" else name] = pa.array(values, mask=is_missing)
    arrays["policy"] = pa.array([policy.key] * count, "string")
    arrays["seconds"] = pa.array(np.full(count, kept_length(policy) // SECOND_NS))
    return pa.table({name: arrays[name] for name in KEPT_BARS.schema.names}, schema=KEPT_BARS.schema)


def _aggregates_of(rows: pa.Table) -> Aggregates:
    columns = {}
    for name, kind in COLUMNS.items():
        column = rows.column("timestamp" if name == "time" else name)
        filled = column.fill_null(_MISSING[name]) if name in _MISSING else column
        columns[name] = filled.to_numpy().astype(kind)
    return Aggregates(**columns)


def _is_equal(some: Aggregates, other: Aggregates) -> bool:
    return len(some) == len(other) and all(
        np.array_equal(getattr(some, name), getattr(other, name), equal_nan=True) for name in _COMPARED
    )
