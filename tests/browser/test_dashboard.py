"""The dashboard: candles, live and of the past, as they were known, and why they are what they are."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.browser.chromium import DESKTOP, WINDOWS, Watched
from tests.browser.conftest import Opened
from tests.patience import PATIENCE_SECONDS
from tests.system.installation import Installation

SUMMARY = ".candles-spoken >> nth=0"
# Ends when what was set in the chart is drawn.
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# Ends when the address has not changed for half a second: the page writes it a little after the chart has moved.
STILL = """async () => {
  for (let seen; seen !== location.hash; await new Promise((done) => setTimeout(done, 500))) seen = location.hash;
}"""
# The page asks again so often.
AGAIN = "00:11"
CORRECTED = datetime(2025, 1, 2, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def feed(site: Installation) -> Iterator[httpx.Client]:
    """A client that stores, and two trades, of which one was corrected later."""
    headers = {"X-API-Key": site.key}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{site.port}", headers=headers, timeout=PATIENCE_SECONDS
    ) as client:
        store(client, "FIXED", CORRECTED, 100.0)
        store(client, "FIXED", CORRECTED + timedelta(seconds=9), 150.0)
        correction = {"action": "correct", "timestamp": stamp(CORRECTED + timedelta(seconds=9))}
        of = {"price": 150.0, "volume": 10, "new_price": 101.0}
        body = {"symbol": "FIXED", "corrections": [{**correction, **of}]}
        client.post("/v1/trades/corrections", json=body).raise_for_status()
        yield client


def stamp(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def store(client: httpx.Client, symbol: str, instant: datetime, price: float, *conditions: str) -> None:
    trade = {
        "timestamp": stamp(instant),
        "symbol": symbol,
        "price": price,
        "volume": 10,
        "conditions": conditions,
    }
    client.post("/v1/trades/ingest", json={"trades": [trade]}).raise_for_status()


def show(watched: Watched, symbol: str, **choices: str) -> Page:
    """Open the dashboard at a symbol, and wait for its bars and the feed."""
    fragment = "&".join([f"symbol={symbol}", *(f"{name}={value}" for name, value in choices.items())])
    watched.goto(f"/#{fragment}")
    page = watched.page
    expect(page.locator(SUMMARY)).to_have_text(re.compile(r"\d+ bars?\. The newest: "))
    expect(page.locator("#connection")).to_have_attribute(
        "data-state", "paused" if "as_of" in choices else "live"
    )
    return page


def summary(page: Page) -> str:
    return page.locator(SUMMARY).inner_text()


def bars(page: Page) -> int:
    return int(summary(page).split()[0])


def reveal_earlier(page: Page, more_than: int) -> None:
    page.locator("#chart").focus()
    page.keyboard.press("Home")
    expect(page.locator(SUMMARY)).not_to_have_text(re.compile(rf"^{more_than} bars"))
    assert bars(page) > more_than


@WINDOWS
def test_sample_is_shown_without_faults(opened: Opened, name: str, options: Any):
    with opened(login=True, **options) as watched:
        page = show(watched, "DEMOA", resolution="5m")
        page.locator("#tape tr").first.wait_for()
        page.get_by_role("tab", name="System").click()
        expect(page.locator("#log-details dd").first).to_have_text(re.compile(r"\d+-\w+"))
        for part in ("#limits table", "#ingest dl", "#jobs p, #jobs table"):
            page.locator(part).first.wait_for()
        page.locator("#chart").focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        page.locator("#bar-values").wait_for()
        expect(page.locator("#asof")).to_be_enabled()
        watched.shoot(f"dashboard_{name}")
        assert watched.faults == []
        assert watched.axe() == []
        assert watched.width_beyond() == 0


def test_login_form_takes_a_key(opened: Opened, site: Installation):
    with opened() as watched:
        watched.goto("/#symbol=DEMOA")
        page = watched.page
        page.get_by_label("API key").wait_for()
        watched.shoot("dashboard_login")
        assert watched.axe() == []
        page.get_by_label("API key").fill("md_wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("The API key is malformed; send it as it was shown.")
        page.get_by_label("API key").fill(site.key)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator(SUMMARY)).to_contain_text("The newest")
        assert site.key not in page.content()
        page.route("**/auth/logout", lambda route: route.abort())
        page.get_by_role("button", name="Log out").click()
        expect(page.locator("#messages")).to_contain_text("You are still logged in")
        page.unroute("**/auth/logout")
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("API key").wait_for()
        watched.goto("/")
        page.get_by_label("API key").wait_for()
        # Chromium logs every answer of 401, and the call that was cut; nothing else went wrong.
        known = ("401", "net::ERR_FAILED")
        assert [fault for fault in watched.faults if not any(text in fault for text in known)] == []


def test_a_stored_trade_is_seen_at_once(opened: Opened, feed: httpx.Client):
    store(feed, "LIVE", datetime.now(UTC) - timedelta(minutes=2), 50.0)
    with opened(login=True) as watched:
        page = show(watched, "LIVE")
        for price in (51.0, 52.0, 53.0):
            store(feed, "LIVE", datetime.now(UTC), price)
            expect(page.locator(SUMMARY)).to_contain_text(f"close {price:g}")
        expect(page.locator("#tape tr").first).to_contain_text("53")
        assert watched.faults == []


def test_slider_shows_a_corrected_bar_as_it_was_known(opened: Opened, feed: httpx.Client):
    with opened(login=True) as watched:
        page = show(watched, "FIXED")
        slider = page.locator("#asof")
        expect(slider).to_have_attribute("max", "3")
        assert "high 101," in summary(page)
        slider.focus()
        for _ in range(2):
            page.keyboard.press("ArrowLeft")
        expect(page.locator(SUMMARY)).to_contain_text("high 150,")
        expect(page.locator("#connection")).to_contain_text("live updates are not shown")
        watched.shoot("dashboard_as_of")
        store(feed, "FIXED", CORRECTED + timedelta(seconds=20), 102.0)
        page.get_by_role("button", name="Now", exact=True).click()
        expect(page.locator(SUMMARY)).to_contain_text("high 102,")
        expect(slider).to_have_attribute("max", "4")
        assert watched.faults == []
        assert watched.axe() == []


def test_slider_stands_at_an_instant_given_as_an_epoch(opened: Opened, feed: httpx.Client):
    with opened(login=True) as watched:
        page = show(watched, "FIXED", as_of=str(time.time_ns()))
        expect(page.locator("#asof")).to_be_enabled()
        newest = int(page.locator("#asof").get_attribute("max") or 0) - 1
        expect(page.locator("#asof")).to_have_value(str(newest))
        page.locator("#tape tr").first.wait_for()
        assert watched.faults == []


def test_now_shows_what_was_in_view_before_the_slider_moved(opened: Opened):
    with opened(login=True) as watched:
        page = show(watched, "DEMOA")
        expect(page.locator("#asof")).to_be_enabled()
        page.evaluate(STILL)
        before = place(page)
        page.locator("#asof").focus()
        page.keyboard.press("Home")
        expect(page.locator("#asof-text")).to_contain_text("(commit ")
        expect(page.locator("#tape-note")).to_contain_text("As it was known then")
        expect(page.locator("#chart[aria-busy]")).to_have_count(0)
        page.evaluate(STILL)
        assert abs(int(place(page)["from"]) - int(before["from"])) > 600
        watched.shoot("dashboard_first_commit")
        page.get_by_role("button", name="Now", exact=True).click()
        expect(page.locator("#tape-note")).to_be_empty()
        expect(page.locator("#chart[aria-busy]")).to_have_count(0)
        page.evaluate(STILL)
        assert abs(int(place(page)["from"]) - int(before["from"])) <= 600
        assert watched.faults == []


def test_back_shows_the_symbol_before(opened: Opened):
    with opened(login=True) as watched:
        page = show(watched, "DEMOA")
        symbol = page.locator("#symbol")
        page.locator("#symbols button", has_text="DEMOB").click()
        expect(symbol).to_have_text("DEMOB")
        page.go_back()
        expect(symbol).to_have_text("DEMOA")
        assert place(page)["symbol"] == "DEMOA"
        expect(page.locator(SUMMARY)).to_contain_text("The newest")
        page.go_forward()
        expect(symbol).to_have_text("DEMOB")
        assert watched.faults == []


def test_what_is_kept_while_the_address_changes_does_not_change_it_back(opened: Opened):
    with opened(login=True) as watched:
        page = show(watched, "DEMOA")
        page.evaluate(STILL)
        # The address changes at once; the page hears of it in a later task.
        page.evaluate("""() => {
          location.hash = location.hash.replace("DEMOA", "DEMOB");
          document.getElementById("resolution").dispatchEvent(new Event("change"));
        }""")
        expect(page.locator("#symbol")).to_have_text("DEMOB")
        page.evaluate(STILL)
        assert place(page)["symbol"] == "DEMOB"
        assert watched.faults == []


def test_click_on_a_bar_explains_it(opened: Opened, feed: httpx.Client):
    with opened(login=True) as watched:
        page = show(watched, "FIXED")
        expect(page.locator("#gaps-summary")).to_contain_text("without trades")
        page.evaluate(DRAWN)
        chart = page.locator("#chart").bounding_box()
        assert chart is not None
        # The only bar stands right of the middle; clicks beside it hit nothing.
        for x in range(int(chart["width"]) - 70, 20, -8):
            page.mouse.click(chart["x"] + x, chart["y"] + chart["height"] / 3)
            if page.locator("#panel-bar").is_visible():
                break
        prints = page.get_by_role("table", name="Prints", exact=True)
        expect(prints).to_contain_text("high")
        expect(page.get_by_role("table", name="Revisions", exact=True)).to_contain_text("150")
        watched.shoot("dashboard_explained")
        assert watched.faults == []


def test_gaps_that_are_known_late_leave_the_view(opened: Opened):
    with opened(login=True) as watched:
        page, held = watched.page, list[Route]()

        def hold(route: Route) -> None:
            held.append(route)

        page.route(re.compile(r"/ohlcv\?.*coverage=1"), hold)
        # Earlier bars would fill the place before the first bar.
        page.route(re.compile(r"/ohlcv\?.*cursor="), lambda route: route.abort())
        show(watched, "DEMOA")
        expect(page.locator("#chart[aria-busy]")).to_have_count(0)
        page.locator("#chart").focus()
        page.keyboard.press("Home")
        expect(page).to_have_url(re.compile("&to="))
        before = place(page)
        for route in held:
            answer = route.fetch().json()
            first = datetime.fromisoformat(answer["bars"][0]["timestamp"])
            start, end = (first + timedelta(seconds=each) for each in (30, 40))
            answer["absences"] = [{"start": stamp(start), "end": stamp(end), "reason": "gap"}]
            route.fulfill(json=answer)
        expect(page.locator("#gaps-summary")).to_contain_text("1 gaps")
        page.evaluate(STILL)
        after = place(page)
        # The place of the gap takes that of the last bar in view.
        assert after["from"] == before["from"]
        assert 0 <= int(before["to"]) - int(after["to"]) <= 600


def test_reload_keeps_its_place(opened: Opened):
    with opened(login=True) as watched:
        page = show(watched, "DEMOA")
        page.get_by_text("Settings").click()
        page.get_by_label("Hours").select_option("regular")
        page.get_by_text("Settings").click()
        expect(page.locator("#chart[aria-busy]")).to_have_count(0)
        reveal_earlier(page, bars(page))
        expect(page).to_have_url(re.compile("&to="))
        expect(page.locator("#chart[aria-busy]")).to_have_count(0)
        page.evaluate(STILL)
        before = place(page)
        page.reload()
        expect(page.locator("#gaps-summary")).to_contain_text("without trades")
        expect(page.locator("#chart[aria-busy]")).to_have_count(0)
        page.evaluate(STILL)
        after = place(page)
        assert before["symbol"] == after["symbol"] == "DEMOA"
        assert before["hours"] == after["hours"] == page.get_by_label("Hours").input_value() == "regular"
        assert all(abs(int(before[name]) - int(after[name])) <= 600 for name in ("from", "to")), (
            before,
            after,
        )
        assert watched.faults == []


def place(page: Page) -> dict[str, str]:
    return dict(part.split("=") for part in page.evaluate("location.hash.slice(1)").split("&"))


def test_a_cut_of_the_connection_is_said_and_nothing_is_missed(opened: Opened, feed: httpx.Client):
    store(feed, "CUT", datetime.now(UTC) - timedelta(minutes=2), 60.0)
    sockets: list[WebSocketRoute] = []

    def through(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    with opened(login=True) as watched:
        watched.page.route_web_socket(re.compile("/ws/v1/stream"), through)
        page = show(watched, "CUT")
        page.locator("#tape tr").wait_for()
        sockets[0].close()
        expect(page.locator("#connection")).to_contain_text("Connection lost")
        store(feed, "CUT", datetime.now(UTC), 61.0)
        expect(page.locator("#connection")).to_have_text("Live")
        expect(page.locator(SUMMARY)).to_contain_text("close 61,")
        expect(page.locator("#tape tr")).to_have_count(2)
        assert len(sockets) == 2
        assert watched.faults == []


def test_what_an_outage_cut_is_read_afterwards(opened: Opened):
    with opened(login=True) as watched:
        watched.page.clock.install()
        page = show(watched, "DEMOA")
        page.context.set_offline(True)
        page.locator("#symbols button", has_text="DEMOB").click()
        expect(page.locator("#messages")).to_contain_text("Chart: The server cannot be reached.")
        page.clock.fast_forward(AGAIN)
        expect(page.locator("#ingest")).to_have_text("The server cannot be reached. ")
        page.context.set_offline(False)
        page.clock.fast_forward(AGAIN)
        expect(page.locator("#messages")).to_be_empty()
        expect(page.locator(SUMMARY)).to_contain_text("The newest")
        page.locator("#tape tr").first.wait_for()
        expect(page.locator("#asof")).to_be_enabled()
        expect(page.locator("#symbol")).to_have_text("DEMOB")
        assert [fault for fault in watched.faults if "net::ERR_" not in fault] == []


def test_the_field_takes_instants_only(opened: Opened, feed: httpx.Client):
    with opened(login=True) as watched:
        page = show(watched, "FIXED")
        before = summary(page)
        field = page.get_by_label("As of an instant (UTC)")
        for text in ("0x10", "yesterday", "2026-13-40", "2025-02-30T10:00:00Z", "20250102"):
            field.fill(text)
            field.press("Enter")
            assert not field.evaluate("field => field.validity.valid"), text
            assert "as_of" not in page.url
        assert summary(page) == before
        field.fill("2100-01-02 03:00:00.25+05:30")
        field.press("Enter")
        expect(page.locator("#asof-text")).to_contain_text("2100-01-01 21:30:00.25")
        expect(page).to_have_url(re.compile("as_of=2100-01-01T21%3A30%3A00.25Z"))
        expect(field).to_have_value("2100-01-01T21:30:00.25Z")
        assert watched.faults == []


def test_a_missed_frame_is_asked_for_once(opened: Opened, feed: httpx.Client):
    store(feed, "MISSED", datetime.now(UTC) - timedelta(minutes=2), 60.0)
    sockets: list[WebSocketRoute] = []
    asked: list[str] = []

    def through(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        sockets.append(socket)

        def ask(message: str | bytes) -> None:
            asked.extend(json.loads(message).get("channels", []))
            server.send(message)

        socket.on_message(ask)

    with opened(login=True) as watched:
        watched.page.route_web_socket(re.compile("/ws/v1/stream"), through)
        page = show(watched, "MISSED")
        page.locator("#tape tr").wait_for()
        store(feed, "MISSED", datetime.now(UTC), 61.0)
        expect(page.locator("#tape tr")).to_have_count(2)
        for channel in ("trades:MISSED", "trades:MISSED", "bars.1m:MISSED"):
            frame: dict[str, Any] = {"ch": channel, "seq": "9-abcdef", "prev": "8-abcdef", "data": []}
            window = {"start": "2025-01-02T00:00:00Z", "end": "2025-01-02T00:00:00Z"}
            sockets[0].send(json.dumps(frame | window))
        store(feed, "MISSED", datetime.now(UTC), 62.0)
        expect(page.locator("#tape tr")).to_have_count(3)
        expect(page.locator(SUMMARY)).to_contain_text("close 62,")
        asked_of_symbol = sorted(channel for channel in asked if channel.endswith(":MISSED"))
        assert asked_of_symbol == ["bars.1m:MISSED", "quotes:MISSED", "trades:MISSED", "trades:MISSED"]
        assert watched.faults == []


def test_gaps_are_listed_with_their_reason(opened: Opened, feed: httpx.Client):
    declared = {"exchange": "XNAS", "gap_rule": "calendar"}
    feed.put("/api/v1/instruments/GAPPY", json=declared).raise_for_status()
    for minute in (0, 1, 2, 9, 10, 30):
        store(feed, "GAPPY", CORRECTED + timedelta(minutes=minute), 10.0 + minute / 10)
    with opened(login=True, **DESKTOP) as watched:
        page = show(watched, "GAPPY")
        expect(page.locator("#gaps-summary")).to_contain_text("2 gaps")
        page.get_by_role("tab", name="Missing bars (2)").click()
        expect(page.locator("#gaps")).to_contain_text("2025-01-02 10:03:00")
        watched.shoot("dashboard_gaps")
        assert watched.faults == []
        assert watched.axe() == []


def test_a_symbol_of_coarser_bars_opens_at_theirs(opened: Opened, feed: httpx.Client):
    values = dict.fromkeys(("open", "high", "low", "close", "volume"), 10)
    bar = {"timestamp": stamp(CORRECTED), "symbol": "COARSE", "resolution": "5m", **values}
    feed.post("/api/v1/bars/ingest", json={"bars": [bar]}).raise_for_status()
    with opened(login=True) as watched:
        page = show(watched, "COARSE")
        expect(page.locator("#resolution")).to_have_value("5m")
        expect(page.locator("#note")).to_have_text("There are no bars of 1m: these are bars of 5m.")
        page.locator("#settings summary").click()
        page.locator("#adjustment").select_option("split")
        expect(page.locator("#note")).to_have_text("unadjusted: no actions stored")
        expect(page.locator("#messages")).to_be_empty()


def test_a_refusal_is_said_with_its_code(opened: Opened):
    with opened(login=True) as watched:
        watched.goto("/#symbol=NOSUCH")
        message = watched.page.locator("#messages")
        expect(message).to_contain_text("unknown_symbol")
        assert message.get_by_role("link").get_attribute("href") == "/docs/errors#unknown_symbol"
        watched.shoot("dashboard_refusal")
        show(watched, "DEMOA")
        watched.page.evaluate("location.hash = 'symbol=NOSUCH'")
        expect(watched.page.locator(SUMMARY)).to_have_text("No bars.")
        expect(watched.page.locator("#tape tr")).to_have_count(0)


def test_a_store_without_instruments_leads_to_the_import(opened: Opened):
    with opened(login=True) as watched:
        page = watched.page
        empty: dict[str, Any] = {"instruments": [], "next_cursor": None}
        page.route("**/api/v1/instruments?**", lambda route: route.fulfill(json=empty))
        watched.goto("/")
        expect(page.locator("#found")).to_have_text("There is no instrument yet. Import a file")
        link = page.locator("#found").get_by_role("link", name="Import a file")
        expect(link).to_have_attribute("href", "/import")
        page.get_by_label("Search").fill("nothing")
        expect(page.locator("#found")).to_have_text("No instrument is found.")
        watched.shoot("dashboard_empty_store")
        script = "import('/static/dashboard/{}.js').then((found) => values.map((each) => found.{}(each)))"
        script = f"(values) => {script}"
        percent, money = (script.format("trading_words", name) for name in ("percent", "money"))
        assert page.evaluate(percent, [0, 0.00335, 1.494]) == ["0 %", "less than 0.01 %", "1.49 %"]
        assert page.evaluate(money, [0, 0.5, 0.01234, 1]) == ["0.00", "0.50", "0.0123", "1.00"]
        below_zero = {
            ("trading_words", "money"): "\N{MINUS SIGN}5,280.5",
            ("trading_words", "percent"): "\N{MINUS SIGN}5280.5 %",
            ("dom", "number"): "\N{MINUS SIGN}5,280.5",
            ("prices", "price"): "\N{MINUS SIGN}5,280.5",
        }
        for names, text in below_zero.items():
            assert page.evaluate(script.format(*names), [-5280.5])[0].replace(".50", ".5") == text
        gains = [
            ["0.00 %", ""],
            ["0.00 %", ""],
            ["\N{MINUS SIGN}0.01 %", "loss"],
            ["+1.49 %", "gain"],
            ["\N{EN DASH}", ""],
        ]
        values = [0.004, -0.004, -0.01, 1.494, None]
        assert page.evaluate(script.format("prices", "percentGain"), values) == gains
        open_gain = """(portfolio) => import('/static/dashboard/trading_tables.js').then(({figures}) =>
            figures(portfolio).map((row) => row.innerText).find((text) => text.startsWith('Open gain')))"""
        portfolio = {"equity": 100.0, "cash": 1.0, "currency": "USD", "positions": [], "total_pnl": 0, "without_r": 0,
                     "total_pnl_money": 208.62, "total_unrealized_pnl": 131.15, "exposure": {"gross_pct": 1.0},
                     "drawdown_pct": 0, "risk_level": 0.3}  # fmt: skip
        assert page.evaluate(open_gain, portfolio) == "Open gain+131.15 USD"
