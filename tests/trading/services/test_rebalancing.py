"""A rebalance step by step: sales, purchases as the cash comes, attempts that begin again, and every end."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from jobs.exceptions import WorkerEnding
from tests.chance import SOAK
from tests.trading.calls import CallDesk, amount
from tests.trading.desks import FREE, coin, prints
from trading.core.account import AccountState
from trading.core.events import HaltLatched, RiskConfigured
from trading.core.orders import OrderState
from trading.core.rebalance import RebalanceOptions
from trading.core.terms import AccountKind, Side
from trading.documents.rebalances import RebalanceResultDocument
from trading.journal import open_journal
from trading.lease import engine_status
from trading.models import OrderRow
from trading.reading.rebalances import result_document
from trading.services.accounts import preferences_change
from trading.services.control import trading_stop
from trading.services.orders import order_cancel
from trading.services.rebalancing import (
    Rebalancing,
    StartedRebalance,
    model_assigned,
    rebalance_begin,
)
from trading.services.target_models import model_set

MODEL = "core"
SYMBOLS = ["AA", "BB", "CC", "DD"]
UNTIL = 1000.0


class ModelDesk(CallDesk):
    """A desk of four coins at 100, whose account has the model."""

    def __init__(self, weights: dict[str, str], **options: Any) -> None:
        for symbol in SYMBOLS:
            coin(symbol)
            prints(symbol, (0, 100.0, 50))
        super().__init__(**options)
        self.seconds = 10.0
        self.weigh(weights)
        preferences_change(account=self.account, changes={"model": MODEL})

    def weigh(self, weights: dict[str, str]) -> None:
        model_set(
            account=self.account,
            name=MODEL,
            weights={symbol: amount(weight) for symbol, weight in weights.items()},
            tag="*",
        )

    def print_all(self, price: float = 100.0, volume: float = 10**6) -> None:
        """Print every coin, so that what is open fills."""
        self.seconds += 1
        for symbol in SYMBOLS:
            prints(symbol, (self.seconds, price, volume))
        self.run()
        self.run()
        self.keep_alive()

    def begin(self, **options: str) -> Rebalancing:
        chosen = RebalanceOptions(**{name: amount(text) for name, text in options.items()})
        model = model_assigned(self.account)
        started = rebalance_begin(account=self.account, model=model, options=chosen, until_seconds=UNTIL)
        return Rebalancing(self.account, uuid4(), started, lambda: None)

    def work(self, rebalancing: Rebalancing, *, rounds: int = 20) -> dict[str, Any]:
        """Step and print until it has ended; return its result."""
        for number in range(rounds):
            if rebalancing.step(10.0 * number):
                result = result_document(rebalancing).as_json()
                # Equal if each member has the type that the document declares.
                assert msgspec.convert(result, RebalanceResultDocument).as_json() == result
                return result
            self.print_all()
        raise AssertionError("it does not end")

    def weights(self) -> dict[str, float]:
        state = self.state
        equity = state.cash + sum(each.quantity * 100 for each in state.positions.values())
        return {each.symbol: float(each.quantity * 100 / equity) for each in state.positions.values()}


def again(rebalancing: Rebalancing) -> Rebalancing:
    """Return what another attempt has of it: its note, and the job's id."""
    started = msgspec.convert(msgspec.to_builtins(rebalancing.started), StartedRebalance)
    return Rebalancing(rebalancing.account, rebalancing.job, started, lambda: None)


def rows(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["symbol"]: each for each in result["symbols"]}


@pytest.fixture
def desk(api: object) -> ModelDesk:
    return ModelDesk({"AA": "0.5", "BB": "0.25", "CC": "0.25"})


def near(weights: dict[str, float]) -> Any:
    return pytest.approx(weights, abs=2e-3)


