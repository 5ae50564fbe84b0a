"""The option datasets `/greeks` and `/implied-volatility`.

The answer is about one contract or, if the path's symbol is an underlying, about its chain at one instant.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from functools import cache
from importlib.metadata import version

from django.conf import settings

from stats.exceptions import NoContract
from stats.market_data.intervals.windows import tick_range, tick_window
from stats.market_data.options.cash_dividends import stored_dividends
from stats.market_data.options.chain import chain_instant_ns, contracts_of, option_chain, options_of
from stats.market_data.options.contract import OptionContract, contract_of
from stats.market_data.options.market import QUOTE_REACH_NS, OptionMarket
from stats.market_data.options.parameters import PRICING_PARAMETERS, PricingOptions
from stats.market_data.options.rows import GREEKS, OptionRows, option_columns
from stats.market_data.options.surface import SurfaceSource, surface_columns
from stats.market_data.options.underlying_price import LOG_COUNT, underlying_price
from stats.market_data.plan import Plan, SymbolQuery, reason_for_none, rows_left, since, walk_now_ns
from stats.market_data.query import MarketDataset
from stats.market_data.rows import WindowedSource
from stats.market_data.ticks import hours_grid_of
from stats.options.rates import RateSource, rates_of
from store.datasets import OPTION_QUOTES
from store.instruments import FUTURE, OPTION, Instrument
from store.log_views.log_view import empty_view
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from trades.stores import market_store
from web.requests.exceptions import InvalidParameter

# Indices of the logs of a plan: the option's quotes, the chain, the underlying's logs, and the corporate actions.
_OWN, _CHAIN, _UNDERLYING = 0, 1, range(2, 2 + LOG_COUNT)
_ACTIONS = 2 + LOG_COUNT
_LOG_COUNT = 3 + LOG_COUNT


def _option_plan(symbol_query: SymbolQuery, names: tuple[str, ...]) -> Plan:
    """Make the plan of a contract or a surface. names: the columns of `GREEKS` to return. Raises `NoContract`."""
    if symbol_query.instrument.instrument_class == OPTION:
        return _contract_plan(symbol_query, names)
    return _surface_plan(symbol_query, names)


def _dataset(name: str, names: tuple[str, ...]) -> MarketDataset:
    """Return a dataset. names: the columns of `GREEKS` that it returns."""
    columns = (*surface_columns(names), *option_columns(names))
    return MarketDataset(
        name=name,
        rows_name=name.replace("-", "_"),
        classes=("options",),
        own=("hours", *PRICING_PARAMETERS),
        resolution=Resolution.TICK,
        columns=tuple(dict.fromkeys(columns)),
        plan=lambda symbol_query: _option_plan(symbol_query, names),
        log_count=_LOG_COUNT,
        options=PricingOptions.of,
        takes_underlyings=True,
    )


OPTION_GREEKS = _dataset("greeks", GREEKS)
IMPLIED_VOLATILITY = _dataset("implied-volatility", ("iv",))


def _contract_plan(symbol_query: SymbolQuery, names: tuple[str, ...]) -> Plan:
    _check_contract_query(symbol_query)
    log = symbol_query.log(OPTION_QUOTES, symbol_query.symbol, _OWN)
    if log.is_empty:
        symbol_query.check_known()
    contract, underlying = _contract(symbol_query)
    hours_grid = hours_grid_of(symbol_query)
    query_range = tick_range(symbol_query)
    window = tick_window(rows_left(query_range, log), (log,))
    log = symbol_query.limited_to(log, window)
    # Not `window`, which depends on the option's last quote: all pages must read the chain's quotes of one window.
    needed = since(query_range, ALL_TIME.start_ns)
    market = _market(
        symbol_query, underlying, _same_class(symbol_query, contract, underlying), window, needed
    )
    now_ns = symbol_query.now_ns // SECOND_NS * SECOND_NS
    next_change_ns = now_ns + SECOND_NS
    return Plan(
        source=WindowedSource(OptionRows(log, window, hours_grid, contract, market, names)),
        range=query_range,
        reason=reason_for_none(symbol_query),
        logs=(log, *market.logs),
        walk_now_ns=walk_now_ns(next_change_ns if now_ns < query_range.end_ns else None, query_range.end_ns),
        expires_ns=symbol_query.expires_ns(next_change_ns),
        head=() if symbol_query.query.several else tuple(contract.terms().items()),
    )


def _surface_plan(symbol_query: SymbolQuery, names: tuple[str, ...]) -> Plan:
    query = symbol_query.query
    _check_surface_query(symbol_query)
    now_ns = (symbol_query.now_ns // SECOND_NS + 1) * SECOND_NS
    instant_ns = now_ns if query.end_ns is None else query.end_ns
    options = options_of(symbol_query.symbol, _declarations_until(symbol_query))
    if not options:
        symbol_query.check_known()
    window = Window(instant_ns - 1, instant_ns)
    market = _market(
        symbol_query,
        symbol_query.instrument,
        _surface_contracts(symbol_query, options, instant_ns),
        window,
        window,
    )
    own_log = empty_view(market_store().log(OPTION_QUOTES, symbol_query.symbol))
    return Plan(
        source=SurfaceSource(market.chain.members, market, instant_ns, names),
        range=window,
        reason="no_data",
        logs=(own_log, *market.logs),
        walk_now_ns=instant_ns - 1,
        expires_ns=now_ns,
        head=(("at", format_timestamp(instant_ns)),),
    )


def _same_class(
    symbol_query: SymbolQuery, contract: OptionContract, underlying: Instrument
) -> Iterator[OptionContract]:
    """Return the options whose quotes determine a contract's forward, the contract included."""
    options = options_of(underlying.symbol, _declarations_until(symbol_query))
    same_expiry = (each for each in options if each.expiry == symbol_query.instrument.expiry)
    return (each for each in contracts_of(same_expiry, underlying) if each.class_key == contract.class_key)


