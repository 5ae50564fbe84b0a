"""The stored cash dividends of an underlying, as options need them."""

from dataclasses import dataclass

import numpy as np

from calendars.trading_calendar import TradingCalendar, start_of_row
from stats.market_data.options.parameters import PricingOptions
from stats.market_data.plan import SymbolQuery
from stats.options.expiry import years_until
from stats.options.inputs import EX_DATES_LIMIT, CashDividends
from store.arrays import Floats, Integers
from store.bars.adjustment import distinct_actions
from store.cached_property import cached_property
from store.datasets import CORPORATE_ACTIONS
from store.instrument_calendars import calendar_if_known
from store.instruments import FUTURE, Instrument
from store.log_views.log_view import LogView, empty_view
from store.protocol import ALL_TIME
from store.timestamps import DAY_NS
from trades.stores import market_store


@dataclass(frozen=True)
class StoredDividends:
    """An underlying's regular cash dividends. Special ones do not count: exchanges reduce the strikes by them.

    log: the corporate actions; empty if no dividend counts. calendar: that of the ex-dates; None for UTC dates. currency:
    dividends in another one are ignored; None if unknown.
    """

    log: LogView
    calendar: TradingCalendar | None
    currency: str | None

    @cached_property
    def _dated(self) -> tuple[Integers, Floats]:
        """The ex-dates and amounts of all dividends, past and future.

        Ex-dates are ascending instants, nanoseconds UTC. Dividends of one UTC day are added up at the first of them.
        """
        rows = () if self.log.is_empty else distinct_actions(self.log.rows(ALL_TIME))
        amounts = sorted(
            (start_of_row(row["timestamp"], self.calendar), row["amount"])
            for row in rows
            if row["kind"] == "dividend"
            and (row["currency"] == self.currency or None in {self.currency, row["currency"]})
        )
        if not amounts:
            return np.empty(0, np.int64), np.empty(0)
        ex_ns = np.array([each for each, _ in amounts], np.int64)
        _, first = np.unique(ex_ns // DAY_NS, return_index=True)
        return ex_ns[first], np.add.reduceat([amount for _, amount in amounts], first)

    @property
    def exist(self) -> bool:
        """Whether any dividend is stored, past or future."""
        return bool(len(self._dated[0]))

    def between(self, instants: Integers, last_trade: Integers, rate: float) -> CashDividends:
        """Return the dividends whose ex-date begins after an instant and not after the last trade.

        instants: ascending. rate: per year, continuously compounded; it discounts the dividends. A row of more than `EX_DATES_LIMIT`
        ex-dates is unknown.
        """
        years = years_until(last_trade, instants)[:, None].repeat(EX_DATES_LIMIT, axis=1)
        values = np.zeros_like(years)
        ex_ns, amounts = self._dated
        first = ex_ns.searchsorted(instants, side="right")
        count = ex_ns.searchsorted(last_trade, side="right") - first
        is_unknown = count > EX_DATES_LIMIT
        values[is_unknown, 0] = np.nan
        count[is_unknown] = 0
        row, column = np.nonzero(np.arange(EX_DATES_LIMIT) < count[:, None])
        dividend = first[row] + column
        until = years_until(ex_ns[dividend], instants[row])
        years[row, column] = until
        values[row, column] = amounts[dividend] * np.exp(-rate * until)
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
    return StoredDividends(log, calendar_if_known(underlying), currency)
