"""The interest rate of options: of the request, the stored curve, or the settings."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stats.market_data.options.parameters import PricingOptions
from stats.market_data.plan import SymbolQuery
from stats.options.rates import DEFAULT_CURRENCY, RateCurve, RateSource
from store.arrays import Floats, Integers
from store.datasets import INTEREST_RATES
from store.log_views.last_rows import NEVER_NS, last_rows_at
from store.log_views.log_view import LogView, empty_view
from store.protocol import ALL_TIME, Window
from store.tenors import TENORS
from trades.stores import market_store


@dataclass(frozen=True, slots=True)
class RateColumns:
    """Rates to expiries, one row per option or instant.

    rate: per year, continuously compounded. time_ns: the time of the curve that it comes from, nanoseconds UTC;
    `NEVER_NS` if it comes from `other_source`.
    """

    rate: Floats
    time_ns: Integers
    other_source: RateSource

    @property
    def sources(self) -> list[str]:
        """The source of each rate."""
        return [
            str(RateSource.CURVE if time_ns != NEVER_NS else self.other_source)
            for time_ns in self.time_ns.tolist()
        ]


@dataclass(frozen=True, slots=True)
class StoredRates:
    """A currency's stored curves. Before the first curve, `other` is the rate to every expiry.

    log: the curves; empty if the request has a rate. other_source: where `other` comes from.
    """

    log: LogView
    other: float
    other_source: RateSource

    def at(self, instants: Integers, years: Floats) -> RateColumns:
        """Return the rate for a number of years from each of the ascending instants."""
        curves = last_rows_at(self.log, instants, reach_ns=ALL_TIME.end_ns - ALL_TIME.start_ns)
        rates = np.full(len(instants), self.other)
        for time_ns in np.unique(curves.time_ns[curves.time_ns != NEVER_NS]).tolist():
            of_time = np.flatnonzero(curves.time_ns == time_ns)
            for rows, points in self.log.rows_known(Window(time_ns, time_ns + 1), instants[of_time]):
                index = of_time[rows]
                rates[index] = _curve_of(points).rates_for(years[index])
        return RateColumns(rates, curves.time_ns, self.other_source)


def _curve_of(rows: pa.Table) -> RateCurve:
    points = rows.select(["tenor", "rate"]).to_pylist()
    return RateCurve.of([(TENORS[point["tenor"]], point["rate"]) for point in points])


def stored_rates(
    symbol_query: SymbolQuery, log_index: int, currency: str | None, default: float, end_ns: int
) -> StoredRates:
    """Return the rates of a currency; None means USD.

    log_index: the curves' index among the plan's logs. default: the setting's rate. end_ns: later curves are not
    needed. The query's `rate` takes precedence; no curve is read then.
    """
    store, requested = market_store(), symbol_query.query.options_of(PricingOptions).rate
    currency = store.canonical(currency or DEFAULT_CURRENCY)
    if requested is not None:
        return StoredRates(empty_view(store.log(INTEREST_RATES, currency)), requested, RateSource.REQUEST)
    log = symbol_query.log(INTEREST_RATES, currency, log_index)
    needed = Window(ALL_TIME.start_ns, end_ns).within(ALL_TIME)
    (log,) = symbol_query.as_known(symbol_query.limited_to(log, needed))
    return StoredRates(log, default, RateSource.SETTINGS)