def _contract(symbol_query: SymbolQuery) -> tuple[OptionContract, Instrument]:
    """Return the option's contract and its underlying. Raises `NoContract`."""
    store, option = market_store(), symbol_query.instrument
    if option.underlying is not None:
        underlying = store.instrument(
            store.canonical(option.underlying), as_of_ns=symbol_query.query.as_of_ns
        )
        contract = contract_of(option, underlying)
        if contract is not None:
            return contract, underlying
    raise NoContract(
        f"the underlying, expiry, strike or right of option {symbol_query.symbol} is not known: declare it by"
        f" PUT /api/v1/instruments/{symbol_query.symbol}"
    )


def _declarations_until(symbol_query: SymbolQuery) -> int | None:
    """Return the instant up to which declarations of options are visible; None for all."""
    if symbol_query.seen is None:
        return symbol_query.query.as_of_ns
    return chain_instant_ns(symbol_query, _CHAIN)


def _surface_contracts(
    symbol_query: SymbolQuery, options: Iterable[Instrument], instant_ns: int
) -> Iterator[OptionContract]:
    """Yield the options of the query's expiry; without an expiry, all options that trade after the instant."""
    expiry_ns = symbol_query.query.options_of(PricingOptions).expiry_ns
    if expiry_ns is not None:
        expiry = (date(1970, 1, 1) + timedelta(days=expiry_ns // DAY_NS)).isoformat()
        options = (each for each in options if each.expiry == expiry)
    for contract in contracts_of(options, symbol_query.instrument):
        if expiry_ns is not None or contract.last_trade_ns > instant_ns:
            yield contract


def _market(
    symbol_query: SymbolQuery,
    underlying: Instrument,
    contracts: Iterable[OptionContract],
    window: Window,
    needed: Window,
) -> OptionMarket:
    """Return the inputs for pricing an underlying's options.

    window: the window of the instants to price. needed: the window for which the chain's quotes are read, equal on
    all pages. The query's `rate` and `dividend_yield` take precedence over the settings. An underlying with stored
    dividends pays these, and no yield of the settings besides.
    """
    contracts, asked = tuple(contracts), symbol_query.query.options_of(PricingOptions)
    currency = next((each.currency for each in contracts if each.currency), underlying.currency)
    default = rates_of(currency, settings.OPTION_RATES)
    rate = default.rate if asked.rate is None else asked.rate
    dividends = stored_dividends(symbol_query, _ACTIONS, underlying, currency)
    on_future = underlying.instrument_class == FUTURE
    default_yield = rate if on_future else 0.0 if dividends.exist else default.dividend_yield
    quotes_window = Window(needed.start_ns - QUOTE_REACH_NS, needed.end_ns).within(ALL_TIME)
    return OptionMarket(
        underlying=underlying_price(symbol_query, underlying, _UNDERLYING, window),
        chain=option_chain(symbol_query, _CHAIN, underlying.symbol, contracts, quotes_window),
        rate=rate,
        rate_source=RateSource.SETTINGS if asked.rate is None else RateSource.REQUEST,
        dividends=dividends,
        dividend_yield=default_yield if asked.dividend_yield is None else asked.dividend_yield,
        parity=asked.dividend_yield is None,
        on_future=on_future,
        models=_pricing_version(),
    )


@cache
def _pricing_version() -> str:
    return version("quantlib")


def _check_contract_query(symbol_query: SymbolQuery) -> None:
    query = symbol_query.query
    if query.start_ns is None and query.last is None:
        raise InvalidParameter("missing_parameter", "start or last is required")
    if query.options_of(PricingOptions).expiry_ns is not None:
        raise InvalidParameter(
            "conflicting_parameters", "expiry is for underlyings: do not send it with an option"
        )


def _check_surface_query(symbol_query: SymbolQuery) -> None:
    query = symbol_query.query
    if query.start_ns is not None or query.last is not None:
        raise InvalidParameter(
            "conflicting_parameters",
            "a chain is computed for one instant, `end`: do not send start or last",
        )
