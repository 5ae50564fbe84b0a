"""Prints of auctions belong to the regular session of their date, whenever they came and under every policy."""

from typing import Any

import pytest
import time_machine

from store.bar_policies import BarPolicy
from store.csv.csv_log import CsvSnapshot
from store.protocol import Window
from store.reading import Reader
from store.timestamps import parse_timestamp
from store.window_list import WindowList
from tests.api_client import Api, answer, trade
from tests.stats.live.channels import Client
from tests.stats.market_data.builders import ingest, tell

pytestmark = [pytest.mark.django_db, pytest.mark.system]

SYMBOL = "AUC"
# The exchange, then the times of a first print, a last one, the closing auction and a late print.
CLOSES = {
    "london": ("XLON", "2025-06-02", "07:00:00", "15:29:59", "15:35:10", "15:50:00"),
    "london in winter": ("XLON", "2025-01-06", "08:00:00", "16:29:59", "16:35:10", "16:50:00"),
    "london closes early": ("XLON", "2024-12-24", "08:00:00", "12:29:59", "12:35:10", "12:50:00"),
    "tokyo": ("XTKS", "2025-06-02", "00:00:00", "06:24:00", "06:30:00", "06:45:00"),
    "hong kong": ("XHKG", "2025-06-02", "01:30:00", "07:59:00", "08:08:20", "08:30:00"),
    "new york": ("XNYS", "2025-06-02", "13:30:00", "19:59:59", "20:00:05", "20:10:00"),
    "new york in winter": ("XNYS", "2025-01-06", "14:30:00", "20:59:59", "21:00:05", "21:10:00"),
    "new york closes early": ("XNYS", "2025-07-03", "13:30:00", "16:59:59", "17:00:05", "17:10:00"),
}
POLICIES = ("all", "us_equities")


def prints(api: Api, *rows: tuple[str, float, float, str | None]) -> None:
    sent = [
        {
            "time_ns": parse_timestamp(f"{time}Z"),
            "price": price,
            "volume": volume,
            "conditions": [word] if word else [],
        }
        for time, price, volume, word in rows
    ]
    ingest(api, "trades", SYMBOL, sent)


def arrive(api: Api, *rows: tuple[str, float, str | None]) -> None:
    """Send prints of a feed that declares nothing."""
    found = [
        trade(symbol=SYMBOL, timestamp=f"{time}Z", price=price, conditions=[word] if word else None)
        for time, price, word in rows
    ]
    assert api.ingest(*found, query="dedupe=none").status_code == 200


def auction_day(api: Api, close: str, policy: str = "all", *, late: str | None = None) -> str:
    """Store a day with a closing auction, and return its date. late: the word of a late print."""
    exchange, date, first, last, auction, after = CLOSES[close]
    tell(api, SYMBOL, **{"class": "equity", "exchange": exchange, "currency": "USD", "bar_policy": policy})
    day = [(first, 100.0, 1.0, None), (last, 101.0, 1.0, None), (auction, 105.0, 500.0, "closing_print")]
    rows = [*day, (after, 150.0, 7.0, late)]
    prints(api, *((f"{date}T{time}", price, volume, word) for time, price, volume, word in rows))
    return date


def bars(api: Api, date: str, **asked: str) -> list[dict[str, Any]]:
    query = {"start": f"{date}T00:00:00Z", "end": f"{date}T23:59:00Z", **asked}
    response = api.get(f"/api/v1/market-data/equities/{SYMBOL}/ohlcv", query)
    assert response.status_code == 200, response.content
    return list(answer(response)["bars"])


@pytest.mark.parametrize("close", CLOSES)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_day_has_its_closing_auction_and_no_other_late_print(api: Api, close: str, policy: str):
    date = auction_day(api, close, policy, late="extended_hours")
    for resolution in ("1d", "1w", "1M"):
        (bar,) = bars(api, date, start=date, end="2025-12-31", resolution=resolution)
        assert [bar[name] for name in ("open", "high", "low", "close", "volume")] == [100, 105, 100, 105, 502]


@pytest.mark.parametrize("close", CLOSES)
def test_a_late_print_without_a_word_stays_outside_of_the_hours(api: Api, close: str):
    date = auction_day(api, close)
    for asked in ({}, {"session": "utc", "hours": "regular"}):
        (bar,) = bars(api, date, resolution="1d", **asked)
        assert (bar["high"], bar["close"], bar["volume"], bar["trade_count"]) == (105, 105, 502, 3)


