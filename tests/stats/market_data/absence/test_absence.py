"""What there is not: unknown symbols, symbols of another class, resolutions finer than what is stored, empty ranges."""

from typing import Any

import pytest

from store.log_views.bar_grid import BarGrid
from tests.api_client import answer, problem
from tests.stats.market_data.builders import (
    CALL,
    CRYPTO,
    EQUITY,
    EQUITY_HOUR,
    FUTURE,
    HOUR_NS,
    Market,
    ingest,
    midnight_ns,
    tell,
    timestamp,
)
from tests.stats.market_data.representations import MEDIA_TYPES, decoded

pytestmark = pytest.mark.django_db
TREE = "/api/v1/market-data"
HOUR = {"start": timestamp(EQUITY_HOUR), "end": timestamp(EQUITY_HOUR + HOUR_NS)}
# A summer's night long before.
NOTHING = {"start": "2024-07-07T02:00:00Z", "end": "2024-07-07T03:00:00Z"}
PATHS = {
    "equities": ("ohlcv", "quotes", "trades"),
    "futures": ("ohlcv", "open-interest", "trades", "quotes"),
    "options": ("greeks", "implied-volatility", "quotes", "open-interest"),
    "crypto": ("ohlcv", "quotes", "trades"),
}
SYMBOLS = {"equities": EQUITY, "futures": FUTURE, "options": CALL, "crypto": CRYPTO}
EVERY = [(market_class, dataset) for market_class, datasets in PATHS.items() for dataset in datasets]
every_dataset = pytest.mark.parametrize(
    ("market_class", "dataset"), EVERY, ids=["-".join(one) for one in EVERY]
)


@every_dataset
def test_an_unknown_symbol_is_404(market: Market, market_class: str, dataset: str):
    symbol = "NOPE250117C00100000" if market_class == "options" else "NOPE"
    refused = problem(market.api.get(f"{TREE}/{market_class}/{symbol}/{dataset}", HOUR))
    assert refused[0] == 404
    assert refused[1] in (
        {"unknown_symbol"} if market_class in {"equities", "options"} else {"unknown_symbol", "wrong_class"}
    )


@pytest.mark.parametrize(
    ("asked", "symbol"),
    [(asked, SYMBOLS[told]) for asked in PATHS for told in PATHS if asked != told],
)
def test_a_symbol_of_another_class_is_404_with_its_path(market: Market, asked: str, symbol: str):
    # The chain's datasets take underlyings.
    dataset = "quotes" if asked == "options" else PATHS[asked][0]
    response = market.api.get(f"{TREE}/{asked}/{symbol}/{dataset}", HOUR)
    assert problem(response) == (404, "wrong_class")
    (there,) = [market_class for market_class, told in SYMBOLS.items() if told == symbol]
    pointed = f"{TREE}/{there}/{symbol}/{dataset if dataset in PATHS[there] else PATHS[there][0]}"
    assert f"see {pointed} " in answer(response)["message"]
    if there != "options":
        assert market.api.get(pointed, HOUR).status_code == 200


@pytest.mark.parametrize(
    ("path", "pointed"),
    [
        ("futures/ACME/latest", "equities/ACME/latest"),
        ("options/ACME/snapshot", "equities/ACME/snapshot"),
        ("crypto/ESH25/coverage", "futures/ESH25/coverage"),
        ("crypto/ACME/ohlcv/stream", "equities/ACME/ohlcv/stream"),
        (f"equities/{CALL}/trades/stream", f"options/{CALL}/greeks"),
        (f"equities/{CALL}/quotes/stream", f"options/{CALL}/quotes/stream"),
        (f"futures/{CALL}/open-interest", f"options/{CALL}/open-interest"),
        ("options/ESH25/open-interest", "futures/ESH25/open-interest"),
        ("futures/ACME/open-interest", "equities/ACME/ohlcv"),
        ("futures/ACME/revisions", "equities/ACME/revisions"),
        ("futures/latest?symbols=ACME", "equities/ACME/latest"),
    ],
)
def test_the_path_of_the_right_class_is_that_of_the_same_read(market: Market, path: str, pointed: str):
    query = HOUR if path.endswith(("open-interest", "revisions")) else {}
    response = market.api.get(f"{TREE}/{path}", query)
    assert problem(response) == (404, "wrong_class")
    assert f"see {TREE}/{pointed} " in answer(response)["message"]


@pytest.mark.parametrize(
    "path",
    [
        "equities/ACME/greeks",
        "crypto/BTC-USD/open-interest",
        "bonds/ACME/ohlcv",
        f"options/{CALL}/trades",
        "equities/ACME/ohlcv.xml",
    ],
)
def test_a_path_that_is_not_in_the_tree_is_404(market: Market, path: str):
    assert problem(market.api.get(f"{TREE}/{path}", HOUR))[0] in {404, 406}


