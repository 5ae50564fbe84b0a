"""Instruments over HTTP: found, read, declared."""

from datetime import date
from typing import Any

import orjson
import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from store.instruments import Instrument, default_instrument
from tests.api_client import Api, answer, make_key, problem, trade
from trades.instruments.serializers import FUTURE_DOCUMENT, instrument_document
from trades.instruments.services import instruments_set
from trades.models import CatalogueState, InstrumentEntry
from trades.stores import market_store

PATH = "/api/v1/instruments"
CALL, PUT = "AAPL250117C00150000", "AAPL250321P00142500"
TOLD = [
    Instrument("ESH26", "us_equities", "future", "XCME", "USD", underlying="ES", expiry="2026-03-20", name="E-mini März"),
    Instrument("ESM26", instrument_class="future", exchange="XCME", currency="USD", underlying="ES", expiry="2026-06-19"),
    Instrument("FDAX", instrument_class="future", exchange="XEUR", currency="EUR", aliases=("DAX1", "DAX FUT")),
    Instrument("BTC-USD", instrument_class="crypto", currency="USD", name="Bitcoin 100%"),
]  # fmt: skip
ALL = ["AAPL", CALL, PUT, "BTC-USD", "ESH26", "ESM26", "FDAX", "META"]


@pytest.fixture
def stocked(api: Api) -> Api:
    """A caller before symbols with data, of several datasets, and instruments with declarations."""
    api.ingest(trade(symbol="AAPL"))
    api.ingest(trade(symbol="META"))
    for symbol in (CALL, PUT):
        row = {"timestamp": trade()["timestamp"], "symbol": symbol, "bid": 1}
        api.call("POST", "/api/v1/option-quotes/ingest", orjson.dumps({"option_quotes": [row]}))
    instruments_set(instruments=TOLD)
    return api


def found(api: Api, **query: Any) -> list[str]:
    response = api.get(PATH, query)
    assert response.status_code == 200, response.content
    return [row["symbol"] for row in answer(response)["instruments"]]


def put(api: Api, symbol: str, document: object, **headers: str) -> Any:
    return api.call("PUT", f"{PATH}/{symbol}", orjson.dumps(document), **headers)


def test_every_symbol_with_data_and_every_declared_instrument_is_listed_whole(stocked: Api):
    page = answer(stocked.get(PATH))
    assert [row["symbol"] for row in page["instruments"]] == ALL
    assert page["instruments"][4] == {**instrument_document(TOLD[0]), "aliases": []}
    assert page["instruments"][1]["strike"] == 150.0
    assert {**page, "instruments": []} == {
        "instruments": [], "next_cursor": None, "prev_cursor": None, "total_estimate": len(ALL),
    }  # fmt: skip


FILTERS = [
    ({"class": "equity"}, ["AAPL", "META"]),
    ({"class": "option"}, [CALL, PUT]),
    ({"class": "crypto"}, ["BTC-USD"]),
    ({"exchange": "XCME"}, ["ESH26", "ESM26"]),
    ({"currency": "USD"}, ["BTC-USD", "ESH26", "ESM26"]),
    ({"currency": "USD", "class": "future"}, ["ESH26", "ESM26"]),
    ({"underlying": "aapl"}, [CALL, PUT]),
    ({"underlying": "ES"}, ["ESH26", "ESM26"]),
    ({"expiry": "2026-03-20"}, ["ESH26"]),
    ({"expiry_from": "2025-03-21"}, [PUT, "ESH26", "ESM26"]),
    ({"expiry_to": "2025-03-21"}, [CALL, PUT]),
    ({"expiry_from": "2025-01-18", "expiry_to": "2026-03-20"}, [PUT, "ESH26"]),
    ({"right": "put"}, [PUT]),
    ({"strike": "142.5"}, [PUT]),
    ({"strike": "142.500", "right": "call"}, []),
    ({"search": "a " * 100}, ["AAPL", CALL, PUT, "FDAX", "META"]),
    ({"bar_policy": "us_equities"}, ["ESH26"]),
    ({"search": "es"}, ["ESH26", "ESM26"]),
    ({"search": "dax1"}, ["FDAX"]),
    ({"search": "Fut dax"}, ["FDAX"]),
    ({"search": "e-MINI"}, ["ESH26"]),
    ({"search": "100%"}, ["BTC-USD"]),
    ({"search": "%"}, ["BTC-USD"]),
    ({"search": "AAPL"}, ["AAPL", CALL, PUT]),
    ({"search": "nothing of it"}, []),
    ({"search": "aapl", "class": "option", "sort": "desc"}, [PUT, CALL]),
    ({"sort": "desc"}, ALL[::-1]),
]


