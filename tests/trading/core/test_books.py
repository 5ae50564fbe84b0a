"""Random fills, splits, dividends, settlements and transfers against an oracle of fractions."""

from collections.abc import Callable
from decimal import ROUND_UP, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chance import SOAK
from tests.trading.core.folded import REF, Folded, check_ledger, these
from tests.trading.core.oracle import BASE, Fill, Instrument, Oracle, OracleBook, unit_price
from trading.core.account import AccountState, Effects, position_key
from trading.core.events import BorrowCharged, DividendPaid, Reference, Settled, SplitApplied, Transferred
from trading.core.orders import OrderTerms
from trading.core.positions import ClosedTrade
from trading.core.terms import Side, Terms
from trading.core.valuation import risk_of


class Amounts(NamedTuple):
    """What an order is filled with. stop: the price of its protective stop."""

    quantity: Decimal
    price: Decimal
    fee: Decimal
    rate: Decimal
    stop: Decimal | None = None


_INSTRUMENTS = {
    "AAPL": Instrument("AAPL", "USD", Fraction(1), is_margined=False),
    "SAP": Instrument("SAP", "EUR", Fraction(1), is_margined=False),
    "ES": Instrument("ES", "USD", Fraction(50), is_margined=True),
    "FGBL": Instrument("FGBL", "EUR", Fraction(1000), is_margined=True),
}
_KEYS = [("AAPL", ""), ("AAPL", "swing"), ("SAP", ""), ("ES", "night"), ("FGBL", "")]
# The first is chosen more often, so that more happens to it.
_keys = st.sampled_from([_KEYS[0], _KEYS[0], *_KEYS])
_UNIT = Decimal("0.000000001")
# Doubles, of up to 17 digits, as the store has them.
_prices = st.floats(0.0001, 1e6).map(lambda price: Decimal(repr(price)))
_rates = st.floats(0.001, 200).map(lambda rate: Decimal(repr(rate)))
_quantities = st.decimals(Decimal("0.000000001"), 10**6, places=9)
_round_quantities = st.sampled_from([Decimal(number) for number in (1, 2, 3, 7, 10, 100)])
_sides = st.sampled_from(Side)
_fees = st.decimals(0, 100, places=6)
_ratios = st.sampled_from([Decimal(text) for text in ("2", "0.5", "3", "0.333333333", "0.05", "1.5", "20")])

_amounts = st.builds(Amounts, _quantities | _round_quantities, _prices, _fees, _rates, st.none() | _prices)
_fills = st.tuples(st.just("fill"), _keys, _sides, _amounts)
_steps = st.one_of(
    _fills,
    _fills,
    st.tuples(st.just("close"), _keys, _amounts, st.sampled_from([Decimal(1), Decimal("0.3")])),
    st.tuples(st.just("split"), st.sampled_from(["AAPL", "SAP"]), _ratios),
    st.tuples(st.just("dividend"), st.sampled_from(["AAPL", "SAP"]), _prices, _rates),
    st.tuples(st.just("settle"), st.sampled_from(["ES", "FGBL"]), _prices, _rates),
    st.tuples(st.just("transfer"), st.decimals(-(10**6), 10**6, places=6)),
    st.tuples(st.just("borrow"), _fees),
)


def _terms(symbol: str) -> Terms:
    instrument = _INSTRUMENTS[symbol]
    return Terms(
        instrument_class="future" if instrument.is_margined else "equity",
        currency=instrument.currency,
        tick=Decimal("0.01"),
        lot=Decimal(1),
        multiplier=Decimal(int(instrument.multiplier)),
        is_margined=instrument.is_margined,
    )


