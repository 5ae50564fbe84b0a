"""Plans of fetches: what an order means, what is known already, what the rest costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import cast

from sources.models import FetchedLog, ShownTerms, SourceSymbol
from sources.protocol import Estimate, Source, SourceMarket, SourceRefused, Wanted
from sources.registry import DECLARED, kind_of, source_named
from stats.market_data.plan import log_at
from store.currencies import CURRENCIES
from store.datasets import BARS, CORPORATE_ACTIONS, DATASETS, QUOTES, TRADES
from store.declarations import Dataset
from store.instruments import EQUITY, Instrument
from store.protocol import Window
from store.resolutions import Resolution
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import MINUTE_NS, SECOND_NS
from trades.stores import market_store

# Measured: bytes in the store for a row.
_ROW_BYTES = {BARS: 70, TRADES: 150}
_A_PAGE, _SECONDS_A_PAGE = 10_000, 0.5
# A source's clock may be five seconds behind, and a bar changes for a second after its end.
_LATE_NS = 6 * SECOND_NS


@dataclass(frozen=True, slots=True)
class FetchOrder:
    """What is to be fetched: a name at a source, a dataset, bars' resolution ("" for other datasets), and a window.

    symbol: ours; "" for the one that follows from the name. again: whether windows that are known are asked for, too.
    """

    source: str
    name: str
    dataset: Dataset
    resolution: str
    window: Window
    symbol: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What a fetch will do. windows: those that will be asked for, ascending. cost: of all of them."""

    order: FetchOrder
    source: Source
    wanted: Wanted
    windows: tuple[Window, ...]
    cost: Estimate

    @property
    def symbol(self) -> str:
        return self.wanted.instrument.symbol

    @property
    def costs_money(self) -> bool:
        """Whether each request of rows costs."""
        return getattr(self.source, "costs_money", False)

    @property
    def bytes(self) -> int | None:
        """About how many bytes the rows will take in the store; None if unknown."""
        return None if self.cost.rows is None else self.cost.rows * _ROW_BYTES.get(self.order.dataset, 100)


def fetch_plan(order: FetchOrder, *, now_ns: int) -> FetchPlan:
    """Return what a fetch will do. Asks the source for its markets and prices only. Raises `SourceError`s."""
    source = source_named(order.source)
    window = _whole_window(order, now_ns)
    if window.start_ns >= window.end_ns:
        raise SourceRefused("the start lies after the end, or in the future")
    bound = SourceSymbol.objects.filter(source=order.source, name=order.name).values_list("symbol", flat=True)
    if len(bound) > 1 and not order.symbol:
        raise SourceRefused(f"{order.name} is stored as {', '.join(sorted(bound))}: name one by --as")
    market = market_named(source, order.name)
    text = order.symbol or (bound[0] if bound else market.symbol)
    try:
        symbol = market_store().canonical(parse_symbol(text))
    except InvalidSymbol as error:
        raise SourceRefused(f"{text} is no symbol of ours ({error}): name one by --as") from error
    check_binding(order, symbol)
    declared = market_store().declared_instruments(symbol=symbol)
    instrument = declared[0] if declared else _instrument(market, symbol)
    wanted = Wanted(order.dataset, instrument, order.name, order.resolution or None)
    if reason := source.refusal(wanted):
        raise SourceRefused(reason)
    windows = (window,) if order.again else tuple(unknown_windows(wanted, order.source, window))
    return FetchPlan(replace(order, window=window), source, wanted, windows, _cost(source, wanted, windows))


def actions_plan(plan: FetchPlan) -> FetchPlan | None:
    """Return the plan that fetches the splits and dividends of a plan's share; None if it is none or has none there."""
    instrument, order = plan.wanted.instrument, replace(plan.order, dataset=CORPORATE_ACTIONS, resolution="")
    wanted = Wanted(CORPORATE_ACTIONS, instrument, order.name)
    if (
        instrument.instrument_class != EQUITY
        or plan.order.dataset is CORPORATE_ACTIONS
        or plan.source.refusal(wanted)
    ):
        return None
    windows = [order.window] if order.again else unknown_windows(wanted, order.source, order.window)
    return FetchPlan(order, plan.source, wanted, tuple(windows), Estimate())


def market_named(source: Source, name: str) -> SourceMarket:
    """Return a market of a source by its name there. Raises `SourceRefused` with near names, other `SourceError`s."""
    of_name = getattr(source, "market", None)
    if of_name is not None:
        return cast("SourceMarket", of_name(name))
    names: list[str] = []
    for market in source.markets():
        if market.name == name:
            return market
        names.append(market.name)
    if not names:
        return SourceMarket(name, name, EQUITY)
    near = get_close_matches(name.upper(), names, 5)
    raise SourceRefused(
        f"{source.name} has no market {name}" + (f": did you mean {', '.join(near)}?" if near else "")
    )


