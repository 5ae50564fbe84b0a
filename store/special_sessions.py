"""Special sessions: an instrument's rows prove that it traded on a date on which its calendar is closed.

A bar of a day proves its date; the hours are the calendar's usual ones. Trades prove it if they are spread over at least an
hour, and so do bars shorter than a day that have volume; the hours are their extent. Fewer rows stay outside of sessions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from calendars.schedule import SpecialSession
from calendars.trading_calendar import NOT_CLOSED, TradingCalendar
from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.instrument_calendars import calendar_if_known, have_same_calendar
from store.instruments import SPECIAL_SESSIONS_LIMIT, Instrument
from store.lazy_imports import compute as pc
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS

if TYPE_CHECKING:
    from store.log import Log, Snapshot
    from store.market_store import MarketStore
    from store.protocol import Append

_EPOCH = date(1970, 1, 1)
_SHORTEST_MINUTES = 60
# Hours of trades are widened to whole quarters of an hour, at which exchanges open and close. Whole minutes would make
# a live feed declare them anew every minute.
_QUARTER_NS = 15 * MINUTE_NS


def prove_sessions(store: MarketStore, batch: Append) -> None:
    """Declare the special sessions that the rows of a batch prove, together with the stored rows of their dates.

    batch: has been stored. Raises the errors of reads and of `MarketStore.append`.
    """
    if batch.dataset not in (BARS, TRADES) or not batch.rows.num_rows:
        return
    calendar = calendar_if_known(store.instrument(batch.symbol))
    if calendar is not None:
        sessions = list(_proved(store.log(batch.dataset, batch.symbol), batch.rows, calendar))
        if sessions:
            store.add_special_sessions(batch.symbol, sessions)


def with_stored_sessions(store: MarketStore, instrument: Instrument) -> Instrument:
    """Return an instrument that is about to be declared, with the special sessions that its stored rows prove.

    Rows are only read if the declaration gives it another calendar; then no other sessions are kept. Raises the errors
    of reads.
    """
    if have_same_calendar(instrument, store.instrument(instrument.symbol)):
        return instrument
    instrument = msgspec.structs.replace(instrument, special_sessions=())
    calendar = calendar_if_known(instrument)
    if calendar is None:
        return instrument
    sessions = list[SpecialSession]()
    for dataset in (BARS, TRADES):
        log = store.log(dataset, instrument.symbol)
        with suppress(UnknownSymbol):
            for rows in _rows_of_closed_dates(log.at(), calendar):
                if len(sessions) >= SPECIAL_SESSIONS_LIMIT:
                    break
                sessions += _proved(log, rows, calendar)
    return instrument.with_sessions(sessions)


def sessions_of_exchange(store: MarketStore, exchange: str) -> tuple[SpecialSession, ...]:
    """Return the special sessions, by date, that two or more instruments of an exchange have proved.

    Instruments with a calendar of their own do not count. Raises the errors of reads.
    """
    found = defaultdict[date, list[SpecialSession]](list)
    for instrument in store.declared_instruments():
        if instrument.exchange == exchange and instrument.calendar is None:
            for session in instrument.special_sessions:
                found[session.date].append(session)
    return tuple(reduce(SpecialSession.joined, found[day]) for day in sorted(found) if len(found[day]) > 1)


def unproved_dates(
    store: MarketStore, dataset: Dataset, symbol: str, times: Integers
) -> list[tuple[date, int]]:
    """Return the closed dates on which trades that are not stored yet stay outside of sessions, and their number.

    times: of the trades, nanoseconds UTC. Other datasets have none. Raises the errors of reads.
    """
    calendar = calendar_if_known(store.instrument(symbol))
    if dataset is not TRADES or calendar is None:
        return []
    dates = calendar.closed_dates_of(times)
    of_days = ((day, times[dates == day]) for day in np.unique(dates[dates != NOT_CLOSED]).tolist())
    return [(_date(day), len(own)) for day, own in of_days if not _is_long(int(own.min()), int(own.max()))]


def _proved(log: Log, rows: pa.RecordBatch | pa.Table, calendar: TradingCalendar) -> Iterator[SpecialSession]:
    """Yield the sessions that rows of a log prove and that the calendar lacks, in whole or in part.

    Dates that begin after the log's last commit prove nothing: nobody has traded on them yet.
    """
    usual, known = calendar.usual, {each.date: each for each in calendar.special}
    times = rows.column("timestamp").to_numpy()
    of_days, within_days = _day_bars(rows), _within_days(rows)
    days = np.unique(times[of_days] // DAY_NS)
    begun = _begun(log, days[usual.is_closed(days)], calendar)
    yield from (SpecialSession(day) for day in map(_date, begun) if day not in known)
    times = times[within_days]
    dates = usual.closed_dates_of(times)
    for day in _begun(log, np.unique(dates[dates != NOT_CLOSED]), calendar):
        own = times[dates == day]
        session = known.get(_date(day))
        if session is None or not session.includes(_instant(own.min()), _instant(own.max())):
            yield from _session_of_trades(log.at(), day, calendar)


def _begun(log: Log, days: Integers, calendar: TradingCalendar) -> list[int]:
    """Return the local dates, days since 1970, that had begun at a log's last commit."""
    if not len(days):
        return []
    begun: list[int] = days[calendar.midnights(days) <= log.end().committed_at].tolist()
    return begun


