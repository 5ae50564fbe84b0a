"""What a feed sees when it sends trades: stored whole or not at all, each row once."""

from typing import Any

import orjson
import pytest

from store.datasets import TRADES
from store.protocol import ALL_TIME
from store.timestamps import format_timestamp
from tests.api_client import INGEST, Api, answer, body_of, make_key, problem, trade, until_limited
from trades.batches.sample_rows import SEED_TRADES
from trades.stores import market_store


def stored(symbol: str = "AAPL") -> list[dict[str, Any]]:
    """Rows of the store in order, nulls left out."""
    rows = market_store().log(TRADES, symbol).at().rows(ALL_TIME).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def nothing_is_stored() -> bool:
    return market_store().symbols(TRADES) == []


def test_the_seed_is_stored_once_however_often_it_is_sent(api):
    first, second = api.ingest(*SEED_TRADES), api.ingest(*SEED_TRADES)
    assert answer(first) == {
        "symbol": "AAPL", "received": 3, "stored": 3, "duplicates": 0, "duplicate_rows": [], "commit": 1,
    }  # fmt: skip
    assert answer(second) == {
        "symbol": "AAPL", "received": 3, "stored": 0, "duplicates": 3, "duplicate_rows": [0, 1, 2], "commit": 1,
    }  # fmt: skip
    assert len(stored()) == 3


def test_an_answer_names_the_newest_commit_in_its_header(api):
    first = api.ingest(trade())["X-Commit"]
    second = api.ingest(trade(price=1.5))["X-Commit"]
    head = market_store().log(TRADES, "AAPL").head
    assert (first[:9], second) == ("trades=1-", f"trades=2-{head.hash[:6]}")


def test_all_that_is_sent_is_kept(api):
    row = trade(
        timestamp="2025-01-02T09:30:00.123456789-05:00",
        trade_id=17,
        sequence=2**53,
        exchange="XNAS",
        conditions=["odd_lot", "of_tomorrow"],
        received_at="2025-01-02T14:30:01.5Z",
        price=0.1,
        volume=0.30000000000000004,
    )
    assert api.ingest(row).status_code == 200
    (kept,) = stored()
    assert format_timestamp(kept.pop("timestamp")) == "2025-01-02T14:30:00.123456789Z"
    assert format_timestamp(kept.pop("received_at")) == "2025-01-02T14:30:01.5Z"
    assert kept == {
        "price": 0.1, "volume": 0.30000000000000004, "trade_id": "17", "sequence": 2**53, "exchange": "XNAS",
        "conditions": "odd_lot;of_tomorrow",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spelling", "symbol"),
    [
        ("aapl", "AAPL"), ("BTC/USD", "BTC-USD"), ("brk.b", "BRK.B"), ("^gspc", "^GSPC"), ("ES=F", "ES=F"),
        ("a b", "A B"), ("7203", "7203"), ("A" * 32, "A" * 32), ("con", "CON"), ("x:y+z_", "X:Y+Z_"),
        ("a/../b", "A-..-B"),
    ],
)  # fmt: skip
def test_a_symbol_has_one_spelling(api, spelling, symbol):
    assert answer(api.ingest(trade(symbol=spelling)))["symbol"] == symbol
    assert len(api.bars(spelling)) == len(api.bars(symbol)) == 1


def test_spellings_of_one_symbol_may_be_mixed_in_a_batch(api):
    response = api.ingest(trade(symbol="btc/usd"), trade(symbol="BTC-USD", price=1))
    assert answer(response)["stored"] == 2


@pytest.mark.parametrize(
    "symbol",
    [
        "", " ", "../x", "..", "a\\..\\b", "A\x00", "A" * 33, "\u0391APL", "\uff21", "A\n", " A", "A ", "A  B", ".A", "-A", "/A",
        "A\\B", "%2e%2e", "A,B", "A*", "a" * 300, "\u017f", "\u212a",
    ],
    ids=ascii,
)  # fmt: skip
def test_anything_else_is_no_symbol_and_touches_no_file(api, store_path, symbol):
    assert problem(api.ingest(trade(symbol=symbol))) == (422, "invalid_symbol")
    assert not store_path.exists() or not [p for p in store_path.rglob("*") if p.is_file()]


def test_mixed_symbols_are_refused_and_named(api):
    response = api.ingest(trade(), trade(symbol="MSFT"))
    assert problem(response) == (422, "mixed_symbols")
    assert "AAPL, MSFT" in answer(response)["message"]
    assert nothing_is_stored()


