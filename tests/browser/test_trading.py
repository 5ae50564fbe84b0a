"""The trading panel: what an account is, the order ticket, start and stop, the halt, and what goes wrong, in words."""

import json
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
from playwright.sync_api import Route, WebSocketRoute, expect

from tests.browser.chromium import PHONE, WINDOWS
from tests.browser.conftest import Opened
from tests.browser.desks import WIDE, Desk, assert_is_sound, confirm, open_tab, preview, section, traded
from tests.front.front_server import eventually
from tests.system.installation import Installation

READING = ("market:read", "trading:read")


@WINDOWS
def test_an_order_is_placed_once_seen_filled_and_stopped(
    opened: Opened, site: Installation, trader: httpx.Client, name: str, options: Any
):
    desk = Desk(trader, f"SHOW-{name.upper()}")
    with traded(opened, site, desk, **options) as watched:
        page = watched.page
        expect(page.locator("#trading-state")).to_contain_text("Stopped: nothing can be opened")
        page.get_by_role("button", name="Start trading").click()
        watched.shoot(f"trading_dialog_{name}")
        confirm(page, "Start trading")
        expect(page.locator("#trading-status")).to_have_text("running")
        desk.print(100)
        preview(page, "100", Stop_loss="98")
        expect(page.locator("#preview")).to_contain_text("It would be accepted.")
        expect(section(page, "Checks")).to_contain_text("trade risk")
        watched.shoot(f"trading_preview_{name}")
        assert_is_sound(watched)
        page.get_by_role("button", name="Execute").dblclick()
        expect(section(page, "Working orders")).to_contain_text(desk.symbol)
        time.sleep(0.1)
        desk.print(100)
        expect(section(page, "Positions")).to_contain_text("LONG")
        expect(section(page, "Newest executions")).to_contain_text("buy")
        assert len([order for order in desk.get("/orders")["orders"] if order["leg"] is None]) == 1
        before = page.locator("#equity-text").inner_text()
        desk.print(101)
        expect(section(page, "Positions")).to_contain_text("+")
        expect(page.locator("#equity-text")).not_to_have_text(before)
        watched.shoot(f"trading_held_{name}")
        assert_is_sound(watched)
        page.get_by_role("button", name="Stop and close all").click()
        confirm(page, "Stop and close all")
        expect(page.locator("#trading-status")).to_have_text(re.compile("stopping|stopped"))
        assert eventually(lambda: is_flat(desk))
        expect(page.locator("#trading-status")).to_have_text("stopped")
        expect(page.get_by_text("No positions.")).to_be_visible()
        expect(section(page, "Newest closed trades")).to_contain_text(desk.symbol)
        watched.shoot(f"trading_stopped_{name}")
        assert_is_sound(watched)


def is_flat(desk: Desk) -> bool:
    desk.print(101)
    status: str = desk.get("/status")["status"]
    return status == "stopped"


def test_a_lost_answer_makes_no_second_order(opened: Opened, site: Installation, trader: httpx.Client):
    desk = Desk(trader, "LOST")
    desk.start()
    lost: list[int] = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch().status)
            route.abort()

    with traded(opened, site, desk) as watched:
        page = watched.page
        page.route("**/trade/execute", lose)
        preview(page, "10")
        page.get_by_role("button", name="Execute").click()
        expect(page.locator("#ticket-refusal")).to_contain_text("Asking again")
        expect(page.locator("#preview")).to_be_empty()
        assert lost == [201]
        assert len(desk.get("/orders")["orders"]) == 1
        assert [fault for fault in watched.faults if "ERR_FAILED" not in fault] == []


def test_a_stale_preview_shows_the_new_one(opened: Opened, site: Installation, trader: httpx.Client):
    desk = Desk(trader, "STALE")
    desk.start()
    with traded(opened, site, desk) as watched:
        page = watched.page
        preview(page, "10")
        expect(page.locator("#preview")).to_contain_text("last 100")
        desk.print(103)
        page.get_by_role("button", name="Execute").click()
        expect(page.locator("#preview")).to_contain_text("nothing was placed yet")
        expect(page.locator("#preview")).to_contain_text("last 103")
        watched.shoot("trading_stale")
        assert watched.axe() == []
        page.get_by_role("button", name="Execute").click()
        expect(page.locator("#preview")).to_be_empty()
        open_tab(page, "Orders")
        page.get_by_role("button", name="Cancel buy").click()
        expect(page.get_by_text("No working orders.")).to_be_visible()
        expect(page.locator("#trading-notice")).to_contain_text("Cancelled: buy 10")
        assert [fault for fault in watched.faults if "409" not in fault] == []


