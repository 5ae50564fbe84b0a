"""Option contracts: an option's terms, taken from its instrument."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from calendars.schedule import Hours
from calendars.trading_calendar import TradingCalendar
from stats.options.expiry import Settlement, TradingDates, last_trade_ns
from store.index_options import INDEX_OPTIONS
from store.instrument_calendars import calendar_if_known
from store.instruments import Instrument, default_instrument
from store.timestamps import format_timestamp

_EPOCH = date(1970, 1, 1)
# How many days to look back for the previous trading date. No exchange was closed for longer.
_LONGEST_CLOSURE_DAYS = 400


@dataclass(frozen=True, slots=True)
class OptionContract:
    """An option's terms.

    expiry: days since 1970. last_trade_ns: nanoseconds UTC. currency: None if unknown.
    """

    symbol: str
    underlying: str
    expiry: int
    last_trade_ns: int
    strike: float
    is_call: bool
    american: bool
    currency: str | None

    @property
    def class_key(self) -> tuple[int, int, bool]:
        """The key by which options with the same forward are grouped."""
        return self.expiry, self.last_trade_ns, self.american

    def terms(self) -> dict[str, Any]:
        """Return the terms, as fields of an answer."""
        return {
            "underlying": self.underlying,
            "expiry": (_EPOCH + timedelta(days=self.expiry)).isoformat(),
            "strike": self.strike,
            "right": "call" if self.is_call else "put",
            "exercise": "american" if self.american else "european",
            "last_trade": format_timestamp(self.last_trade_ns),
        }


def contract_of(option: Instrument, underlying: Instrument) -> OptionContract | None:
    """Return an option's terms; None if its underlying, expiry, strike or right is unknown.

    The option has its own calendar or, if that is not known, the underlying's. Without either it trades on weekdays
    until 16:00 in New York. An exchange without known hours is not an error, because one option would then make the
    whole chain fail. Undeclared exercise and settlement are those of its OCC symbol. Without an OCC symbol the exercise
    is that of the options on its index, or American, and the settlement PM.
    """
    if option.underlying is None or option.expiry is None or option.strike is None or option.right is None:
        return None
    expiry, by_symbol = date.fromisoformat(option.expiry), default_instrument(option.symbol)
    index = INDEX_OPTIONS.get(option.underlying)
    exercise = option.exercise or by_symbol.exercise or (index and index.exercise)
    settlement = Settlement(option.settlement or by_symbol.settlement or Settlement.PM)
    return OptionContract(
        symbol=option.symbol,
        underlying=option.underlying,
        expiry=(expiry - _EPOCH).days,
        last_trade_ns=_last_trade(expiry, settlement, _calendar(option, underlying)),
        strike=option.strike,
        is_call=option.right == "call",
        american=exercise != "european",
        currency=option.currency or underlying.currency,
    )


def _calendar(option: Instrument, underlying: Instrument) -> TradingCalendar | None:
    calendar = calendar_if_known(option) or calendar_if_known(underlying)
    return None if calendar is None else calendar.usual


@lru_cache(maxsize=4096)
def _last_trade(expiry: date, settlement: Settlement, calendar: TradingCalendar | None) -> int:
    return last_trade_ns(expiry, settlement, None if calendar is None else trading_dates(calendar))


def trading_dates(calendar: TradingCalendar) -> TradingDates:
    """Return a calendar's trading dates, and the close of each date's regular session."""

    def close_of(day: date) -> int | None:
        day_number = (day - _EPOCH).days
        closes = calendar.on_dates(day_number, day_number).closes_ns(Hours.REGULAR)
        return int(closes[0]) if len(closes) else None

    def previous(day: date) -> date:
        day_number = (day - _EPOCH).days
        dates = calendar.on_dates(day_number - _LONGEST_CLOSURE_DAYS, day_number - 1).date
        return _EPOCH + timedelta(days=int(dates[-1]))

    return TradingDates(close_of, previous)


def column_of(contracts: list[OptionContract], name: str, dtype: type) -> np.ndarray[Any, Any]:
    """Return an attribute of the contracts as an array."""
    return np.array([getattr(contract, name) for contract in contracts], dtype)
