"""The stored cash dividends of an underlying, as options need them."""

from dataclasses import dataclass

import numpy as np

from stats.market_data.options.rate_curve import StoredRates
from stats.market_data.plan import SymbolQuery
from stats.options.dividends import CashDividends
from stats.options.expiry import years_until
from stats.sessions.calendars import TradingCalendar, calendar_if_known
from store.arrays import Integers
from store.datasets import CORPORATE_ACTIONS
from store.instruments import FUTURE, Instrument
from store.log_views.log_view import LogView, empty_view
from store.protocol import ALL_TIME
from store.timestamps import DAY_NS
from trades.stores import market_store

# The kinds of corporate actions that pay cash.
_CASH = frozenset({"dividend", "special_dividend"})


@dataclass(frozen=True, slots=True)
class StoredDividends:
    """An underlying's cash dividends, special ones included.

    log: the corporate actions; empty if no dividend counts. calendar: that of the ex-dates; None for UTC dates. currency:
    dividends in another one are ignored; None if unknown.
    """

    log: LogView
    calendar: TradingCalendar | None
    currency: str | None

    def dated(self) -> list[tuple[int, float]]:
        """Return the start of each ex-date, nanoseconds UTC, and the amount."""
        if self.log.is_empty:
            return []
        rows = self.log.rows(ALL_TIME).select(["timestamp", "kind", "amount", "currency"]).to_pylist()
        return [
            (self._takes_effect(row["timestamp"]), row["amount"])
            for row in rows
            if row["kind"] in _CASH
            and (row["currency"] == self.currency or None in {self.currency, row["currency"]})
        ]

    def between(self, instants: Integers, last_trade: Integers, rates: StoredRates) -> CashDividends:
        """Return the dividends whose ex-date begins after an instant and not after the last trade.

        instants: ascending. Each dividend is discounted at the rate to its ex-date.
        """
        columns = []
        for ex_ns, amount in self.dated():
            rows = np.flatnonzero((instants < ex_ns) & (ex_ns <= last_trade))
            if not len(rows):
                continue
            years = years_until(np.full(len(instants), ex_ns), instants)
            values = np.zeros(len(instants))
            values[rows] = amount * np.exp(-rates.at(instants[rows], years[rows]).rate * years[rows])
            columns.append((years, values))
        if not columns:
            return CashDividends.none(len(instants))
        return CashDividends(*(np.stack(column, axis=1) for column in zip(*columns, strict=True)))

    def _takes_effect(self, time_ns: int) -> int:
        """Return when a dividend takes effect: midnight UTC means the start of that trading date."""
        is_instant = self.calendar is None or time_ns % DAY_NS
        return (
            time_ns if is_instant or self.calendar is None else self.calendar.start_of_date(time_ns // DAY_NS)
        )


def stored_dividends(
    symbol_query: SymbolQuery, log_index: int, underlying: Instrument, currency: str | None
) -> StoredDividends:
    """Return an underlying's cash dividends; none for a future, and if the query has a `dividend_yield`.

    log_index: the index of the corporate actions among the plan's logs.
    """
    has_none = underlying.instrument_class == FUTURE or "dividend_yield" in dict(symbol_query.query.inputs)
    log = (
        empty_view(market_store(), CORPORATE_ACTIONS, underlying.symbol)
        if has_none
        else symbol_query.read_point.log(CORPORATE_ACTIONS, underlying.symbol, log_index)
    )
    return StoredDividends(log, calendar_if_known(underlying), currency)
