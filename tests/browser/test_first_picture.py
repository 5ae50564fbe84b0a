"""What somebody sees first on the dashboard: one screen, prices that are the API's, the chart first on a phone."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx
from playwright.sync_api import Locator, expect

from tests.browser.chromium import PHONE
from tests.browser.conftest import Opened
from tests.browser.desks import Desk, assert_is_sound, confirm, open_tab, traded
from tests.front.front_server import eventually
from tests.system.installation import Installation

WIDE_SCREEN = {"viewport": {"width": 1440, "height": 900}}
# How many pixels along the upper edge of the chart have the colour of extended hours, and in how many areas. Of three
# rows of pixels the one with the fewest areas: the dots of a line of a price may lie on one.
SHADED = """() => {
    const canvas = document.querySelector("#chart td:nth-child(2) canvas");
    const areas = (y) => {
        const {data} = canvas.getContext("2d").getImageData(0, y, canvas.width, 1);
        const isShaded = (_, x) => [240, 241, 242].every((part, n) => Math.abs(data[4 * x + n] - part) <= 1);
        const shaded = Array.from({length: canvas.width}, isShaded);
        return [shaded.filter(Boolean).length, shaded.filter((each, x) => each && !shaded[x - 1]).length];
    };
    return [3, 6, 9].map(areas).filter(([count]) => count).sort((one, other) => one[1] - other[1])[0] ?? [0, 0];
}"""
TABS = ("Positions", "Orders", "Executions", "Equity and risk", "Strategies", "Model", "Bar", "Missing bars")


def top_of(locator: Locator) -> float:
    box = locator.bounding_box()
    assert box is not None
    return box["y"]


def test_the_page_is_one_screen_high_and_shows_the_prices_of_the_api(
    opened: Opened, site: Installation, trader: httpx.Client
):
    path = "/api/v1/market-data/equities/DEMOA"
    (bar,) = trader.get(f"{path}/ohlcv?resolution=1d&last=1").json()["bars"]
    # The newest bar of a minute may be of extended hours, or of a day that has no bar yet.
    snapshot = trader.get(f"{path}/snapshot").json()
    last = max(snapshot["minute_bar"], snapshot["daily_bar"], key=lambda each: each["timestamp"])["close"]
    desk = Desk(trader, "SCREEN")
    with traded(opened, site, desk, **WIDE_SCREEN) as watched:
        page = watched.page
        watched.goto("/?symbol=DEMOA&resolution=1d&account=SCREEN")
        legend = page.locator(".candles-legend")
        for name in ("open", "high", "low", "close"):
            expect(legend).to_contain_text(f"{name[0].upper()} {bar[name]:,.2f}")
        expect(legend).to_contain_text(f"V {bar['volume']:,}")
        expect(page.locator("#last-price")).to_have_text(f"{last:,.2f}")
        expect(page.locator("#day-change")).to_have_text(
            re.compile(r"^.\d+\.\d\d \(.\d+\.\d\d %\)( since [\d-]{10})?$")
        )
        watched_item = page.locator("#symbols button", has_text="DEMOA")
        expect(watched_item.locator(".last")).to_have_text(f"{last:,.2f}")
        expect(page.locator("#sides")).to_be_in_viewport()
        for name in TABS:
            open_tab(page, name)
            assert page.evaluate("document.documentElement.scrollHeight") <= 900, name
            assert_is_sound(watched)
        page.locator("#ranges").get_by_text("5D").click()
        expect(page.locator("#resolution")).to_have_value("5m")
        expect(legend).to_contain_text("MA 20 ")
        expect(legend).to_contain_text(re.compile("E[SD]T"))
        page.get_by_text("Settings").click()
        page.get_by_label("Time zone").select_option("UTC")
        expect(legend).to_contain_text("UTC")
        assert watched.faults == []


def test_the_time_zone_of_an_option_can_be_chosen(opened: Opened):
    with opened(login=True, **WIDE_SCREEN, timezone_id="Asia/Tokyo") as watched:
        page = watched.page
        option = {"symbol": "DEMOA", "class": "option", "exchange": "XNYS"}
        page.route("**/api/v1/instruments/DEMOA", lambda route: route.fulfill(json=option))
        watched.goto("/?symbol=DEMOA")
        heads = page.locator("#backtests th")
        expect(heads.filter(has_text=re.compile("E[SD]T"))).to_have_count(1)
        page.get_by_text("Settings").click()
        page.get_by_label("Time zone").select_option("local")
        expect(heads.filter(has_text="GMT+9")).to_have_count(1)


def test_a_stretch_of_extended_hours_is_one_area(opened: Opened, trader: httpx.Client):
    # The evening of a whole session: while New York is open, the newest bars are of regular hours.
    whole, _ = trader.get("/api/v1/market-data/equities/DEMOA/ohlcv?resolution=1d&last=2").json()["bars"]
    close = (
        datetime.fromisoformat(whole["date"])
        .replace(hour=16, tzinfo=ZoneInfo("America/New_York"))
        .timestamp()
    )
    with opened(login=True, **WIDE_SCREEN) as watched:
        page = watched.page
        watched.goto(f"/?symbol=DEMOA&resolution=1m&from={close - 3600:.0f}&to={close + 3 * 3600:.0f}")
        expect(page.locator("#last-price")).not_to_be_empty()
        assert eventually(lambda: page.evaluate(SHADED)[0] > 100)
        # It is cut by gridlines, not by an edge of each of some hundred bars.
        assert page.evaluate(SHADED)[1] < 20
        # The crosshair, and a click, in that area.
        page.locator("#chart").click(position={"x": 600, "y": 150})
        expect(page.locator("#bar-title")).to_contain_text("Bar of ")
        assert watched.faults == []


def test_the_browser_keeps_symbols_first_in_the_watch_list(opened: Opened):
    with opened(login=True, **WIDE_SCREEN) as watched:
        page = watched.page
        watched.goto("/?symbol=DEMOX")
        names = page.locator("#symbols strong")
        expect(page.locator("#last-price")).not_to_be_empty()
        expect(names.first).not_to_have_text("DEMOX")
        keep = page.get_by_role("button", name="Keep in the watch list")
        keep.click()
        expect(names.first).to_have_text("DEMOX")
        # It has bars and no trades: the price is the close of the newest bar.
        expect(page.locator("#symbols .last").first).to_have_text(page.locator("#last-price").inner_text())
        watched.goto("/")
        expect(page.locator("#symbol")).to_have_text("DEMOX")
        expect(keep).to_have_attribute("aria-pressed", "true")
        keep.click()
        expect(names.first).not_to_have_text("DEMOX")
        assert_is_sound(watched)


def test_a_phone_shows_the_chart_first(opened: Opened):
    with opened(login=True, **PHONE) as watched:
        watched.goto("/?symbol=DEMOA")
        page = watched.page
        expect(page.locator("#last-price")).not_to_be_empty()
        places = [top_of(page.locator(part)) for part in ("#chart", "#watch-section", "#side", "#tabs")]
        assert places == sorted(places)
        assert places[0] < 250
        assert_is_sound(watched)


def test_all_orders_are_cancelled_after_a_question(opened: Opened, site: Installation, trader: httpx.Client):
    desk = Desk(trader, "ASKS")
    desk.start()
    order = {"symbol": desk.symbol, "side": "buy", "quantity": 1, "type": "limit", "limit_price": 90}
    desk.post(f"/accounts/{desk.name}/orders", order | {"client_order_id": "first"})
    with traded(opened, site, desk, tab="orders") as watched:
        page = watched.page
        button = page.get_by_role("button", name="Cancel all orders")
        expect(button).to_have_class("danger")
        button.click()
        page.get_by_role("button", name="Keep them").click()
        assert len(desk.get("/orders", status="open")["orders"]) == 1
        button.click()
        confirm(page, "Cancel all orders")
        expect(page.get_by_text("No working orders.")).to_be_visible()
        assert watched.faults == []