def test_filters_and_search_hold_together(stocked: Api):
    for query, expected in FILTERS:
        assert found(stocked, **query) == expected


def test_an_underlying_may_be_named_by_an_alias(stocked: Api):
    instruments_set(instruments=[Instrument("AAPL", aliases=("APPLE",))])
    assert found(stocked, underlying="apple") == [CALL, PUT]


WRONG_PARAMETERS = [
    ("clas=equity", (400, "unknown_parameter"), "did you mean class?"),
    ("instrument_class=equity", (400, "unknown_parameter"), "instrument_class"),
    ("class=bond", (400, "invalid_parameter"), "class: must be one of equity, future, option, crypto"),
    ("class=", (400, "empty_parameter"), "class"),
    ("class=equity&class=option", (400, "repeated_parameter"), "class"),
    ("exchange=nasdaq", (400, "invalid_parameter"), "exchange: must be a MIC"),
    ("exchange=XNAS%0A", (400, "invalid_parameter"), "exchange"),
    ("search=" + "a%20" * 101, (400, "invalid_parameter"), "search"),
    ("currency=usd", (400, "invalid_parameter"), "currency"),
    ("underlying=../x", (422, "invalid_symbol"), "underlying"),
    ("expiry=tomorrow", (400, "invalid_parameter"), "expiry: must be a date"),
    ("expiry_from=2026-02-30", (400, "invalid_parameter"), "expiry_from"),
    ("right=C", (400, "invalid_parameter"), "right"),
    ("strike=high", (400, "invalid_number"), "strike: must be a number"),
    ("strike=NaN", (400, "invalid_number"), "strike"),
    ("bar_policy=none", (400, "invalid_parameter"), "bar_policy"),
    ("search=%00", (400, "invalid_parameter"), "search"),
    ("limit=0", (400, "invalid_limit"), "limit"),
    ("limit=10001", (400, "invalid_limit"), "limit"),
    ("sort=up", (400, "invalid_parameter"), "sort is one of asc, desc"),
    ("cursor=abc", (400, "invalid_cursor"), "cursor"),
]


def test_wrong_parameters_are_refused(stocked: Api):
    for query, refusal, message in WRONG_PARAMETERS:
        response = stocked.get(f"{PATH}?{query}")
        assert problem(response) == refusal
        assert message in answer(response)["message"]


@pytest.mark.parametrize(
    ("sort", "query", "limit"),
    [
        ("asc", {}, 1),
        ("desc", {}, 3),
        ("asc", {}, 8),
        ("asc", {"class": "future"}, 2),
        ("desc", {"search": "a"}, 9),
    ],
)
def test_a_walk_shows_each_once_forward_and_back(stocked: Api, sort: str, query: dict[str, str], limit: int):
    whole = found(stocked, sort=sort, **query)
    pages, cursor = [], None
    while True:
        at: dict[str, str] = {} if cursor is None else {"cursor": cursor}
        page = answer(stocked.get(PATH, {"sort": sort, "limit": limit, **query, **at}))
        pages.append([row["symbol"] for row in page["instruments"]])
        assert page["total_estimate"] == len(whole)
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert [symbol for rows in pages for symbol in rows] == whole
    back = []
    while page["prev_cursor"] is not None:
        page = answer(
            stocked.get(PATH, {"sort": sort, "limit": limit, **query, "cursor": page["prev_cursor"]})
        )
        back.append([row["symbol"] for row in page["instruments"]])
        assert page["next_cursor"] is not None
    assert back == pages[-2::-1]