def test_an_account_reaches_its_weights_and_moves_to_others(desk: ModelDesk) -> None:
    result = desk.work(desk.begin())
    assert result["ended"] == "complete"
    assert desk.weights() == near({"AA": 0.5, "BB": 0.25, "CC": 0.25})
    desk.weigh({"BB": "0.5", "DD": "0.4"})
    result = desk.work(desk.begin())
    assert desk.weights() == near({"BB": 0.5, "DD": 0.4})
    found = rows(result)
    assert (found["AA"]["after"], found["AA"]["left"], found["AA"]["side"]) == (0.0, 0.0, "sell")
    assert (found["DD"]["after"], found["DD"]["left"]) == (pytest.approx(0.4, abs=2e-3), 0.0)
    assert result["cash_after"] == pytest.approx(float(desk.state.cash))
    desk.check()


@pytest.mark.parametrize("kind", AccountKind)
def test_a_fully_invested_account_pays_for_its_last_purchase(api: object, kind: AccountKind) -> None:
    """At the collar the two orders are worth more than the account: the second is placed in parts."""
    strict = msgspec.structs.replace(FREE, max_gross_exposure=Decimal(100))
    desk = ModelDesk({"AA": "0.5", "BB": "0.5"}, kind=kind, config=strict)
    result = desk.work(desk.begin())
    assert desk.weights() == near({"AA": 0.5, "BB": 0.5})
    assert desk.state.cash >= 0
    parts = rows(result)["BB"]["orders"] + rows(result)["AA"]["orders"]
    assert len(parts) > 2
    desk.check()


def test_purchases_wait_for_the_cash_of_the_sales(desk: ModelDesk) -> None:
    desk.work(desk.begin())
    desk.weigh({"DD": "1"})
    rebalancing = desk.begin()
    assert not rebalancing.step(0)
    assert {order.terms.side for order in open_orders(desk)} == {Side.SELL}
    result = desk.work(rebalancing)
    assert rows(result)["DD"]["after"] == pytest.approx(1, abs=5e-3)


def open_orders(desk: ModelDesk) -> list[Any]:
    state: AccountState = desk.state
    return list(state.orders.values())


@pytest.mark.parametrize("killed_after", range(6) if SOAK else (2, 5))
def test_an_attempt_that_was_killed_is_gone_on_with(desk: ModelDesk, killed_after: int) -> None:
    desk.work(desk.begin())
    desk.weigh({"BB": "0.1", "DD": "0.9"})
    before = OrderRow.objects.count()
    rebalancing = desk.begin()
    for number in range(killed_after):
        rebalancing.step(float(number))
        if number % 2:
            desk.print_all()
    desk.weigh({"AA": "1"})
    result = desk.work(again(rebalancing))
    assert (result["ended"], desk.weights()) == ("complete", near({"BB": 0.1, "DD": 0.9}))
    made = OrderRow.objects.order_by("pk")[before:]
    assert len({row.client_order_id for row in made}) == len(made)
    assert sum(row.symbol in {"AA", "BB", "CC"} for row in made) == 3
    desk.check()


def test_a_job_that_must_end_places_no_order(desk: ModelDesk) -> None:
    def check() -> None:
        raise WorkerEnding

    first = desk.begin()
    with pytest.raises(WorkerEnding):
        Rebalancing(first.account, first.job, first.started, check).step(0)
    assert not open_orders(desk)
    assert desk.work(again(first))["ended"] == "complete"


def test_two_attempts_at_once_place_each_order_once(desk: ModelDesk) -> None:
    desk.weigh({"AA": "0.5", "BB": "0.25"})
    first = desk.begin()
    second = again(first)
    for number in range(4):
        first.step(float(10 * number))
        second.step(float(10 * number))
        desk.print_all()
    assert OrderRow.objects.count() == len(desk.weights()) == 2


def test_what_a_check_refuses_is_told(api: object) -> None:
    config = msgspec.structs.replace(FREE, max_symbol_exposure=Decimal(30))
    desk = ModelDesk({"AA": "0.5", "BB": "0.25"}, config=config)
    result = desk.work(desk.begin())
    row = rows(result)["AA"]
    # The checks weigh it at its collar.
    assert (row["reason"], row["after"]) == ("refused", 0)
    assert row["message"].startswith("symbol exposure 52.")
    assert row["message"].endswith("percent of equity would be over the limit of 30")
    assert rows(result)["BB"]["after"] == pytest.approx(0.25, abs=2e-3)


