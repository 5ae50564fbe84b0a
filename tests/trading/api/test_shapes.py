"""The schema of trading says what is answered: each member, and which may be null."""

from typing import Any, cast

import pytest
from rest_framework import serializers
from rest_framework.fields import Field

from tests.api_client import Api, answer
from tests.trading.desks import at_ns, coin, prints
from tests.trading.recorded import RecordedAccount, decimal, engine_lives
from trading.api import examples
from trading.api import serializers as shapes
from trading.core.events import CloseQueued, HaltLatched, RiskOverridden

SHAPES = {
    "/status": (shapes.AccountStatusSerializer, examples.STATUS),
    "/portfolio": (shapes.PortfolioSerializer, examples.PORTFOLIO),
    "/risk": (shapes.RiskSerializer, examples.RISK),
    "/config": (shapes.RiskConfigSerializer, examples.CONFIG),
    "/performance": (shapes.PerformanceSerializer, examples.PERFORMANCE),
    "/accounts/ACC": (shapes.AccountSerializer, examples.ACCOUNT),
    "/accounts": (shapes.AccountSerializer, examples.ACCOUNT),
    "/orders/{order}/executions": (shapes.ExecutionSerializer, examples.EXECUTION),
    "/transactions": (shapes.TransactionSerializer, examples.TRANSACTION),
    "/trades": (shapes.ClosedTradeSerializer, examples.TRADE),
    "/signals": (shapes.SignalSerializer, examples.SIGNAL),
}
_TYPES: dict[type, tuple[type, ...]] = {
    serializers.FloatField: (float, int),
    serializers.IntegerField: (int,),
    serializers.BooleanField: (bool,),
    serializers.DictField: (dict,),
}


def faults(field: Field[Any, Any, Any, Any], value: Any, path: str) -> list[str]:
    """Where a value is not as a field of the schema says."""
    if value is None:
        return [] if field.allow_null else [f"{path} is null"]
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        child = cast("Field[Any, Any, Any, Any]", field.child)
        return [fault for each in value for fault in faults(child, each, path)]
    if isinstance(field, serializers.Serializer):
        needed = {name for name, each in field.fields.items() if each.required}
        wrong = {*(value.keys() - field.fields.keys()), *(needed - value.keys())}
        found = [f"{path}.{name}" for name in wrong]
        inner = {name: each for name, each in field.fields.items() if name in value}
        return found + [
            fault for name, each in inner.items() for fault in faults(each, value[name], f"{path}.{name}")
        ]
    if isinstance(field, serializers.ChoiceField):
        return [] if value in field.choices else [f"{path} is {value}"]
    return [] if isinstance(value, _TYPES.get(type(field), (str,))) else [f"{path} is {value!r}"]


@pytest.mark.parametrize("path", SHAPES)
def test_an_example_is_as_the_schema_says(path: str):
    shape, example = SHAPES[path]
    assert faults(shape(), example, "") == []


@pytest.mark.parametrize("path", SHAPES)
def test_an_answer_is_as_the_schema_says(api: Api, path: str):
    prints(coin("COIN"), (0, 100.0, 10.0), (5, 101.0, 10.0))
    coin("DARK")
    engine_lives(5)
    account = RecordedAccount(deposit=10_000)
    account.trade(5, seconds=1, strategy="momentum")
    order_id = account.hold("COIN", "buy", 1, 100, stop_loss=90, seconds=2)
    account.hold("DARK", "buy", 1, 100, seconds=2)
    account.record(
        CloseQueued(symbol="COIN", strategy=""),
        HaltLatched(reason="drawdown"),
        RiskOverridden(risk_level=decimal(0.1), until_ns=at_ns(9), reason="news", by="key:1"),
        seconds=3,
    )
    response = api.get("/api/v1" + path.format(order=order_id))
    assert response.status_code == 200
    found = answer(response)
    shape, _ = SHAPES[path]
    listed = found.get(path.rpartition("/")[2])
    rows = listed if isinstance(listed, list) else [found]
    assert rows
    assert faults(shape(many=True), rows, "") == []