class _Pair:
    """The account and the oracle, which take the same steps."""

    def __init__(self) -> None:
        self.folded = Folded()
        self.oracle = Oracle({key: OracleBook(_INSTRUMENTS[key[0]]) for key in _KEYS})
        self.closed: dict[tuple[str, str], list[ClosedTrade]] = {key: [] for key in _KEYS}

    def fill(self, key: tuple[str, str], side: Side, amounts: Amounts) -> Effects:
        amounts = amounts._replace(rate=self._rate(key[0], amounts.rate))
        order = OrderTerms(
            symbol=key[0], strategy=key[1], side=side, quantity=amounts.quantity, stop_loss=amounts.stop
        )
        order_id = self.folded.accept(order, terms=_terms(key[0]))
        self._tell(key, side.sign, amounts)
        quantity, price, fee, rate, _ = amounts
        return self.folded.execute(order_id, quantity, price, fee=fee, rate=rate)

    def close(self, key: tuple[str, str], amounts: Amounts, part: Decimal) -> Effects:
        """Close a part of a position."""
        held = self.folded.state.position(*key)
        quantity = Decimal(0) if held is None else abs(held.quantity * part).quantize(_UNIT, ROUND_UP)
        if held is None or not quantity:
            return Effects()
        side = Side.SELL if held.quantity > 0 else Side.BUY
        return self.fill(key, side, amounts._replace(quantity=quantity))

    def split(self, symbol: str, ratio: Decimal) -> Effects:
        self.oracle.split(symbol, Fraction(ratio))
        event = SplitApplied(symbol=symbol, ratio=ratio, effective_ns=self.folded.now_ns, action=REF)
        return self.folded.take(event)

    def dividend(self, symbol: str, amount: Decimal, rate: Decimal) -> Effects:
        rate = self._rate(symbol, rate)
        self.oracle.dividend(symbol, Fraction(amount), Fraction(rate))
        return self.folded.take(
            DividendPaid(
                symbol=symbol, amount=amount, rate=rate, effective_ns=self.folded.now_ns, action=REF,
                currency=_INSTRUMENTS[symbol].currency, kind="dividend", date=20_244,
            )
        )  # fmt: skip

    def settle(self, symbol: str, price: Decimal, rate: Decimal) -> Effects:
        rate = self._rate(symbol, rate)
        self.oracle.settle(symbol, Fraction(price), Fraction(rate))
        return self.folded.take(Settled(symbol=symbol, price=price, rate=rate, date="2025-06-05"))

    def transfer(self, amount: Decimal) -> Effects:
        self.oracle.cash += Fraction(amount)
        return self.folded.take(Transferred(transfer="t", amount=amount, equity=self.folded.state.cash))

    def borrow(self, amount: Decimal) -> Effects:
        self.oracle.borrow(("AAPL", ""), Fraction(amount))
        return self.folded.take(BorrowCharged(symbol="AAPL", amount=amount, date="2025-06-05"))

    def _rate(self, symbol: str, rate: Decimal) -> Decimal:
        return Decimal(1) if _INSTRUMENTS[symbol].currency == BASE else rate

    def _tell(self, key: tuple[str, str], sign: int, amounts: Amounts) -> None:
        quantity, price, fee, rate, stop = amounts
        told = Fill(sign * Fraction(quantity), Fraction(price), Fraction(fee), Fraction(rate))
        self.oracle.fill(key, told if stop is None else told._replace(stop=Fraction(stop)))

    def check(self, effects: Effects) -> None:
        state = self.folded.state
        _check_sums([(entry.currency, entry.amount) for entry in effects.entries])
        assert all(entry.amount for entry in effects.entries)
        assert state.cash == self.oracle.cash
        check_ledger(state)
        for trade in effects.closed:
            self.closed[trade.symbol, trade.strategy].append(trade)
        for key, book in self.oracle.books.items():
            _check_book(state, key, book)
            self._check_closed(key, book)

    def _check_closed(self, key: tuple[str, str], book: OracleBook) -> None:
        assert len(self.closed[key]) == len(book.closed)
        for trade, figures in zip(self.closed[key], book.closed, strict=True):
            assert {name: getattr(trade, name) for name in figures} == figures


def _check_sums(amounts: list[tuple[str, Decimal]]) -> None:
    totals: dict[str, Decimal] = {}
    for currency, amount in amounts:
        totals[currency] = totals.get(currency, Decimal(0)) + amount
    assert not any(totals.values())


def _check_book(state: AccountState, key: tuple[str, str], book: OracleBook) -> None:
    position = state.positions.get(position_key(*key))
    if position is None:
        assert not book.lots
        return
    assert [[lot.quantity, lot.cost] for lot in position.lots] == book.lots
    assert these(position.quantity, position.cost) == (book.held, book.cost)
    if position.quantity:
        assert position.average_price is not None
        price = unit_price(book.cost, book.held * book.instrument.multiplier)
        assert Fraction(position.average_price) == price


@given(steps=st.lists(_steps, min_size=12, max_size=40))
@settings(max_examples=500 if SOAK else 15)
def test_books_equal_the_oracle(steps: list[tuple[Any, ...]]) -> None:
    pair = _Pair()
    for name, *arguments in steps:
        step: Callable[..., Effects] = getattr(pair, name)
        pair.check(step(*arguments))
    state = pair.folded.state
    _check_sums([(key.split()[1], amount) for key, amount in state.balances.items()])
    assert len(state.orders) == 0
    pair.folded.check_replays()


