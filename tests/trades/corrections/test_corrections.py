"""Cancels and corrections over HTTP."""

from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from django.test import Client

from store.datasets import TRADES
from store.exceptions import CorrectionAmbiguous
from store.protocol import ALL_TIME
from tests.api_client import CORRECTIONS, Api, answer, make_key, problem, trade
from trades.batches.sample_rows import SEED_TRADES
from trades.correction_batch import CORRECTIONS_LIMIT, SEED_CORRECTIONS
from trades.stores import market_store

TIME = trade()["timestamp"]
BY_ID = {"timestamp": TIME, "trade_id": "a"}
BY_VALUES = {"timestamp": TIME, "price": 189.98, "volume": 100}
CANCEL = {"action": "cancel", **BY_ID}
CORRECT = {"action": "correct", **BY_ID, "new_price": 190}


def rows(symbol: str = "AAPL") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = market_store().log(TRADES, symbol).at().rows(ALL_TIME).to_pylist()
    return found


@pytest.fixture
def stocked(api) -> Api:
    """A caller before a store with three trades: `a` on N, `b` on P with conditions, and one without an id."""
    api.ingest(
        trade(trade_id="a", exchange="N", sequence=1),
        trade(trade_id="b", exchange="P", price=200, conditions=["odd_lot"], sequence=2),
        trade(price=210, volume=5, sequence=3),
    )
    return api  # type: ignore[no-any-return]


def test_the_answer_says_what_became_of_the_batch(stocked):
    response = stocked.correct(CANCEL, {**CORRECT, "trade_id": "b"}, CANCEL)
    assert response.status_code == 200
    assert answer(response) == {
        "symbol": "AAPL", "received": 3, "stored": 2, "duplicates": 1, "duplicate_rows": [2], "commit": 2,
    }  # fmt: skip
    assert response["X-Commit"] == f"trades={market_store().log(TRADES, 'AAPL').head.token}"
    assert [row["price"] for row in rows()] == [190.0, 210.0]


@pytest.mark.parametrize("path", [CORRECTIONS, f"{CORRECTIONS}/", "/v1/trades/corrections"])
def test_every_prefix_serves_it(stocked, path: str):
    assert stocked.correct(CANCEL, path=path).status_code == 200
    assert len(rows()) == 2


def test_the_symbol_is_taken_in_any_spelling(api):
    api.ingest(trade(symbol="BTC/USD", trade_id="a"))
    assert answer(api.correct(CANCEL, symbol="btc-usd"))["symbol"] == "BTC-USD"


def test_the_examples_are_what_happens(api):
    api.ingest(*SEED_TRADES)
    assert answer(api.correct(*SEED_CORRECTIONS)) == {
        "symbol": "AAPL", "received": 2, "stored": 2, "duplicates": 0, "duplicate_rows": [], "commit": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"new_price": 1.5}, {"price": 1.5}),
        ({"new_volume": 0}, {"volume": 0.0}),
        ({"new_conditions": ["cross", "odd_lot"]}, {"conditions": "cross;odd_lot"}),
        ({"new_conditions": []}, {"conditions": None}),
        ({"new_sequence": 7}, {"sequence": 7}),
        (
            {"new_price": 1.5, "new_volume": 2, "new_sequence": 0},
            {"price": 1.5, "volume": 2.0, "sequence": 0},
        ),
        ({"new_price": 1.5, "new_conditions": None, "new_sequence": None}, {"price": 1.5}),
    ],
    ids=str,
)
def test_new_values_take_the_place_of_the_old(stocked, changes, expected):
    before = next(row for row in rows() if row["trade_id"] == "b")
    assert (
        answer(stocked.correct({"action": "correct", "timestamp": TIME, "trade_id": "b", **changes}))[
            "stored"
        ]
        == 1
    )
    assert next(row for row in rows() if row["trade_id"] == "b") == before | expected