@pytest.mark.parametrize("suffix", ["xml", "CSV", "Json", "csv2"])
def test_a_suffix_that_is_no_format_is_406_with_the_list(market: Market, suffix: str):
    response = market.api.get(f"{TREE}/equities/ACME/ohlcv.{suffix}", HOUR)
    assert problem(response) == (406, "not_acceptable")
    assert "json, columnar, msgpack" in answer(response)["message"]


@pytest.mark.parametrize("path", ["equities/ACME/ohlcv", "equities/ohlcv", "equities/ACME/trades/stream"])
def test_a_suffix_beside_another_format_is_refused(market: Market, path: str):
    several = {"symbols": "ACME"} if path == "equities/ohlcv" else {}
    response = market.api.get(f"{TREE}/{path}.csv", {**HOUR, **several, "format": "msgpack"})
    assert problem(response) == (400, "conflicting_parameters")
    assert "the format csv, the query for msgpack" in answer(response)["message"]
    assert market.api.get(f"{TREE}/{path}.csv", {**HOUR, **several, "format": "csv"}).status_code == 200


@pytest.mark.parametrize("path", [f"equities/{EQUITY}/ohlcv", f"options/{CALL}/greeks"])
def test_only_reading_is_possible(market: Market, path: str):
    assert problem(market.api.call("POST", f"{TREE}/{path}", b"{}")) == (405, "method_not_allowed")


@pytest.mark.parametrize("symbol", ["..%2F..%2Fx", "%00", "A" * 33, "%D0%90CME", "-X", "A%20%20B"])
def test_an_invalid_symbol_is_422(market: Market, symbol: str):
    assert problem(market.api.get(f"{TREE}/equities/{symbol}/ohlcv", HOUR)) in {
        (422, "invalid_symbol"),
        (404, "not_found"),
    }


@pytest.mark.parametrize(
    ("path", "symbol"), [("equities/acme", EQUITY), ("crypto/btc-usd", CRYPTO), ("crypto/BTC%2FUSD", CRYPTO)]
)
def test_other_spellings_of_a_symbol_are_accepted(market: Market, path: str, symbol: str):
    found = answer(market.api.get(f"{TREE}/{path}/ohlcv", {**HOUR, "resolution": "1m"}))
    assert (found["symbol"], len(found["bars"]) > 1) == (symbol, True)


@every_dataset
@pytest.mark.parametrize("name", ["json", "csv"])
def test_an_empty_range_is_an_empty_list_with_a_reason(
    market: Market, market_class: str, dataset: str, name: str
):
    response = market.api.get(
        f"{TREE}/{market_class}/{SYMBOLS[market_class]}/{dataset}", NOTHING, accept=MEDIA_TYPES[name]
    )
    rows_name = {
        "ohlcv": "bars",
        "open-interest": "open_interest",
        "implied-volatility": "implied_volatility",
    }.get(dataset, dataset)
    found = decoded(response, name, rows_name)
    assert (found.rows, found.next_cursor, found.prev_cursor) == ([], None, None)
    if found.envelope:
        assert (found.envelope["total_estimate"], found.envelope["reason"] != "") == (0, True)


def test_a_range_with_rows_has_no_reason(market: Market):
    assert not answer(market.api.get(f"{TREE}/equities/{EQUITY}/trades", HOUR)).get("reason")


SEVERAL = f"{TREE}/equities/ohlcv"


def test_several_symbols_come_symbol_by_symbol_in_the_order_asked_for(market: Market):
    query = {**HOUR, "resolution": "1m"}
    found = answer(market.api.get(SEVERAL, {**query, "symbols": f"SPLT,{EQUITY}"}))["bars"]
    each = [
        [
            {"symbol": symbol, **bar}
            for bar in answer(market.api.get(f"{TREE}/equities/{symbol}/ohlcv", query))["bars"]
        ]
        for symbol in ("SPLT", EQUITY)
    ]
    assert found == [*each[0], *each[1]]
    assert min(map(len, each)) > 1


@pytest.mark.parametrize(
    ("symbols", "wanted"),
    [
        (f"{EQUITY},NOPE", (404, "unknown_symbol")), (f"{EQUITY},{FUTURE}", (404, "wrong_class")), (f"{EQUITY},{EQUITY}", (400, "repeated_symbol")),
        (f"{EQUITY},acme", (400, "repeated_symbol")), (f"{EQUITY},", (422, "invalid_symbol")), (",".join(f"S{n}" for n in range(51)), (400, "too_many_symbols")),
        ("", (400, "empty_parameter")), (..., (400, "missing_parameter")),
    ],
    ids=lambda one: str(one)[:30],
)  # fmt: skip
def test_wrong_symbols_are_refused(market: Market, symbols: Any, wanted: tuple[int, str]):
    query = HOUR if symbols is ... else {**HOUR, "symbols": symbols}
    assert problem(market.api.get(SEVERAL, query)) == wanted