NO_BATCHES: list[Any] = [
    (b"{bad", 400, "malformed_json"),
    (b"", 400, "malformed_json"),
    (b'{"trades":[]}', 422, "empty_batch"),
    (b"{}", 422, "validation_failed"),
    (b"[]", 422, "validation_failed"),
    (b'{"trades":{}}', 422, "validation_failed"),
    (b'{"trades":[null]}', 422, "validation_failed"),
    (b'{"trades":[],"extra":1}', 422, "unknown_field"),
]


def test_what_is_not_a_batch_is_refused(api):
    for body, status, code in NO_BATCHES:
        assert problem(api.ingest(body)) == (status, code)


WRONG_FIELDS: list[Any] = [
    ({"price": 0}, "price", "nonpositive_price"),
    ({"volume": -1}, "volume", "negative_volume"),
    ({"volume": "100"}, "volume", "invalid_type"),
    ({"price": None}, "price", "null"),
    ({"price": ...}, "price", "required"),
    ({"timestamp": 1735828200}, "timestamp", "invalid_type"),
    ({"timestamp": "2025-02-30T00:00:00Z"}, "timestamp", "invalid_timestamp"),
    ({"timestamp": "2025-01-02T00:00:00.1234567890Z"}, "timestamp", "invalid_timestamp"),
    ({"timestamp": "1899-12-31T23:59:59Z"}, "timestamp", "timestamp_out_of_range"),
    ({"sequence": 2**53 + 1}, "sequence", "out_of_range"),
    ({"conditions": ["a;b"]}, "conditions", "invalid_text"),
    ({"prise": 1}, "prise", "unknown_field"),
]


def test_a_wrong_field_is_named_with_its_path(api):
    for changes, path, code in WRONG_FIELDS:
        response = api.ingest(trade(), trade(**changes))
        problem(response)
        (error,) = answer(response)["errors"]
        assert (response.status_code, error["path"], error["code"]) == (422, f"trades[1].{path}", code)
        assert nothing_is_stored()


EXTREMES: list[Any] = [
        {"price": 5e-324}, {"price": 2**53}, {"volume": 0}, {"volume": -0.0}, {"volume": 2**53}, {"volume": 1e-9},
        {"trade_id": None}, {"trade_id": 0}, {"trade_id": "=cmd|calc"}, {"sequence": 0}, {"conditions": []}, {"conditions": None},
        {"timestamp": "2025-01-02"}, {"timestamp": "2025-01-02t14:30:00z"}, {"timestamp": "2025-01-02 14:30:00+05:30"},
        {"timestamp": "1900-01-01T00:00:00Z"}, {"timestamp": "2200-12-31T23:59:59.999999999Z"},
        {"timestamp": "2024-02-29T00:00:00"}, {"exchange": None}, {"received_at": None},
    ]  # fmt: skip


def test_the_limits_themselves_are_taken(api):
    for changes in EXTREMES:
        assert answer(api.ingest(trade(**changes), query="dedupe=none"))["stored"] == 1


def test_the_code_of_a_batch_whose_errors_are_of_one_kind_tells_it(api):
    response = api.ingest(trade(price=0), trade(price=-1))
    assert problem(response) == (422, "nonpositive_price")
    assert "allow_nonpositive_price" in answer(response)["message"]
    assert problem(api.ingest(trade(price=0), trade(volume=-1))) == (422, "validation_failed")


def test_the_nearest_known_field_is_named(api):
    response = api.ingest(trade(prise=1))
    assert problem(response) == (422, "unknown_field")
    assert "did you mean price?" in answer(response)["errors"][0]["message"]


def test_unknown_fields_are_passed_over_when_asked(api):
    row = trade(venue_specific={"deep": [1, {"a": None}]}, prise=1)
    response = api.ingest(orjson.dumps({"trades": [row], "feed": "x"}), query="unknown=ignore")
    assert answer(response)["stored"] == 1
    assert problem(api.ingest(trade(price="1", x=1), query="unknown=ignore")) == (422, "validation_failed")


def test_a_hundred_errors_are_named_and_no_more(api):
    response = api.ingest(*[trade(price="1")] * 1000)
    assert problem(response) == (422, "validation_failed")
    errors = answer(response)["errors"]
    assert [error["path"] for error in errors] == [f"trades[{row}].price" for row in range(100)]