@given(fills=st.lists(st.tuples(_keys, _sides, _amounts), min_size=2, max_size=12))
@settings(max_examples=500 if SOAK else 15)
def test_the_trades_of_a_flat_account_add_up_to_its_change(
    fills: list[tuple[tuple[str, str], Side, Amounts]],
) -> None:
    """To the last digit, in any currency and at any rates, also through zero."""
    pair = _Pair()
    for key, side, amounts in fills:
        pair.check(pair.fill(key, side, amounts))
    for key, _, amounts in fills:
        pair.check(pair.close(key, amounts, Decimal(1)))
    assert not pair.folded.state.positions
    trades = [trade for closed in pair.closed.values() for trade in closed]
    assert sum(trade.pnl_base for trade in trades) == pair.folded.state.cash


def test_a_trade_that_gains_less_than_its_currency_loses_is_a_loss() -> None:
    """100 bought at 100 for 10 each, and sold at 105 for 9: paid 100,000, got 94,500."""
    pair = _Pair()
    amounts = [Amounts(*map(Decimal, (100, price, 0, rate))) for price, rate in ((100, 10), (105, 9))]
    pair.check(pair.fill(("SAP", ""), Side.BUY, amounts[0]))
    position = pair.folded.state.positions["SAP"]
    mark = Reference(symbol="SAP", price=Decimal(105), rate=Decimal(9))
    pnl, pnl_base, _ = risk_of(position, mark)
    assert these(pnl, pnl_base) == (500, -5_500)
    pair.check(pair.fill(("SAP", ""), Side.SELL, amounts[1]))
    (trade,) = pair.closed["SAP", ""]
    assert these(trade.pnl, trade.pnl_base) == (500, -5_500)


def test_fill_through_zero_ends_one_trade_and_begins_another() -> None:
    folded = Folded()
    folded.trade(10, "100", fee="1")
    effects = folded.trade(-25, "110", fee="5")
    (trade,) = effects.closed
    assert these(trade.direction, trade.quantity, trade.pnl, trade.fees) == ("LONG", 10, 97, 3)
    position = folded.state.positions["AAPL"]
    assert these(position.quantity, position.cost, len(position.lots)) == (-15, -1650, 1)
    assert position.trade is not None
    assert these(position.trade.fees, position.trade.entry_quantity) == (3, 15)


def test_lots_that_a_split_left_empty_end_with_the_position() -> None:
    pair = _Pair()
    for quantity in ("5", "0.000000001", "5"):
        pair.fill(("AAPL", ""), Side.BUY, Amounts(*(Decimal(text) for text in (quantity, "999", "0", "1"))))
    pair.split("AAPL", Decimal("0.1"))
    for part in (Decimal("0.3"), Decimal(1)):
        pair.check(
            pair.close(("AAPL", ""), Amounts(*(Decimal(text) for text in ("1", "12", "0", "1"))), part)
        )
    assert not pair.folded.state.positions
    assert "positions USD AAPL" not in pair.folded.state.balances


def test_split_within_a_trade_changes_its_prices_and_quantities() -> None:
    pair = _Pair()
    pair.check(pair.fill(("AAPL", ""), Side.BUY, Amounts(*map(Decimal, (10, 100, 0, 1)))))
    pair.check(pair.fill(("AAPL", ""), Side.SELL, Amounts(*map(Decimal, (4, 110, 0, 1)))))
    pair.check(pair.split("AAPL", Decimal(2)))
    pair.check(pair.fill(("AAPL", ""), Side.SELL, Amounts(*map(Decimal, (12, 60, 0, 1)))))
    (trade,) = pair.closed["AAPL", ""]
    assert these(trade.quantity, trade.entry_price, trade.exit_price, trade.pnl) == (20, 50, 58, 160)


def test_flat_position_leaves_nothing() -> None:
    folded = Folded()
    for signed in (3, 4, -5, -2):
        folded.trade(signed, "19.99")
    assert not folded.state.positions
    assert not folded.state.balances


def test_stop_that_the_price_is_beyond_makes_no_r() -> None:
    folded = Folded()
    order = OrderTerms(symbol="AAPL", side=Side.BUY, quantity=Decimal(1), stop_loss=Decimal(99))
    folded.execute(folded.accept(order), 1, "98.5")
    (trade,) = folded.trade(-1, "100").closed
    assert (trade.pnl, trade.risk, trade.r) == (Decimal("1.5"), None, None)
