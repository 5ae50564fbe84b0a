"""Options in the tree: `/greeks` and `/implied-volatility` of a contract, and the volatility surface of an underlying."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.metadata import version

from django.conf import settings

from http_requests.exceptions import InvalidParameter
from stats.exceptions import NoContract
from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.intervals.windows import bar_range, bar_window, grid_of, tick_range, tick_window
from stats.market_data.options.chain import contracts_of, options_of, pinned_chain, seen_by
from stats.market_data.options.contract import OptionContract, contract_of
from stats.market_data.options.market import QUOTE_REACH_NS, OptionMarket
from stats.market_data.options.rows import GREEKS, OptionRows, option_columns
from stats.market_data.options.surface import SURFACE_COLUMNS, SurfaceSource
from stats.market_data.options.underlying_price import LOG_COUNT, underlying_price
from stats.market_data.plan import Asked, Plan, Range, begun, check_known, reason_for_none
from stats.market_data.query import DatasetForm, MarketDataQuery
from stats.market_data.rows import WindowedSource
from stats.options.rates import rates_of
from store.datasets import OPTION_QUOTES
from store.instruments import FUTURE, OPTION, Instrument
from store.log_views.log_view import nothing_of
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from trades.stores import market_store

_OWN, _CHAIN, _UNDERLYING = 0, 1, range(2, 2 + LOG_COUNT)
_PARAMETERS = ("resolution", "session", "hours", "partial", "rate", "dividend_yield")


@dataclass(frozen=True, slots=True)
class OptionValues:
    """What the quotes of an option imply. names: which of `GREEKS` are answered."""

    form: DatasetForm
    names: tuple[str, ...]
    log_count: int = 2 + LOG_COUNT

    def declared_logs(self, _query: MarketDataQuery) -> None:
        """See `MarketDataset.declared_logs`."""

    def plan(self, asked: Asked) -> Plan:
        """See `MarketDataset.plan`. Raises `NoContract`, too."""
        if asked.instrument.instrument_class == OPTION:
            return _contract_plan(asked, self.names)
        return _surface_plan(asked)


_OF_CONTRACT, _VOLATILITY = (
    option_columns(names, of_bars=True, with_date=True) for names in (GREEKS, ("iv",))
)
OPTION_GREEKS = OptionValues(
    DatasetForm(
        name="greeks", rows_name="greeks", own=_PARAMETERS, resolution=Resolution.TICK, columns=_OF_CONTRACT
    ),
    GREEKS,
)
IMPLIED_VOLATILITY = OptionValues(
    DatasetForm(
        name="implied-volatility",
        rows_name="implied_volatility",
        own=("expiry", *_PARAMETERS),
        resolution=Resolution.TICK,
        columns=tuple(dict.fromkeys((*SURFACE_COLUMNS, *_VOLATILITY))),
        takes_underlyings=True,
    ),
    ("iv",),
)


def _contract_plan(asked: Asked, names: tuple[str, ...]) -> Plan:
    resolution = asked.query.resolution
    _check_contract_query(asked)
    log = asked.snapshot.log(OPTION_QUOTES, asked.symbol, _OWN)
    if log.is_empty:
        check_known(asked.symbol)
    contract, underlying = _contract(asked)
    grid = grid_of(asked)
    asked_for = tick_range(asked) if resolution.is_tick else bar_range(asked, grid)
    window = tick_window(asked_for, (log,)) if resolution.is_tick else bar_window(asked_for, grid, (log,))
    log = asked.snapshot.narrowed(log, window)
    # Where the option's quotes end may be seen otherwise on later pages, what is asked for is not.
    needed = asked_for.since(ALL_TIME.start_ns)
    market = _market(asked, underlying, _alike(asked, contract, underlying), window, needed)
    open_ns = _open_interval(asked, grid)
    settled_ns = min(open_ns.start_ns, asked_for.end_ns)
    return Plan(
        source=WindowedSource(OptionRows(log, window, grid, contract, market, names, settled_ns)),
        range=asked_for,
        reason=reason_for_none(asked),
        logs=(log, market.chain, *market.underlying.logs),
        begun_ns=begun(open_ns.end_ns if open_ns.start_ns < asked_for.end_ns else None, asked_for.end_ns),
        valid_until_ns=open_ns.end_ns,
        head=_contract_head(asked, contract),
    )


def _surface_plan(asked: Asked) -> Plan:
    query = asked.query
    _check_surface_query(asked)
    now_ns = (asked.now_ns // SECOND_NS + 1) * SECOND_NS
    instant_ns = now_ns if query.end_ns is None else query.end_ns
    options = options_of(asked.symbol, _told_by(asked))
    if not options:
        check_known(asked.symbol)
    window = Window(instant_ns - 1, instant_ns)
    market = _market(asked, asked.instrument, _traded(asked, options, instant_ns), window, window)
    contracts = market.chain.listed
    own = nothing_of(market_store(), OPTION_QUOTES, asked.symbol)
    return Plan(
        source=SurfaceSource(contracts, market, instant_ns),
        range=Range(window.start_ns, window.end_ns),
        reason="no_data",
        logs=(own, market.chain, *market.underlying.logs),
        begun_ns=instant_ns - 1,
        valid_until_ns=now_ns,
        head=(("at", format_timestamp(instant_ns)),),
    )


def _alike(asked: Asked, contract: OptionContract, underlying: Instrument) -> Iterator[OptionContract]:
    """The options whose quotes say something of a contract's forward, itself among them."""
    options = options_of(underlying.symbol, _told_by(asked))
    of_expiry = (each for each in options if each.expiry == asked.instrument.expiry)
    return (each for each in contracts_of(of_expiry, underlying) if each.class_key == contract.class_key)