def test_several_errors_of_one_row_are_all_named(api):
    response = api.ingest(trade(price="1", volume=-1, timestamp="x", z=1))
    paths = {error["path"] for error in answer(response)["errors"]}
    assert paths == {"trades[0].price", "trades[0].volume", "trades[0].timestamp", "trades[0].z"}


def test_a_wrong_row_anywhere_keeps_the_whole_batch_out(api):
    rows = [trade(price=row + 1) for row in range(500)]
    assert api.ingest(*rows, trade(price="1")).status_code == 422
    assert nothing_is_stored()


def test_a_batch_has_at_most_a_hundred_thousand_rows(api):
    row = orjson.dumps(trade())
    most = b'{"trades":[' + b",".join([row] * 100_000) + b"]}"
    assert answer(api.ingest(most))["stored"] == 100_000
    assert problem(api.ingest(most[:-2] + b"," + row + b"]}")) == (422, "too_many_rows")


def test_a_batch_touches_at_most_366_dates(api):
    rows = [trade(timestamp=format_timestamp(day * 86_400 * 10**9)) for day in range(367)]
    assert problem(api.ingest(*rows)) == (422, "too_many_dates")
    assert nothing_is_stored()
    assert answer(api.ingest(*rows[:366]))["stored"] == 366


def test_equal_rows_are_counted(api):
    assert answer(api.ingest(trade(), trade()))["stored"] == 2
    assert answer(api.ingest(trade(), trade()))["stored"] == 0
    response = answer(api.ingest(trade(), trade(), trade(), trade(price=2)))
    assert (response["stored"], response["duplicates"], len(response["duplicate_rows"])) == (2, 2, 2)


@pytest.mark.parametrize(("dedupe", "again", "part"), [("rows", 0, 0), ("none", 2, 1)])
def test_duplicates_are_recognised_as_the_feed_says(api, dedupe, again, part):
    rows = [trade(), trade(price=2)]
    query = f"dedupe={dedupe}"
    assert answer(api.ingest(*rows, query=query))["stored"] == 2
    assert answer(api.ingest(*rows, query=query))["stored"] == again
    assert answer(api.ingest(rows[0], query=query))["stored"] == part


def test_an_id_is_unique_per_time_and_exchange(api):
    row = trade(trade_id="7", exchange="XNAS")
    assert answer(api.ingest(row))["stored"] == 1
    assert answer(api.ingest(row))["duplicates"] == 1
    assert answer(api.ingest({**row, "exchange": "XNYS"}))["stored"] == 1
    assert answer(api.ingest({**row, "timestamp": "2025-01-03T00:00:00Z"}))["stored"] == 1


def test_an_id_with_other_values_is_a_conflict_that_names_the_rows(api):
    api.ingest(trade(trade_id="7"))
    response = api.ingest(trade(trade_id="8"), trade(trade_id="7", price=2))
    assert problem(response) == (422, "trade_id_conflict")
    assert [error["path"] for error in answer(response)["errors"]] == ["trades[1].trade_id"]
    assert len(stored()) == 1


def test_at_most_a_hundred_duplicate_rows_are_listed(api):
    rows = [trade(price=row + 1) for row in range(150)]
    api.ingest(*rows)
    response = answer(api.ingest(*rows))
    assert (response["duplicates"], response["duplicate_rows"]) == (150, list(range(100)))


@pytest.mark.parametrize("path", [INGEST, INGEST + "/", "/v1/trades/ingest", "/v1/trades/ingest/"])
def test_both_prefixes_take_a_batch_with_and_without_a_slash(api, path):
    assert answer(api.ingest(trade(), path=path))["stored"] == 1
    assert answer(api.ingest(trade(), path=INGEST))["duplicates"] == 1


WRONG_PARAMETERS = [
        ("dedupe=row", "invalid_parameter"), ("dedupe=", "empty_parameter"), ("dedupe=rows&dedupe=rows", "repeated_parameter"),
        ("unknown=yes", "invalid_parameter"), ("dedup=rows", "unknown_parameter"), ("symbol=AAPL", "unknown_parameter"),
    ]  # fmt: skip


def test_a_wrong_parameter_is_400(api):
    for query, code in WRONG_PARAMETERS:
        assert problem(api.ingest(trade(), query=query)) == (400, code)
        assert nothing_is_stored()


