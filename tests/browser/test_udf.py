"""A client of TradingView's datafeed in a browser scrolls back over nights and weekends: its bars are ours, each once."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import UDF_KEY, Opened
from tests.system.installation import Installation

PAGE = Path(__file__).with_name("udf_chart.html")
SYMBOL, DAYS = "DEMOC", 12
HOUR_S, DAY_S = 3600, 24 * 3600


@pytest.fixture(scope="module")
def midnight() -> int:
    """The end of the chart, in seconds: the newest midnight."""
    return int(time.time()) // DAY_S * DAY_S


@pytest.fixture(scope="module", autouse=True)
def key(site: Installation) -> None:
    """The key that answers for calls without a credential."""
    site.new_key(prefix=UDF_KEY, scopes=("market:read",), tier="internal")


@pytest.fixture
def chart(opened: Opened) -> Iterator[Page]:
    """A page of the installation's own origin, which nobody is logged in to."""

    def answer(route: Route) -> None:
        route.fulfill(body=PAGE.read_text(), content_type="text/html")

    with opened() as watched:
        watched.page.route("**/chart", answer)
        yield watched.page
        assert watched.faults == []


def ours(trader: httpx.Client, resolution: str, since_s: int, until_s: int) -> list[dict[str, Any]]:
    """Bars of the API as a chart has them."""
    start, end = (datetime.fromtimestamp(each, UTC).isoformat() for each in (since_s, until_s))
    query: dict[str, Any] = {
        "resolution": resolution,
        "start": start,
        "end": end,
        "hours": "regular",
        "limit": 10_000,
    }
    bars = trader.get(f"/api/v1/market-data/equities/{SYMBOL}/ohlcv", params=query).json()["bars"]
    names = ("open", "high", "low", "close", "volume")
    return [
        {"time": milliseconds(bar.get("date") or bar["timestamp"]), **{name: bar[name] for name in names}}
        for bar in bars
    ]


def milliseconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000


def scrolled(chart: Page, base_options: dict[str, Any], since_s: int) -> tuple[list[dict[str, Any]], int]:
    """Scroll back to an instant; return the chart's bars, and the number of gaps that it met."""
    chart.goto(f"/chart#{quote(orjson.dumps(base_options).decode())}")
    status = chart.locator("#status")
    expect(status).not_to_have_text("loading")
    while True:
        told = status.inner_text()
        state, _, gaps, reached = told.split()
        if state == "ended" or int(reached) <= since_s:
            return chart.evaluate("chart.bars"), int(gaps)
        chart.locator("#chart").hover()
        chart.mouse.wheel(0, -100)
        expect(status).not_to_have_text(told)


@pytest.mark.parametrize(
    "asked", [{"window": 6 * HOUR_S}, {"window": 6 * HOUR_S, "countback": 50}], ids=["range", "countback"]
)
def test_a_chart_that_is_scrolled_back_has_each_of_our_bars_once(
    chart: Page, trader: httpx.Client, midnight: int, asked: dict[str, Any]
):
    since = midnight - DAYS * DAY_S
    bars, gaps = scrolled(chart, {"symbol": SYMBOL, "resolution": "5", "to": midnight, **asked}, since)
    expected = ours(trader, "5m", since, midnight)
    assert len(expected) > 300
    assert [bar for bar in bars if bar["time"] >= since * 1000] == expected
    # Nights and weekends are gaps of ranges; a number of bars jumps over them.
    assert (gaps > 5) == ("countback" not in asked)
    assert chart.evaluate("chart.info.session") == "0930-1600"


def test_a_chart_of_days_ends_at_the_first_bar(chart: Page, trader: httpx.Client, midnight: int):
    options = {"symbol": SYMBOL, "resolution": "1D", "to": midnight, "window": 100 * DAY_S, "countback": 200}
    bars, _ = scrolled(chart, options, 0)
    first = datetime.now(UTC) - timedelta(days=1_100)
    expected = ours(trader, "1d", int(first.timestamp()) // DAY_S * DAY_S, midnight)
    # Monday's day begins with Friday's close: for the API it is in a range that ends on Sunday night.
    assert bars == [bar for bar in expected if bar["time"] < midnight * 1000]
    assert len(bars) > 400
    assert chart.locator("#status").inner_text().startswith("ended")
