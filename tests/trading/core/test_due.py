"""What time does: expiry, cancels, overrides; zones, halts, days and margin calls at each mark."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from tests.trading.core.folded import these
from tests.trading.core.paper import MS_NS, PLAIN, SECOND_NS, Paper, dec, order_of
from trading.core import due
from trading.core.configuration import RiskConfig, Zone
from trading.core.events import Alert, BorrowCharged, CancelRequested, Marked, RiskOverridden
from trading.core.orders import OrderState, TimeInForce
from trading.core.terms import TRADABLE, AccountKind

_DAY = "2026-05-04"


def _mark(
    paper: Paper,
    price: object,
    *,
    age_ns: int = 0,
    after_ns: int = 60 * SECOND_NS,
    day: str = _DAY,
    is_filled: bool = False,
) -> list[str]:
    """Value the account with a mark after a minute, and return the names of what is recorded."""
    paper.now_ns += after_ns
    before = len(paper.events)
    marks = {"AAPL": paper.reference("AAPL", price, at_ns=paper.now_ns - age_ns)}
    due.revalue(paper.state, marks, paper.now_ns, day, paper.record, is_filled=is_filled)
    return [_name(event) for event, _ in paper.events[before:]]


def _name(event: object) -> str:
    return f"Alert {event.kind}" if isinstance(event, Alert) else type(event).__name__


def _invested(**fields: object) -> Paper:
    """10,000 units at 100: the equity of 1,000,000 is all in them."""
    paper = Paper(kind=AccountKind.CASH, config=RiskConfig(**fields))  # type: ignore[arg-type]
    paper.buy_and_hold(10_000)
    _mark(paper, 100)
    return paper


def test_nothing_is_due_without_orders() -> None:
    paper = Paper()
    assert due.next_due_ns(paper.state) is None
    paper.wait(10**18)
    assert paper.ends() == []


def test_order_works_at_once() -> None:
    paper = Paper()
    order_id = paper.accept(order_of(10, limit=90))
    assert due.next_due_ns(paper.state) == 0
    paper.wait(0)
    assert (paper.order(order_id).state, due.next_due_ns(paper.state)) == (OrderState.WORKING, None)


def test_order_expires_two_seconds_after_its_session() -> None:
    paper = Paper()
    paper.accept(order_of(10, limit=90), expires_ns=paper.now_ns + 10 * SECOND_NS)
    paper.wait(12 * SECOND_NS - 1)
    assert due.next_due_ns(paper.state) == paper.now_ns + 1
    assert paper.ends() == []
    paper.wait(1)
    assert paper.ends() == [("expired", "session")]


def test_immediate_order_without_a_print_ends() -> None:
    paper = Paper()
    paper.accept(order_of(10, time_in_force=TimeInForce.IOC))
    paper.wait(3 * SECOND_NS + 50 * MS_NS - 1)
    assert paper.ends() == []
    paper.wait(1)
    assert paper.ends() == [("cancelled", "no_print")]


def test_cancel_is_due_after_the_latency() -> None:
    paper = Paper()
    order_id = paper.accept(order_of(10, limit=90), expires_ns=paper.now_ns)
    paper.cancel(order_id)
    assert due.next_due_ns(paper.state) == paper.now_ns + 50 * MS_NS + 1
    paper.wait(50 * MS_NS)
    assert paper.ends() == []
    paper.wait(1)
    assert paper.ends() == [("cancelled", "client")]


def test_override_ends_at_its_instant() -> None:
    paper = Paper()
    until_ns = paper.now_ns + SECOND_NS
    paper.record(RiskOverridden(risk_level=dec("0.1"), until_ns=until_ns, reason="news", by="me"))
    assert (paper.state.risk_level, due.next_due_ns(paper.state)) == (dec("0.1"), until_ns)
    paper.wait(SECOND_NS - 1)
    assert paper.state.override is not None
    paper.wait(1)
    assert these(paper.state.override, paper.state.risk_level) == (None, dec("0.30"))


def test_zone_is_told_and_a_halt_cancels_what_opens() -> None:
    paper = _invested()
    opening = paper.accept(order_of(100, limit=80))
    bracket = paper.accept(order_of(100, limit=80, stop_loss=70))
    stop = paper.accept(order_of(-100, stop=70, reduce_only=True))
    paper.wait()
    assert _mark(paper, 97) == ["Marked", "Alert zone"]
    assert _mark(paper, 90) == ["Marked", "HaltLatched", "CancelRequested", "Alert halt"]
    cancelled = {
        order_id
        for event, _ in paper.events
        if isinstance(event, CancelRequested)
        for order_id in event.order_ids
    }
    assert cancelled == {opening, bracket}
    paper.wait()
    assert list(paper.state.orders) == [stop]
    assert paper.state.halt is not None
    assert paper.state.halt.reason == "drawdown"


@pytest.mark.parametrize(("age_ns", "zone"), [(60 * SECOND_NS, Zone.HALT), (60 * SECOND_NS + 1, Zone.NORMAL)])
def test_stale_mark_changes_no_zone(age_ns: int, zone: Zone) -> None:
    paper = _invested()
    found = _mark(paper, 80, age_ns=age_ns)
    assert ("Marked" in found, paper.state.zone) == (True, zone)


def test_equity_is_recorded_in_each_minute_after_fills_and_each_day() -> None:
    paper = _invested()
    _mark(paper, "100.01", after_ns=-paper.now_ns % (60 * SECOND_NS))
    assert _mark(paper, "100.05", after_ns=60 * SECOND_NS - 1) == []
    assert _mark(paper, "100.05", after_ns=1) == ["Marked"]
    assert _mark(paper, "100.05") == []
    assert _mark(paper, "100.10", after_ns=1, is_filled=True) == ["Marked"]
    assert paper.state.high_water == 1_001_000
    assert _mark(paper, "100.20", after_ns=1) == []
    assert paper.state.high_water == 1_001_000
    assert _mark(paper, "100.10", after_ns=1, day="2026-05-05") == ["Marked"]
    assert these(paper.state.day, paper.state.day_equity) == ("2026-05-05", 1_001_000)


def test_account_without_a_price_is_not_valued() -> None:
    paper = _invested()
    before = len(paper.events)
    due.revalue(paper.state, {}, paper.now_ns, "2026-05-05", paper.record)
    assert len(paper.events) == before


def test_flat_account_is_worth_its_cash() -> None:
    paper = Paper(cash=500)
    due.revalue(paper.state, {}, paper.now_ns, _DAY, paper.record)
    (event,) = (event for event, _ in paper.events if isinstance(event, Marked))
    assert event.equity == 500


def test_margin_call_is_told_once_and_ends() -> None:
    """25 % of what is held must be there: 15,000 units at 100 for 1,000,000, and at a price of 44.44 no more."""
    paper = Paper(config=RiskConfig(halt=Decimal(100), danger=Decimal(99), caution=Decimal(98)))
    paper.buy_and_hold(15_000)
    _mark(paper, 100)
    assert _mark(paper, "44.45") == ["Marked"]
    assert _mark(paper, "44.44", after_ns=1) == ["Alert margin_call"]
    assert _mark(paper, "44.44", after_ns=1) == []
    assert _mark(paper, "44.45", after_ns=1) == ["Alert margin_restored"]
    _mark(paper, 40)
    paper.accept(order_of(-15_000, reduce_only=True))
    paper.print(40, 150_000)
    assert _mark(paper, 40, after_ns=1) == ["Alert margin_restored"]
    assert not paper.state.is_margin_called


def test_short_pays_for_borrowing() -> None:
    paper = Paper(terms=replace(PLAIN, borrow_rate=dec("0.0365")), rate=(dec("1.5"), None))
    paper.buy_and_hold(-100)
    paper.buy_and_hold(100, strategy="swing")
    due.charge_borrowing(paper.state, {}, _DAY, paper.record)
    due.charge_borrowing(paper.state, {"AAPL": paper.reference("AAPL", 200)}, _DAY, paper.record)
    # 100 units at 200, times 1.5, times 3.65 % / 365.
    assert [event.amount for event, _ in paper.events if isinstance(event, BorrowCharged)] == [3]
    assert paper.state.balances["borrowing USD"] == 3


def test_cash_account_cannot_owe_borrowing() -> None:
    paper = Paper(kind=AccountKind.CASH, terms=TRADABLE["crypto"])
    paper.buy_and_hold(1)
    due.charge_borrowing(paper.state, {"AAPL": paper.reference("AAPL")}, _DAY, paper.record)
    assert "borrowing USD" not in paper.state.balances
