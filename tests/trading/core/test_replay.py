"""Random orders, prints, bars, cancels, splits and time: what holds after every event.

Of an account whose orders were accepted only if they passed the checks, whatever the prices do then:

- The ledger balances, and has the cash and the cost of the positions.
- An order fills at most its quantity, the legs of a bracket at most what their parent filled; a print serves at most its participation.
- The units of a symbol that may come to be held (longs with opening buys, shorts with opening sells) grow only by an
  acceptance, and a buy costs at most what it was counted at. So exposure exceeds its limit only by moves of prices.
- A cash account has the money for all that works, and holds no shorts.
- No fill is better than the market, or worse than the order's limit or collar.
- The encoded events give the same bytes of the state.
"""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec import structs

from tests.chance import SOAK, chosen_seed
from tests.trading.core.folded import REF, check_ledger
from tests.trading.core.paper import MS_NS, Paper, order_of
from trading.core import due
from trading.core.account import AccountState, Effects, apply, copied, encoded_state
from trading.core.amounts import ZERO, lots_below
from trading.core.configuration import FillRule, RiskConfig
from trading.core.events import (
    Event,
    Executed,
    HaltReleased,
    OrderAccepted,
    Print,
    Reference,
    SplitApplied,
    decoded,
    encoded,
)
from trading.core.orders import Contingency, Order, OrderState, OrderTerms, OrderType, TimeInForce
from trading.core.risk import propose, verdict
from trading.core.terms import TRADABLE, AccountKind, Terms

TERMS: dict[str, Terms] = {
    "AAPL": TRADABLE["equity"],
    "BTCUSD": TRADABLE["crypto"],
    "ESM6": TRADABLE["future"],
}
# Money is rounded at each fill; the products of shares and cents are exact.
_ROUNDED = Decimal("0.000001")
_BEGIN = Decimal(1_000_000)
_SMALLEST = Decimal(5)


@dataclass
class CheckedPaper(Paper):
    """A paper that looks at its state after each event. done: what orders have filled, in units of now."""

    shadow: AccountState = field(default_factory=lambda: AccountState(id="ACC"))
    done: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    parents: dict[str, str] = field(default_factory=dict)
    quantities: dict[str, Decimal] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    def record(self, event: Event) -> Effects:
        if isinstance(event, Executed):
            self._check_execution(event, self.state.orders[event.order_id])
        if isinstance(event, OrderAccepted) and event.leg_of is not None:
            self.parents[event.order_id] = event.leg_of
        elif isinstance(event, OrderAccepted) and event.order.contingency is Contingency.OCO:
            self.quantities[event.order_id] = event.order.quantity
        before = self.units()
        effects = super().record(event)
        if not isinstance(event, OrderAccepted | SplitApplied):
            after = self.units()
            assert all(after[each] <= before[each] for each in after)
        self._check_replay(event)
        self._check_books()
        self._check_orders()
        return effects

    def units(self) -> dict[tuple[str, int], Decimal]:
        """How many units may come to be held, by symbol and sign."""
        units = {(symbol, sign): ZERO for symbol in TERMS for sign in (1, -1)}
        for position in self.state.positions.values():
            units[position.symbol, 1 if position.quantity > 0 else -1] += abs(position.quantity)
        for order in self.state.orders.values():
            if not order.terms.reduce_only:
                units[order.terms.symbol, order.terms.side.sign] += order.remaining
        return units

    def _check_execution(self, event: Executed, order: Order) -> None:
        sign, price, market = order.terms.side.sign, event.price, event.print
        best = market.price if isinstance(market, Print) else market.low if sign > 0 else market.high
        assert (price - best) * sign >= 0
        assert market.is_eligible
        assert order.worst_price is None or (order.worst_price - price) * sign >= 0
        if sign > 0 and not order.terms.reduce_only:
            assert price * order.instrument.multiplier <= order.worth
        held = self.state.position(order.terms.symbol, order.terms.strategy)
        if order.terms.reduce_only:
            assert held is not None
            assert event.quantity <= -held.quantity * sign
        row = f"{market.ref.commit} {market.ref.ordinal}"
        self.served[row] += event.quantity  # type: ignore[assignment]
        assert market.volume is not None
        volume = market.volume * self.state.config.participation / 100
        assert 0 < self.served[row] <= lots_below(volume, order.instrument.lot)
        assert event.execution_id not in self.ids
        self.ids.add(event.execution_id)
        self.done[order.id] += event.quantity  # type: ignore[assignment]

    def _check_replay(self, event: Event) -> None:
        again = decoded(encoded(event))
        assert again == event
        before, data = self.shadow, encoded_state(self.shadow)
        self.shadow = copied(before)
        apply(self.shadow, again, at_ns=self.now_ns)
        assert encoded_state(before) == data
        assert encoded_state(self.shadow) == encoded_state(self.state)

    def _check_books(self) -> None:
        state = self.state
        check_ledger(state)
        if state.kind is AccountKind.CASH:
            assert all(position.quantity > 0 for position in state.positions.values())
            opening = [order for order in state.orders.values() if not order.terms.reduce_only]
            committed = sum(each.remaining * each.worth + each.fee - each.fees for each in opening)
            assert state.cash + _ROUNDED * len(self.ids) >= committed

    def _check_orders(self) -> None:
        for order in self.state.orders.values():
            assert order.remaining >= 0
            assert order.filled == self.done[order.id]
        of_legs: Counter[str] = Counter()
        for leg, parent in self.parents.items():
            of_legs[parent] += self.done[leg]
        ocos = self.quantities.keys()
        assert all(of_legs[parent] <= self.done[parent] for parent in of_legs.keys() - ocos)
        assert all(self.done[each] + of_legs[each] <= self.quantities[each] for each in ocos)
        for each, covered in self.state.covered.items():
            if each in ocos:
                left = self.quantities[each] - self.done[each] - of_legs[each]
                pair = [order for order in self.state.orders.values() if order.covered_by == each]
                is_over = len({order.terms.type.has_stop for order in pair}) < 2
                assert covered == left or (is_over and covered == 0)
            else:
                assert 0 <= covered == self.done[each] - of_legs[each]


