"""A host runs one strategy: it shows it bars, rows and fills, and makes acts of its orders."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from functools import partial
from heapq import heappop, heappush
from itertools import islice
from operator import attrgetter
from typing import Any

import msgspec

from trading.core.acceptance import accept, accept_closing, judge, reject
from trading.core.account import AccountState
from trading.core.acts import Act
from trading.core.amounts import ZERO, lots_below, to_step
from trading.core.amounts import quantity as exact_quantity
from trading.core.due import request_cancels
from trading.core.events import Executed, Print
from trading.core.matching import Record
from trading.core.orders import MOST, Order, OrderTerms
from trading.core.rows import MarketRow, Quote
from trading.core.terms import Side, Terms
from trading.core.valuation import UnknownMark, equity_of
from trading.engine.floor import AccountAct, AccountsDesk, RecordedEvent
from trading.exceptions import NoRate, NoReferencePrice, NotTradable
from trading.market.followed import FollowedMarket
from trading.market.hours import last_open_ns
from trading.market.views import market_view, position_closing_view
from trading.strategies.revisions import BarRevision
from trading.strategies.strategy import Bar, BarBlock, OrderFill, Strategy, StrategyParameters

_TOO_MANY = f"an order has at most {MOST:,} units, and this one would have {{:,.0f}}"
_PRICES = ("limit_price", "stop_price", "take_profit", "stop_loss")


class HostCheckpoint(msgspec.Struct, kw_only=True):
    """What a host must know to go on: the strategy's `State`, fills that it was not told of, timers, and the time."""

    state: msgspec.Raw
    fills: list[OrderFill]
    timers: list[int]
    now_ns: int


