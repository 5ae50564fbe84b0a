"""The oracle and the tables of hours against a few lines that were worked out by hand."""

import datetime as dt

import pytest

from tests.stats.market_data.option_oracle import European
from tests.stats.market_data.oracle import Cut, adjusted, bars, ordered, pages, quote_bars, ticks
from tests.stats.market_data.published_hours import XCME, XNYS, instant

NEW_YORK, CHICAGO = "America/New_York", "America/Chicago"


def at(text: str, zone: str = "UTC") -> int:
    date, clock = text.split("T")
    return instant(dt.date.fromisoformat(date), clock, zone)


def prints(*rows: tuple[str, float, float]) -> list[dict[str, float]]:
    return [{"time_ns": at(time), "price": price, "volume": volume} for time, price, volume in rows]


EVER = (at("2024-12-02T00:00"), at("2025-01-30T00:00"))


def test_a_bar_of_three_prints():
    rows = prints(
        ("2024-12-23T10:00:01", 10, 1), ("2024-12-23T10:00:02", 12, 2), ("2024-12-23T10:00:00", 11, 0.5)
    )
    assert bars(rows, Cut("1m"), *EVER) == [
        {
            "time_ns": at("2024-12-23T10:00"), "open": 11, "high": 12, "low": 10, "close": 12, "volume": 3.5,
            "vwap": 39.5 / 3.5, "trade_count": 3, "final": True,
        }
    ]  # fmt: skip


def test_a_bar_without_volume_has_no_vwap():
    (bar,) = bars(prints(("2024-12-23T10:00:01", 10, 0)), Cut("1h"), *EVER)
    assert (bar["volume"], bar["vwap"], bar["trade_count"]) == (0, None, 1)


def test_equal_times_go_by_sequence_and_then_by_arrival():
    rows = [{"time_ns": 5, "n": n, "sequence": sequence} for n, sequence in enumerate([None, 7, 3, 7, None])]
    assert [row["n"] for row in ordered([*rows, {"time_ns": 4, "n": 9}])] == [9, 2, 1, 3, 0, 4]


@pytest.mark.parametrize(
    ("resolution", "labels"),
    [
        ("4h", ["2024-12-23T12:00", "2024-12-31T20:00", "2025-01-02T00:00"]),
        ("1d", ["2024-12-23T00:00", "2024-12-31T00:00", "2025-01-02T00:00"]),
        ("1w", ["2024-12-23T00:00", "2024-12-30T00:00"]),
        ("1M", ["2024-12-01T00:00", "2025-01-01T00:00"]),
    ],
)
def test_utc_bars(resolution, labels):
    rows = prints(("2024-12-23T15:59:59", 1, 1), ("2024-12-31T20:00", 2, 1), ("2025-01-02T01:00", 3, 1))
    assert [bar["time_ns"] for bar in bars(rows, Cut(resolution), *EVER)] == [at(label) for label in labels]


@pytest.mark.parametrize(
    ("exchange", "zone", "time", "date", "label"),
    [
        (XNYS, NEW_YORK, "2024-12-23T19:59", "2024-12-23", "2024-12-23T00:00"),
        (XNYS, NEW_YORK, "2024-12-25T12:00", "2024-12-26", "2024-12-26T00:00"),
        (XNYS, NEW_YORK, "2024-12-28T12:00", "2024-12-30", "2024-12-30T00:00"),
        (XCME, CHICAGO, "2024-12-22T17:00", "2024-12-23", "2024-12-22T17:00"),
        (XCME, CHICAGO, "2024-12-23T15:59:59", "2024-12-23", "2024-12-22T17:00"),
        (XCME, CHICAGO, "2024-12-23T17:00", "2024-12-24", "2024-12-23T17:00"),
        (XCME, CHICAGO, "2024-12-24T12:15", "2024-12-24", "2024-12-23T17:00"),
        (XCME, CHICAGO, "2024-12-24T17:00", "2024-12-26", "2024-12-25T17:00"),
        (XCME, CHICAGO, "2024-12-27T16:59", "2024-12-27", "2024-12-26T17:00"),
        (XCME, CHICAGO, "2024-12-28T12:00", "2024-12-30", "2024-12-29T17:00"),
        (XCME, CHICAGO, "2024-12-31T18:00", "2025-01-02", "2025-01-01T17:00"),
    ],
)
def test_trading_dates(exchange, zone, time, date, label):
    (bar,) = bars(
        [{"time_ns": at(time, zone), "price": 1, "volume": 1}], Cut("1d", exchange, by_date=True), *EVER
    )
    assert (bar["date"], bar["time_ns"]) == (date, at(label, zone))


