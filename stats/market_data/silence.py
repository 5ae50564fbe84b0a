"""The silence of an exchange: minutes in which none of its symbols had a trade, judged by all of them together."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from calendars.trading_calendar import TradingCalendar, exchange_calendar
from stats.market_data.gaps import GapsQuery, absences_of, bars_page
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.ohlcv.gap_evidence import LEAST_EXPECTED, GapEvidence
from stats.market_data.query import class_of
from stats.parameters import Bound
from store.instrument_calendars import calendar_if_known
from store.protocol import Window
from store.resolutions import Resolution
from trades.stores import market_store


@dataclass(frozen=True, slots=True)
class Silence:
    """Minutes in which no symbol of an exchange had a trade. expected_trades: of all of them, at the least."""

    start_ns: int
    end_ns: int
    expected_trades: float
    symbols: int


def exchange_silence(exchange: str, day: int, *, now_ns: int) -> list[Silence]:
    """Return the regular minutes of a date in which all symbols of an exchange together were too silent.

    exchange: MIC. day: days since 1970. The silence has a probability below 1e-6, by the product over the symbols, each
    judged by its own dates before. Instruments with a calendar of their own are left out.
    Raises `UnknownExchange` and the store's errors.
    """
    calendar = exchange_calendar(exchange)
    dates = calendar.on_dates(day, day)
    if not len(dates):
        return []
    window = Window(int(dates.start_ns[0]), int(dates.end_ns[0]))
    symbols = list(_symbols_on(calendar, exchange))
    evidence_of = partial(_evidence, window, now_ns)
    silent = None
    for symbol in symbols:
        activity = evidence_of(symbol).activity(window)
        runs = activity.open_runs if silent is None else silent
        silent = runs[runs.is_regular].within(window.start_ns, window.end_ns).without(*activity.blocks)
        if not len(silent):
            break
    if silent is None or not len(silent):
        return []
    judges = map(evidence_of, symbols)
    expected = sum(
        (judge.expected(judge.activity(window), silent) for judge in judges), np.zeros(len(silent))
    )
    columns = (silent.start_ns.tolist(), silent.end_ns.tolist(), expected.tolist())
    return [
        Silence(start_ns, end_ns, round(trades, 3), len(symbols))
        for start_ns, end_ns, trades in zip(*columns, strict=True)
        if trades > LEAST_EXPECTED
    ]


def _symbols_on(calendar: TradingCalendar, exchange: str) -> Iterator[str]:
    """Yield the symbols of an exchange that follow its calendar and may have bars."""
    for each in market_store().declared_instruments():
        has_bars = class_of(each.instrument_class).path in OHLCV.classes
        if has_bars and each.exchange == exchange and calendar_if_known(each) == calendar:
            yield each.symbol


def _evidence(window: Window, now_ns: int, symbol: str) -> GapEvidence:
    """Return the judge of a symbol's empty minutes in a window."""
    start, end = (Bound(instant_ns, is_date=False) for instant_ns in (window.start_ns, window.end_ns))
    query = GapsQuery(None, (symbol,), False, Resolution.MINUTE, start, end)
    return absences_of(bars_page(query, symbol, now_ns)).evidence()
