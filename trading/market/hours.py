"""The sessions of instruments and their stored halts: when they trade, when a day order ends, and when a closed market opens."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from calendars.schedule import Hours
from calendars.trading_calendar import date_of_row, start_of_row
from stats.market_data.ohlcv.halts import Halts
from store.arrays import Integers, Mask
from store.datasets import TRADING_STATUS
from store.instrument_calendars import calendar_if_known
from store.instruments import FUTURE, Instrument
from store.log_views.log_view import last_row, view_of
from store.market_store import MarketStore
from store.protocol import NO_COMMIT, CommitId, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

# Holidays are shorter; only the New York Stock Exchange in 1914 was closed for longer than a few weeks.
_LOOKBACK_DAYS = 200


def is_in_session(instrument: Instrument, instants: Integers) -> Mask:
    """Return which instants are in regular sessions. An instrument without a known calendar trades at all hours."""
    calendar = calendar_if_known(instrument)
    if calendar is None or not len(instants):
        return np.ones(len(instants), np.bool_)
    segments = calendar.around(int(instants.min()), int(instants.max())).segments(Hours.REGULAR)
    index = segments.start_ns.searchsorted(instants, side="right") - 1
    is_in: Mask = (index >= 0) & (instants < segments.end_ns[index])
    return is_in


def bar_begins_in_session(instrument: Instrument, start_ns: int, end_ns: int) -> bool:
    """Return whether a stored bar may fill orders: it begins in a regular session, or is of a day or longer."""
    return end_ns - start_ns >= DAY_NS or bool(is_in_session(instrument, np.array([start_ns]))[0])


def bars_of_sessions(instrument: Instrument, starts_ns: Integers, ends_ns: Integers) -> Mask:
    """Return which stored bars have a price of regular sessions: those that begin or end in one.

    A bar of a day does unless the exchange is closed on its date; a longer bar always does.
    """
    is_inside = is_in_session(instrument, starts_ns) | is_in_session(instrument, ends_ns - 1)
    is_of_days = ends_ns - starts_ns >= DAY_NS
    calendar = calendar_if_known(instrument)
    if calendar is not None and is_of_days.any():
        days = starts_ns[is_of_days] // DAY_NS
        # Other bars of days have the time of an instant in their session, such as its open.
        is_date = (starts_ns[is_of_days] % DAY_NS == 0) & (ends_ns - starts_ns == DAY_NS)[is_of_days]
        is_inside[is_of_days] = ~(is_date & calendar.is_closed(days))
    return is_inside


def session_begin_ns(instrument: Instrument, at_ns: int) -> int | None:
    """Return when the market opened that is open at an instant; None if it is closed, or never is."""
    calendar = calendar_if_known(instrument)
    if calendar is None:
        return None
    segments = calendar.around(at_ns, at_ns).segments(Hours.REGULAR)
    index = int(segments.start_ns.searchsorted(at_ns, side="right")) - 1
    is_open = index >= 0 and at_ns < segments.end_ns[index]
    return int(segments.start_ns[index]) if is_open else None


def session_end_ns(instrument: Instrument, at_ns: int) -> int | None:
    """Return when a day order that is accepted at an instant ends: at the next close of a regular session.

    Without a known calendar it is the end of the UTC date. None if the calendar knows no later session.
    """
    calendar = calendar_if_known(instrument)
    if calendar is None:
        return (at_ns // DAY_NS + 1) * DAY_NS
    closes = calendar.from_instant(at_ns).close_ns
    later = closes[closes > at_ns]
    return int(later[0]) if len(later) else None


def last_session_end_ns(instrument: Instrument) -> int | None:
    """Return when the last session of a future ends: that of its expiry, or, if it has none, the one before.

    Without a known calendar it is the end of the expiry in UTC. None without an expiry, and for other instruments.
    """
    if instrument.instrument_class != FUTURE or instrument.expiry is None:
        return None
    return _last_close_ns(instrument)


@lru_cache(maxsize=1_000)
def _last_close_ns(instrument: Instrument) -> int:
    day = (date.fromisoformat(instrument.expiry or "") - date(1970, 1, 1)).days
    calendar = calendar_if_known(instrument)
    if calendar is None:
        return (day + 1) * DAY_NS
    closes = calendar.usual.on_dates(day - _LOOKBACK_DAYS, day).close_ns
    return int(closes[-1]) if len(closes) else (day + 1) * DAY_NS


def last_end_ns(begin_ns: int, length_ns: int, end_ns: int) -> int:
    """Return the end of the last bar that begins before an instant, of bars as long as one that begins at `begin_ns`."""
    return end_ns + (begin_ns - end_ns) % length_ns


def dates_end_ns(begin_ns: int, end_ns: int) -> int:
    """Return when the dates of a stored bar end. The end of a bar of months is that of the longest months."""
    months, rest_ns = divmod(end_ns - begin_ns, Resolution.MONTH.length_ns)
    if rest_ns:
        return end_ns
    number = Resolution.MONTH.number_of(np.array([begin_ns])) + months
    return int(Resolution.MONTH.start_ns(number)[0])


def next_open_ns(instrument: Instrument, at_ns: int) -> int | None:
    """Return the first instant from `at_ns` on that is in a regular session: `at_ns` itself if the market is open.

    None if the calendar knows no later session.
    """
    calendar = calendar_if_known(instrument)
    if calendar is None:
        return at_ns
    segments = calendar.from_instant(at_ns).segments(Hours.REGULAR)
    later = np.flatnonzero(segments.end_ns > at_ns)
    return max(at_ns, int(segments.start_ns[later[0]])) if len(later) else None


def last_open_ns(instrument: Instrument, at_ns: int) -> int:
    """Return `at_ns` if a regular session is open, else when the last one closed. `at_ns` without a session before."""
    calendar = calendar_if_known(instrument)
    if calendar is None:
        return at_ns
    day = at_ns // DAY_NS
    segments = calendar.on_dates(day - _LOOKBACK_DAYS, day + 1).segments(Hours.REGULAR)
    index = int(segments.start_ns.searchsorted(at_ns, side="right")) - 1
    return at_ns if index < 0 else min(at_ns, int(segments.end_ns[index]))


def bar_start_ns(instrument: Instrument, start_ns: int, end_ns: int) -> int:
    """Return when a stored bar began: one of days or longer with the trading date of its start."""
    is_of_days = end_ns - start_ns >= DAY_NS
    return start_of_row(start_ns, calendar_if_known(instrument)) if is_of_days else start_ns


def first_price_ns(instrument: Instrument, start_ns: int, end_ns: int) -> int:
    """Return when a stored bar had its first price: one of days or longer at the open of its first session."""
    began_ns = bar_start_ns(instrument, start_ns, end_ns)
    if end_ns - start_ns < DAY_NS:
        return began_ns
    opens_ns = next_open_ns(instrument, began_ns)
    return began_ns if opens_ns is None or opens_ns >= end_ns else opens_ns


def ex_dates(instrument: Instrument, instants: Integers) -> tuple[Integers, Integers]:
    """Return the trading dates of corporate actions, days since 1970, and when they take effect.

    instants: their stored times.
    """
    calendar = calendar_if_known(instrument)
    effects = [start_of_row(time_ns, calendar) for time_ns in instants.tolist()]
    return date_of_row(instants, calendar), np.array(effects, np.int64)


@dataclass(frozen=True, slots=True)
class SymbolHalts:
    """The halts of an instrument, from an instant on."""

    halts: Halts

    def begun_ns(self, at_ns: int) -> int | None:
        """Return when the halt began that an instant is in; None if trading goes on."""
        starts_ns, ends_ns = self.halts.spans
        index = int(starts_ns.searchsorted(at_ns, side="right")) - 1
        is_halted = index >= 0 and at_ns < ends_ns[index]
        return int(starts_ns[index]) if is_halted else None

    def stops_bar(self, start_ns: int, end_ns: int) -> bool:
        """Return whether a stored bar fills nothing.

        A bar does not if it begins in a halt; a bar of a day or longer if all its sessions are halted.
        """
        if end_ns - start_ns < DAY_NS:
            return self.begun_ns(start_ns) is not None
        calendar = self.halts.calendar
        if calendar is not None:
            first = int(date_of_row(np.array([start_ns]), calendar)[0])
            schedule = calendar.on_dates(first, first + (end_ns - start_ns) // DAY_NS - 1)
            if len(schedule):
                start_ns, end_ns = int(schedule.open_ns[0]), int(schedule.close_ns[-1])
        window = Window(start_ns, end_ns)
        return bool(
            self.halts.covers(np.array([start_ns]), np.array([end_ns]), window=window, hours=Hours.REGULAR)[0]
        )


def symbol_halts(
    store: MarketStore, instrument: Instrument, commit: CommitId, from_ns: int
) -> SymbolHalts | None:
    """Return the halts of an instrument at a commit of its `trading_status`; None if there are none.

    from_ns: from when on instants, and starts of bars, are asked for. Raises `StorageError`s.
    """
    if commit == NO_COMMIT:
        return None
    changes = view_of(store.log(TRADING_STATUS, instrument.symbol).at(commit.number))
    # The session of a day's bar may begin on the date before, as in Sydney. The change before may be a halt that goes on.
    begin_ns = from_ns - DAY_NS
    before = last_row(changes, begin_ns)
    begin_ns = begin_ns if before is None else before.column("timestamp")[0].as_py()
    halts = Halts(changes, calendar_if_known(instrument), begin_ns)
    return SymbolHalts(halts) if len(halts.spans[0]) else None