_SYMBOLS = st.sampled_from(sorted(TERMS))
# Per cent of the price.
_MOVES = st.sampled_from(
    [Decimal(each) for each in ("0", "0", "0.5", "-0.5", "1", "-1", "3", "-3", "7", "-7")]
)
_VOLUMES = st.sampled_from([0, 5, 3_000, 40_000, 1_000_000])
# The move of the price, the volume, the delay in milliseconds, whether it is eligible.
_PRINTS = st.tuples(
    _MOVES, _VOLUMES, st.sampled_from([0, 30, 950]), st.sampled_from([True, True, True, True, False])
)
_ORDERS: dict[str, st.SearchStrategy[Any]] = {
    "side": st.sampled_from([1, 1, -1]),
    "type_": st.sampled_from([OrderType.MARKET, *OrderType]),
    "percent": st.integers(1, 60),
    "limit": _MOVES,
    "stop": _MOVES,
    "fields": st.fixed_dictionaries(
        {
            "time_in_force": st.sampled_from([TimeInForce.GTC, *TimeInForce]),
            "strategy": st.sampled_from(["", "", "swing"]),
            "reduce_only": st.sampled_from([False, False, True]),
        }
    ),
    "has_legs": st.booleans(),
}
_CONFIGS = st.builds(
    RiskConfig,
    max_symbol_exposure=st.sampled_from([Decimal(25), Decimal(300)]),
    max_gross_exposure=st.just(Decimal(400)),
    risk_level=st.just(Decimal(100)),
    latency_ms=st.sampled_from([0, 50]),
    fill=st.sampled_from(list(FillRule)),
)


