"""A feed says up to which instant it has sent everything: with rows, or alone."""

from typing import Any

import pytest

from store.datasets import QUOTES, TRADES
from store.declarations import Dataset
from tests.api_client import Api, answer, problem, trade
from trades.stores import market_store

UNTIL = "2025-01-02T21:00:00Z"
UNTIL_NS = 1_735_851_600 * 10**9


def declared(symbol: str = "AAPL", dataset: Dataset = TRADES) -> int:
    return market_store().log(dataset, symbol).at().completeness().complete_until_ns


def declare(api: Api, query: str, **headers: str) -> Any:
    return api.ingest(b"", query=query, **headers)


def test_rows_and_what_is_complete_are_one_commit(api: Api):
    sent = api.ingest(trade(), query=f"complete_until={UNTIL}")
    assert (answer(sent)["stored"], answer(sent)["commit"], declared()) == (1, 1, UNTIL_NS)


@pytest.mark.parametrize("spelling", [UNTIL, str(UNTIL_NS // 10**9)])
@pytest.mark.parametrize("content_type", ["application/json", "text/csv", ""])
def test_an_empty_body_declares_alone(api: Api, spelling: str, content_type: str):
    api.ingest(trade())
    sent = declare(api, f"symbol=aapl&complete_until={spelling}", content_type=content_type)
    assert answer(sent) == {
        "symbol": "AAPL", "received": 0, "stored": 0, "duplicates": 0, "duplicate_rows": [], "commit": 2,
    }  # fmt: skip
    assert declared() == UNTIL_NS


def test_every_dataset_takes_it(api: Api):
    api.ingest(b"", path="/api/v1/quotes/ingest", query=f"symbol=AAPL&complete_until={UNTIL}")
    assert declared(dataset=QUOTES) == UNTIL_NS


def test_an_alias_declares_for_its_symbol(api: Api):
    api.call("PUT", "/api/v1/instruments/AAPL", b'{"aliases": ["APPLE"]}')
    declare(api, f"symbol=APPLE&complete_until={UNTIL}")
    assert declared("AAPL") == UNTIL_NS


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        (f"complete_until={UNTIL}", 400, "missing_parameter"),
        ("symbol=AAPL&complete_until=soon", 400, "invalid_timestamp"),
        ("symbol=AAPL&complete_until=2201-01-01", 400, "timestamp_out_of_range"),
        ("symbol=AAPL&complete_until=2199-01-01", 422, "complete_until_ahead"),
        ("symbol=AAPL&complete_until=", 400, "empty_parameter"),
        ("symbol=../x&complete_until=2025-01-02", 422, "invalid_symbol"),
        ("symbol=AAPL", 400, "unknown_parameter"),
    ],
)
def test_what_cannot_be_declared_is_refused(api: Api, query: str, status: int, code: str):
    assert problem(declare(api, query)) == (status, code)
    assert market_store().symbols(TRADES) == []


def test_an_empty_list_is_still_refused(api: Api):
    assert problem(api.ingest(query=f"complete_until={UNTIL}")) == (422, "empty_batch")


def test_a_key_covers_what_is_declared(api: Api):
    query = "symbol=AAPL&complete_until="
    first, again = (declare(api, query + UNTIL, Idempotency_Key="k") for _ in range(2))
    assert answer(first) == answer(again)
    assert again["Idempotency-Replayed"] == "true"
    other = declare(api, query + "2025-01-03", Idempotency_Key="k")
    assert problem(other) == (422, "idempotency_key_reused")