def test_what_was_stored_later_is_absent_as_of_before(empty_market: Market, clock: Any):
    path = f"{TREE}/equities/LATE/trades"
    ingest(empty_market.api, "trades", "LATE", [{"time_ns": EQUITY_HOUR, "price": 1.0, "volume": 1.0}])
    moment = clock()
    ingest(empty_market.api, "trades", "LATE", [{"time_ns": EQUITY_HOUR, "price": 2.0, "volume": 1.0}])
    now, then = empty_market.api.get(path, HOUR), empty_market.api.get(path, {**HOUR, "as_of": moment})
    assert [row["price"] for row in answer(now)["trades"]] == [1, 2]
    assert [row["price"] for row in answer(then)["trades"]] == [1]
    assert (then["X-As-Of"], "X-As-Of" in now) == (moment, False)
    assert (then["X-Commit"].split("-")[0], now["X-Commit"].split("-")[0]) == ("trades=1", "trades=2")


def test_as_of_before_everything_there_is_nothing_with_a_reason(market: Market):
    found = answer(market.api.get(f"{TREE}/equities/{EQUITY}/trades", {**HOUR, "as_of": "2020-01-01"}))
    assert (found["trades"], bool(found["reason"])) == ([], True)


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize(("resolution", "dataset"), [("tick", "ohlcv"), ("1s", "ohlcv"), ("1s", "quotes")])
def test_what_lies_between_is_not_gone_through(
    empty_market: Market, monkeypatch: pytest.MonkeyPatch, resolution: str, dataset: str, sort: str
):
    """An hour has 3.6 trillion ticks, twenty years 630 million seconds."""
    values: Any = {"price": 2.0, "volume": 3.0} if dataset == "ohlcv" else {"bid": 2.0, "exchange": "A"}
    stored_as = "trades" if dataset == "ohlcv" else "quotes"
    first_ns = midnight_ns("2005-01-03")
    times = (
        [first_ns, first_ns + HOUR_NS - 1] if resolution == "tick" else [first_ns, midnight_ns("2025-01-03")]
    )
    ingest(empty_market.api, stored_as, "GAP", [{"time_ns": time_ns, **values} for time_ns in times])
    windows = []
    read = BarGrid.part

    def counted(grid: BarGrid, window: Any, count: int, *, from_end: bool) -> Any:
        windows.append(window)
        assert len(windows) < 20
        return read(grid, window, count, from_end=from_end)

    monkeypatch.setattr(BarGrid, "part", counted)
    query = {"resolution": resolution, "sort": sort, "end": timestamp(times[-1] + 1)}
    query |= {"start": timestamp(first_ns)} if resolution == "tick" else {"last": "10"}
    found = answer(empty_market.api.get(f"{TREE}/equities/GAP/{dataset}", query))
    assert len(found["bars" if dataset == "ohlcv" else "quotes"]) == 2


@pytest.mark.parametrize("session", [{"hours": "all"}, {"session": "utc"}], ids=["exchange", "utc"])
@pytest.mark.parametrize(
    ("dataset", "values"),
    [
        ("trades", {"price": 2.0, "volume": 3.0}),
        ("bars", {"resolution": "1d", "open": 2.0, "high": 2.0, "low": 2.0, "close": 2.0, "volume": 3.0}),
        ("quotes", {"bid": 2.0, "ask": 3.0}),
    ],
)
@pytest.mark.parametrize("resolution", ["1d", "3M"])
def test_what_lies_before_1970_is_there(
    empty_market: Market, dataset: str, values: Any, resolution: str, session: dict[str, str]
):
    tell(empty_market.api, "OLD", **{"class": "equity", "exchange": "XNYS"})
    ingest(empty_market.api, dataset, "OLD", [{"time_ns": midnight_ns("1962-01-03"), **values}])
    path = f"{TREE}/equities/OLD/{'quotes' if dataset == 'quotes' else 'ohlcv'}"
    query = {"start": "1961-12-01", "end": "1962-02-01", "resolution": resolution, **session}
    found = answer(empty_market.api.get(path, query))
    (bar,) = found["quotes" if dataset == "quotes" else "bars"]
    # At midnight UTC it is the evening of the day before in New York.
    evening = "hours" in session and dataset != "bars"
    day = "1962-01-02" if evening else "1962-01-03"
    assert bar["date"] == (day if resolution == "1d" else "1962-01-01")
