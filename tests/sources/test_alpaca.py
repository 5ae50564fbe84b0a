"""Alpaca's rows: those of this project's API of the same form, and those of its published examples."""

import time
from decimal import Decimal
from typing import Any

import orjson
import pytest

from sources.alpaca import Alpaca
from sources.protocol import SourcePage, Wanted
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS, MINUTE_NS, parse_timestamp
from tests.api_client import Api, trade
from tests.ops.outbound.hostile_server import Behaviour, says, served
from tests.sources.asked import QUICK, answered_of, by_the_api, rows_of, wanted, window
from tests.sources.fake_alpaca import DAYS, QUOTE, TRADE, asked, gives, gives_actions, gives_assets
from trades.stores import market_store

HOUR = window("2025-01-02T14:30:00Z", "2025-01-02T15:30:00Z")
DAY = window("2022-01-03", "2022-01-04")


def alpaca(url: str, **options: Any) -> Alpaca:
    return Alpaca("alpaca", url=url, **{"key": "id:secret", "limits": QUICK, **options})


def pages(behave: Behaviour, of: Wanted, asked_window: Window) -> list[SourcePage]:
    with served(behave) as server:
        return list(alpaca(server.url).pages(of, asked_window))


def of_the_api(api: Api, of: Wanted, asked_window: Window = HOUR) -> list[SourcePage]:
    return by_the_api(api, lambda server: list(alpaca(f"{server.url}/api").pages(of, asked_window)))


def test_an_installations_trades_come_equal_over_its_pages(api: Api, default_store, monkeypatch):
    monkeypatch.setattr("sources.alpaca.PAGE_ROWS", 4)
    rows = [
        trade(timestamp=f"2025-01-02T14:3{n // 4}:00Z", trade_id=str(n), exchange=("XNAS", "XOFF")[n % 2], conditions=["regular", "odd_lot"][: n % 3])
        for n in range(6)
    ]  # fmt: skip
    assert api.ingest(*rows, trade(timestamp="2025-01-02T15:30:00Z")).status_code == 200
    found = of_the_api(api, wanted())
    stored = market_store().log(TRADES, "AAPL").at()
    whole = stored.rows(ALL_TIME).select(TRADES.schema.names).slice(0, 6)
    assert rows_of(found).equals(whole.cast(TRADES.schema))
    assert answered_of(found) == [HOUR]
    assert {each.commit for each in found} == {f"trades:AAPL={stored.commit.token}"}


def test_days_of_an_installation_have_the_midnight_of_their_date_and_are_not_adjusted(
    api: Api, default_store
):
    assert api.call("PUT", "/api/v1/instruments/AAPL", b'{"exchange": "XNAS"}').status_code == 200
    rows = [trade(timestamp=f"2025-01-{day:02d}T15:00:00Z", price=400 - day) for day in (2, 3, 6, 7)]
    assert api.ingest(*rows).status_code == 200
    split = {"symbol": "AAPL", "timestamp": "2025-01-06", "kind": "split", "ratio": 4}
    body = orjson.dumps({"corporate_actions": [split]})
    assert api.ingest(body, path="/api/v1/corporate-actions/ingest").status_code == 200
    week = window("2025-01-01", "2025-01-07")
    found = of_the_api(api, wanted(BARS, resolution="1d"), week)
    day = parse_timestamp("2025-01-02")
    assert [(each["timestamp"], each["close"]) for each in rows_of(found).to_pylist()] == [
        (day, 398),
        (day + DAY_NS, 397),
        (day + 4 * DAY_NS, 394),
    ]
    assert answered_of(found) == [week]
    (action,) = rows_of(of_the_api(api, wanted(CORPORATE_ACTIONS), week)).to_pylist()
    assert (action["timestamp"], action["kind"], action["ratio"]) == (day + 4 * DAY_NS, "split", 4)


def test_published_days_are_of_new_york_in_winter_and_in_summer():
    found = pages(gives("bars", DAYS), wanted(BARS, resolution="1d"), window("2022-01-03", "2022-07-06"))
    rows = rows_of(found).to_pylist()
    assert [each["timestamp"] for each in rows] == [
        parse_timestamp(day) for day in ("2022-01-03", "2022-01-04", "2022-07-05")
    ]
    assert (rows[0]["close"], rows[0]["vwap"], rows[0]["trade_count"]) == (182.01, 181.431299, 800_829)


def test_a_day_is_asked_by_the_hours_of_new_york_without_adjustment():
    calls: list[dict[str, str]] = []

    def behave(call: Any) -> None:
        calls.append(asked(call))
        gives("bars", DAYS)(call)

    pages(behave, wanted(BARS, resolution="1d"), DAY)
    assert (calls[0]["start"], calls[0]["end"]) == ("2022-01-03T05:00:00Z", "2022-01-04T04:59:59.999999999Z")
    assert (calls[0]["timeframe"], calls[0]["adjustment"], calls[0]["feed"]) == ("1Day", "raw", "iex")