@pytest.mark.parametrize("close", CLOSES)
def test_bars_of_regular_hours_have_it_at_its_own_time(api: Api, close: str):
    date = auction_day(api, close)
    auction = f"{date}T{CLOSES[close][4]}Z"
    for asked in ({"resolution": "1s"}, {"resolution": "1m"}, {"resolution": "1m", "anchor": "session"}):
        found = bars(api, date, hours="regular", **asked)
        assert [bar["close"] for bar in found] == [100, 101, 105]
        assert found[-1]["timestamp"] == (auction if asked["resolution"] == "1s" else f"{auction[:-3]}00Z")
    hours = bars(api, date, hours="regular", resolution="1h")
    assert (hours[-1]["close"], sum(bar["volume"] for bar in hours)) == (105, 502)
    hour = {"start": f"{auction[:13]}:00:00Z", "end": f"{auction[:13]}:59:59Z"}
    ticks = bars(api, date, **hour, hours="regular", resolution="tick")
    ticks = [bar for bar in ticks if bar["timestamp"] >= auction]
    assert [(bar["timestamp"], bar["close"]) for bar in ticks] == [(auction, 105)]


def test_an_opening_auction_before_the_open_opens_the_day(api: Api):
    date = auction_day(api, "london")
    prints(
        api,
        (f"{date}T06:50:00", 90.0, 1.0, None),
        (f"{date}T06:59:58", 99.0, 40.0, "opening_print"),
    )
    (bar,) = bars(api, date, resolution="1d")
    assert (bar["open"], bar["low"], bar["close"], bar["volume"]) == (99, 99, 105, 542)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_cancelled_or_corrected_auction_counts_as_it_stands(api: Api, policy: str):
    date = auction_day(api, "london", policy, late="extended_hours")
    row = {"timestamp": f"{date}T15:35:10Z", "price": 105, "volume": 500}
    api.correct({"action": "correct", **row, "new_price": 106}, symbol=SYMBOL)
    assert bars(api, date, resolution="1d")[0]["close"] == 106
    api.correct({"action": "cancel", **row, "price": 106}, symbol=SYMBOL)
    assert bars(api, date, resolution="1d")[0]["close"] == 101
    late = {"timestamp": f"{date}T15:50:00Z", "price": 150, "volume": 7}
    api.correct({"action": "correct", **late, "new_conditions": ["closing_print"]}, symbol=SYMBOL)
    assert bars(api, date, resolution="1d")[0]["close"] == 150


@pytest.mark.parametrize("close", ["london", "hong kong", "new york closes early"])
@pytest.mark.parametrize("policy", POLICIES)
def test_all_readers_agree(api: Api, store_path, close: str, policy: str):
    date = auction_day(api, close, policy, late="extended_hours")
    reader = Reader(store_path)
    day = reader.bars(SYMBOL, date, "2025-12-31", "1d", hours="regular")
    assert (day.close.tolist(), day.volume.tolist()) == ([105.0], [502.0])
    known = reader.bars(
        SYMBOL, date, "2025-12-31", "1d", hours="regular", known_at="2026-01-01", knowledge="then"
    )
    assert (known.close.tolist(), known.volume.tolist()) == ([105.0], [502.0])
    for resolution, asked in (("1d", ""), ("1m", "hours=regular"), ("1h", "hours=extended")):
        client = Client(f"bars.{resolution}:{SYMBOL}?{asked}").resumed("0", {})
        query = dict(each.split("=") for each in [asked] if each)
        rest = bars(api, date, start=date, resolution=resolution, **query)
        assert [bar["close"] for _, bar in sorted(client.bars.items())] == [bar["close"] for bar in rest]


def test_days_of_quotes_have_no_auctions(api: Api):
    date = auction_day(api, "london")
    sides = {"bid": 1.0, "ask": 2.0, "conditions": ["closing_print"]}
    for time in ("15:00:00", "15:35:10"):
        ingest(api, "quotes", SYMBOL, [{"time_ns": parse_timestamp(f"{date}T{time}Z"), **sides}])
    path = f"/api/v1/market-data/equities/{SYMBOL}/quotes"
    (bar,) = answer(api.get(path, {"start": date, "end": "2025-06-03", "resolution": "1d"}))["quotes"]
    assert (bar["bid_close"], bar["quote_count"]) == (1, 1)


