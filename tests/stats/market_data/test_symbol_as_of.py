"""Reads by the name that an instrument had on a date."""

from typing import Any

import pytest

from store import open_store
from store.aliases import DatedAlias
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from tests.api_client import Api, answer, problem, trade
from tests.store_settings import IS_OF_FILES
from trades.stores import market_store

TREE = "/api/v1/market-data/equities"
DAYS = {"start": "2025-01-02", "end": "2025-01-03", "resolution": "1m"}
THEN = {"symbol_as_of": "2015-01-01"}
OLD = Instrument("FB.2012", aliases=(DatedAlias("FB", "2012-05-18", "2022-06-09"),))


@pytest.fixture
def traded(api: Api) -> Api:
    """FB, and the instrument that was called so before; each has a print."""
    for symbol, price in (("FB", 7), ("FB.2012", 300)):
        rows = [
            trade(symbol=symbol, timestamp=f"2025-01-02T15:0{minute}:00Z", price=price) for minute in range(3)
        ]
        assert api.ingest(*rows).status_code == 200
    market_store().set_instrument(OLD)
    return api


def symbols_of(api: Api, path: str, **query: str) -> Any:
    found = answer(api.get(f"{TREE}/{path}", query))
    return found.get("symbols") or found["symbol"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("ohlcv", DAYS),
        ("trades", {"last": "2"}),
        ("latest", {}),
        ("snapshot", {}),
        ("coverage", {}),
        ("gaps", {**DAYS, "hours": "all"}),
        ("ohlcv/explain", {"at": "2025-01-02T15:00:00Z"}),
    ],
)
def test_a_name_is_read_as_of_its_date(traded: Api, path: str, query: dict[str, str]):
    assert symbols_of(traded, f"FB/{path}", **query) == "FB"
    assert symbols_of(traded, f"fb/{path}", **query, **THEN) == "FB.2012"
    assert symbols_of(traded, f"FB/{path}", **query, symbol_as_of="2022-06-09") == "FB"
    if path not in {"coverage", "gaps", "ohlcv/explain"}:
        assert symbols_of(traded, path, symbols="FB", **query, **THEN) == ["FB.2012"]


def test_the_answer_is_that_of_the_symbol(traded: Api):
    by_symbol = traded.get(f"{TREE}/FB.2012/ohlcv", DAYS)
    by_name = traded.get(f"{TREE}/FB/ohlcv", DAYS | THEN)
    assert (by_name.content, by_name["ETag"], by_name["X-Cache"]) == (
        by_symbol.content,
        by_symbol["ETag"],
        "hit",
    )
    assert answer(by_name)["bars"][0]["close"] == 300
    streamed = traded.get(f"{TREE}/FB/trades/stream", {"start": "2025-01-02", "end": "2025-01-03", **THEN})
    assert b"300" in b"".join(streamed)


def test_a_walk_keeps_its_name(traded: Api):
    query, closes, cursor = {**DAYS, **THEN, "limit": "2"}, list[float](), None
    while cursor is not None or not closes:
        page = answer(traded.get(f"{TREE}/FB/ohlcv", query | ({"cursor": cursor} if cursor else {})))
        closes, cursor = [*closes, *(bar["close"] for bar in page["bars"])], page["next_cursor"]
    assert closes == [300, 300, 300]


def test_another_date_or_declaration_is_another_answer_at_once(traded: Api):
    assert symbols_of(traded, "FB/ohlcv", **DAYS, **THEN) == "FB.2012"
    assert symbols_of(traded, "FB/ohlcv", **DAYS, symbol_as_of="2010-01-01") == "FB"
    market_store().set_instrument(Instrument("FB.2012"))
    assert symbols_of(traded, "FB/ohlcv", **DAYS, **THEN) == "FB"


def test_as_of_selects_rows_and_symbol_as_of_the_instrument(traded: Api, clock: Any):
    moment = clock()
    traded.ingest(trade(symbol="FB.2012", timestamp="2025-01-02T15:09:00Z", price=900))
    query = {"last": "1", **THEN}
    assert answer(traded.get(f"{TREE}/FB/trades", query))["trades"][0]["price"] == 900
    assert answer(traded.get(f"{TREE}/FB/trades", query | {"as_of": moment}))["trades"][0]["price"] == 300


def test_bad_dates_and_names_of_nobody(traded: Api):
    wrong = traded.get(f"{TREE}/FB/ohlcv", {**DAYS, "symbol_as_of": "someday"})
    assert problem(wrong) == (400, "invalid_timestamp")
    market_store().set_instrument(Instrument("NEW", aliases=(DatedAlias("TICK", "2020-01-01"),)))
    assert problem(traded.get(f"{TREE}/TICK/ohlcv", {**DAYS, **THEN})) == (404, "unknown_symbol")
    both = traded.get(f"{TREE}/ohlcv", {**DAYS, **THEN, "symbols": "FB,FB.2012"})
    assert problem(both) == (400, "repeated_symbol")


def test_ingest_takes_a_name_as_it_is_used_now(traded: Api):
    assert answer(traded.ingest(trade(symbol="FB", price=8)))["symbol"] == "FB"


@pytest.mark.skipif(not IS_OF_FILES, reason="the reader is of files")
def test_the_reader_names_the_symbol_of_a_date(traded: Api, store_path: Any):
    market_store().set_instrument(Instrument("NEW", aliases=(DatedAlias("TICK", "2020-01-01"),)))
    reader = open_store(store_path)
    assert [reader.symbol("fb", as_of=at) for at in ("2015-01-01", "2022-06-09", None)] == [
        "FB.2012",
        "FB",
        "FB",
    ]
    assert reader.symbol("TICK") == "NEW"
    assert reader.trades(reader.symbol("FB", as_of="2015-01-01")).price[0] == 300
    with pytest.raises(UnknownSymbol):
        reader.symbol("TICK", as_of="2015-01-01")