def test_everything_is_done_by_keyboard(opened: Opened, site: Installation, trader: httpx.Client):
    desk = Desk(trader, "KEYS")
    desk.start()
    with traded(opened, site, desk, tab="orders") as watched:
        page = watched.page
        quantity = page.locator("#order-quantity")
        expect(quantity).to_be_visible()
        quantity.focus()
        page.keyboard.type("10")
        page.keyboard.press("Enter")
        expect(page.locator("#preview-title")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator("#execute")).to_be_focused()
        page.keyboard.press("Enter")
        cancel = page.get_by_role("button", name="Cancel buy")
        expect(cancel).to_be_visible()
        stop = page.get_by_role("button", name="Stop and close all")
        stop.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog").get_by_label("Reason")).to_be_focused()
        page.keyboard.press("Escape")
        expect(stop).to_be_focused()
        cancel.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("No working orders.")).to_be_visible()
        assert watched.faults == []


def test_a_decimal_comma_is_understood_and_a_mark_of_thousands_refused(
    opened: Opened, site: Installation, trader: httpx.Client
):
    desk = Desk(trader, "COMMA")
    desk.start()
    with traded(opened, site, desk) as watched:
        page = watched.page
        quantity = page.locator("#order-quantity")
        expect(quantity).to_be_visible()
        quantity.press_sequentially("1,5")
        quantity.press("Enter")
        expect(page.locator("#preview-title")).to_contain_text("buy 1.5 ")
        for text in ("1,500", "1.000,5", "x"):
            quantity.fill(text)
            quantity.press("Enter")
            assert not quantity.evaluate("field => field.checkValidity()"), text
            expect(page.locator("#preview")).to_be_empty()
        assert watched.faults == []


def test_refusals_are_said_with_their_numbers(opened: Opened, site: Installation, trader: httpx.Client):
    desk = Desk(trader, "REFUSED")
    desk.start()
    with traded(opened, site, desk) as watched:
        page = watched.page
        preview(page, "900")
        expect(page.locator("#preview")).to_contain_text("It would be refused:symbol exposure: ")
        expect(page.get_by_role("button", name="Execute")).to_be_disabled()
        watched.shoot("trading_refused")
        assert_is_sound(watched)
        page.get_by_label("Type").select_option("limit")
        preview(page, "1", Limit_price="-1")
        link = page.locator("#ticket-refusal a")
        expect(link).to_have_attribute("href", re.compile("/docs/errors#"))


@WINDOWS
def test_a_halt_is_explained_and_left(
    opened: Opened, site: Installation, trader: httpx.Client, name: str, options: Any
):
    desk = Desk(trader, f"HALT-{name.upper()}", **WIDE)
    desk.start()
    desk.buy(600)
    with traded(opened, site, desk, **options) as watched:
        page = watched.page
        expect(page.locator("#zone")).to_contain_text("NORMAL")
        desk.print(80)
        expect(page.locator("#halt")).to_contain_text("Halted since")
        expect(page.locator("#zone")).to_contain_text("HALT. Nothing can be opened.")
        expect(page.locator("#trading-status")).to_have_text("halted")
        expect(page.locator("#trading-alerts")).to_contain_text("halt")
        watched.shoot(f"trading_halt_{name}")
        assert_is_sound(watched)
        page.get_by_role("button", name="Leave the halt").click()
        confirm(page, "Leave the halt", Reason="the coin was looked at")
        expect(page.locator("#halt")).to_be_hidden()
        expect(page.locator("#zone")).to_contain_text("NORMAL")
        open_tab(page, "Equity and risk")
        page.get_by_role("button", name="Override the risk level").click()
        entered = {"Risk level": "0.1", "Until (UTC)": "2099-01-01T10:00", "Reason": "calm"}
        confirm(page, "Override", **entered)
        expect(page.locator("#override-text")).to_contain_text(
            "Overridden to 0.1 % until 2099-01-01 10:00:00"
        )
        open_tab(page, "Positions")
        page.get_by_role("button", name=f"Close {desk.symbol}").click()
        confirm(page, "Close the position")
        expect(page.locator("#trading-notice")).to_contain_text(f"Closing {desk.symbol}")
        assert eventually(lambda: is_closed(desk))
        expect(page.get_by_text("No positions.")).to_be_visible()
        assert watched.faults == []