def test_symbols_that_come_while_one_walks_disturb_nothing(stocked: Api):
    first = answer(stocked.get(PATH, {"limit": 3}))
    stocked.ingest(trade(symbol="AA"))
    stocked.ingest(trade(symbol="ZZ"))
    rest = answer(stocked.get(PATH, {"limit": 100, "cursor": first["next_cursor"]}))
    assert [row["symbol"] for row in rest["instruments"]] == [*ALL[3:], "ZZ"]
    before = answer(stocked.get(PATH, {"limit": 100, "cursor": rest["prev_cursor"]}))
    assert [row["symbol"] for row in before["instruments"]] == ["AA", *ALL[:3]]


def test_a_cursor_is_of_its_query_and_of_this_service(stocked: Api, settings):
    cursor = answer(stocked.get(PATH, {"limit": 1, "class": "future"}))["next_cursor"]
    assert answer(stocked.get(PATH, {"limit": 2, "class": "future", "cursor": cursor}))["prev_cursor"]
    for query in ({}, {"class": "option"}, {"class": "future", "sort": "desc"}):
        refused = stocked.get(PATH, {**query, "cursor": cursor})
        assert problem(refused) == (400, "invalid_cursor")
        assert "another query" in answer(refused)["message"]
    settings.SECRET_KEY = "another"
    assert problem(stocked.get(PATH, {"class": "future", "cursor": cursor})) == (400, "invalid_cursor")


def test_the_table_follows_the_store(stocked: Api):
    found(stocked)
    stocked.ingest(trade(symbol="NEW"))
    assert put(stocked, "AAPL", {"exchange": "XNAS"}).status_code == 200
    assert found(stocked, exchange="XNAS") == ["AAPL"]
    assert found(stocked, search="new") == ["NEW"]
    entry = InstrumentEntry.objects.get(pk="ESH26")
    assert (entry.expiry, entry.underlying, entry.aliases) == (date(2026, 3, 20), "ES", "")
    assert put(stocked, "META", {"aliases": ["NEWS", "FB"]}).status_code == 200
    assert found(stocked, search="news") == ["META"]


def test_a_symbol_that_becomes_an_alias_is_no_longer_listed(stocked: Api):
    assert put(stocked, "GOLD", {"name": "declared in vain"}).status_code == 200
    assert "GOLD" in found(stocked)
    assert put(stocked, "GC", {"aliases": ["GOLD"]}).status_code == 200
    assert found(stocked, search="gold") == ["GC"]
    assert "GOLD" not in found(stocked)


@pytest.mark.parametrize("lost", [[InstrumentEntry], [CatalogueState], [InstrumentEntry, CatalogueState]])
def test_a_table_that_was_lost_is_filled_again(stocked: Api, lost: list[Any]):
    assert found(stocked) == ALL
    for model in lost:
        model.objects.all().delete()
    assert found(stocked) == ALL


def test_an_emptied_store_empties_the_table(stocked: Api, settings, tmp_path):
    assert found(stocked) == ALL
    settings.MARKET_STORES = {"default": {"BACKEND": "tests.memory_store.MemoryStore"}}
    assert found(stocked) == []


def test_a_search_of_a_store_that_has_not_changed_costs_few_queries(stocked: Api, django_assert_num_queries):
    found(stocked)
    client, key = Client(), make_key()
    client.get(PATH, headers={"X-API-Key": key})
    with django_assert_num_queries(4):  # the state, whether there are rows, the page, its total
        assert client.get(PATH, headers={"X-API-Key": key}).status_code == 200


SAME_PATHS = [f"{PATH}/", f"{PATH}/AAPL/", f"{PATH}/aapl", "/api/v1/conditions/"]


def test_a_slash_and_the_case_do_not_matter(stocked: Api):
    for path in SAME_PATHS:
        assert stocked.get(path).status_code == 200


SPELLINGS = [
    ("AAPL", Instrument("AAPL")),
    (CALL, default_instrument(CALL)),
    ("AAPL%20%20250117C00150000", default_instrument(CALL)),
    ("ESH26", TOLD[0]),
    ("dax1", TOLD[2]),
    ("DAX%20FUT", TOLD[2]),
    ("BTC/USD", TOLD[3]),
    ("BTC%2FUSD", TOLD[3]),
]


def test_one_is_shown_by_symbol_or_alias(stocked: Api):
    for symbol, expected in SPELLINGS:
        document = answer(stocked.get(f"{PATH}/{symbol}"))
        assert document == {**instrument_document(expected), "aliases": list(expected.aliases)}
        assert list(document) == list(FUTURE_DOCUMENT)