def question(dataset: Dataset, resolution: str | None) -> str:
    """Return the text by which fills say what was asked: `trades`, or `bars 1m`."""
    return f"{dataset.name} {resolution or ''}".rstrip()


def unknown_windows(wanted: Wanted, source: str, window: Window) -> list[Window]:
    """Return the parts of a window for which a source has not answered yet, ascending."""
    fills = log_at(wanted.dataset, wanted.instrument.symbol).snapshot.fills(window)
    asked = (source, question(wanted.dataset, wanted.resolution))
    return window.without(fill.window for _, fill in fills if (fill.source, fill.request) == asked)


def check_binding(order: FetchOrder, symbol: str) -> None:
    """Raise `SourceRefused` if a symbol is fetched from another source, is another name there, or has rows of a feed.

    A folder or another installation has the rows of the same feed.
    """
    bound = SourceSymbol.objects.filter(symbol=symbol).first()
    if bound is not None and (bound.source, bound.name) != (order.source, order.name):
        whose = f"is {bound.name} of {bound.source}"
    elif bound is None and kind_of(order.source) not in DECLARED and _has_rows(symbol):
        whose = "has rows that were not fetched"
    else:
        return
    raise SourceRefused(
        f"{symbol} {whose}, and a symbol has one source: add --as {order.source.upper()}:{symbol}"
    )


def _has_rows(symbol: str) -> bool:
    return not all(log_at(dataset, symbol).is_empty for dataset in (TRADES, QUOTES, BARS))


def terms_unshown(source: Source) -> str:
    """Return a source's terms, "" if they were shown in this installation."""
    return "" if ShownTerms.objects.filter(source=source.name).exists() else source.terms


def known_orders(*, now_ns: int) -> list[FetchOrder]:
    """Return the orders that bring everything that was ever fetched up to now, by symbol."""
    rows = FetchedLog.objects.select_related("source_symbol").order_by("source_symbol__symbol", "pk")
    return [
        FetchOrder(
            row.source_symbol.source,
            row.source_symbol.name,
            DATASETS[row.dataset],
            row.resolution,
            Window(row.start_ns, now_ns),
            row.source_symbol.symbol,
        )
        for row in rows
    ]


def _whole_window(order: FetchOrder, now_ns: int) -> Window:
    """Return an order's window up to now.

    Of bars it ends with the last one that is closed. Of trades it has whole minutes: some trades of a minute would hide
    a stored bar of the whole minute.
    """
    start_ns, end_ns = order.window.start_ns, min(order.window.end_ns, now_ns)
    if order.dataset is BARS:
        step_ns = Resolution.of_bars(order.resolution).length_ns
        return Window(start_ns, min(end_ns, (now_ns - _LATE_NS) // step_ns * step_ns))
    if order.dataset is TRADES:
        return Window(start_ns // MINUTE_NS * MINUTE_NS, end_ns // MINUTE_NS * MINUTE_NS)
    return Window(start_ns, end_ns)


def _instrument(market: SourceMarket, symbol: str) -> Instrument:
    return Instrument(
        symbol,
        instrument_class=market.cls,
        name=market.long_name or None,
        currency=market.currency if market.currency in CURRENCIES else None,
        tick_size=None if market.tick_size is None else float(market.tick_size),
        exchange=market.exchange,
    )


def _cost(source: Source, wanted: Wanted, windows: Sequence[Window]) -> Estimate:
    """Return the sum of what windows cost; a sum with an unknown part is unknown."""
    estimate = getattr(source, "estimate", _usual_estimate)
    parts: list[Estimate] = [estimate(wanted, window) for window in windows]

    def total(values: list[float | None]) -> float | None:
        return None if None in values else sum(value for value in values if value is not None)

    requests, rows = total([each.requests for each in parts]), total([each.rows for each in parts])
    return Estimate(
        None if requests is None else int(requests),
        None if rows is None else int(rows),
        total([each.seconds for each in parts]),
        ", ".join(each.price for each in parts if each.price),
    )


def _usual_estimate(wanted: Wanted, window: Window) -> Estimate:
    if wanted.dataset is not BARS:
        return Estimate()
    rows = (window.end_ns - window.start_ns) // Resolution.of_bars(wanted.resolution or "").length_ns
    requests = rows // _A_PAGE + 1
    return Estimate(requests, rows, requests * _SECONDS_A_PAGE)
