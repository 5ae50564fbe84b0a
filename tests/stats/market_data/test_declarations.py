"""What is told of an instrument is in its answers at once, and a walk is of what was told when it began."""

import orjson
import pytest
import time_machine

from store.instruments import Instrument
from tests.api_client import answer, problem, trade
from trades.stores import market_store

TREE = "/api/v1/market-data/equities"
DAYS = {"start": "2025-01-02", "end": "2025-01-08"}


@pytest.fixture
def traded(api):
    """Two symbols, a print an hour of four days."""
    for symbol in ("AAPL", "MSFT"):
        hours = [f"2025-01-0{day}T{hour:02d}:00:00Z" for day in (2, 3, 6, 7) for hour in range(24)]
        rows = [trade(symbol=symbol, timestamp=at, price=100 + place) for place, at in enumerate(hours)]
        assert api.ingest(*rows).status_code == 200
    return api


def tell(symbol: str = "AAPL", **terms) -> None:
    market_store().set_instruments([Instrument(symbol, **terms)])


def bars(api, path: str = "AAPL/ohlcv", **query):
    response = api.get(f"{TREE}/{path}", {**DAYS, **query})
    assert response.status_code == 200, response.content
    return response


def test_another_volume_kind_changes_the_answer(traded):
    whole = bars(traded)
    tell(volume_kind="fractional")
    fractional = bars(traded)
    assert (b'"volume":2400,' in whole.content, b'"volume":2400.0,' in fractional.content) == (True, True)
    assert whole["ETag"] != fractional["ETag"]


@pytest.mark.parametrize("terms", [{"exchange": "XNYS"}, {"expiry": "2025-01-03"}], ids=str)
def test_absence_reasons_follow_declarations(traded, terms):
    query = {"resolution": "1h", "coverage": "1", "start": "2025-01-04", "end": "2025-01-06"}
    before = answer(bars(traded, **query))["absences"]
    tell(**{"instrument_class": "equity", **terms})
    assert answer(bars(traded, **query))["absences"] != before


def test_pages_of_symbols_with_two_calendars_end(traded):
    tell(exchange="XNYS")
    query = {"symbols": "AAPL,MSFT", "resolution": "1d"}
    whole = answer(bars(traded, "ohlcv", **query))["bars"]
    rows: list[dict[str, object]] = []
    cursor = None
    while cursor is not None or not rows:
        page = answer(bars(traded, "ohlcv", **query, limit="1", **({"cursor": cursor} if cursor else {})))
        rows, cursor = [*rows, *page["bars"]], page["next_cursor"]
    assert rows == whole
    assert {row["symbol"] for row in rows} == {"AAPL", "MSFT"}


def test_pages_of_symbols_whose_rows_end_on_other_dates_end(traded):
    later = [
        trade(symbol="MSFT", timestamp=f"2025-01-09T{hour:02d}:00:00Z", trade_id=str(hour))
        for hour in range(3)
    ]
    assert traded.ingest(*later).status_code == 200
    path = f"{TREE}/trades"
    first = answer(traded.get(path, {"symbols": "AAPL,MSFT", "last": "5", "limit": "3"}))
    query = {"symbols": "AAPL,MSFT", "last": "5", "limit": "9", "cursor": first["next_cursor"]}
    rest = answer(traded.get(path, query))
    assert [row["symbol"] for row in (*first["trades"], *rest["trades"])] == ["AAPL"] * 5 + ["MSFT"] * 5


@pytest.mark.parametrize(
    ("path", "query", "rows"),
    [
        (f"{TREE}/AAPL/ohlcv", {**DAYS, "resolution": "1h"}, "bars"),
        ("/api/v1/stats/ohlc", {"symbol": "AAPL", "interval": "1d"}, "data"),
    ],
    ids=["tree", "dialect"],
)
def test_a_changed_exchange_keeps_cursors_of_rows_that_do_not_depend_on_it(traded, path, query, rows):
    first = answer(traded.get(path, {**query, "limit": "2"}))
    tell(exchange="XNYS")
    response = traded.get(path, {**query, "limit": "2", "cursor": first["next_cursor"]})
    assert response.status_code == 200, response.content
    assert answer(response)[rows][0]["timestamp"] > first[rows][-1]["timestamp"]


def test_the_longest_range_has_a_second_page(traded):
    query = {"resolution": "1h", "limit": "1"}
    with time_machine.travel("2025-12-31T00:30:00Z", tick=False):
        first = answer(traded.get(f"{TREE}/AAPL/ohlcv", {**query, "start": "2024-12-31T00:30:00Z"}))
        cursor = {"cursor": first["next_cursor"], "start": "2024-12-31T00:30:00Z"}
        assert traded.get(f"{TREE}/AAPL/ohlcv", {**query, **cursor}).status_code == 200