MISSING = [
        ("/NOPE", (404, "unknown_symbol")), ("/AAPL250117C00160000", (404, "unknown_symbol")), ("/..%2Fx", (422, "invalid_symbol")),
        ("/AAPL?as_of=soon", (400, "invalid_timestamp")), ("/AAPL?asof=2025", (400, "unknown_parameter")), ("/AAPL?as_of=3000-01-01", (400, "timestamp_out_of_range")),
    ]  # fmt: skip


def test_one_that_there_is_not(stocked: Api):
    for path, refusal in MISSING:
        assert problem(stocked.get(PATH + path)) == refusal


def test_as_of_an_instant_it_is_what_was_declared_by_then(api: Api):
    with time_machine.travel("2026-01-05T10:00:00Z", tick=False):
        api.ingest(trade(symbol="IBM"))
    for hour, exchange in ((11, "XNYS"), (13, "XNAS")):
        with time_machine.travel(f"2026-01-05T{hour}:00:00Z", tick=False):
            put(api, "IBM", {"exchange": exchange})
    seen = [api.get(f"{PATH}/IBM", {"as_of": f"2026-01-05T{hour:02}:30:00Z"}) for hour in (10, 11, 12, 13)]
    assert [answer(response)["exchange"] for response in seen] == [None, "XNYS", "XNYS", "XNAS"]
    assert seen[0]["X-As-Of"] == "2026-01-05T10:30:00Z"
    assert problem(api.get(f"{PATH}/IBM", {"as_of": "2026-01-05T09:00:00Z"})) == (404, "not_known_then")
    assert problem(api.get(f"{PATH}/NONE", {"as_of": "2026-01-05T09:00:00Z"})) == (404, "unknown_symbol")
    assert answer(api.get(f"{PATH}/IBM", {"as_of": "1767613800"}))["exchange"] == "XNYS"


def test_what_is_declared_is_answered_and_holds_at_once(stocked: Api):
    document = {**FUTURE_DOCUMENT, "symbol": "esz26", "aliases": ["es z6"], "underlying": "dax1"}
    declared = put(stocked, "ESZ26", document)
    assert declared.status_code == 200
    assert answer(declared) == {
        **FUTURE_DOCUMENT,
        "symbol": "ESZ26",
        "aliases": ["ES Z6"],
        "underlying": "FDAX",
    }
    assert answer(stocked.get(f"{PATH}/es%20z6")) == answer(declared)
    assert answer(put(stocked, "ES Z6", answer(declared))) == answer(declared)
    assert len(market_store().declared_instruments(symbol="ESZ26")) == 1


def test_what_is_left_out_is_undeclared(stocked: Api):
    assert answer(put(stocked, "ESH26", {}))["class"] == "equity"
    assert answer(put(stocked, CALL, {"exchange": "XCBO"})) == {
        **instrument_document(default_instrument(CALL)), "aliases": [], "exchange": "XCBO",
    }  # fmt: skip


REFUSED_DECLARATIONS = [
    ("AAPL", {"exchange": "NASDAQ"}, (422, "validation_failed"), "exchange"),
    ("AAPL", {"exchange": "ZZZZ"}, (422, "validation_failed"), "exchange"),
    ("AAPL", {"exchange": "XNYS", "calendar": "NOPE"}, (422, "validation_failed"), "calendar"),
    ("AAPL", {"symbol": "IBM"}, (422, "validation_failed"), "symbol"),
    ("AAPL", {"exchnage": "XNAS"}, (422, "validation_failed"), "exchnage"),
    ("AAPL", [], (422, "validation_failed"), ""),
    ("AAPL", {"aliases": ["META"]}, (422, "alias_taken"), None),
    ("AAPL", {"aliases": ["DAX1"]}, (422, "alias_taken"), None),
    ("AAPL", {"aliases": ["AAPL"]}, (422, "alias_taken"), None),
    ("..%2Fx", {}, (422, "invalid_symbol"), None),
]


def test_what_cannot_be_declared_changes_nothing(stocked: Api):
    for symbol, body, refusal, path in REFUSED_DECLARATIONS:
        response = put(stocked, symbol, body)
        assert problem(response) == refusal
        assert [error["path"] for error in answer(response)["errors"]] == ([] if path is None else [path])
        assert market_store().declared_instruments(symbol="AAPL") == []