def test_a_month_of_an_exchange_is_called_by_its_first_session():
    rows = prints(("2025-01-02T15:00", 1, 1))
    (bar,) = bars(rows, Cut("1M", XNYS, by_date=True, hours="regular"), *EVER)
    assert (bar["date"], bar["time_ns"]) == ("2025-01-01", at("2025-01-02T09:30", NEW_YORK))


@pytest.mark.parametrize(("hours", "count"), [("all", 6), ("regular", 2), ("extended", 4)])
def test_hours_of_an_early_close(hours, count):
    times = ("08:59:59", "09:00", "14:30", "17:59:59", "18:00", "22:00")
    rows = [{"time_ns": at(f"2024-12-24T{time}")} for time in times]
    assert len(ticks(rows, Cut("tick", XNYS, hours=hours), *EVER)) == count


def test_a_quote_bar_opens_at_the_quote_carried_in_from_its_own_venue():
    rows = [
        {"time_ns": 1, "exchange": "A", "bid": 10, "bid_size": 1, "ask": 12},
        {"time_ns": 2, "exchange": "B", "bid": 5},
        {"time_ns": 60 * 10**9, "exchange": "A", "bid": 9, "bid_size": 2, "ask": None},
    ]
    found = quote_bars(rows, Cut("1m"), 60 * 10**9, 120 * 10**9)
    assert found == [
        {
            "time_ns": 60 * 10**9, "exchange": "A", "quote_count": 1, "final": True,
            "bid_open": 10, "bid_high": 10, "bid_low": 9, "bid_close": 9, "bid_size": 2,
            "ask_open": 12, "ask_high": 12, "ask_low": 12, "ask_close": 12, "ask_size": None,
        }
    ]  # fmt: skip
    assert [bar["ask_open"] for bar in quote_bars(rows, Cut("1m"), 0, 1)] == [12, None]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("raw", [(100, 10), (50, 20), (48, 20)]), ("split", [(50, 20), (50, 20), (48, 20)]), ("all", [(49, 20), (49, 20), (48, 20)])],
)  # fmt: skip
def test_adjusted_prints(mode, expected):
    rows = prints(("2024-12-23T15:00", 100, 10), ("2024-12-24T15:00", 50, 20), ("2024-12-26T15:00", 48, 20))
    actions = [
        {"date": "2024-12-24", "kind": "split", "ratio": 2},
        {"date": "2024-12-26", "kind": "dividend", "amount": 1},
    ]
    found = adjusted(rows, actions, mode, Cut("1d", XNYS, by_date=True))
    assert [(row["price"], row["volume"]) for row in found] == expected


def test_pages():
    rows = [{"n": n} for n in range(5)]
    assert [[row["n"] for row in page] for page in pages(rows, 2, sort="desc")] == [[4, 3], [2, 1], [0]]
    assert pages([], 2) == [[]]


def test_a_published_option():
    """Hull, example 15.6: spot 42, strike 40, 10 %, 20 %, half a year: call 4.76, put 0.81."""
    call, put = (European(sign, 42, 40, 0.5, 0.1, 0.0) for sign in (1, -1))
    assert (round(call.price(0.2), 2), round(put.price(0.2), 2)) == (4.76, 0.81)
    assert call.implied(call.price(0.2)) == pytest.approx(0.2, rel=1e-12)
    assert put.implied(0.0) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_greeks_are_the_slopes_of_the_price(sign: int):
    def price(spot: float = 42, t: float = 0.5, rate: float = 0.05, volatility: float = 0.2) -> float:
        return European(sign, spot, 40, t, rate, 0.02).price(volatility)

    greeks = European(sign, 42, 40, 0.5, 0.05, 0.02).greeks(0.2)
    step = 1e-4
    assert greeks == pytest.approx(
        {
            "delta": (price(spot=42 + step) - price(spot=42 - step)) / (2 * step),
            "gamma": (price(spot=42 + step) - 2 * price() + price(spot=42 - step)) / step**2,
            "theta": (price(t=0.5 - step) - price(t=0.5 + step)) / (2 * step) / 365,
            "vega": (price(volatility=0.2 + step) - price(volatility=0.2 - step)) / (2 * step) / 100,
            "rho": (price(rate=0.05 + step) - price(rate=0.05 - step)) / (2 * step) / 100,
        },
        rel=1e-4,
    )