def is_closed(desk: Desk) -> bool:
    desk.print(80)
    return not desk.get("/portfolio")["positions"]


def test_a_strategy_is_assigned_and_taken_away(opened: Opened, site: Installation, trader: httpx.Client):
    desk = Desk(trader, "DECIDED")
    refused = {"status": "rejected", "average_price": None, "reason": "the check symbol_exposure failed"}
    order = {"symbol": desk.symbol, "side": "buy", "quantity": 1, "strategy": "mine"}
    path = f"/accounts/{desk.name}"
    desk.start()
    desk.post(f"{path}/orders", order | {"client_order_id": "first"})
    signals = {"signals": [desk.get("/signals")["signals"][0] | refused]}
    with traded(opened, site, desk, tab="strategies", **PHONE) as watched:
        page = watched.page
        expect(section(page, "Newest signals")).to_contain_text("working")
        expect(page.locator("#strategy-assigned")).to_have_text("No strategy decides for DECIDED.")
        page.locator("#strategy-form").get_by_label("Fast").fill("7")
        page.get_by_role("button", name="Assign to DECIDED").click()
        expect(page.get_by_role("dialog")).to_contain_text("on DECIDED-COIN, with fast 7, slow 30")
        watched.shoot("strategy_dialog")
        confirm(page, "Assign the strategy")
        expect(page.locator("#strategy-assigned")).to_contain_text("crossover decides for DECIDED since")
        assert trader.get(f"/api/v1{path}").json()["strategy"]["parameters"]["fast"] == "7"
        page.route("**/api/v1/signals?*", lambda route: route.fulfill(json=signals))
        desk.post(f"{path}/orders", order | {"client_order_id": "second"})
        expect(section(page, "Newest signals")).to_contain_text("refused: the check symbol_exposure failed")
        watched.shoot("strategy_assigned")
        assert_is_sound(watched)
        page.get_by_role("button", name="Take the strategy away").click()
        confirm(page, "Take the strategy away")
        expect(page.locator("#strategy-assigned")).to_have_text("No strategy decides for DECIDED.")
        assert trader.get(f"/api/v1{path}").json()["strategy"] is None


def test_a_model_is_followed_and_rebalanced(opened: Opened, site: Installation, trader: httpx.Client):
    desk = Desk(trader, "MODEL", **WIDE)
    desk.start()
    weights = {"weights": [{"symbol": desk.symbol, "weight": 0.5}]}
    path = f"/api/v1/models/half?account={desk.name}"
    trader.put(path, json=weights).raise_for_status()
    with traded(opened, site, desk, tab="model") as watched:
        page = watched.page
        page.get_by_label("Followed by a rebalance").select_option("half")
        expect(section(page, "Weights of half")).to_contain_text("50 %")
        page.get_by_role("button", name="Rebalance …").click()
        confirm(page, "Preview the rebalance", **{"Cash that purchases leave": "1"})
        expect(section(page, "Planned trades")).to_contain_text(f"{desk.symbol}")
        expect(section(page, "Planned trades")).to_contain_text("buy")
        watched.shoot("rebalance_preview")
        assert_is_sound(watched)
        page.get_by_role("button", name="Execute the rebalance").click()
        expect(section(page, "Working orders")).to_contain_text(f"{desk.symbol} (half)")
        assert eventually(desk.is_held)
        expect(section(page, "Positions")).to_contain_text(f"{desk.symbol} (half)")
        expect(page.locator("#rebalance-said")).to_have_text("The rebalance has ended: complete.")
        expect(section(page, "What was traded")).to_contain_text("50 %")
        watched.shoot("rebalance_done")
        assert_is_sound(watched)