def test_a_mistyped_parameter_is_answered_with_the_nearest_one(api):
    assert "did you mean dedupe?" in answer(api.ingest(trade(), query="dedup=rows"))["message"]


def test_a_symbol_beside_json_is_answered_with_where_it_belongs(api):
    assert "every row names its symbol" in answer(api.ingest(trade(), query="symbol=AAPL"))["message"]


@pytest.mark.parametrize("charset", ["latin-1", "utf-16"])
def test_json_in_another_character_set_is_415(api, charset):
    media_type = f"application/json; charset={charset}"
    assert problem(api.ingest(trade(), content_type=media_type)) == (415, "unsupported_media_type")


def test_a_compressed_body_is_415(api):
    refused = api.ingest(trade(), content_encoding="gzip")
    assert problem(refused) == (415, "unsupported_media_type")
    assert "Content-Encoding" in refused.json()["message"]


WRONG_CONTENT_TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "",
]


@pytest.mark.parametrize("content_type", ["text/*", "*/csv", "*/vnd.apache.arrow.stream", "*/*"])
def test_a_range_of_content_types_is_415(api, content_type):
    """It would choose a parser with another limit than its reader's."""
    assert problem(api.ingest(trade(), content_type=content_type)) == (415, "unsupported_media_type")


def test_another_content_type_is_415(api):
    for content_type in WRONG_CONTENT_TYPES:
        assert problem(api.ingest(trade(), content_type=content_type)) == (415, "unsupported_media_type")


JSON_TYPES = ["application/json", "application/json; charset=utf-8", "Application/JSON"]


def test_json_is_taken_however_it_is_declared(api):
    for content_type in JSON_TYPES:
        assert api.ingest(trade(), content_type=content_type).status_code == 200


WRONG_METHODS = ["GET", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "BREW"]


def test_another_method_is_405_with_those_that_are_allowed(api):
    for method in WRONG_METHODS:
        response = api.call(method, INGEST)
        assert (response.status_code, response["Allow"]) == (405, "POST, OPTIONS")
        if method != "HEAD":
            assert problem(response) == (405, "method_not_allowed")


def test_an_answer_that_cannot_be_given_is_406_and_stores_nothing(api):
    assert problem(api.ingest(trade(), accept="text/csv")) == (406, "not_acceptable")
    assert nothing_is_stored()


def test_who_has_no_key_is_401_before_the_body_is_looked_at(api):
    response = Api(None).ingest(b"{bad")
    assert problem(response) == (401, "not_authenticated")
    assert response["WWW-Authenticate"].startswith("Api-Key ")


def test_who_may_only_read_is_403_and_the_missing_scope_is_named(api):
    response = Api(make_key(scopes=("market:read",))).ingest(trade())
    assert problem(response) == (403, "missing_scope")
    assert "market:write" in answer(response)["message"]
    assert nothing_is_stored()


def test_a_batch_over_the_limit_is_429_with_the_time_to_wait(api):
    limited = Api(make_key(rate=1))
    refused = until_limited(lambda: limited.ingest(trade()))
    assert problem(refused) == (429, "rate_limited")
    assert int(refused["Retry-After"]) >= 1
    assert refused["X-RateLimit-Remaining"] == "0"


def test_an_answer_and_a_refusal_say_how_the_caller_stands(api):
    for response in (api.ingest(trade()), api.ingest(b"{bad")):
        assert int(response["X-RateLimit-Remaining"]) < int(response["X-RateLimit-Limit"])
        assert int(response["X-RateLimit-Reset"]) > 1_700_000_000
        assert response["RateLimit-Policy"].startswith('"write";q=')
        assert response["RateLimit"].startswith('"write";r=')
    assert api.ohlc(symbol="AAPL")["RateLimit"].startswith('"read";r=')
    assert Api(None).ingest(trade())["RateLimit-Policy"].startswith('"address";q=')


def test_what_the_decoder_takes_is_what_was_sent(api):
    """A body with escapes, white space and keys in another order is the same batch."""
    api.ingest(trade(trade_id="a", conditions=["x"]))
    spelled = rb"""
        { "tr\u0061des" : [ { "conditions":["\u0078"], "trade_id" : "\u0061", "volume":1e2, "price":189.98,
          "symbol":"aapl", "timestamp":"2025-01-02T09:30:00.000-05:00" } ] }
    """
    assert answer(api.ingest(spelled))["duplicates"] == 1
    assert body_of(trade()) != spelled