class TradingMachine(RuleBasedStateMachine):
    """An account, and a market whose prices move."""

    paper: CheckedPaper

    @initialize(kind=st.sampled_from(list(AccountKind)), config=_CONFIGS)
    def begin(self, kind: AccountKind, config: RiskConfig) -> None:
        self.paper = CheckedPaper(kind=kind, cash=_BEGIN, config=config)
        self.prices = dict.fromkeys(TERMS, Decimal(100))

    def marks(self) -> dict[str, Reference]:
        return {symbol: self.paper.reference(symbol, self.prices[symbol]) for symbol in TERMS}

    def price(self, symbol: str, percent: Decimal) -> Decimal:
        moved = self.prices[symbol] * (1 + percent / 100)
        return max(TERMS[symbol].on_tick(moved), _SMALLEST)

    def terms(self, symbol: str, order: dict[str, Any]) -> OrderTerms:
        sign, price, type_ = order["side"], self.prices[symbol], order["type_"]
        quantity = lots_below(_BEGIN * order["percent"] / 100 / price, TERMS[symbol].lot)
        limit = self.price(symbol, order["limit"]) if type_.has_limit else None
        stop = self.price(symbol, order["stop"]) if type_.has_stop else None
        fields = dict(order["fields"])
        if order["has_legs"] and not fields["reduce_only"]:
            fields |= {"take_profit": self.price(symbol, Decimal(3) * sign)}
            fields |= {"stop_loss": self.price(symbol, Decimal(-3) * sign)}
        return order_of(sign * quantity, symbol, limit=limit, stop=stop, **fields)

    @rule(symbol=_SYMBOLS, order=st.fixed_dictionaries(_ORDERS), is_in_place=st.booleans())
    def submit(self, symbol: str, order: dict[str, Any], is_in_place: bool) -> None:
        paper, terms = self.paper, self.terms(symbol, order)
        paper.terms = TERMS[symbol]
        proposal = propose(paper.state, terms, paper.terms, paper.reference(symbol, self.prices[symbol]))
        found = verdict(paper.state, proposal, self.marks(), now_ns=paper.now_ns)
        if not found.is_passed:
            return
        old = self._replaceable(terms) if is_in_place else None
        paper.accept(terms, self.prices[symbol], replaces=None if old is None else old.id)
        if old is not None:
            paper.cancel(old.id, "replaced")

    def _replaceable(self, terms: OrderTerms) -> Order | None:
        found = [
            order
            for order in self.paper.state.orders_of(terms.symbol)
            if order.parent_id is None and order.state is not OrderState.PENDING_CANCEL
            and order.terms.side is terms.side and order.terms.reduce_only is terms.reduce_only
            and order.contingency is not Contingency.OCO
        ]  # fmt: skip
        return found[0] if found else None

    @rule(symbol=_SYMBOLS, prints=st.lists(_PRINTS, min_size=1, max_size=4))
    def trade(self, symbol: str, prints: list[tuple[Decimal, int, int, bool]]) -> None:
        """Prints that are known some milliseconds after they were printed."""
        for move, volume, delay, is_eligible in prints:
            price = self.prices[symbol] = self.price(symbol, move)
            at_ns = self.paper.now_ns + (1000 - delay) * MS_NS
            self.paper.print(price, volume, symbol=symbol, at_ns=at_ns, is_eligible=is_eligible)

    @rule(moves=st.tuples(_MOVES, _MOVES, _MOVES, _MOVES), volume=_VOLUMES)
    def bar(self, moves: tuple[Decimal, ...], volume: int) -> None:
        open_, *rest = (self.price("AAPL", move) for move in moves)
        self.prices["AAPL"] = rest[0]
        self.paper.bar(open_, max(open_, *rest), min(open_, *rest), rest[0], volume=volume)

    @rule(milliseconds=st.sampled_from([1, 60, 5_000]))
    def wait(self, milliseconds: int) -> None:
        self.paper.wait(milliseconds * MS_NS)

    @precondition(lambda self: self.paper.state.orders)
    @rule(place=st.integers(0, 5))
    def cancel(self, place: int) -> None:
        orders = [
            each for each in self.paper.state.orders.values() if each.state is not OrderState.PENDING_CANCEL
        ]
        if place < len(orders):
            self.paper.cancel(orders[place].id)

    @precondition(lambda self: self.paper.state.positions)
    @rule(is_oco=st.booleans())
    def close(self, is_oco: bool) -> None:
        """A close passes in every state."""
        position = next(iter(self.paper.state.positions.values()))
        symbol, sign = position.symbol, 1 if position.quantity > 0 else -1
        limit, stop = (self.price(symbol, Decimal(each) * sign) for each in (3, -3))
        prices = {"limit": limit, "stop_loss": stop} if is_oco else {}
        order = order_of(-position.quantity, symbol, reduce_only=True, strategy=position.strategy, **prices)
        self.paper.terms = position.terms
        assert self.paper.judge(order, self.prices[position.symbol]).is_passed
        self.paper.accept(order, self.prices[position.symbol])

    @rule(move=_MOVES)
    def replace_one_of_an_oco(self, move: Decimal) -> None:
        ocos = [
            each
            for each in self.paper.state.orders.values()
            if each.contingency is Contingency.OCO and each.may_be_cancelled and not each.is_triggered
        ]
        if ocos:
            old = ocos[0 if move > 0 else -1]
            terms = old.terms
            name = "stop_price" if terms.type.has_stop else "limit_price"
            self.paper.terms = TERMS[terms.symbol]
            price = self.price(terms.symbol, move)
            self.paper.replace(old.id, structs.replace(terms, stop_loss=None, **{name: price}))

    @rule(symbol=_SYMBOLS, ratio=st.sampled_from([Decimal(2), Decimal(3), Decimal("0.5")]))
    def split(self, symbol: str, ratio: Decimal) -> None:
        paper = self.paper
        if not paper.state.orders_of(symbol) or self.prices[symbol] / ratio < 2 * _SMALLEST:
            return
        # Orders that come at once are microseconds apart.
        paper.now_ns += MS_NS
        families = {order.parent_id or order.id for order in paper.state.orders_of(symbol)}
        for order_id in paper.done:
            if paper.parents.get(order_id, order_id) in families:
                paper.done[order_id] *= ratio  # type: ignore[assignment]
        for order_id in families & paper.quantities.keys():
            paper.quantities[order_id] *= ratio
        paper.record(SplitApplied(symbol=symbol, ratio=ratio, effective_ns=paper.now_ns, action=REF))
        self.prices[symbol] = self.price(symbol, (1 / ratio - 1) * 100)

    @rule()
    def mark(self) -> None:
        """Value the account; a halt is left, so that it goes on."""
        paper = self.paper
        due.revalue(paper.state, self.marks(), paper.now_ns, "2026-05-04", paper.record)
        if paper.state.halt is not None:
            paper.record(HaltReleased(reason="test", by="me"))