@dataclass(slots=True)
class StrategyHost:
    """A strategy at work for an account.

    wanted: what the strategy wants and was not done yet. is_history: what is shown is past already, so nothing is
    ordered. now_ns: the time of the data. watches_rows: whether the strategy decides by single trades or quotes.
    watches_revisions: whether it wants to know of these. takes_bars: whether it takes bars at once. decides_by: the bar
    that it is shown; None if it decides by something else.
    """

    account: str
    desk: AccountsDesk
    market: FollowedMarket
    symbols: tuple[str, ...]
    strategy_class: InitVar[type[Strategy]]
    parameters: InitVar[StrategyParameters]
    now_ns: int = 0
    decides_by: Bar | None = None
    is_history: bool = False
    strategy: Strategy = field(init=False)
    watches_rows: bool = field(init=False)
    watches_revisions: bool = field(init=False)
    takes_bars: bool = field(init=False)
    wanted: list[AccountAct] = field(default_factory=list)
    _shown: dict[str, deque[Bar]] = field(default_factory=dict)
    _fills: list[OrderFill] = field(default_factory=list)
    _timers: list[int] = field(default_factory=list)
    _terms: dict[str, Terms] = field(default_factory=dict)

    def __post_init__(self, strategy_class: type[Strategy], parameters: StrategyParameters) -> None:
        self._shown = {symbol: deque(maxlen=strategy_class.bars_kept) for symbol in self.symbols}
        self.strategy = strategy_class(self, parameters, strategy_class.State())
        self.watches_rows = (strategy_class.on_trade, strategy_class.on_quote) != (
            Strategy.on_trade,
            Strategy.on_quote,
        )
        # Whoever inherits it may do something by bars that the other does nothing by.
        self.takes_bars = "take_bars" in vars(strategy_class)
        self.watches_revisions = strategy_class.on_revision != Strategy.on_revision

    @property
    def by(self) -> str:
        """Who is named in its orders."""
        return f"strategy:{self.strategy.name}"

    @property
    def _state(self) -> AccountState:
        return self.desk.states[self.account]

    @property
    def equity(self) -> Decimal:
        state = self._state
        try:
            return equity_of(state, self.market.marks(state, now_ns=self.now_ns))
        except UnknownMark:
            return state.equity

    @property
    def risk_level(self) -> Decimal:
        return self._state.risk_level

    def position(self, symbol: str) -> Decimal:
        held = self._state.position(symbol, self.strategy.name)
        return ZERO if held is None else held.quantity

    def has_orders(self, symbol: str) -> bool:
        return bool(self._orders(self._state, symbol))

    def bars(self, symbol: str, count: int) -> list[Bar]:
        shown = self._shown[symbol]
        return list(islice(shown, max(len(shown) - count, 0), None))

    def order(self, symbol: str, side: Side, quantity: Decimal, **terms: Any) -> None:
        own = self._terms_of(symbol)
        order = _order_of(symbol=symbol, side=side, quantity=quantity, strategy=self.strategy.name, **terms)
        if self.is_history:
            return
        if order.quantity <= MOST:
            # Less than a lot is refused by the checks, so that it is told.
            lots = lots_below(order.quantity, own.lot) or exact_quantity(order.quantity)
            order = msgspec.structs.replace(order, quantity=lots)
        self._want(partial(self._place, order, self.decides_by))

    def close(self, symbol: str) -> None:
        if not self.is_history:
            self._want(partial(self._close, symbol, self.decides_by))

    def cancel(self, symbol: str) -> None:
        if not self.is_history:
            self._want(partial(self._cancel, symbol))

    def wake(self, at_ns: int) -> None:
        heappush(self._timers, max(at_ns, self.now_ns))

    def show(self, now_ns: int, bar: Bar) -> None:
        """Show a bar at an instant. What the strategy wants then is in `wanted`."""
        self.now_ns, self.decides_by = now_ns, bar
        self._shown[bar.symbol].append(bar)
        self.strategy.on_bar(bar)

    def take_bars(self, block: BarBlock, begin: int, end: int) -> int:
        """Let the strategy take bars at once by which it does nothing. Return how many."""
        taken = self.strategy.take_bars(block, begin, end)
        if taken and (kept := self.strategy.bars_kept):
            self._shown[block.symbol].extend(
                bar for _, bar in block.between(max(begin, begin + taken - kept), begin + taken)
            )
        return taken

    def show_either(self, now_ns: int, shown: Bar | BarRevision) -> None:
        """Show a bar, or what a bar has become."""
        if isinstance(shown, Bar):
            self.show(now_ns, shown)
        else:
            self.revise(now_ns, shown)

    def revise(self, now_ns: int, revision: BarRevision) -> None:
        """Show at an instant what a bar is, unless that is what was shown last."""
        self.now_ns, self.decides_by = now_ns, None
        shown, after = self._shown[revision.symbol], revision.bar
        place = bisect_left(shown, revision.start_ns, key=attrgetter("start_ns"))
        is_shown = place < len(shown) and shown[place].start_ns == revision.start_ns
        before = shown[place] if is_shown else None
        if before == after or (place == 0 and not is_shown and len(shown) == shown.maxlen):
            return
        if before is not None:
            del shown[place]
        if after is not None:
            if len(shown) == shown.maxlen:
                shown.popleft()
                place -= 1
            shown.insert(place, after)
        self.strategy.on_revision(before, after)

    def add_past_bar(self, bar: Bar) -> None:
        """Have a bar among the last ones that was shown before."""
        self._shown[bar.symbol].append(bar)

    def checkpoint(self) -> HostCheckpoint:
        """Return what a host must know to go on."""
        state = msgspec.Raw(msgspec.json.encode(self.strategy.state))
        return HostCheckpoint(state=state, fills=self._fills, timers=self._timers, now_ns=self.now_ns)

    def restore(self, checkpoint: HostCheckpoint) -> None:
        """Go on with the checkpoint of an earlier host."""
        self.strategy.state = msgspec.json.decode(checkpoint.state, type=type(self.strategy).State)
        self._fills, self._timers, self.now_ns = checkpoint.fills, checkpoint.timers, checkpoint.now_ns

    def next_ns(self) -> int | None:
        """Return when it acts next by itself: after fills, and by timers. See `trading.engine.floor.FloorFollower`."""
        if self._fills:
            return self.now_ns
        return self._timers[0] if self._timers else None

    def due(self, now_ns: int) -> Sequence[AccountAct]:
        """Tell of fills and timers, and return what the strategy wants."""
        self.now_ns, self.decides_by = now_ns, None
        fills, self._fills = self._fills, []
        for fill in fills:
            self.strategy.on_fill(fill)
        while self._timers and self._timers[0] <= now_ns:
            self.strategy.on_timer(heappop(self._timers))
        return self.take_wanted()

    def taken(self, row: MarketRow) -> Sequence[AccountAct]:
        """Show a row that the accounts have had, and return what the strategy wants."""
        if row.ref.symbol in self.symbols:
            self.now_ns, self.decides_by = row.known_ns, None
            if isinstance(row, Print):
                self.strategy.on_trade(row)
            elif isinstance(row, Quote):
                self.strategy.on_quote(row)
        return self.take_wanted()

    def recorded(self, recorded: RecordedEvent) -> None:
        """Note what happened to the account: the strategy is told of its fills."""
        event = recorded.event
        if recorded.account != self.account or not isinstance(event, Executed):
            return
        terms = next(each.terms for each in recorded.effects.orders if each.id == event.order_id)
        if terms.strategy == self.strategy.name:
            self.now_ns = recorded.at_ns
            self._fills.append(
                OrderFill(
                    event.order_id, terms.symbol, terms.side, event.quantity, event.price, recorded.at_ns
                )
            )

    def take_wanted(self) -> list[AccountAct]:
        """Return what the strategy wanted since the last call."""
        wanted, self.wanted = self.wanted, []
        return wanted

    def _want(self, act: Act) -> None:
        self.wanted.append((self.account, act))

    def _terms_of(self, symbol: str) -> Terms:
        found = self._terms.get(symbol)
        if found is None:
            if symbol not in self.symbols:
                raise ValueError(f"{symbol}: the strategy trades only {', '.join(self.symbols)}")
            found = self._terms[symbol] = self.market.terms(symbol)
        return found

    def _orders(self, state: AccountState, symbol: str) -> list[Order]:
        return [each for each in state.orders_of(symbol) if each.terms.strategy == self.strategy.name]

    def _place(self, order: OrderTerms, bar: Bar | None, state: AccountState, record: Record) -> None:
        now_ns = self.now_ns
        if order.quantity > MOST:
            terms, reason = self._terms_of(order.symbol), _TOO_MANY.format(order.quantity)
            reject(state, record, order, terms, now_ns=now_ns, by=self.by, reason=reason)
            return
        decided_ns = now_ns if bar is None else bar.end_ns
        try:
            view = market_view(self.market, state, order, now_ns=now_ns, decided_ns=decided_ns)
        except (NoReferencePrice, NoRate, NotTradable) as error:
            terms = self._terms_of(order.symbol)
            reject(state, record, order, terms, now_ns=now_ns, by=self.by, reason=str(error))
            return
        order = _on_tick(order, view.terms)
        # The price of the bar that decided is not old, however long ago the market closed; nor is the price of the last
        # session if the bar has none, because it is outside of sessions.
        fresh_from_ns = now_ns
        if bar is not None:
            fresh_from_ns = last_open_ns(self.market.instrument(order.symbol), bar.start_ns)
        found = judge(state, order, view, now_ns=now_ns, fresh_from_ns=fresh_from_ns)
        if found.is_passed:
            accept(state, record, found, view, now_ns=now_ns, by=self.by)
        else:
            reject(state, record, order, view.terms, now_ns=now_ns, by=self.by, found=found)

    def _close(self, symbol: str, bar: Bar | None, state: AccountState, record: Record) -> None:
        position = state.position(symbol, self.strategy.name)
        orders = self._orders(state, symbol)
        is_closing = any(each.terms.reduce_only and each.parent_id is None for each in orders)
        if position is not None and not is_closing:
            now_ns = self.now_ns
            view = position_closing_view(
                self.market,
                position,
                state.currency,
                now_ns=now_ns,
                decided_ns=None if bar is None else bar.end_ns,
            )
            accept_closing(state, record, position, view, now_ns=now_ns, by=self.by)

    def _cancel(self, symbol: str, state: AccountState, record: Record) -> None:
        request_cancels(self._orders(state, symbol), record, reason="strategy", by=self.by)


def _order_of(**given: Any) -> OrderTerms:
    """Return an order as a strategy asks for it; words stand for its enums, too. Raises ValueError or TypeError."""
    # `convert` would leave out a term that does not exist.
    OrderTerms(**given)
    order = msgspec.convert(given, OrderTerms)
    for name in ("quantity", *_PRICES):
        value = getattr(order, name)
        # An order of more than `MOST` units is refused, so that it is told.
        if value is not None and not (
            value.is_finite() and (abs(value) <= MOST or (name == "quantity" and value > 0))
        ):
            raise ValueError(f"{name} must be a finite number of at most 10^12, and is {value}")
    for name, has in (("limit_price", order.type.has_limit), ("stop_price", order.type.has_stop)):
        if (getattr(order, name) is not None) != has:
            raise ValueError(f"an order of the type {order.type} {'needs' if has else 'has no'} {name}")
    return order


def _on_tick(order: OrderTerms, terms: Terms) -> OrderTerms:
    """Return the order with its prices on the next tick."""
    prices = {name: price for name in _PRICES if (price := getattr(order, name)) is not None}
    if not prices:
        return order
    on_tick = {name: to_step(price, terms.tick_at(price)) for name, price in prices.items()}
    return msgspec.structs.replace(order, **on_tick)
