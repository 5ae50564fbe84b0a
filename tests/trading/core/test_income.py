"""A trade has its dividends and its fees for borrowing, and the signs of its prices."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from tests.trading.core.paper import PLAIN, Paper, order_of
from trading.core.account import Effects
from trading.core.due import charge_borrowing
from trading.core.events import DividendPaid, Event, RowRef
from trading.core.positions import ClosedTrade
from trading.core.terms import TRADABLE
from trading.core.valuation import risk_of
from trading.report import AccountHistory, figures_of

REF = RowRef(dataset="corporate_actions", symbol="AAPL", commit="1-ab", ordinal=0, timestamp_ns=0)
OIL = replace(PLAIN, instrument_class="future", multiplier=Decimal(1_000), is_margined=True)


def figures(of: object, *names: str) -> list[object]:
    return [getattr(of, name) for name in names]


class Watched(Paper):
    """It keeps the trades that ended."""

    def __post_init__(self) -> None:
        self.closed: list[ClosedTrade] = []
        super().__post_init__()

    def record(self, event: Event) -> Effects:
        effects = super().record(event)
        self.closed += effects.closed
        return effects

    def dividend(self, amount: str, **fields: object) -> None:
        self.wait()
        event = DividendPaid(
            symbol="AAPL", amount=Decimal(amount), rate=Decimal(1), effective_ns=self.now_ns, action=REF,
            currency=self.terms.currency, kind="dividend", date=20_244,
        )  # fmt: skip
        self.record(replace(event, **fields))

    def trade(self, signed: int, price: object) -> None:
        self.accept(order_of(signed), price)
        self.print(price, abs(signed) * 10)


@pytest.mark.parametrize(
    ("signed", "entry", "exit_", "pnl"),
    [
        (1, "10.01", "-30.01", -40_020),
        (1, "-37.62", "-30.01", 7_610),
        (-1, "-10", "-37.63", 27_630),
        (-1, "5", "-5", 10_000),
    ],
)
def test_prices_keep_their_signs(signed: int, entry: str, exit_: str, pnl: int) -> None:
    paper = Watched(terms=OIL)
    paper.trade(signed, entry)
    paper.trade(-signed, exit_)
    (trade,) = paper.closed
    assert figures(trade, "entry_price", "exit_price", "pnl") == [Decimal(entry), Decimal(exit_), pnl]


def test_the_mean_of_entries_on_both_sides_of_zero() -> None:
    paper = Watched(terms=OIL)
    paper.trade(1, 2)
    paper.trade(1, -6)
    paper.trade(-2, -1)
    (trade,) = paper.closed
    assert figures(trade, "entry_price", "exit_price", "pnl") == [-2, -1, 2_000]


def test_a_short_owes_the_dividend_and_pays_for_borrowing() -> None:
    """The reported case: 200 from 100 to 98 gained 400, and the account 196.70."""
    paper = Watched(terms=replace(PLAIN, borrow_rate=TRADABLE["equity"].borrow_rate * 20))
    paper.trade(-200, 100)
    paper.dividend("1.00")
    charge_borrowing(paper.state, {"AAPL": paper.reference("AAPL", 100)}, "2025-06-05", paper.record)
    position = paper.state.position("AAPL")
    assert position is not None
    # 20,000 * 0.06 / 365
    fee = Decimal("3.287671")
    gains = risk_of(position, paper.reference("AAPL", 98))[:2]
    assert gains == (200 - fee, 200 - fee)
    paper.trade(200, 98)
    (trade,) = paper.closed
    assert (trade.income, trade.pnl, trade.pnl_base) == (-200 - fee, 200 - fee, 200 - fee)
    assert paper.state.cash == 1_000_000 + trade.pnl_base


def test_a_dividend_makes_a_win_and_counts_in_r() -> None:
    paper, history = Watched(), AccountHistory()
    paper.accept(order_of(100, stop_loss=98), 100)
    paper.print(100, 1_000)
    paper.dividend("3")
    paper.print(99, 1_000)
    paper.trade(-100, 99)
    (trade,) = paper.closed
    assert figures(trade, "pnl", "risk", "r") == [200, 200, 1]
    history.take(paper.state, paper.events[-1][0], Effects(closed=[trade]), paper.now_ns)
    found = figures_of(history, 0, paper.now_ns + 1)
    assert (found.win_rate, found.pnl, found.average_r) == (1, 200, 1)


@pytest.mark.parametrize(("instrument_rate", "income"), [("2", 50), ("0.5", 200), (None, 0)])
def test_a_dividend_in_another_currency_than_the_shares(instrument_rate: str | None, income: int) -> None:
    """Without a rate of the share's currency it is in `pnl_base` only."""
    paper = Watched(terms=replace(PLAIN, currency="EUR"))
    paper.trade(100, 100)
    rate = None if instrument_rate is None else Decimal(instrument_rate)
    paper.dividend("1", currency="USD", instrument_rate=rate)
    paper.trade(-100, 100)
    (trade,) = paper.closed
    assert figures(trade, "income", "pnl", "pnl_base") == [income, income, 100]