def test_the_explanation_names_the_auction(api: Api):
    date = auction_day(api, "london")
    path = f"/api/v1/market-data/equities/{SYMBOL}/ohlcv/explain"
    found = answer(api.get(path, {"at": date, "resolution": "1d"}))
    assert (found["bar"]["close"], found["bar"]["volume"]) == (105, 502)


class TestFinal:
    def finals(self, api: Api, date: str, at: str, **asked: str) -> list[bool]:
        with time_machine.travel(f"{date}T{at}Z", tick=False):
            return [bar["final"] for bar in bars(api, date, **{"resolution": "1d", **asked})]

    def listed(self, api: Api) -> None:
        for symbol in (SYMBOL, "OTHER"):
            tell(api, symbol, **{"class": "equity", "exchange": "XLON", "currency": "USD"})

    def test_a_day_waits_for_its_auction_where_the_feed_has_auctions(self, api: Api):
        self.listed(api)
        date = "2025-06-02"
        arrive(api, (f"{date}T07:00:00", 100.0, "opening_print"), (f"{date}T15:29:59", 101.0, None))
        api.ingest(b"", query=f"symbol=OTHER&complete_until={date}T16:40:00Z")
        assert self.finals(api, date, "15:32:00") == [False]
        arrive(api, (f"{date}T15:35:10", 105.0, "closing_print"))
        assert self.finals(api, date, "15:36:00") == [False]
        assert self.finals(api, date, "16:30:02") == [True]

    def test_a_feed_without_auctions_does_not_wait(self, api: Api):
        self.listed(api)
        arrive(api, ("2025-06-02T07:00:00", 100.0, None))
        api.ingest(b"", query="symbol=OTHER&complete_until=2025-06-02T15:30:00Z")
        assert self.finals(api, "2025-06-02", "15:30:02") == [True]

    def test_the_days_before_are_searched_for_auctions_once_a_date(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ):
        self.listed(api)
        searched: list[Window] = []
        aggregates = CsvSnapshot.aggregates

        def watched(snapshot: CsvSnapshot, windows: WindowList, length_ns: int, policy: BarPolicy) -> Any:
            if policy.is_auction and len(windows) == 1:
                searched.append(windows.bounds)
            return aggregates(snapshot, windows, length_ns, policy)

        monkeypatch.setattr(CsvSnapshot, "aggregates", watched)
        before = Window(parse_timestamp("2025-05-26"), parse_timestamp("2025-06-02"))
        today = Window(before.end_ns, parse_timestamp("2025-06-03"))
        asked = {"resolution": "1m", "hours": "extended"}
        arrive(api, ("2025-05-30T07:00:00", 100.0, None))
        for minute in (10, 11, 12):
            arrive(api, (f"2025-06-02T07:{minute}:00", 101.0, None))
            self.finals(api, "2025-06-02", f"07:{minute}:30", **asked)
            self.finals(api, "2025-05-30", "23:00:00", **asked)
            with time_machine.travel(f"2025-06-02T07:{minute}:40Z", tick=False):
                bars(api, "2025-05-30", **asked)
        assert (searched.count(before), searched.count(today)) == (1, 3)
        # A late print of an auction is seen, and then today is not searched.
        arrive(api, ("2025-05-30T15:35:10", 105.0, "closing_print"), ("2025-06-02T07:13:00", 101.0, None))
        for second in (30, 40):
            self.finals(api, "2025-06-02", f"07:13:{second}", **asked)
        assert (searched.count(before), searched.count(today)) == (2, 3)

    def test_the_bar_of_an_auction_waits_for_later_rows(self, api: Api):
        self.listed(api)
        date = "2025-06-02"
        arrive(api, (f"{date}T15:29:59", 101.0, None), (f"{date}T15:35:10", 105.0, "closing_print"))
        asked = {"resolution": "1m", "hours": "regular"}
        assert self.finals(api, date, "15:55:00", **asked) == [True, False]
        arrive(api, (f"{date}T15:36:02", 105.0, None))
        assert self.finals(api, date, "15:55:00", **asked) == [True, True]