def test_a_login_sees_what_it_may_do(opened: Opened, site: Installation, trader: httpx.Client):
    desk = Desk(trader, "WATCHED")
    with traded(opened, site, desk, scopes=READING) as watched:
        page = watched.page
        expect(page.locator("#trading-allowed")).to_contain_text("it lacks the scope trading:write")
        for tab in ("Equity and risk", "Orders", "Strategies"):
            open_tab(page, tab)
            for button in (
                *("Start trading", "Stop and close all", "Buy", "Sell"),
                *("Override the risk level", "Cancel all orders", "Assign to"),
            ):
                expect(page.get_by_role("button", name=button)).to_be_hidden()
        assert_is_sound(watched)
    with traded(opened, site, desk, scopes=("market:read",)) as watched:
        watched.page.locator("#limits table").wait_for(state="attached")
        expect(watched.page.locator("#trading")).to_be_hidden()
        assert not [fault for fault in watched.faults if "/accounts" in fault]


def test_a_login_without_an_account_is_told_how_to_make_one(
    opened: Opened, site: Installation, trader: httpx.Client
):
    desk = Desk(trader, "KNOWN")
    desk.name = "UNKNOWN"
    with traded(opened, site, desk) as watched:
        expect(watched.page.locator("#trading-none")).to_contain_text("manage.py account create")
        watched.shoot("trading_no_account")
        assert_is_sound(watched)


STATES: dict[str, dict[str, Any]] = {
    "The engine is away": {"engine": "away", "uptime_seconds": None},
    "Degraded: a symbol": {"status": "degraded", "connected": False},
    "AAPL is closed once its market opens, 2030-01-02 14:30:00 UTC.": {
        "status": "stopping",
        "queued": [{"symbol": "AAPL", "strategy": None, "opens_at": "2030-01-02T14:30:00Z"}],
    },
}


def test_states_are_said_in_words(opened: Opened, trader: httpx.Client):
    desk, changes = Desk(trader, "STATES"), dict[str, Any]()
    usual, newest = desk.get("/status"), {"X-Account-Event": "1000000"}
    with opened(login=True) as watched:
        page = watched.page
        page.route("**/api/v1/status?*", lambda route: route.fulfill(json=usual | changes, headers=newest))
        for said, state in STATES.items():
            changes.clear()
            changes.update(state)
            page.goto("about:blank")
            watched.goto(f"/#symbol={desk.symbol}&account={desk.name}")
            expect(page.get_by_label("Account", exact=True)).to_have_value(desk.name)
            expect(page.locator("#trading-state")).to_contain_text(said)
        assert watched.axe() == []


def test_a_cut_connection_is_said_and_what_was_missed_is_shown(opened: Opened, trader: httpx.Client):
    desk = Desk(trader, "CUTOFF")
    desk.start()
    sockets: list[WebSocketRoute] = []

    def through(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    with opened(login=True) as watched:
        page = watched.page
        page.route_web_socket(re.compile("/ws/v1/stream"), through)
        watched.goto(f"/#symbol={desk.symbol}&account={desk.name}")
        expect(page.locator("#trading-status")).to_have_text("running")
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        sockets[0].close()
        expect(page.locator("#trading-connection")).to_contain_text("The connection is lost")
        desk.buy(10)
        expect(section(page, "Positions")).to_contain_text(desk.symbol)
        expect(page.locator("#trading-connection")).to_be_empty()
        expect(section(page, "Newest executions")).to_contain_text("buy")
        sockets[-1].send(json.dumps({"op": "ping", "logs": {}, "degraded": ["redis"]}))
        expect(page.locator("#trading-connection")).to_contain_text("Redis is away")
        assert watched.faults == []


def test_an_alert_is_shown_that_comes_before_its_channel_is_followed(opened: Opened, trader: httpx.Client):
    desk = Desk(trader, "LATEFEED", **WIDE)
    desk.start()
    desk.buy(600)
    held: list[Callable[[], None]] = []

    def through(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if "alerts:" in str(message):
                held.append(partial(server.send, message))
            else:
                server.send(message)

        socket.on_message(pass_on)

    with opened(login=True) as watched:
        page = watched.page
        page.route_web_socket(re.compile("/ws/v1/stream"), through)
        watched.goto(f"/#symbol={desk.symbol}&account={desk.name}")
        expect(page.locator("#zone")).to_contain_text("NORMAL")
        desk.print(80)
        expect(page.locator("#halt")).to_contain_text("Halted since")
        for send in held:
            send()
        expect(page.locator("#trading-alerts")).to_contain_text("halt")
        assert watched.faults == []