def _session_of_trades(snapshot: Snapshot, day: int, calendar: TradingCalendar) -> Iterator[SpecialSession]:
    """Yield the session of a local date's trades, or bars, if they are spread over an hour."""
    begin_ns, end_ns = calendar.midnights(np.array([day, day + 1])).tolist()
    rows = _outer_rows(snapshot, Window(begin_ns, end_ns).within(ALL_TIME))
    rows = rows.filter(pa.array(_within_days(rows)))
    if not rows.num_rows:
        return
    starts = rows.column("timestamp").to_numpy()
    first_ns, last_ns = int(starts.min()), int((starts + _lengths(rows)).max())
    if _is_long(first_ns, last_ns):
        open_ns = max(first_ns // _QUARTER_NS * _QUARTER_NS, begin_ns)
        close_ns = min((last_ns // _QUARTER_NS + 1) * _QUARTER_NS, end_ns)
        yield SpecialSession(_date(day), _instant(open_ns), _instant(close_ns))


def _rows_of_closed_dates(snapshot: Snapshot, calendar: TradingCalendar) -> Iterator[pa.Table]:
    """Yield the outer rows of each local date on which the calendar is closed."""
    dates, _ = snapshot.touched_dates(Window(snapshot.expired.before_ns, ALL_TIME.end_ns))
    days = np.unique(np.concatenate([dates - 1, dates, dates + 1]))
    days = days[calendar.is_closed(days)]
    # A bar of a day is stored at the date's midnight UTC, which may be outside of the local date.
    begins = np.minimum(calendar.midnights(days), days * DAY_NS)
    ends = np.maximum(calendar.midnights(days + 1), days * DAY_NS + 1)
    has_rows = dates.searchsorted(begins // DAY_NS) < dates.searchsorted((ends - 1) // DAY_NS, side="right")
    for begin_ns, end_ns in zip(begins[has_rows].tolist(), ends[has_rows].tolist(), strict=True):
        yield _outer_rows(snapshot, Window(begin_ns, end_ns).within(ALL_TIME))


def _outer_rows(snapshot: Snapshot, window: Window) -> pa.Table:
    """Return the first and the last trades of a window, or all bars."""
    if snapshot.log.dataset is BARS:
        return snapshot.rows(window)
    parts = (snapshot.take_window(window, 1, from_end=from_end) for from_end in (False, True))
    return pa.concat_tables([snapshot.rows(part) for part in parts])


def _day_bars(rows: pa.RecordBatch | pa.Table) -> Mask:
    """Return which rows are bars of a day."""
    if "resolution" not in rows.schema.names:
        return np.zeros(rows.num_rows, np.bool_)
    return np.asarray(pc.equal(rows.column("resolution"), Resolution.DAY.value))


def _within_days(rows: pa.RecordBatch | pa.Table) -> Mask:
    """Return which rows are trades, or bars shorter than a day of which the volume is not 0.

    Some vendors fill nights and weekends with bars without volume.
    """
    if "resolution" not in rows.schema.names:
        return np.ones(rows.num_rows, np.bool_)
    has_volume = np.asarray(pc.fill_null(pc.not_equal(rows.column("volume"), 0), True))
    return has_volume & (_lengths(rows) < DAY_NS - 1)


def _lengths(rows: pa.RecordBatch | pa.Table) -> Integers:
    """Return the time, nanoseconds, from each row's start to its last instant."""
    if "resolution" not in rows.schema.names:
        return np.zeros(rows.num_rows, np.int64)
    coded = pc.dictionary_encode(rows.column("resolution"))
    coded = coded if isinstance(coded, pa.DictionaryArray) else coded.combine_chunks()
    names = coded.dictionary.to_pylist()
    lengths = np.array([Resolution.parse(name).length_ns for name in names], np.int64)
    found: Integers = lengths[coded.indices.to_numpy()] - 1
    return found


def _is_long(first_ns: int, last_ns: int) -> bool:
    """Return whether the whole minutes from a first to a last trade are at least an hour."""
    return -(-last_ns // MINUTE_NS) - first_ns // MINUTE_NS >= _SHORTEST_MINUTES


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)


def _instant(time_ns: int) -> datetime:
    return datetime.fromtimestamp(int(time_ns) // SECOND_NS, UTC)
