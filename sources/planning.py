"""Plans of fetches: what an order means, what is known already, what the rest costs."""

from dataclasses import dataclass, replace

import numpy as np

from sources.models import FetchedLog, SourceSymbol
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
from trades.instruments.services import instruments_set
from trades.stores import market_store

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
    """What a fetch will do. windows: those that will be asked for, ascending. cost: of all of them.

    is_gap: whether the windows are gaps. Any source may fill these: the symbol does not become the source's.
    """

    order: FetchOrder
    source: Source
    wanted: Wanted
    windows: tuple[Window, ...]
    cost: Estimate
    is_gap: bool = False

    @property
    def symbol(self) -> str:
        return self.wanted.instrument.symbol

    @property
    def bytes(self) -> int | None:
        """About how many bytes the rows will take in the store; None if unknown."""
        return None if self.cost.rows is None else self.cost.rows * row_bytes(self.order.dataset)


def fetch_plan(order: FetchOrder, *, now_ns: int) -> FetchPlan:
    """Return what a fetch will do. Asks the source for its markets and prices only. Expired dates are left out.

    Raises `SourceError`s, and `Expired` if no other date is left.
    """
    window = _whole_window(order, now_ns)
    if window.start_ns >= window.end_ns:
        raise SourceRefused("the start lies after the end, or in the future")
    source, wanted = source_named(order.source), wanted_of(order)
    expired = log_at(wanted.dataset, wanted.instrument.symbol).snapshot.expired
    if window.end_ns <= expired.before_ns:
        raise expired.error(wanted.dataset, wanted.instrument.symbol)
    left = Window(max(window.start_ns, expired.before_ns), window.end_ns)
    windows = (left,) if order.again else tuple(unknown_windows(wanted, order.source, left))
    cost = source.estimate(wanted, windows) if windows else Estimate(0, 0, 0.0)
    return FetchPlan(replace(order, window=window), source, wanted, windows, cost)


def wanted_of(order: FetchOrder) -> Wanted:
    """Return the log that an order means. Asks the source for its markets only. Raises `SourceError`s."""
    source = source_named(order.source)
    market = source.market(order.name)
    symbol = symbol_of(order, market.symbol)
    declared = market_store().declared_instruments(symbol=symbol)
    instrument = declared[0] if declared else _instrument(market, symbol)
    wanted = Wanted(order.dataset, instrument, order.name, order.resolution or None)
    if reason := source.refusal(wanted):
        raise SourceRefused(reason)
    return wanted


def symbol_of(order: FetchOrder, usual: str) -> str:
    """Return our symbol for an order: the one that it names, the one that the name has already, or the usual one.

    Raises `SourceRefused` if it has several, if it is no symbol, and as `check_binding`.
    """
    bound = SourceSymbol.objects.filter(source=order.source, name=order.name).values_list("symbol", flat=True)
    if len(bound) > 1 and not order.symbol:
        raise SourceRefused(
            f"{order.name} is stored as {', '.join(sorted(bound))}: name one by --as, in a call by `symbol`"
        )
    text = order.symbol or (bound[0] if bound else usual)
    try:
        symbol = market_store().canonical(parse_symbol(text))
    except InvalidSymbol as error:
        raise SourceRefused(
            f"{text} is no symbol of ours ({error}): name one by --as, in a call by `symbol`"
        ) from error
    check_binding(order, symbol)
    return symbol


def symbol_bind(order: FetchOrder, instrument: Instrument) -> SourceSymbol:
    """Note the source of a symbol, and declare its instrument, if it never was. Raises `SourceRefused`."""
    bound, _ = SourceSymbol.objects.get_or_create(
        symbol=instrument.symbol, defaults={"source": order.source, "name": order.name}
    )
    check_binding(order, instrument.symbol)
    if not market_store().declared_instruments(symbol=instrument.symbol):
        instruments_set(instruments=[instrument])
    return bound


def actions_plan(plan: FetchPlan) -> FetchPlan | None:
    """Return the plan that fetches the splits and dividends of a plan's share; None if there are none to fetch."""
    order = replace(plan.order, dataset=CORPORATE_ACTIONS, resolution="")
    wanted = Wanted(CORPORATE_ACTIONS, plan.wanted.instrument, order.name)
    is_share = wanted.instrument.instrument_class == EQUITY
    if not is_share or plan.is_gap or plan.order.dataset is CORPORATE_ACTIONS or plan.source.refusal(wanted):
        return None
    windows = [order.window] if order.again else unknown_windows(wanted, order.source, order.window)
    return FetchPlan(order, plan.source, wanted, tuple(windows), Estimate())


def row_bytes(dataset: Dataset) -> int:
    """Return about how many bytes a row takes in the store, as measured."""
    return {BARS: 70, TRADES: 150}.get(dataset, 100)


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
    elif (
        bound is None
        and kind_of(order.source) not in DECLARED
        and not all(log_at(dataset, symbol).is_empty for dataset in (TRADES, QUOTES, BARS))
    ):
        whose = "has rows that were not fetched"
    else:
        return
    hint = f"add --as {order.source.upper()}:{symbol}"
    raise SourceRefused(f"{symbol} {whose}, and a symbol has one source: {hint}")


def terms_unshown(source: Source) -> str:
    """Return a source's terms, "" if a symbol is from it: they were shown then."""
    return "" if SourceSymbol.objects.filter(source=source.name).exists() else source.terms


def known_orders(*, now_ns: int) -> list[FetchOrder]:
    """Return the orders that bring everything that was ever fetched up to now, by symbol."""
    rows = FetchedLog.objects.select_related("source_symbol").order_by("source_symbol__symbol", "pk")
    return [
        FetchOrder(
            own.source,
            own.name,
            DATASETS[row.dataset],
            row.resolution,
            Window(row.start_ns, now_ns),
            own.symbol,
        )
        for row in rows
        if (own := row.source_symbol)
    ]


def _whole_window(order: FetchOrder, now_ns: int) -> Window:
    """Return an order's window up to now.

    Of bars it ends with the last one that is closed. Of trades it has whole minutes: some trades of a minute would hide
    a stored bar of the whole minute.
    """
    start_ns, end_ns = order.window.start_ns, min(order.window.end_ns, now_ns)
    if order.dataset is BARS:
        resolution = Resolution.of_bars(order.resolution)
        running = resolution.number_of(np.array([now_ns - _LATE_NS]))
        return Window(start_ns, min(end_ns, int(resolution.start_ns(running)[0])))
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
