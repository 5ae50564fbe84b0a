"""Calls of the panels that fail once, or are answered after another account was chosen."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Opened
from tests.browser.desks import Desk, confirm, preview, section, traded
from tests.browser.test_dashboard import STILL, place
from tests.chance import SOAK
from tests.system.installation import Installation

AWAY = {"code": "store_unavailable", "message": "The store is away."}
# The panels ask again so often.
AGAIN = "00:11"


def message(page: Page, topic: str) -> Locator:
    return page.locator("#messages p").filter(has_text=f"{topic}: ")


def fail_until(answers: list[str]) -> Callable[[Route], None]:
    """Refuse calls until there is something in the list."""
    return lambda route: route.continue_() if answers else route.fulfill(status=503, json=AWAY)


def keep_in(routes: list[Route]) -> Callable[[Route], None]:
    """Leave calls unanswered, and list them."""

    def keep(route: Route) -> None:
        routes.append(route)

    return keep


def choose(page: Page, desk: Desk) -> None:
    page.get_by_label("Account", exact=True).select_option(desk.name)
    expect(page.locator("#trading-state")).to_contain_text("Stopped")


def test_strategies_that_could_not_be_read_are_read_again(opened: Opened):
    answers: list[str] = []
    with opened(login=True) as watched:
        page = watched.page
        page.clock.install()
        page.route("**/api/v1/strategies", fail_until(answers))
        watched.goto("/#symbol=DEMOA")
        expect(message(page, "Backtests")).to_contain_text("The store is away.")
        expect(page.locator("#tab-strategies")).to_be_hidden()
        answers.append("from now on")
        page.clock.fast_forward(AGAIN)
        expect(page.locator("#strategy-form").get_by_label("Fast")).to_have_value("10")
        expect(message(page, "Backtests")).to_have_count(0)


@pytest.mark.soak
def test_a_link_is_not_lost_to_what_the_chart_shows_meanwhile(opened: Opened):
    held: list[Route] = []
    with opened(login=True) as watched:
        page = watched.page
        watched.goto("/#symbol=DEMOA&resolution=1d")
        expect(page.locator(".candles-legend")).to_contain_text("MA 20 ")
        page.route("**/api/v1/instruments/DEMOA", keep_in(held))
        begin = int(time.time()) // 86_400 * 86_400 - 60 * 86_400
        page.evaluate(f"location.hash = 'symbol=DEMOA&resolution=1d&from={begin}&to={begin + 40 * 86_400}'")
        page.locator("#chart").hover()
        page.mouse.wheel(0, 300)
        # Longer than the chart waits before it writes its range into the address.
        page.wait_for_timeout(500)
        held[0].continue_()
        expect(page.locator("#chart")).not_to_have_attribute("aria-busy", "true")
        page.wait_for_timeout(500)
        page.evaluate(STILL)
        assert abs(int(place(page)["from"]) - begin) < 5 * 86_400


@pytest.mark.soak
def test_a_range_that_could_not_be_read_is_not_that_of_the_next_link(opened: Opened):
    with opened(login=True) as watched:
        page = watched.page
        watched.goto("/#symbol=DEMOA&resolution=1d")
        expect(page.locator(".candles-legend")).to_contain_text("MA 20 ")
        page.route("**/ohlcv?**", lambda route: route.fulfill(status=503, json=AWAY), times=1)
        page.get_by_role("button", name="1Y").click()
        expect(message(page, "Chart")).to_contain_text("The store is away.")
        begin = int(time.time()) // 86_400 * 86_400 - 60 * 86_400
        page.evaluate(f"location.hash = 'symbol=DEMOA&resolution=1d&from={begin}&to={begin + 40 * 86_400}'")
        expect(page.locator(".candles-legend")).to_contain_text("MA 20 ")
        page.evaluate(STILL)
        assert abs(int(place(page)["from"]) - begin) < 5 * 86_400


def with_a_model(trader: httpx.Client, name: str) -> Desk:
    desk = Desk(trader, name)
    weights = {"weights": [{"symbol": desk.symbol, "weight": 0.5}]}
    trader.put(f"/api/v1/models/half?account={name}", json=weights).raise_for_status()
    trader.patch(f"/api/v1/accounts/{name}", json={"model": "half"}).raise_for_status()
    return desk


@pytest.mark.soak
def test_models_that_could_not_be_read_are_read_again(
    opened: Opened, site: Installation, trader: httpx.Client
):
    desk, answers = with_a_model(trader, "AGAIN"), list[str]()
    with traded(
        opened, site, desk, tab="model", routes={"**/api/v1/models?*": fail_until(answers)}
    ) as watched:
        page = watched.page
        expect(message(page, "Model")).to_contain_text("The store is away.")
        expect(page.locator("#model-chosen")).to_be_hidden()
        answers.append("from now on")
        page.clock.fast_forward(AGAIN)
        expect(section(page, "Weights of half")).to_contain_text("50 %")
        expect(message(page, "Model")).to_have_count(0)


@pytest.mark.soak
def test_models_of_an_account_that_was_left_are_not_missed(
    opened: Opened, site: Installation, trader: httpx.Client
):
    left, other = with_a_model(trader, "LEFT"), Desk(trader, "STAYED")
    waiting: list[Route] = []
    with traded(
        opened,
        site,
        left,
        other,
        tab="model",
        routes={"**/api/v1/models?account=LEFT&*": keep_in(waiting)},
    ) as watched:
        page = watched.page
        # The models are asked for as this is shown.
        expect(page.locator("#strategy-assigned")).to_contain_text(left.name)
        choose(page, other)
        expect(page.locator("#model-none")).to_be_visible()
        (route,) = waiting
        with page.expect_response("**/api/v1/models?account=LEFT&*"):
            route.fulfill(status=503, json=AWAY)
        page.clock.fast_forward(AGAIN)
        expect(message(page, "Model")).to_have_count(0)
        assert waiting == [route], "it is not asked for again"


@pytest.mark.soak
def test_the_newest_of_two_rebalances_is_watched(opened: Opened, site: Installation, trader: httpx.Client):
    desk, ids, asked = with_a_model(trader, "TWICE"), iter(["first", "second"]), list[str]()

    def rebalance(route: Route) -> None:
        route.fulfill(json={"id": next(ids)})

    def job(route: Route) -> None:
        asked.append(route.request.url.rpartition("/")[2])
        route.fulfill(json={"state": "running", "progress": {"done": 0, "total": 1}})

    with traded(
        opened, site, desk, tab="model", routes={"**/rebalance": rebalance, "**/api/v1/jobs/*": job}
    ) as watched:
        page = watched.page
        for name in ("first", "second"):
            page.get_by_role("button", name="Rebalance …").click()
            with page.expect_response(f"**/api/v1/jobs/{name}"):
                confirm(page, "Preview the rebalance")
        expect(page.locator("#rebalance-said")).to_have_text(
            "The rebalance is running: 0 of 1 orders are done."
        )
        asked.clear()
        page.clock.run_for(3_500)
        page.wait_for_timeout(200)
        assert set(asked) == {"second"}


@pytest.mark.soak
def test_a_part_that_was_read_does_not_settle_another(
    opened: Opened, site: Installation, trader: httpx.Client
):
    desk, answers = Desk(trader, "PARTS"), list[str]()
    with traded(
        opened, site, desk, tab="account", routes={"**/api/v1/signals?*": fail_until(answers)}
    ) as watched:
        page = watched.page
        expect(message(page, "Trading")).to_contain_text("The store is away.")
        with page.expect_response("**/api/v1/performance?*days=365*"):
            page.get_by_label("Period").select_option("365")
        expect(page.locator("#equity-text")).to_contain_text("In 365 days")
        # Not later: everything is read again every ten seconds.
        assert message(page, "Trading").count() == 1
        answers.append("from now on")
        with page.expect_response("**/api/v1/signals?*"):
            page.clock.fast_forward(AGAIN)
        expect(message(page, "Trading")).to_have_count(0)


@pytest.mark.parametrize(
    "answer", [{"status": 503, "json": AWAY}, *([{"status": 201, "json": {"id": "1"}}] if SOAK else [])]
)
def test_a_late_answer_is_not_shown_for_another_account(
    opened: Opened, site: Installation, trader: httpx.Client, answer: dict[str, Any]
):
    number = answer["status"]
    asked, other = Desk(trader, f"ASKED-{number}"), Desk(trader, f"OTHER-{number}")
    asked.start()
    orders, stops = list[Route](), list[Route]()
    routes = {"**/trade/execute": keep_in(orders), "**/trading/stop?*": keep_in(stops)}
    with traded(opened, site, asked, other, routes=routes) as watched:
        page = watched.page
        preview(page, "1")
        page.get_by_role("button", name="Execute").click()
        expect(page.locator("#execute")).to_be_disabled()
        page.get_by_role("button", name="Stop and close all").click()
        confirm(page, "Stop and close all")
        choose(page, other)
        for kept in (orders, stops):
            with page.expect_response(kept[0].request.url):
                kept[0].fulfill(**answer)
        # After a fault of the server the page asks again, but not for an account that was left.
        page.clock.run_for(10_000)
        page.wait_for_timeout(200)
        for place in ("notice", "refusal"):
            expect(page.locator(f"#trading-{place}")).to_be_empty()
        expect(page.locator("#ticket-refusal")).to_be_empty()
        assert len(orders) == len(stops) == 1
