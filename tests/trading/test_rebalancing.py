"""A rebalance: its sales and then its purchases as batches, each order placed once, and every end."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from jobs.exceptions import JobCancelled, WorkerEnding
from tests.trading.calls import CallDesk
from tests.trading.desks import FREE, coin, prints
from trading.api import rebalances
from trading.api.rebalances import RebalanceParameters, rebalance
from trading.core.orders import OrderState
from trading.core.terms import AccountKind, Side
from trading.documents.orders import RebalanceResultDocument
from trading.exceptions import EngineUnavailable
from trading.models import OrderRow
from trading.services.accounts import preferences_change
from trading.services.orders import order_cancel
from trading.services.rebalancing import model_set
from web.requests.json_fields import JsonObject

MODEL = "core"
SYMBOLS = ["AA", "BB", "CC", "DD"]


class JobRun:
    """A job's run. stops: what its checks raise, in order; None goes on."""

    is_confirmed = False
    created_by = "schedule:test"

    def __init__(self, uuid: UUID | None = None, note: JsonObject | None = None, **options: Any) -> None:
        self.uuid, self.note = uuid or uuid4(), note or {}
        values = RebalanceParameters(data={"account": "ACC", "model": MODEL, **options})
        assert values.is_valid(), values.errors
        self.parameters: JsonObject = values.validated_data
        self.stops: list[type[BaseException] | None] = []

    def leave(self, note: JsonObject) -> None:
        self.note = note
        self.check()

    def progress(self, done: int, total: int | None = None) -> None:
        assert done <= (total or 0)
        self.check()

    def request_key(self, piece: str) -> str:
        return f"{self.uuid}:{piece}"

    def check(self) -> None:
        stop = self.stops.pop(0) if self.stops else None
        if stop is not None:
            raise stop

    def again(self) -> "JobRun":
        """Return the run of another attempt, which has the job's id and note."""
        return JobRun(self.uuid, self.note)


