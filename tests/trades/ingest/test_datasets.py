"""What a feed of quotes, bars, open interest and corporate actions sees: the same rules as for trades."""

from itertools import product
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from django.test import Client

from store.datasets import (
    BARS,
    CORPORATE_ACTIONS,
    DATASETS,
    OPEN_INTEREST,
    OPTION_QUOTES,
    QUOTES,
)
from store.declarations import Dataset
from store.protocol import ALL_TIME
from tests.api_client import Api, answer, make_key, problem
from tests.trades.formats.bodies import ENCODERS
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.stores import market_store

datasets = pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)


def path_of(dataset: Dataset) -> str:
    return f"/api/v1/{dataset.name.replace('_', '-')}/ingest"


def send(api: Api, dataset: Dataset, *rows: Any, query: str = "", **headers: str) -> Any:
    return api.ingest(orjson.dumps({dataset.name: rows}), path=path_of(dataset), query=query, **headers)


def stored(dataset: Dataset, symbol: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = market_store().log(dataset, symbol).at().rows(ALL_TIME).to_pylist()
    return found


def errors(response: Any) -> set[tuple[str, str]]:
    problem(response)
    return {(error["path"], error["code"]) for error in answer(response)["errors"]}


@datasets
@pytest.mark.parametrize("name", ENCODERS)
def test_every_dataset_is_taken_in_every_format_and_recognised_in_any_other(api, dataset, name):
    rows = SAMPLE_ROWS[dataset.name]
    media_type, encode = ENCODERS[name]
    response = api.ingest(encode(dataset, rows), path=path_of(dataset), content_type=media_type)
    count, symbol = len(rows), rows[0]["symbol"]
    assert answer(response) == {
        "symbol": symbol, "received": count, "stored": count, "duplicates": 0, "duplicate_rows": [], "commit": 1,
    }  # fmt: skip
    head = market_store().log(dataset, symbol).head
    assert response["X-Commit"] == f"{dataset.name}={head.token}"
    assert answer(send(api, dataset, *rows))["duplicates"] == count
    assert len(stored(dataset, symbol)) == count


@datasets
def test_an_idempotency_key_gives_the_first_answer_again(api, dataset):
    rows = SAMPLE_ROWS[dataset.name]
    first = send(api, dataset, *rows, idempotency_key="k-1")
    again = send(api, dataset, *rows, idempotency_key="k-1")
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")


@datasets
def test_who_may_only_read_is_403(api, dataset):
    reader = Api(make_key(scopes=("market:read",)))
    assert problem(send(reader, dataset, *SAMPLE_ROWS[dataset.name])) == (403, "missing_scope")


@datasets
def test_the_page_of_an_ingest_offers_a_form(api, dataset):
    browser = Client()
    browser.force_login(User.objects.create_superuser("lovelace"))
    page = browser.get(path_of(dataset), headers={"Accept": "text/html"})
    assert dataset.name in page.content.decode()
    assert f"<h1>Store a batch of {dataset.name.replace('_', ' ')}</h1>" in page.content.decode()
    assert "application/vnd.apache.arrow.stream" in page.content.decode()


def test_only_trades_are_served_below_the_short_prefix(api):
    assert problem(api.ingest(b"{}", path="/v1/quotes/ingest")) == (404, "not_found")


def test_another_content_type_is_415_with_those_that_are_taken(api):
    response = api.ingest(b"x", path=path_of(QUOTES), content_type="application/xml")
    assert problem(response) == (415, "unsupported_media_type")
    for media_type, _ in ENCODERS.values():
        assert media_type in answer(response)["message"]


def test_the_query_may_name_symbol_and_resolution(api):
    body = b"timestamp,open,high,low,close,volume\n2025-01-02,1,3,1,2,10\n"
    response = api.ingest(
        body, path=path_of(BARS), query="symbol=aapl&resolution=60s", content_type="text/csv"
    )
    assert answer(response)["stored"] == 1
    (bar,) = stored(BARS, "AAPL")
    assert (bar["resolution"], bar["high"]) == ("1m", 3.0)


WRONG_QUERIES: list[Any] = [
        ("symbol=..%2Fx", (422, "invalid_symbol")), ("resolution=1x", (400, "invalid_parameter")), ("symbol=", (400, "empty_parameter")),
        ("symbl=AAPL", (400, "unknown_parameter")), ("symbol=MSFT", (422, "mixed_symbols")), ("resolution=1h", (422, "mixed_resolutions")),
    ]  # fmt: skip


def test_a_query_that_is_wrong_or_contradicts_the_rows_is_refused(api):
    for query, expected in WRONG_QUERIES:
        media_type, encode = ENCODERS["csv"]
        response = api.ingest(
            encode(BARS, SAMPLE_ROWS["bars"]), path=path_of(BARS), query=query, content_type=media_type
        )
        assert problem(response) == expected
        assert market_store().symbols(BARS) == []


def quote(**changes: Any) -> dict[str, Any]:
    return {"timestamp": "2025-01-02T14:30:00Z", "symbol": "AAPL", **changes}


SIDES: list[Any] = [
    {"bid": 1.5},
    {"ask": 1.5},
    {"bid": 2, "ask": 2},
    {"bid": 3, "ask": 2},
    {"bid": 0, "ask": None, "bid_size": 5},
    {"bid": 0, "ask": 0},
]


def test_one_sided_locked_and_crossed_quotes_are_stored(api):
    for sides in SIDES:
        assert send(api, QUOTES, quote(**sides)).status_code == 200
        found = stored(QUOTES, "AAPL")[-1]
        assert (found["bid"], found["ask"]) == (sides.get("bid"), sides.get("ask"))


WRONG_SIDES: list[Any] = [
        ({}, "missing_side", "quotes[0]"), ({"bid": None, "bid_size": 5}, "missing_side", "quotes[0]"),
        ({"bid": 0, "ask": None, "bid_size": 0}, "missing_side", "quotes[0]"),
        ({"bid": -1}, "negative_price", "quotes[0].bid"), ({"bid": 1, "bid_size": -1}, "negative_size", "quotes[0].bid_size"),
    ]  # fmt: skip


def test_a_quote_that_can_be_none_is_refused(api):
    for sides, code, path in WRONG_SIDES:
        response = send(api, QUOTES, quote(**sides))
        assert problem(response) == (422, code)
        assert errors(response) == {(path, code)}


def bar(**changes: Any) -> dict[str, Any]:
    return {**SAMPLE_ROWS["bars"][0], **changes}


WRONG_BARS: list[Any] = [{"low": 190}, {"high": 189}, {"open": 200}, {"close": 1}]


def test_a_bar_must_lie_within_its_range(api):
    for changes in WRONG_BARS:
        response = send(api, BARS, bar(), bar(timestamp="2025-01-02T14:31:00Z", **changes))
        assert problem(response) == (422, "inconsistent_bar")
        assert errors(response) == {("bars[1]", "inconsistent_bar")}


def test_a_vwap_may_lie_outside_of_the_range(api):
    """So do 1,149 of 5,123 second bars of a real day: some prints count in the volume alone."""
    assert send(api, BARS, bar(vwap=1.0)).status_code == 200


def test_a_bar_that_has_more_or_fewer_later_values_than_the_stored_one_is_in_conflict_with_it(api):
    bare = {name: value for name, value in bar().items() if name not in {"vwap", "trade_count"}}
    send(api, BARS, bare)
    assert answer(send(api, BARS, bare))["duplicates"] == 1
    for more in ({"vwap": bare["close"]}, {"trade_count": 3}):
        assert problem(send(api, BARS, bare | more)) == (422, "row_conflict")
    full = bar(timestamp="2025-01-02T14:32:00Z", vwap=bare["close"], trade_count=3)
    assert answer(send(api, BARS, full))["stored"] == 1
    refused = send(api, BARS, {name: value for name, value in full.items() if name != "vwap"})
    assert problem(refused) == (422, "row_conflict")
    assert errors(refused) == {("bars[0]", "row_conflict")}


def test_a_bar_with_other_values_is_a_conflict_that_names_it(api):
    send(api, BARS, bar())
    response = send(api, BARS, bar(resolution="30m"), bar(close=190))
    assert problem(response) == (422, "row_conflict")
    assert errors(response) == {("bars[1]", "row_conflict")}
    assert "resolution" in answer(response)["message"]
    assert answer(send(api, BARS, bar(resolution="30m")))["stored"] == 1


PLACES = [
    ("1s", "2025-01-02T14:30:01Z", "2025-01-02T14:30:00.5Z"),
    ("1m", "2025-01-02T14:31:00Z", "2025-01-02T14:31:30Z"),
    ("1min", "2025-01-02T14:31:00Z", "2025-01-02T14:31:00.000000001Z"),
    ("3m", "2025-01-02T14:33:00Z", "2025-01-02T14:32:00Z"),
    ("5m", "2025-01-02T14:35:00Z", "2025-01-02T14:31:00Z"),
    ("1h", "2025-01-02T09:00:00-05:00", "2025-01-02T14:30:00Z"),
    ("4h", "2025-01-02T12:00:00Z", "2025-01-02T14:00:00Z"),
    ("12h", "2025-01-02T12:00:00Z", "2025-01-02T06:00:00Z"),
    ("45s", "2025-01-02T00:00:45Z", "2025-01-02T00:01:00Z"),
    ("7m", "1970-01-01T23:55:00Z", "1970-01-01T00:00:00.5Z"),
    ("2w", "2025-01-13", "2025-01-06T00:00:01Z"),
    ("3M", "2025-01-01", "2025-02-01"),
    ("31d", "2025-01-31", "2025-01-29"),
    ("1d", "2025-01-02", "2025-01-02T14:30:30Z"),
    ("1d", "2025-01-02T14:30:00Z", "2025-01-02T00:00:00.000001Z"),
    ("1w", "2025-01-06", "2025-01-06T00:00:01Z"),
    ("1w", "2025-01-05T23:00:00Z", "2025-01-05T23:00:00.5Z"),
    ("1M", "2025-02-01", "2025-02-15"),
    ("1M", "2025-01-31T23:00:00Z", "2025-01-30"),
    ("1mo", "2025-01-02T14:30:00Z", "2025-01-02T14:30:30Z"),
]


def test_a_bar_must_begin_where_an_interval_does(api):
    for index, (resolution, on, off) in enumerate(PLACES):
        symbol = f"A{index}"
        good, wrong = (bar(symbol=symbol, resolution=resolution, timestamp=instant) for instant in (on, off))
        response = send(api, BARS, good, wrong)
        assert problem(response) == (422, "misplaced_bar")
        assert errors(response) == {("bars[1]", "misplaced_bar")}
        assert symbol not in market_store().symbols(BARS)
        assert answer(send(api, BARS, good))["stored"] == 1


def test_a_resolution_that_is_none_is_refused_by_its_column_alone(api):
    for name, resolution in product(ENCODERS, ["24h", "x", "tick"]):
        media_type, encode = ENCODERS[name]
        body = encode(BARS, [SAMPLE_ROWS["bars"][0] | {"resolution": resolution}])
        response = api.ingest(body, path=path_of(BARS), content_type=media_type)
        assert errors(response) == {("bars[0].resolution", "invalid_choice")}


def test_every_bar_that_is_out_of_place_is_named_also_by_a_resolution_in_the_query(api):
    rows = [{**bar(timestamp=f"2025-01-02T14:30:{second:02}Z"), "resolution": ...} for second in (0, 10, 20)]
    rows = [{name: value for name, value in row.items() if value is not ...} for row in rows]
    response = api.call("POST", "/api/v1/bars/ingest?resolution=1m", orjson.dumps({"bars": rows}))
    assert errors(response) == {(f"bars[{place}]", "misplaced_bar") for place in (1, 2)}


def test_preliminary_and_final_open_interest_stand_side_by_side(api):
    report = SAMPLE_ROWS["open_interest"][0]
    assert answer(send(api, OPEN_INTEREST, report, report | {"status": "final"}))["stored"] == 2
    assert problem(send(api, OPEN_INTEREST, report | {"open_interest": 1})) == (422, "row_conflict")
    response = send(api, OPEN_INTEREST, report | {"date": "2025-01-02T12:00:00Z"})
    assert errors(response) == {("open_interest[0].date", "invalid_date")}
    response = send(api, OPEN_INTEREST, report | {"status": "guessed"})
    assert errors(response) == {("open_interest[0].status", "invalid_choice")}


def test_a_split_is_stored_once_and_two_dividends_of_a_day_are_two_by_their_ids(api):
    split, dividend = SAMPLE_ROWS["corporate_actions"]
    second = dividend | {"amount": 1, "action_id": "second"}
    assert answer(send(api, CORPORATE_ACTIONS, split, split, dividend, second))["stored"] == 3
    assert problem(send(api, CORPORATE_ACTIONS, split | {"ratio": 2})) == (422, "row_conflict")
    for wrong in (
        split | {"ratio": None},
        split | {"amount": 1},
        split | {"currency": "USD"},
        dividend | {"amount": None},
        dividend | {"ratio": 2},
        dividend | {"kind": "special_dividend", "ratio": 2},
        dividend | {"kind": "spin_off", "amount": None},
        dividend | {"kind": "merger", "amount": None},
        dividend | {"kind": "rename"},
        split | {"kind": "rename"},
    ):
        assert problem(send(api, CORPORATE_ACTIONS, wrong)) == (422, "inconsistent_action")
    response = send(api, CORPORATE_ACTIONS, dividend | {"currency": "usd"})
    assert errors(response) == {("corporate_actions[0].currency", "invalid_format")}


def test_a_file_of_the_store_is_taken_as_it_stands(api, store_path):
    rows = [quote(bid=1.5, exchange="=X", conditions=["a", "-b"]), quote(ask=2)]
    send(api, QUOTES, *rows)
    (file,) = [path for path in (store_path / "quotes" / "AAPL").iterdir() if path.suffix == ".csv"]
    response = api.ingest(file.read_bytes(), path=path_of(QUOTES), content_type="text/csv")
    assert answer(response)["duplicates"] == 2


@pytest.mark.parametrize("name", ENCODERS)
def test_option_quotes_of_what_is_no_option_are_refused_until_its_terms_are_told(api, name):
    media_type, encode = ENCODERS[name]
    body = encode(OPTION_QUOTES, [{**SAMPLE_ROWS["option_quotes"][0], "symbol": "BADX"}])
    refused = api.ingest(body, path=path_of(OPTION_QUOTES), content_type=media_type)
    assert problem(refused) == (422, "not_an_option")
    assert "PUT /api/v1/instruments/BADX" in answer(refused)["message"]
    assert market_store().symbols(OPTION_QUOTES) == []
    assert problem(api.get("/api/v1/instruments/BADX")) == (404, "unknown_symbol")
    terms = {"class": "option", "underlying": "BAD", "expiry": "2026-03-20", "strike": 5, "right": "put"}
    assert api.call("PUT", "/api/v1/instruments/BADX", orjson.dumps(terms)).status_code == 200
    taken = api.ingest(body, path=path_of(OPTION_QUOTES), content_type=media_type)
    assert answer(taken)["stored"] == 1