@pytest.mark.parametrize(
    "named",
    [
        {"trade_id": "a"},
        {"trade_id": "a", "exchange": "N"},
        {"trade_id": "a", "price": 189.98, "volume": 100.0},
        {"price": 189.98, "volume": 100},
        {"price": 189.98, "volume": 100, "exchange": "N", "trade_id": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("timestamp", [TIME, "2025-01-02T15:30:00.000000000+01:00"])
def test_a_trade_is_named_by_its_id_or_its_values(stocked, timestamp, named):
    assert stocked.correct({"action": "cancel", "timestamp": timestamp, **named}).status_code == 200
    assert [row["trade_id"] for row in rows()] == ["b", None]


WITHOUT_TARGET = {"action": "cancel", "timestamp": TIME}


@pytest.mark.parametrize(
    ("correction", "path", "code"),
    [
        ({**CANCEL, "action": "bust"}, "corrections[0].action", "invalid_choice"),
        ({**CANCEL, "action": None}, "corrections[0].action", "null"),
        (BY_ID, "corrections[0].action", "required"),
        ({"action": "cancel", "trade_id": "a"}, "corrections[0].timestamp", "required"),
        ({**CANCEL, "timestamp": "noon"}, "corrections[0].timestamp", "invalid_timestamp"),
        ({**CANCEL, "exchange": "a b"}, "corrections[0].exchange", "invalid_text"),
        ({**CANCEL, "price": "189.98"}, "corrections[0].price", "invalid_type"),
        ({**CANCEL, "volume": 1e300}, "corrections[0].volume", "out_of_range"),
        (WITHOUT_TARGET, "corrections[0]", "target_required"),
        ({**WITHOUT_TARGET, "price": 189.98}, "corrections[0]", "target_required"),
        ({**CANCEL, "new_price": 5}, "corrections[0].new_price", "new_value_forbidden"),
        ({**CORRECT, "new_price": None}, "corrections[0]", "new_value_required"),
        ({**CORRECT, "new_price": 0}, "corrections[0].new_price", "nonpositive_price"),
        ({**CORRECT, "new_volume": -1}, "corrections[0].new_volume", "negative_volume"),
        ({**CORRECT, "new_conditions": "x"}, "corrections[0].new_conditions", "invalid_type"),
        ({**CORRECT, "new_timestamp": TIME}, "corrections[0].new_timestamp", "unknown_field"),
        ("cancel", "corrections[0]", "invalid_type"),
        (None, "corrections[0]", "null"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(stocked, correction, path, code):
    response = stocked.correct(correction)
    telling = {"nonpositive_price", "negative_volume", "unknown_field"}
    assert problem(response) == (422, code if code in telling else "validation_failed")
    assert [(error["path"], error["code"]) for error in answer(response)["errors"]] == [(path, code)]
    assert len(rows()) == 3


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"{bad", 400, "malformed_json"),
        (b'{"symbol":"AAPL","symbol":"AAPL","corrections":[]}', 400, "duplicate_key"),
        (b"[]", 422, "validation_failed"),
        (b'{"symbol":"AAPL"}', 422, "validation_failed"),
        (b'{"corrections":[]}', 422, "empty_batch"),
        (b'{"symbol":"AAPL","corrections":{}}', 422, "validation_failed"),
        (orjson.dumps({"symbol": "A B?", "corrections": [CANCEL]}), 422, "invalid_symbol"),
        (orjson.dumps({"symbol": "AAPL", "corrections": [CANCEL], "dry": 1}), 422, "unknown_field"),
        (orjson.dumps({"symbol": "AAPL", "corrections": []}), 422, "empty_batch"),
        (
            orjson.dumps({"symbol": "AAPL", "corrections": [CANCEL] * (CORRECTIONS_LIMIT + 1)}),
            422,
            "too_many_rows",
        ),
        (orjson.dumps({"symbol": "GHOST", "corrections": [CANCEL]}), 404, "unknown_symbol"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_not_a_batch_of_corrections_is_refused(stocked, body, status, code):
    assert problem(stocked.correct(body)) == (status, code)
    assert len(rows()) == 3


def test_too_many_dates_are_refused(stocked):
    dates = [
        f"{year}-{month:02}-{day:02}"
        for year in (2023, 2024)
        for month in range(1, 13)
        for day in range(1, 29)
    ]
    assert problem(stocked.correct(*({**CANCEL, "timestamp": date} for date in dates))) == (
        422,
        "too_many_dates",
    )


def test_corrections_of_no_trade_are_named_and_nothing_is_applied(stocked):
    response = stocked.correct(
        CANCEL, {**CANCEL, "trade_id": "zz"}, {**BY_VALUES, "action": "cancel", "price": 1}
    )
    assert problem(response) == (422, "correction_target_not_found")
    assert [error["path"] for error in answer(response)["errors"]] == [
        "corrections[1].trade_id", "corrections[2].timestamp",
    ]  # fmt: skip
    assert len(rows()) == 3


def test_corrections_of_trades_that_differ_are_named(stocked):
    stocked.ingest(trade(exchange="N", volume=7), trade(exchange="P", volume=7))
    response = stocked.correct(CANCEL, {**BY_VALUES, "action": "cancel", "volume": 7})
    assert problem(response) == (422, CorrectionAmbiguous.code)
    assert [error["path"] for error in answer(response)["errors"]] == ["corrections[1].timestamp"]
    assert len(rows()) == 5
    exact = {**BY_VALUES, "action": "cancel", "volume": 7, "exchange": "P"}
    assert stocked.correct(CANCEL, exact).status_code == 200


def test_at_most_a_hundred_errors_are_listed(stocked):
    for correction in (WITHOUT_TARGET, {**CANCEL, "trade_id": "zz"}):
        assert len(answer(stocked.correct(*[correction] * 150))["errors"]) == 100


def test_a_request_again_gets_the_first_answer_and_says_so(stocked):
    first = stocked.correct(CANCEL, idempotency_key="k-1")
    again = stocked.correct(CANCEL, idempotency_key="k-1")
    assert (again.content, again["X-Commit"]) == (first.content, first["X-Commit"])
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    assert problem(stocked.correct(CORRECT, idempotency_key="k-1")) == (422, "idempotency_key_reused")
    assert problem(stocked.correct(CANCEL, idempotency_key="a b")) == (400, "invalid_idempotency_key")


def test_a_cancelled_trade_sent_again_is_a_duplicate(stocked):
    stocked.correct(CANCEL)
    sent = trade(trade_id="a", exchange="N", sequence=1)
    assert answer(stocked.ingest(sent))["duplicates"] == 1
    assert [row["trade_id"] for row in rows()] == ["b", None]


def test_it_needs_a_key_with_the_scope_to_write(stocked):
    assert problem(Api(None).correct(CANCEL)) == (401, "not_authenticated")
    assert problem(Api(make_key(scopes=("market:read",))).correct(CANCEL)) == (403, "missing_scope")
    assert len(rows()) == 3


def test_unknown_parameters_and_other_methods_are_refused(stocked):
    assert problem(stocked.correct(CANCEL, path=f"{CORRECTIONS}?dedupe=none")) == (400, "unknown_parameter")
    assert problem(stocked.get(CORRECTIONS)) == (405, "method_not_allowed")
    assert problem(stocked.correct(b"<x/>", content_type="text/xml")) == (415, "unsupported_media_type")


def test_a_browser_posts_corrections_by_a_form(stocked):
    html = {"Accept": "text/html"}
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("lovelace"))
    page = client.get(CORRECTIONS, headers=html)
    assert "<form" in page.content.decode()
    assert "new_price" in page.content.decode()
    assert "Cancel or correct stored trades</button>" in page.content.decode()
    token = {"X-CSRFToken": page.cookies["csrftoken"].value}
    body = orjson.dumps({"symbol": "AAPL", "corrections": [CANCEL]})
    response = client.generic("POST", CORRECTIONS, body, "application/json", headers=html | token)
    assert response.status_code == 200
    assert "&quot;stored&quot;: 1" in response.content.decode()