def test_symbols_with_two_volume_kinds_have_one_number_format(traded):
    tell("MSFT", volume_kind="fractional")
    content = bars(traded, "ohlcv", symbols="AAPL,MSFT", resolution="1d").content
    assert (b'"volume":2400.0,' in content, b'"volume":2400,' in content) == (True, False)


def test_a_declaration_between_two_pages_is_409(traded):
    page = answer(bars(traded, resolution="1d", session="utc", limit="1"))
    tell(bar_policy="us_equities")
    response = traded.get(
        f"{TREE}/AAPL/ohlcv", {**DAYS, "session": "utc", "limit": "1", "cursor": page["next_cursor"]}
    )
    assert problem(response) == (409, "resync")


def test_two_names_of_one_instrument_are_400(traded):
    tell(aliases=("APPLE",))
    assert problem(traded.get(f"{TREE}/ohlcv", {**DAYS, "symbols": "AAPL,APPLE"})) == (400, "repeated_symbol")


def test_an_unknown_exchange_is_refused_only_where_sessions_matter(traded):
    tell(exchange="XXXX")
    assert bars(traded, resolution="1h").status_code == 200
    assert bars(traded, session="utc").status_code == 200
    assert problem(traded.get(f"{TREE}/AAPL/ohlcv", DAYS)) == (422, "unknown_exchange")


@pytest.mark.parametrize(
    "query",
    [{"session": "exchange"}, {"hours": "regular"}, {"hours": "extended", "resolution": "1h"}],
    ids=str,
)
def test_sessions_without_an_exchange_are_refused(traded, query):
    assert problem(traded.get(f"{TREE}/AAPL/ohlcv", {**DAYS, **query})) == (400, "no_exchange")


@pytest.mark.parametrize("exchange", [None, "XNYS", "BINA"])
@pytest.mark.parametrize(
    "query", [{}, {"hours": "regular"}, {"session": "exchange", "hours": "extended"}], ids=str
)
def test_crypto_is_open_on_a_saturday_whatever_its_exchange(api, exchange, query):
    api.ingest(trade(symbol="BTC-USD", timestamp="2025-01-04T12:00:00Z", price=95_000))
    told = orjson.dumps({"class": "crypto", "exchange": exchange})
    assert api.call("PUT", "/api/v1/instruments/BTC-USD", told).status_code == 200
    path = "/api/v1/market-data/crypto/BTC-USD"
    page = answer(api.get(f"{path}/ohlcv", {**DAYS, **query, "coverage": "1"}))
    assert [bar["timestamp"] for bar in page["bars"]] == ["2025-01-04T00:00:00Z"]
    assert "closed" not in {absence["reason"] for absence in page["absences"]}
    hours = query.get("hours", "all")
    ticks = answer(api.get(f"{path}/trades", {"last": "1", "hours": hours}))
    assert [row["timestamp"] for row in ticks["trades"]] == ["2025-01-04T12:00:00Z"]


@pytest.mark.parametrize(
    ("action", "factor"),
    [
        ({"kind": "split", "ratio": 2, "timestamp": "2190-01-03"}, 1),
        ({"kind": "split", "ratio": 2, "timestamp": "2025-01-03"}, 2),
        ({"kind": "dividend", "amount": 61.5, "currency": "USD", "timestamp": "2025-01-03"}, 2),
    ],
    ids=["still to come", "split", "dividend"],
)
def test_only_effective_actions_adjust(traded, action, factor):
    tell(currency="USD")
    body = orjson.dumps({"corporate_actions": [{"symbol": "AAPL", **action}]})
    assert traded.ingest(body, path="/api/v1/corporate-actions/ingest").status_code == 200
    (first, *_) = answer(bars(traded, adjustment="all"))["bars"]
    assert first["close"] == 123 / factor


def test_a_declared_symbol_without_rows_has_no_bars(traded):
    tell("TOLD", exchange="XNYS")
    assert problem(traded.ohlc(symbol="TOLD")) == (404, "no_data")
    assert problem(traded.ohlc(symbol="NOPE9")) == (404, "unknown_symbol")


@pytest.mark.parametrize("format_name", ["csv", "ndjson", "arrow"])
def test_coverage_in_a_format_of_rows_is_400(traded, format_name):
    query = {**DAYS, "coverage": "1", "format": format_name}
    assert problem(traded.get(f"{TREE}/AAPL/ohlcv", query)) == (400, "conflicting_parameters")