def _open_interval(asked: Asked, grid: BarGrid) -> Window:
    """The instants around now at which the answer is the same; of quotes the second that has begun."""
    if not grid.resolution.is_tick:
        return grid.steady(asked.now_ns)
    second = asked.now_ns // SECOND_NS * SECOND_NS
    return Window(second, second + SECOND_NS)


def _contract(asked: Asked) -> tuple[OptionContract, Instrument]:
    """The terms of the option asked for, and its underlying. Raises `NoContract`."""
    store, option = market_store(), asked.instrument
    if option.underlying is not None:
        underlying = store.instrument(store.canonical(option.underlying), as_of_ns=asked.query.as_of_ns)
        contract = contract_of(option, underlying)
        if contract is not None:
            return contract, underlying
    raise NoContract(
        f"of the option {asked.symbol} the underlying, the expiry, the strike or the right is not known: tell it by"
        f" PUT /api/v1/instruments/{asked.symbol}"
    )


def _told_by(asked: Asked) -> int | None:
    """What was told of options after this instant does not count; None for all of it."""
    return asked.query.as_of_ns if asked.snapshot.seen is None else seen_by(asked, _CHAIN)


def _traded(asked: Asked, options: Iterable[Instrument], instant_ns: int) -> Iterator[OptionContract]:
    """The options of the expiry that is asked for, without one those that are still traded."""
    expiry_ns = asked.query.expiry_ns
    if expiry_ns is not None:
        expiry = (date(1970, 1, 1) + timedelta(days=expiry_ns // DAY_NS)).isoformat()
        options = (each for each in options if each.expiry == expiry)
    for contract in contracts_of(options, asked.instrument):
        if expiry_ns is not None or contract.last_trade_ns > instant_ns:
            yield contract


def _market(
    asked: Asked, underlying: Instrument, contracts: Iterable[OptionContract], window: Window, needed: Window
) -> OptionMarket:
    """What prices options of an underlying in a window, with the chain's quotes that are needed.

    `rate` and `dividend_yield` of the query come before settings.
    """
    contracts, given = tuple(contracts), dict(asked.query.inputs)
    currency = next((each.currency for each in contracts if each.currency), underlying.currency)
    told = rates_of(currency, settings.OPTION_RATES)
    rate = given.get("rate", told.rate)
    # A future costs nothing to hold: its own price is the forward.
    usual = rate if underlying.instrument_class == FUTURE else told.dividend_yield
    quoted = Window(
        max(needed.start_ns - QUOTE_REACH_NS, ALL_TIME.start_ns), min(needed.end_ns, ALL_TIME.end_ns)
    )
    return OptionMarket(
        underlying=underlying_price(asked, underlying, _UNDERLYING, window),
        chain=pinned_chain(asked, _CHAIN, underlying.symbol, contracts, quoted),
        rate=rate,
        dividend_yield=given.get("dividend_yield", usual),
        parity="dividend_yield" not in given,
        models=_models(),
    )


@cache
def _models() -> str:
    return version("quantlib")


def _contract_head(asked: Asked, contract: OptionContract) -> tuple[tuple[str, str | float], ...]:
    query = asked.query
    resolution = () if query.resolution.is_tick else (("resolution", query.resolution.value),)
    return (*resolution, *(() if query.several else contract.told().items()))


def _check_contract_query(asked: Asked) -> None:
    query = asked.query
    if query.start_ns is None and query.last is None:
        raise InvalidParameter("missing_parameter", "start or last is required")
    if query.expiry_ns is not None:
        raise InvalidParameter("conflicting_parameters", "expiry goes with an underlying, not with an option")


def _check_surface_query(asked: Asked) -> None:
    query = asked.query
    if query.start_ns is not None or query.last is not None or not query.resolution.is_tick:
        raise InvalidParameter(
            "conflicting_parameters",
            "a surface is of one instant, which end names: neither start, last nor resolution goes with it",
        )
