"""A market that is kept current: its chart moves, a dot shows how its feed does, and a button stops it."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opened
from tests.browser.desks import assert_is_sound
from tests.browser.test_dashboard import SUMMARY
from tests.browser.test_fetches import form, show_cost
from tests.sources.live_binance import LiveBinance, Printing
from tests.system.installation import Installation, installed

pytestmark = pytest.mark.xdist_group("browser and feeds")
SPOKEN = "Feed of binance: "


@pytest.fixture(scope="module")
def binance() -> Iterator[LiveBinance]:
    with LiveBinance() as exchange, Printing(exchange, 10, "BTCUSDT"):
        yield exchange


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, binance: LiveBinance) -> Iterator[Installation]:
    """An installation without data, which asks the fake instead of Binance."""
    with installed(
        tmp_path_factory.mktemp("feeds"),
        LOAD_SAMPLE="0",
        SOURCES=json.dumps({"binance": {"url": binance.url}}),
        OUTBOUND_SCHEMES="http,https",
        OUTBOUND_NETWORKS="127.0.0.0/8",
    ) as installation:
        yield installation


def expect_dot(page: Page, state: str, said: str) -> None:
    """The dot of the symbol that is shown has a state, and says it to whoever points at it or hears it."""
    dot = page.locator(f"[aria-pressed=true] .feed-dot[data-feed={state}]")
    expect(dot).to_have_count(1)
    expect(dot).to_contain_text(SPOKEN + said)
    expect(dot).to_have_attribute("title", (dot.text_content() or ""))


def test_a_chart_begins_with_the_first_row_of_its_feed(
    opened: Opened, site: Installation, binance: LiveBinance
) -> None:
    with opened(login=True) as watched:
        page = watched.page
        body = {"source": "binance", "name": "ETH/USDT"}
        headers = {"X-API-Key": site.key}
        assert page.request.post("/api/v1/feeds", data=body, headers=headers).ok
        watched.goto("/")
        expect(page.locator("#note")).to_have_text(re.compile("The chart begins with|There are no bars"))
        expect(page.locator("#fetch")).to_be_hidden()
        with Printing(binance, 5, "ETHUSDT"):
            expect(page.locator("#symbol")).to_have_text("ETH-USDT")
            expect(page.locator("#tape tr")).not_to_have_count(0)
            expect(page.locator(SUMMARY)).to_contain_text(re.compile("[1-9] bars?. The newest: "))
            expect_dot(page, "live", "live")
        assert page.request.delete("/api/v1/feeds/ETH-USDT", headers=headers).ok


def test_a_market_that_is_kept_current_is_live_down_live_again_and_stopped(
    opened: Opened, binance: LiveBinance
) -> None:
    with opened(login=True) as watched:
        page = watched.page
        watched.goto("/")
        page.get_by_role("button", name="Fetch from …").click()
        form(page).get_by_label("Keep it current").check()
        expect(form(page).get_by_label("by", exact=True)).to_have_value("trades")
        yesterday = (datetime.now(tz=UTC) - timedelta(days=1)).date().isoformat()
        show_cost(page, "BTC/USDT", yesterday, "")
        # The pointer stays where the chart will be.
        page.locator("#fetch-plan").get_by_role("button", name="Fetch").click()
        expect(page.locator("#note")).to_have_text(
            re.compile(r"^[\d,]+ new rows from binance. It is kept current.$")
        )
        expect_dot(page, "live", "live")
        expect(page.locator("#tape tr")).not_to_have_count(0)
        assert_is_sound(watched)
        watched.shoot("feed_live")
        binance.is_away = True
        binance.cut()
        expect_dot(page, "waiting", "down: binance")
        page.get_by_role("tab", name="System").click()
        expect(page.locator("#feeds")).to_contain_text("down: binance")
        watched.shoot("feed_down")
        binance.is_away = False
        expect_dot(page, "live", "live")
        expect(page.locator("#feeds tr:last-child td").nth(6)).to_have_text("1")
        page.get_by_role("button", name="Stop the feed of BTC-USDT").click()
        expect(page.locator("#feeds")).to_contain_text("None.")
        expect(page.locator("#symbols .feed-dot")).to_have_count(0)
        assert_is_sound(watched)