def test_what_was_refused_is_not_tried_again(api: object) -> None:
    config = msgspec.structs.replace(FREE, max_symbol_exposure=Decimal(30))
    desk = ModelDesk({"AA": "0.5", "BB": "0.25"}, config=config)
    rebalancing = desk.begin()
    assert not rebalancing.step(0)
    wider = RiskConfigured(version=2, config=FREE, by="someone")
    with open_journal(desk.name) as journal:
        journal.record(wider, at_ns=engine_status().now_ns)
    assert rows(desk.work(rebalancing))["AA"]["reason"] == "refused"


def test_a_limited_rate_of_orders_is_waited_for(api: object) -> None:
    config = msgspec.structs.replace(FREE, orders_per_minute=1)
    desk = ModelDesk({"AA": "0.5", "BB": "0.25"}, config=config)
    rebalancing = desk.begin()
    for number in range(5):
        assert not rebalancing.step(10.0 * number)
        desk.print_all()
    assert len(desk.weights()) == 1
    desk.seconds += 60
    desk.print_all()
    desk.work(rebalancing)
    assert desk.weights() == near({"AA": 0.5, "BB": 0.25})


def test_at_its_time_it_cancels_what_is_open(desk: ModelDesk) -> None:
    desk.weigh({"AA": "0.5", "BB": "0.25"})
    rebalancing = desk.begin()
    rebalancing.step(0)
    assert not rebalancing.step(UNTIL)
    desk.print_all()
    desk.print_all()
    assert rebalancing.step(UNTIL + 1)
    result = result_document(rebalancing).as_json()
    assert {each["reason"] for each in result["symbols"]} == {"timeout"}
    assert desk.state.orders == {}


def test_an_order_that_somebody_cancels_is_not_placed_again(desk: ModelDesk) -> None:
    rebalancing = desk.begin()
    rebalancing.step(0)
    (order,) = [each for each in open_orders(desk) if each.terms.symbol == "AA"]
    order_cancel(account=desk.account, order_id=UUID(order.id), by="someone")
    desk.run()
    result = desk.work(rebalancing)
    assert rows(result)["AA"]["reason"] == OrderState.CANCELLED
    assert rows(result)["BB"]["left"] == 0


def test_a_stop_ends_it(desk: ModelDesk) -> None:
    rebalancing = desk.begin()
    rebalancing.step(0)
    trading_stop(account=desk.account, by="someone")
    result = desk.work(rebalancing)
    assert (result["ended"], desk.state.positions) == ("stopped", {})


def test_a_halt_ends_it(desk: ModelDesk) -> None:
    rebalancing = desk.begin()
    rebalancing.step(0)
    with open_journal(desk.name) as journal:
        journal.record(HaltLatched(reason="the log was restored", symbol="AA"), at_ns=1)
    result = desk.work(rebalancing)
    assert result["ended"] == "halted"
    assert desk.state.orders == {}


def test_without_the_engine_it_waits(desk: ModelDesk) -> None:
    rebalancing = desk.begin()
    desk.away()
    assert not rebalancing.step(0)
    desk.keep_alive()
    assert desk.work(rebalancing)["ended"] == "complete"


def test_orders_of_the_model_are_left_alone(desk: ModelDesk) -> None:
    resting = desk.order("AA", Side.BUY, 1, strategy=MODEL)
    result = desk.work(desk.begin())
    assert rows(result)["AA"]["reason"] == "open_orders"
    assert desk.find(resting).state is OrderState.FILLED
    assert desk.weights() == near({"AA": 0.001, "BB": 0.25, "CC": 0.25})


def test_positions_of_others_are_not_touched(desk: ModelDesk) -> None:
    desk.order("DD", Side.BUY, 200)
    desk.print_all()
    desk.work(desk.begin())
    assert desk.weights() == near({"AA": 0.4, "BB": 0.2, "CC": 0.2, "DD": 0.2})
    assert desk.state.position("DD") is not None