class ModelDesk(CallDesk):
    """A desk of four coins at 100, whose account has the model. Each wait of a rebalance prints them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, weights: dict[str, str], **options: Any) -> None:
        for symbol in SYMBOLS:
            coin(symbol)
            prints(symbol, (0, 100.0, 50))
        super().__init__(**options)
        self.seconds, self.now = 10.0, 0.0
        self.weigh(weights)
        preferences_change(account=self.account, changes={"model": MODEL})
        clock = SimpleNamespace(time=lambda: self.now, sleep=lambda _: self.print_all())
        monkeypatch.setattr(rebalances, "time", clock)

    def weigh(self, weights: dict[str, str]) -> None:
        values = {symbol: Decimal(weight) for symbol, weight in weights.items()}
        model_set(account=self.account, name=MODEL, weights=values)

    def print_all(self) -> None:
        """Print every coin, so that what is open fills."""
        self.seconds += 1
        for symbol in SYMBOLS:
            prints(symbol, (self.seconds, 100.0, 10**6))
        self.run()
        self.run()
        self.keep_alive()

    def rebalance(self, run: JobRun | None = None, **options: Any) -> dict[str, Any]:
        result = rebalance(run or JobRun(**options))
        # Equal if each member has the type that the document declares.
        assert msgspec.convert(result, RebalanceResultDocument).as_json() == result
        return result

    def weights(self) -> dict[str, float]:
        state = self.state
        equity = state.cash + sum(each.quantity * 100 for each in state.positions.values())
        return {each.symbol: float(each.quantity * 100 / equity) for each in state.positions.values()}


def rows(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["symbol"]: each for each in result["symbols"]}


@pytest.fixture
def desk(api: object, monkeypatch: pytest.MonkeyPatch) -> ModelDesk:
    return ModelDesk(monkeypatch, {"AA": "0.5", "BB": "0.25", "CC": "0.2"})


def near(weights: dict[str, float]) -> Any:
    return pytest.approx(weights, abs=2e-3)


def test_an_account_reaches_its_weights_and_moves_to_others(desk: ModelDesk) -> None:
    assert desk.rebalance()["ended"] == "complete"
    assert desk.weights() == near({"AA": 0.5, "BB": 0.25, "CC": 0.2})
    desk.weigh({"BB": "0.5", "DD": "0.4"})
    result = desk.rebalance()
    assert desk.weights() == near({"BB": 0.5, "DD": 0.4})
    found = rows(result)
    assert [(each["side"], each["symbol"]) for each in result["symbols"]] == [
        ("sell", "AA"), ("sell", "CC"), ("buy", "BB"), ("buy", "DD"),
    ]  # fmt: skip
    assert (found["AA"]["before"], found["AA"]["after"]) == (pytest.approx(0.5, abs=2e-3), 0.0)
    assert (found["DD"]["filled"], found["DD"]["average_price"]) == (found["DD"]["quantity"], 100.02)
    desk.check()


@pytest.mark.parametrize("kind", AccountKind)
def test_weights_of_one_leave_what_the_collar_may_take(
    api: object, monkeypatch: pytest.MonkeyPatch, kind: AccountKind
) -> None:
    strict = msgspec.structs.replace(FREE, max_gross_exposure=Decimal(100))
    desk = ModelDesk(monkeypatch, {"AA": "0.6", "BB": "0.4"}, kind=kind, config=strict)
    result = desk.rebalance()
    assert [each["reason"] for each in result["symbols"]] == ["cash", "cash"]
    assert desk.weights() == near({"AA": 0.6 / 1.05, "BB": 0.4 / 1.05})
    desk.rebalance()
    assert sum(desk.weights().values()) == pytest.approx(0.9977, abs=2e-3)
    assert desk.state.cash >= 0
    desk.check()


def test_purchases_wait_for_the_end_of_the_sales(desk: ModelDesk) -> None:
    desk.rebalance()
    desk.weigh({"DD": "0.9"})
    run, before = JobRun(), OrderRow.objects.count()
    # Its worker ends while the sales are open.
    run.stops = [None, WorkerEnding]
    with pytest.raises(WorkerEnding):
        rebalance(run)
    assert {row.side for row in OrderRow.objects.order_by("pk")[before:]} == {Side.SELL}
    assert rows(desk.rebalance(run.again()))["DD"]["after"] == pytest.approx(0.9, abs=5e-3)


@pytest.mark.parametrize("steps", range(5))
def test_an_attempt_that_ended_is_gone_on_with(desk: ModelDesk, steps: int) -> None:
    desk.rebalance()
    desk.weigh({"BB": "0.1", "DD": "0.8"})
    run, before = JobRun(), OrderRow.objects.count()
    run.stops = [*[None] * steps, WorkerEnding]
    try:
        rebalance(run)
    except WorkerEnding:
        desk.print_all()
    result = desk.rebalance(run.again())
    assert (result["ended"], desk.weights()) == ("complete", near({"BB": 0.1, "DD": 0.8}))
    assert OrderRow.objects.count() - before == 4
    assert not any(each["reason"] for each in result["symbols"])
    desk.check()


def test_a_cancel_cancels_what_is_open(desk: ModelDesk) -> None:
    run = JobRun()
    run.stops = [None, None, JobCancelled]
    with pytest.raises(JobCancelled):
        rebalance(run)
    assert set(OrderRow.objects.values_list("state", flat=True)) == {"pending_cancel"}


def test_what_a_check_refuses_is_reported(api: object, monkeypatch: pytest.MonkeyPatch) -> None:
    config = msgspec.structs.replace(FREE, max_symbol_exposure=Decimal(30))
    desk = ModelDesk(monkeypatch, {"AA": "0.5", "BB": "0.25"}, config=config)
    result = desk.rebalance()
    row = rows(result)["AA"]
    # The checks weigh it at its collar.
    assert (result["ended"], row["reason"], row["filled"], row["order_id"]) == (
        "complete",
        "refused",
        0,
        None,
    )
    assert row["message"].startswith("symbol exposure 52.")
    assert row["message"].endswith("percent of equity would be over the limit of 30")
    assert desk.weights() == near({"BB": 0.25})


def test_at_its_time_it_cancels_what_is_open(desk: ModelDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.rebalance()
    desk.weigh({"DD": "0.9"})

    print_all = desk.print_all

    def late() -> None:
        desk.now = 10.0
        monkeypatch.setattr(desk, "print_all", print_all)

    monkeypatch.setattr(desk, "print_all", late)
    result = desk.rebalance(timeout_seconds=5)
    assert (result["ended"], desk.state.orders) == ("timeout", {})
    found = {symbol: (each["reason"], each["filled"]) for symbol, each in rows(result).items()}
    assert found == {**dict.fromkeys(("AA", "BB", "CC"), (OrderState.CANCELLED, 0.0)), "DD": ("timeout", 0.0)}


def test_an_order_that_somebody_cancels_is_not_placed_again(
    desk: ModelDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    print_all = desk.print_all

    def cancel() -> None:
        monkeypatch.setattr(desk, "print_all", print_all)
        order = OrderRow.objects.get(symbol="AA")
        order_cancel(account=desk.account, order_id=order.uuid, by="someone")
        print_all()

    monkeypatch.setattr(desk, "print_all", cancel)
    result = desk.rebalance()
    assert (result["ended"], rows(result)["AA"]["reason"]) == ("complete", OrderState.CANCELLED)
    assert desk.weights() == near({"BB": 0.25, "CC": 0.2})


def test_without_the_engine_it_is_tried_again(desk: ModelDesk) -> None:
    run = JobRun()
    desk.away()
    with pytest.raises(EngineUnavailable):
        rebalance(run)
    desk.keep_alive()
    assert desk.rebalance(run.again())["ended"] == "complete"


def test_orders_of_the_model_are_left_alone(desk: ModelDesk) -> None:
    resting = desk.order("AA", Side.BUY, 1, strategy=MODEL)
    assert rows(desk.rebalance())["AA"]["reason"] == "open_orders"
    assert desk.find(resting).state is OrderState.FILLED
    assert desk.weights() == near({"AA": 0.001, "BB": 0.25, "CC": 0.2})


def test_positions_of_others_are_not_touched(desk: ModelDesk) -> None:
    desk.order("DD", Side.BUY, 200)
    desk.print_all()
    desk.rebalance()
    assert desk.weights() == near({"AA": 0.4, "BB": 0.2, "CC": 0.16, "DD": 0.2})
    assert desk.state.position("DD") is not None