WRONG_BODIES = [
        (b"", {}, (400, "malformed_json")),
        (b"{bad", {}, (400, "malformed_json")),
        (b'{"exchange":"XNAS","exchange":"XNYS"}', {}, (400, "duplicate_key")),
        (b"exchange=XNAS", {"content_type": "application/x-www-form-urlencoded"}, (415, "unsupported_media_type")),
    ]  # fmt: skip


def test_a_body_that_is_no_document(stocked: Api):
    for body, headers, refusal in WRONG_BODIES:
        assert problem(stocked.call("PUT", f"{PATH}/AAPL", body, **headers)) == refusal


def test_readers_do_not_write_and_writers_do_not_read(stocked: Api):
    reader, writer = (Api(make_key(scopes=(scope,))) for scope in ("market:read", "market:write"))
    assert put(writer, "AAPL", {"name": "Apple"}).status_code == 200
    assert problem(put(reader, "AAPL", {})) == (403, "missing_scope")
    for path in (PATH, f"{PATH}/AAPL", "/api/v1/conditions"):
        assert reader.get(path).status_code == 200
        assert problem(writer.get(path)) == (403, "missing_scope")
        assert problem(Api(None).get(path)) == (401, "not_authenticated")
        assert problem(stocked.call("DELETE", path)) == (405, "method_not_allowed")


@pytest.mark.parametrize("path", [PATH, f"{PATH}/AAPL", "/api/v1/conditions"])
def test_a_client_that_has_the_answer_gets_304(stocked: Api, path: str):
    first = stocked.get(path)
    assert first["Cache-Control"] == "private, no-cache"
    assert {"Accept", "Accept-Encoding", "Authorization", "X-API-Key"} <= set(first["Vary"].split(", "))
    again = stocked.get(path, If_None_Match=first["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    put(stocked, "AAPL", {"name": "Apple"})
    changed = stocked.get(path, If_None_Match=f'"other", W/{first["ETag"]}')
    assert changed.status_code == (304 if path.endswith("conditions") else 200)


def test_they_are_not_served_below_the_first_prefix(stocked: Api):
    for path in ("/v1/instruments", "/v1/instruments/AAPL", "/v1/conditions"):
        assert problem(stocked.get(path)) == (404, "not_found")


@pytest.mark.parametrize("path", [PATH, f"{PATH}/AAPL", "/api/v1/conditions"])
def test_a_browser_gets_a_page(stocked: Api, path: str):
    browser = Client()
    browser.force_login(User.objects.create_superuser("lovelace"))
    response = browser.get(path, headers={"Accept": "text/html"})
    page = response.content.decode()
    assert (response.status_code, response["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert ("<form" in page) is ("conditions" not in path or "logout" in page)
    assert "ETag" not in response


def test_conditions_are_those_of_the_bar_policies(api: Api):
    all_prints, us_equities = answer(api.get("/api/v1/conditions"))["bar_policies"]
    assert (all_prints["name"], all_prints["conditions"], all_prints["daily"]) == ("all", [], None)
    words = {each.pop("condition"): each for each in us_equities["conditions"]}
    assert words["odd_lot"] == {"open_close": "no", "high_low": "no", "volume": "yes"}
    assert words["extended_hours"] == {"open_close": "always", "high_low": "always", "volume": "yes"}
    assert words["suspicious"] == dict.fromkeys(("open_close", "high_low", "volume"), "never")
    assert us_equities["daily"]["opening"] == "opening_print"


def test_an_equal_declaration_stores_nothing_and_costs_one_token(api: Api):
    costs = [put(api, "ESH26", document)["X-Cost"] for document in ({"name": "E-mini"}, {"name": "E-mini"})]
    assert costs == ["10", "1"]
    assert len(market_store().declarations("ESH26")) == 1
    stamp = market_store().catalogue_stamp()
    assert put(api, "ESH26", {"name": "E-mini"}).status_code == 200
    assert market_store().catalogue_stamp() == stamp


def test_a_declaration_of_the_defaults_is_stored(api: Api):
    assert put(api, "NEW", {}).status_code == 200
    assert len(market_store().declarations("NEW")) == 1
