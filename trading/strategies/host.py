"""A host runs one strategy: it shows it bars, rows and fills, and makes acts of its orders."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from functools import partial
from heapq import heappop, heappush
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from store.timestamps import SECOND_NS
from trading.core.acceptance import accept, accept_closing, judge, reject
from trading.core.account import AccountState
from trading.core.account_store import AccountDecision, AccountStore, Decision, RecordedEvent
from trading.core.amounts import ZERO, exact, lots_below
from trading.core.amounts import quantity as exact_quantity
from trading.core.due import request_cancels
from trading.core.events import Executed, Print
from trading.core.matching import Record
from trading.core.orders import MOST, Order, OrderTerms
from trading.core.rows import MarketRow, Quote
from trading.core.terms import Side, Terms
from trading.core.valuation import UnknownMark, equity_of
from trading.exceptions import NoRate, NoReferencePrice, NotTradable
from trading.market.hours import last_open_ns
from trading.market.market import Market
from trading.market.views import market_view, position_closing_view
from trading.strategies.strategy import Bar, OrderFill, Strategy, StrategyParameters

_TOO_MANY = f"an order has at most {MOST:,} units, and this one would have {{:,.0f}}"
_PRICES = ("limit_price", "stop_price", "take_profit", "stop_loss")
MOST_WANTED = 100


@dataclass(slots=True)
class StrategyHost:
    """A strategy at work for an account.

    wanted: what the strategy wants and was not done yet. is_history: what is shown is past already, so nothing is
    ordered. now_ns: the time of the data. watches_rows: whether the strategy decides by single trades or quotes.
    has_signals: whether it is shown only the bars that have a signal. decides_by: the bar that it is shown; None if it decides by something else.
    timers: when it is to be woken, as a heap. is_placed: whether an order with a client_order_id was placed before.
    """

    account: str
    accounts: AccountStore
    market: Market
    symbols: tuple[str, ...]
    strategy_class: InitVar[type[Strategy]]
    parameters: InitVar[StrategyParameters]
    now_ns: int = 0
    decides_by: Bar | None = None
    is_history: bool = False
    is_placed: Callable[[str], bool] = lambda _: False
    strategy: Strategy = field(init=False)
    watches_rows: bool = field(init=False)
    has_signals: bool = field(init=False)
    bars_kept: int = field(init=False)
    wanted: list[AccountDecision] = field(default_factory=list)
    _shown: dict[str, deque[Bar]] = field(default_factory=dict)
    _fills: list[OrderFill] = field(default_factory=list)
    timers: list[int] = field(default_factory=list)
    # How many things it wanted since it was told of something.
    _count: int = 0
    _terms: dict[str, Terms] = field(default_factory=dict)

    def __post_init__(self, strategy_class: type[Strategy], parameters: StrategyParameters) -> None:
        self.has_signals = strategy_class.signals is not Strategy.signals
        self.bars_kept = max(strategy_class.bars_kept, parameters.bars_before + 1 if self.has_signals else 0)
        self._shown = {symbol: deque(maxlen=self.bars_kept) for symbol in self.symbols}
        self.strategy = strategy_class(self, parameters, strategy_class.State())
        self.watches_rows = (strategy_class.on_trade, strategy_class.on_quote) != (
            Strategy.on_trade,
            Strategy.on_quote,
        )

    @property
    def by(self) -> str:
        """Who is named in its orders."""
        return f"strategy:{self.strategy.name}"

    @property
    def _state(self) -> AccountState:
        return self.accounts.states[self.account]

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

    def point_value(self, symbol: str) -> Decimal:
        terms = self._terms_of(symbol)
        rate = self.market.rate(terms.currency, self._state.currency, now_ns=self.now_ns)
        # Without a rate the multiplier alone: every order is refused then.
        return terms.multiplier if rate is None else exact(terms.multiplier, rate[0])

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
        terms.setdefault("client_order_id", self._client_order_id())
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
        heappush(self.timers, max(at_ns, self.now_ns))

    def show(self, now_ns: int, bar: Bar) -> None:
        """Show a bar at an instant. What the strategy wants then is in `wanted`.

        For a strategy with signals, history and bars whose signal is 0 are left out: it could place nothing on them.
        """
        shown = self._shown[bar.symbol]
        shown.append(bar)
        if self.has_signals and self.is_history:
            return
        if self.has_signals and not bar.signal:
            closes = np.array([each.close for each in shown])
            bar = bar._replace(signal=int(self.strategy.signals(closes)[-1]))
            if not bar.signal:
                return
        self._begin(now_ns, bar)
        self.strategy.on_bar(bar)

    def add_past_bar(self, bar: Bar) -> None:
        """Have a bar among the last ones that was shown before."""
        self._shown[bar.symbol].append(bar)

    def next_ns(self) -> int | None:
        """Return when it acts next by itself: after fills, and by timers."""
        if self._fills:
            return self.now_ns
        return self.timers[0] if self.timers else None

    def due(self, now_ns: int) -> Sequence[AccountDecision]:
        """Tell of fills and timers, and return what the strategy wants."""
        self._begin(now_ns)
        fills, self._fills = self._fills, []
        for fill in fills:
            self.strategy.on_fill(fill)
        while self.timers and self.timers[0] <= now_ns:
            self.strategy.on_timer(heappop(self.timers))
        return self.take_wanted()

    def taken(self, row: MarketRow) -> Sequence[AccountDecision]:
        """Show a row that the accounts have had, and return what the strategy wants."""
        if row.ref.symbol in self.symbols:
            self._begin(row.known_ns)
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

    def take_wanted(self) -> list[AccountDecision]:
        """Return what the strategy wanted since the last call."""
        wanted, self.wanted = self.wanted, []
        return wanted

    def _begin(self, now_ns: int, bar: Bar | None = None) -> None:
        self.now_ns, self.decides_by, self._count = now_ns, bar, 0

    def _want(self, act: Decision) -> None:
        self._count += 1
        if self._count > MOST_WANTED:
            raise RuntimeError(
                f"the strategy places, closes or cancels more than {MOST_WANTED} times at once"
            )
        self.wanted.append((self.account, act))

    def _client_order_id(self) -> str:
        """Return the id of the next order: of the strategy, its bar, and the order's number at the bar.

        The bar's length is in it: an assignment with another interval may be shown a bar of the same start.
        Without a bar the account's newest event, of which the number grows with each order, is in the bar's place.
        """
        bar = self.decides_by
        decided_by = str(self._state.number)
        if bar is not None:
            decided_by = f"{bar.symbol}:{bar.start_ns}:{(bar.end_ns - bar.start_ns) // SECOND_NS}"
        return f"{self.strategy.name}:{decided_by}:{self._count + 1}"

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
        if self.is_placed(order.client_order_id or ""):
            return
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
    on_tick = {name: terms.on_tick(price) for name, price in prices.items()}
    return msgspec.structs.replace(order, **on_tick)
