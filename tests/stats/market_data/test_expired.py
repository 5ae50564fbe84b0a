"""Expired rows over HTTP: ticks are 410 `expired` with what is left, bars are the same as before."""

import time

import orjson
import pytest

from store.datasets import QUOTES, TRADES
from store.expiring import expire, planned, remove_due
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from tests.api_client import Api, answer, problem
from tests.chance import SOAK
from tests.store.builders import append_of, batch
from tests.store.expired_days import BEFORE, DATES, trades_on
from trades.stores import market_store

TREE = "/api/v1/market-data/equities/AAPL"
DAY = "start=2025-01-06T15:00:00Z&end=2025-01-06T16:00:00Z"
DAYS = "start=2025-01-02&end=2025-01-09"
BARS = [
    f"{TREE}/ohlcv?{DAYS}&resolution={resolution}{more}"
    for resolution in ("1m", "1h", "1d", "1w", "1M")
    for more in (
        "",
        "&hours=regular",
        "&anchor=session",
        "&coverage=1",
        "&session=utc",
        "&limit=2",
    )
    if resolution != "1m" or "coverage" not in more
]
TICKS = [
    f"{TREE}/trades?{DAY}&limit=5",
    f"{TREE}/trades?start=2025-01-06T23:30:00Z&end=2025-01-07T00:30:00Z&sort=desc&limit=2",
    f"{TREE}/trades/stream?{DAY}",
    f"{TREE}/revisions?{DAY}&resolution=1m",
    f"{TREE}/trades?last=5&end=2025-01-03",
    f"{TREE}/quotes?last=5&end=2025-01-03&resolution=1m",
    f"{TREE}/ohlcv?{DAY}&resolution=1s",
    f"{TREE}/ohlcv?{DAY}&resolution=1m&knowledge=then",
    f"{TREE}/ohlcv/explain?at=2025-01-06T15:00:00Z&resolution=1m",
    f"{TREE}/quotes?{DAY}&limit=5",
    f"{TREE}/quotes?{DAY}&resolution=1m",
]


@pytest.fixture
def days(api: Api) -> Api:
    terms = orjson.dumps({"class": "equity", "exchange": "XNAS", "bar_policy": "us_equities"})
    assert api.call("PUT", "/api/v1/instruments/AAPL", terms).status_code == 200
    for date in DATES:
        market_store().append(batch(*trades_on(date)))
        noon = parse_timestamp(f"{date}T15:00:00Z")
        market_store().append(
            append_of(QUOTES, {"timestamp": noon, "bid": 1.0, "bid_size": 1.0, "ask": 2.0, "ask_size": 1.0})
        )
    return api


def kept(document: dict[str, object]) -> dict[str, object]:
    """Return what stays the same: cursors are sealed anew, and the estimate is an upper bound."""
    return {
        name: value for name, value in document.items() if "cursor" not in name and name != "total_estimate"
    }


def expire_all(*, is_removed: bool) -> None:
    store = market_store()
    for dataset in (TRADES, QUOTES):
        expire(store, planned(store, dataset, "AAPL", BEFORE))
        remove_due(store, dataset, "AAPL", time.time_ns() + 2 * DAY_NS if is_removed else 0)


@pytest.mark.parametrize("is_removed", [False, True], ids=["recorded", "removed"])
def test_bars_stay_and_ticks_are_refused(days: Api, is_removed: bool):
    bars = BARS if SOAK else BARS[is_removed::2]
    before = {path: days.get(path) for path in bars}
    assert {each.status_code for each in before.values()} == {200}
    paths = [*TICKS, f"{TREE}/trades?{DAY}&limit=5&as_of={format_timestamp(time.time_ns())}"]
    assert [path for path in paths if days.get(path).status_code != 200] == []
    expire_all(is_removed=is_removed)
    for path in bars:
        assert kept(answer(days.get(path))) == kept(answer(before[path])), path
    for path in paths:
        response = days.get(path)
        assert (response.status_code, path) == (410, path)
        assert problem(response) == (410, "expired")
    message = answer(days.get(TICKS[0]))["message"]
    assert message == (
        "the trades of AAPL before 2025-01-07 have expired: what is left are bars of a minute and longer, and trades from"
        " 2025-01-07 on"
    )


def test_an_etag_of_expired_ticks_is_no_answer(days: Api):
    tag = days.get(TICKS[0])["ETag"]
    expire_all(is_removed=False)
    assert problem(days.get(TICKS[0], **{"If-None-Match": tag})) == (410, "expired")


def test_what_names_no_start_is_what_is_left(days: Api):
    expire_all(is_removed=True)
    rows = answer(days.get(f"{TREE}/trades?last=1000&end=2025-02-01"))["trades"]
    assert len(rows) == sum(len(trades_on(date)) for date in DATES[3:])
    assert days.get(f"{TREE}/trades/stream?end=2025-02-01").status_code == 200
    assert days.get(f"{TREE}/latest").status_code == days.get(f"{TREE}/snapshot").status_code == 200
    (trades, *_) = answer(days.get(f"{TREE}/coverage"))["datasets"]
    assert (trades["first"] >= "2025-01-07", trades["rows"]) == (True, len(rows))


def test_late_rows_are_refused(days: Api):
    expire_all(is_removed=False)
    row = {"symbol": "AAPL", "timestamp": "2025-01-06T15:00:00Z", "price": 1.0, "volume": 1.0}
    assert problem(days.ingest(row)) == (410, "expired")