TestTrading = TradingMachine.TestCase
TestTrading.settings = settings(
    max_examples=300 if SOAK else 12, stateful_step_count=100 if SOAK else 40, deadline=None
)


def _random_order(chance: Random) -> dict[str, Any]:
    move = lambda: Decimal(chance.choice((0, 1, -1, 3, -3)))  # noqa: E731
    return {
        "side": chance.choice((1, 1, -1)), "type_": chance.choice(list(OrderType)), "percent": chance.randint(1, 30),
        "limit": move(), "stop": move(), "has_legs": chance.random() < 0.3,
        "fields": {
            "time_in_force": chance.choice([TimeInForce.GTC, *TimeInForce]),
            "strategy": chance.choice(("", "", "swing")), "reduce_only": chance.random() < 0.2,
        },
    }  # fmt: skip


def _random_step(machine: TradingMachine, chance: Random) -> None:
    symbol, state = chance.choice(sorted(TERMS)), machine.paper.state
    moves = tuple(Decimal(chance.choice(("0", "0.5", "-0.5", "2", "-2", "6", "-6"))) for _ in range(4))
    match chance.choice("oooooooppppppppppbbcrws"):
        case "o":
            machine.submit(symbol, _random_order(chance), chance.random() < 0.2)
        case "p":
            delay, is_eligible = chance.choice((0, 30, 950)), chance.random() < 0.9
            machine.trade(symbol, [(moves[0], chance.choice((5, 3_000, 60_000)), delay, is_eligible)])
        case "b":
            machine.bar(moves, chance.choice((5, 3_000, 60_000)))
        case "c" if state.orders:
            machine.cancel(chance.randint(0, 5))
        case "r" if state.positions:
            machine.close(chance.random() < 0.7)
            machine.replace_one_of_an_oco(moves[0])
        case "w":
            machine.wait(chance.choice((1, 60, 5_000)))
            machine.mark()
        case "s":
            machine.split(symbol, chance.choice((Decimal(2), Decimal("0.5"))))


def test_long_days() -> None:
    """Many orders at once, which the machine seldom comes to."""
    chance, executed = Random(chosen_seed()), 0
    for day in range(50 if SOAK else 5):
        machine = TradingMachine()
        fill, latency_ms = chance.choice(list(FillRule)), chance.choice((0, 50))
        config = RiskConfig(
            max_symbol_exposure=Decimal(chance.choice((25, 300))), max_gross_exposure=Decimal(400),
            risk_level=Decimal(100), fill=fill, latency_ms=latency_ms,
        )  # fmt: skip
        machine.begin(list(AccountKind)[day % 2], config)
        for _ in range(120):
            _random_step(machine, chance)
        executed += len(machine.paper.ids)
    assert executed > 10 * day
