"""The stored cash dividends of an underlying, as options need them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from calendars.trading_calendar import TradingCalendar, start_of_row
from stats.market_data.options.parameters import PricingOptions
from stats.market_data.options.rate_curve import StoredRates
from stats.market_data.plan import SymbolQuery
from stats.options.dividends import EX_DATES_LIMIT, CashDividends
from stats.options.expiry import years_until
from store.arrays import Floats, Integers, Mask
from store.bars.adjustment import distinct_actions
from store.datasets import CORPORATE_ACTIONS
from store.instrument_calendars import calendar_if_known
from store.instruments import FUTURE, Instrument
from store.log_views.log_view import LogView, empty_view
from store.protocol import ALL_TIME
from store.timestamps import DAY_NS
from trades.stores import market_store


@dataclass(frozen=True, slots=True)
class StoredDividends:
    """An underlying's regular cash dividends. Special ones do not count: exchanges reduce the strikes by them.

    log: the corporate actions; empty if no dividend counts. calendar: that of the ex-dates; None for UTC dates. currency:
    dividends in another one are ignored; None if unknown.
    """

    log: LogView
    calendar: TradingCalendar | None
    currency: str | None

    def exist_at(self, instants: Integers) -> Mask:
        """Return at which of the ascending instants any dividend is known, past or future."""
        exist: Mask = np.zeros(len(instants), np.bool_)
        for known, _, _ in self._dated(instants):
            exist[known] = True
        return exist

    def _dated(self, instants: Integers) -> Iterator[tuple[Integers, Integers, Floats]]:
        """Yield groups of instants, as their indices, with the ex-dates that they know and the amounts.

        Ex-dates are ascending instants, nanoseconds UTC. Dividends of one UTC day are added up at the first of them.
        """
        if self.log.is_empty:
            return
        for known, rows in self.log.rows_known(ALL_TIME, instants):
            amounts = [
                (start_of_row(row["timestamp"], self.calendar), row["amount"])
                for row in distinct_actions(rows)
                if row["kind"] == "dividend"
                and (row["currency"] == self.currency or None in {self.currency, row["currency"]})
            ]
            if amounts:
                amounts.sort()
                ex_ns = np.array([each for each, _ in amounts], np.int64)
                _, first = np.unique(ex_ns // DAY_NS, return_index=True)
                yield known, ex_ns[first], np.add.reduceat([amount for _, amount in amounts], first)

    def between(self, instants: Integers, last_trade: Integers, rates: StoredRates) -> CashDividends:
        """Return the dividends whose ex-date begins after an instant and not after the last trade.

        instants: ascending. Each dividend is discounted at the rate to its ex-date. A row of more than `EX_DATES_LIMIT`
        ex-dates is unknown.
        """
        years = years_until(last_trade, instants)[:, None].repeat(EX_DATES_LIMIT, axis=1)
        values = np.zeros_like(years)
        for known, ex_ns, amounts in self._dated(instants):
            first = ex_ns.searchsorted(instants[known], side="right")
            count = ex_ns.searchsorted(last_trade[known], side="right") - first
            is_unknown = count > EX_DATES_LIMIT
            values[known[is_unknown], 0] = np.nan
            count[is_unknown] = 0
            row, column = np.nonzero(np.arange(EX_DATES_LIMIT) < count[:, None])
            index, dividend = known[row], first[row] + column
            until = years_until(ex_ns[dividend], instants[index])
            years[index, column] = until
            discounted = np.exp(-rates.at(instants[index], until).rate * until)
            values[index, column] = amounts[dividend] * discounted
        is_used = values.any(axis=0)
        return CashDividends(years[:, is_used], values[:, is_used])


def stored_dividends(
    symbol_query: SymbolQuery, log_index: int, underlying: Instrument, currency: str | None
) -> StoredDividends:
    """Return an underlying's cash dividends; none for a future, and if the query has a `dividend_yield`.

    log_index: the index of the corporate actions among the plan's logs.
    """
    has_none = (
        underlying.instrument_class == FUTURE
        or symbol_query.query.options_of(PricingOptions).dividend_yield is not None
    )
    log = (
        empty_view(market_store().log(CORPORATE_ACTIONS, underlying.symbol))
        if has_none
        else symbol_query.log(CORPORATE_ACTIONS, underlying.symbol, log_index)
    )
    (log,) = symbol_query.as_known(log)
    return StoredDividends(log, calendar_if_known(underlying), currency)
