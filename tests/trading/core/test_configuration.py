"""Drawdown zones, and what a transfer, a mark and a release make of them."""

from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.chance import examples
from tests.trading.core.folded import Folded, these
from trading.core.account import AccountState, loss_percent
from trading.core.configuration import RiskConfig, Zone, zone_after
from trading.core.events import HaltLatched, HaltReleased, Marked, Transferred

_CONFIG = RiskConfig()
_TABLE = """
    NORMAL   0 NORMAL   2.999999 NORMAL   3 CAUTION   5.999999 CAUTION   6 DANGER   9.999999 DANGER   10 HALT   99 HALT
    CAUTION  3 CAUTION  2.000001 CAUTION  2 NORMAL    0 NORMAL           6 DANGER   10 HALT
    DANGER   6 DANGER   5.000001 DANGER   5 CAUTION   2.000001 CAUTION   2 NORMAL   9.999999 DANGER   10 HALT
    HALT    10 HALT     9 HALT            0 HALT
"""
_amounts = st.decimals(1, 10**9, places=6)


def _rows() -> list[tuple[str, str, str]]:
    rows = []
    for line in _TABLE.strip().splitlines():
        zone, *cells = line.split()
        rows += [(zone, *pair) for pair in zip(cells[::2], cells[1::2], strict=True)]
    return rows


@pytest.mark.parametrize(("zone", "drawdown", "after"), _rows())
def test_zone_after_a_mark(zone: str, drawdown: str, after: str) -> None:
    assert zone_after(Zone(zone), Decimal(drawdown), _CONFIG) is Zone(after)


def _marked(folded: Folded, *equities: Decimal) -> None:
    for equity in equities:
        folded.take(Marked(equity=equity, marks=(), zone=Zone.NORMAL, day="2025-06-05"))


def _transferred(folded: Folded, amount: Decimal) -> None:
    folded.take(Transferred(transfer="t", amount=amount, equity=folded.state.equity))


def _losses(state: AccountState) -> list[Decimal]:
    marks = state.high_water, state.day_equity, state.start_equity
    return [loss_percent(mark, state.equity) for mark in marks]


@given(
    first=_amounts,
    high=_amounts,
    part=st.decimals("0.0001", 1, places=8),
    transfers=st.lists(_amounts, max_size=8),
)
@settings(max_examples=examples(500))
def test_transfers_move_no_percentage(
    first: Decimal, high: Decimal, part: Decimal, transfers: list[Decimal]
) -> None:
    folded = Folded()
    _transferred(folded, first)
    equity = round(high * part, 6)
    assume(equity > 0)
    _marked(folded, high, equity)
    losses = _losses(folded.state)
    for amount in transfers:
        _transferred(
            folded, amount if amount % 2 < 1 else -min(amount, folded.state.equity - Decimal("0.000001"))
        )
        assert _losses(folded.state) == losses


def test_withdrawal_of_all_begins_again() -> None:
    folded = Folded()
    _transferred(folded, Decimal(100))
    _marked(folded, Decimal(95))
    _transferred(folded, Decimal(-95))
    _transferred(folded, Decimal(50))
    assert these(folded.state.drawdown, folded.state.high_water, folded.state.start_equity) == (0, 50, 50)


def test_release_of_a_drawdown_begins_a_new_high_water_mark() -> None:
    folded = Folded()
    _transferred(folded, Decimal(100))
    _marked(folded, Decimal(90))
    folded.take(HaltLatched(reason="drawdown"))
    folded.take(HaltReleased(reason="seen", by="me"))
    assert these(folded.state.zone, folded.state.halt, folded.state.high_water) == (Zone.NORMAL, None, 90)


def test_release_of_another_halt_forgets_no_loss() -> None:
    folded = Folded()
    _transferred(folded, Decimal(100))
    _marked(folded, Decimal(94))
    folded.take(HaltLatched(reason="resync", symbol="AAPL"))
    assert folded.state.zone is Zone.HALT
    folded.take(HaltReleased(reason="seen", by="me"))
    assert these(folded.state.zone, folded.state.halt, folded.state.high_water) == (Zone.DANGER, None, 100)


def test_each_of_two_halts_is_released_by_itself() -> None:
    folded = Folded()
    _transferred(folded, Decimal(100))
    for _ in range(2):
        folded.take(HaltLatched(reason="log_restored", symbol="AAPL"))
    folded.take(HaltLatched(reason="drawdown"))
    assert [halt.reason for halt in folded.state.halts] == ["log_restored", "drawdown"]
    folded.take(HaltReleased(reason="seen", by="me"))
    assert folded.state.zone is Zone.HALT
    assert folded.state.halt is not None
    assert folded.state.halt.reason == "drawdown"
    folded.take(HaltReleased(reason="seen", by="me"))
    assert these(folded.state.zone, folded.state.halt) == (Zone.NORMAL, None)


def test_a_loss_behind_another_halt_halts_by_itself() -> None:
    """While the log is looked after, the drawdown comes to its limit: no mark latches a halt that is there."""
    folded = Folded()
    _transferred(folded, Decimal(100))
    folded.take(HaltLatched(reason="log_restored", symbol="AAPL"))
    _marked(folded, Decimal(90))
    folded.take(HaltReleased(reason="seen", by="me"))
    assert folded.state.halt is not None
    assert these(folded.state.zone, folded.state.halt.reason) == (Zone.HALT, "drawdown")
    assert folded.state.high_water == 100
    folded.take(HaltReleased(reason="seen, too", by="me"))
    assert these(folded.state.zone, folded.state.halt, folded.state.high_water) == (Zone.NORMAL, None, 90)