@pytest.mark.parametrize(
    ("later", "end"),
    [([], "2022-01-03T09:00:00.086175745Z"), ([TRADE | {"t": "2022-01-08T09:00:00Z"}], "2022-01-04")],
)
def test_the_end_of_a_window_is_answered_only_if_there_is_a_later_row(later: list[Any], end: str):
    found = pages(gives("trades", [TRADE, *later]), wanted(), DAY)
    assert rows_of(found).num_rows == 1
    assert answered_of(found) == [Window(DAY.start_ns, parse_timestamp(end))]


def test_without_any_row_nothing_is_answered():
    assert pages(gives("trades", []), wanted(), DAY) == []


def test_pages_whose_rows_share_one_time_come_whole():
    rows = [TRADE | {"i": n, "t": "2022-01-03T09:00:00Z"} for n in range(5)]
    last = TRADE | {"i": 9, "t": "2022-01-03T09:00:01Z"}
    found = pages(gives("trades", [*rows, last], most=2), wanted(), DAY)
    assert rows_of(found)["trade_id"].to_pylist() == ["0", "1", "2", "3", "4", "9"]
    assert [each.rows.num_rows for each in found] == [0, 5, 1]


def test_codes_of_a_tape_become_words_and_cancelled_prints_are_left_out():
    rows = [
        TRADE | {"c": [" ", "I"]},
        TRADE | {"u": "canceled", "i": 2},
        TRADE | {"z": "A", "u": "corrected", "x": "N", "i": 3, "c": None},
    ]
    found = rows_of(pages(gives("trades", rows), wanted(), DAY)).to_pylist()
    assert [(each["exchange"], each["conditions"], each["trade_id"]) for each in found] == [
        ("ARCX", "regular;odd_lot", "1"),
        ("XNYS", None, "3"),
    ]


def test_crypto_has_a_slash_and_tells_who_was_the_taker():
    pair = wanted(TRADES, "BTC-USD", instrument_class="crypto")
    row = {"t": "2022-01-03T09:00:00Z", "p": 29_000.5, "s": 0.02, "tks": "S", "i": 31_455_289}
    with served(gives("trades", [row], "BTC/USD")) as server:
        (found,) = rows_of(alpaca(server.url).pages(pair, DAY)).to_pylist()
        assert server.calls[0][0].startswith("/v1beta3/crypto/us/trades?symbols=BTC%2FUSD&")
    assert (found["price"], found["buyer_is_maker"], found["exchange"]) == (29_000.5, True, None)


def test_quotes_have_both_sides():
    (found,) = rows_of(pages(gives("quotes", [QUOTE]), wanted(QUOTES), DAY)).to_pylist()
    assert (found["bid"], found["bid_size"], found["ask"], found["ask_size"], found["exchange"]) == (
        177.92, 4, 0, 0, "XNAS",
    )  # fmt: skip


def test_splits_and_dividends_are_found_by_their_ex_dates():
    found = rows_of(pages(gives_actions, wanted(CORPORATE_ACTIONS), window("2020-08-31", "2021-11-06")))
    names = ("kind", "ratio", "amount", "currency", "action_id")
    assert [tuple(row[name] for name in names) for row in found.to_pylist()] == [
        ("split", 4, None, None, None),
        ("dividend", None, 0.22, "USD", None),
        ("dividend", None, 1.5, "USD", "a7932b15-f816-4f83-921e-998b524487b5"),
        ("split", 0.5, None, None, None),
        ("split", 1.05, None, None, None),
        ("special_dividend", None, 0.5, "USD", None),
    ]
    # Processed in the window, but of an ex-date before it.
    assert pages(gives_actions, wanted(CORPORATE_ACTIONS), window("2021-05-20", "2021-05-31")) == []


def test_its_assets_are_markets_with_exchange_and_tick():
    with served(gives_assets) as server:
        share, pair = alpaca(server.url).markets()
    assert (share.symbol, share.cls, share.exchange, share.currency, share.tick_size) == (
        "AAPL", "equity", "XNAS", "USD", Decimal("0.01"),
    )  # fmt: skip
    assert (pair.name, pair.symbol, pair.cls, pair.currency, pair.tick_size) == (
        "BTC/USD", "BTC-USD", "crypto", "USD", Decimal(1),
    )  # fmt: skip


def test_a_bar_that_is_not_closed_is_left_out():
    now = time.time_ns()
    minute = now // MINUTE_NS * MINUTE_NS - 3 * MINUTE_NS
    calls: list[dict[str, str]] = []

    def behave(call: Any) -> None:
        calls.append(asked(call))
        says(b'{"bars":{},"next_page_token":null}')(call)

    assert pages(behave, wanted(BARS), Window(minute, now + DAY_NS)) == []
    assert len(calls) == 1  # nothing is asked about the last minutes, which a free plan may lack
    assert minute + MINUTE_NS <= parse_timestamp(calls[0]["end"]) < now - 2 * MINUTE_NS + 10**9
