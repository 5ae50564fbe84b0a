"""Answers of trading have the types that their documents declare."""

from typing import Any

import msgspec
import pytest

from tests.api_client import Api, answer
from tests.trading.desks import at_ns, coin, prints
from tests.trading.recorded import RecordedAccount, decimal, engine_lives
from trading.core.events import CloseQueued, HaltLatched, RiskOverridden
from trading.documents import accounts, figures, ledger, orders
from web.documents import AnswerDocument, arrow_schema, example_of

DOCUMENTS = [
    each
    for module in (accounts, figures, ledger, orders)
    for each in vars(module).values()
    if isinstance(each, type) and issubclass(each, AnswerDocument) and each is not AnswerDocument
]
# Texts are words, or JSON.
COLUMN_VALUES: dict[str, Any] = {
    "string": str | list | dict,
    "int64": int,
    "double": float,
    "bool": bool,
    "timestamp[ns, tz=UTC]": str,
    "date32[day]": str,
}


@pytest.mark.parametrize(
    ("path", "document"),
    {
        "/status": accounts.AccountStatusDocument,
        "/portfolio": accounts.PortfolioDocument,
        "/risk": accounts.RiskDocument,
        "/config": accounts.RiskConfigDocument,
        "/performance": figures.PerformanceDocument,
        "/performance?by=day": figures.PerformanceDocument,
        "/performance?by=strategy": figures.PerformanceDocument,
        "/accounts/ACC": accounts.AccountDocument,
        "/accounts": accounts.AccountDocument,
        "/orders": orders.OrderDocument,
        "/orders/{order}/executions": ledger.ExecutionDocument,
        "/transactions": ledger.TransactionDocument,
        "/trades": ledger.ClosedTradeDocument,
        "/signals": orders.SignalDocument,
    }.items(),
)
def test_an_answer_is_as_its_document_says(api: Api, path: str, document: type[AnswerDocument]):
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
    found = answer(api.get("/api/v1" + path.format(order=order_id)))
    listed = found.get(path.rpartition("/")[2])
    rows: list[Any] = listed if isinstance(listed, list) else [found]
    assert rows
    for row in rows:
        # Equal if each member is declared, and has its type.
        assert msgspec.to_builtins(msgspec.convert(row, document)) == row


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each.__name__))
def test_an_example_has_the_types_and_the_columns_of_its_document(document: type[AnswerDocument]):
    example = example_of(document)
    assert msgspec.convert(example, document).as_json() == example
    columns = list(arrow_schema(document))
    assert {each.name.partition(".")[0] for each in columns} == set(document.__struct_fields__)
    for column in columns:
        value: Any = example
        for name in column.name.split("."):
            value = None if value is None else value.get(name)
        assert column.nullable if value is None else isinstance(value, COLUMN_VALUES[str(column.type)])
