"""A strategy is assigned to an account over HTTP."""

import pytest

from tests.api_client import Api, answer, problem
from tests.trading.calls import COIN, CallDesk, post, trader
from trading.core.events import StrategyChoice
from trading.journal import state_of
from trading.models import Account, RunningStrategy
from trading.services.assigning import strategy_fail
from trading.strategies.catalogue import strategy_refusal

CHOICE = {
    "name": "crossover",
    "parameters": {"fast": 5, "slow": 20, "part": "0.1"},
    "symbols": [COIN.lower()],
}


@pytest.fixture
def me(api: Api) -> Api:
    CallDesk()
    return trader()


def test_it_is_assigned_shown_and_taken_away(me):
    assert answer(me.get("/api/v1/accounts/ACC"))["strategy"] is None
    assigned = answer(post(me, "/accounts/ACC", {"strategy": CHOICE, "name": "Slow"}, "PATCH"))
    shown = assigned["strategy"]
    assert (shown["name"], shown["symbols"], assigned["name"]) == ("crossover", [COIN], "Slow")
    assert shown["parameters"] == {"fast": "5", "slow": "20", "part": "0.1"}
    assert (shown["state"], shown["failure"]) == ("running", None)
    kept = answer(post(me, "/accounts/ACC", {"name": "Fast"}, "PATCH"))
    assert kept["strategy"] == shown
    strategy_fail(running=RunningStrategy.objects.get(), reason="no volume", at_ns=0)
    failed = answer(me.get("/api/v1/accounts/ACC"))["strategy"]
    assert failed == {**shown, "state": "failed", "failure": "no volume"}
    assert answer(post(me, "/accounts/ACC", {"strategy": None}, "PATCH"))["strategy"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "unknown"}, "strategy.name"),
        ({"name": "trading/strategies/crossover.py:Crossover"}, "strategy.name"),
        ({"name": "trading.strategies.crossover.Crossover"}, "strategy.name"),
        ({"parameters": {"fast": 50, "slow": 20}}, "strategy.parameters"),
        ({"parameters": {"speed": 1}}, "strategy.parameters"),
        ({"parameters": {"quantity": "1e300"}}, "strategy.parameters"),
        ({"parameters": {"fast": [1]}}, "strategy.parameters.fast"),
        ({"parameters": {"part": "0" * 65}}, "strategy.parameters.part"),
        ({"symbols": []}, "strategy.symbols"),
        ({"symbols": [1]}, "strategy.symbols[0]"),
        ({"symbols": [COIN, "NOPE"]}, "strategy.symbols"),
    ],
    ids=[
        "name",
        "path",
        "dotted path",
        "contradiction",
        "parameter",
        "large",
        "list",
        "long",
        "no symbol",
        "symbol",
        "unknown symbol",
    ],
)
def test_the_wrong_field_is_named(me, change, field):
    response = post(me, "/accounts/ACC", {"strategy": CHOICE | change}, "PATCH")
    assert response.status_code == 422
    assert [each["path"] for each in answer(response)["errors"]] == [field]
    assert state_of(Account.objects.get(name="ACC")).assignment is None


def test_a_model_and_a_strategy_cannot_have_one_name(me):
    weights = {"weights": [{"symbol": COIN, "weight": 0.25}]}
    post(me, "/models/crossover", weights, "PUT")
    assert post(me, "/accounts/ACC", {"strategy": CHOICE}, "PATCH").status_code == 200
    taken = (409, "strategy_name_taken")
    assert problem(post(me, "/accounts/ACC", {"model": "crossover"}, "PATCH")) == taken
    assert post(me, "/accounts/ACC", {"strategy": None}, "PATCH").status_code == 200
    assert post(me, "/accounts/ACC", {"model": "crossover"}, "PATCH").status_code == 200
    assert problem(post(me, "/accounts/ACC", {"strategy": CHOICE}, "PATCH")) == taken


def test_a_history_that_would_hold_up_the_engine_is_refused():
    symbols = tuple(f"S{number}" for number in range(11))
    for count, is_refused in ((10, False), (11, True)):
        choice = StrategyChoice(name="crossover", parameters={"slow": "10000"}, symbols=symbols[:count])
        assert (strategy_refusal(choice) is not None) is is_refused
