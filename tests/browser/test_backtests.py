"""Backtests in a browser: started on the dashboard, watched, opened: curves, trades on candles, every input."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.chromium import DARK, PHONE, WINDOWS
from tests.browser.conftest import Opened
from tests.browser.test_pages import assert_sound
from tests.system.installation import Installation
from trading.strategies.grid import GridRow, grid_page

pytestmark = pytest.mark.system

# Without a period it is the whole sample. Such short averages cross often, whatever the sample of the day is.
ENTERED = {"Symbols": "DEMOA, DEMOB", "Interval": "30min", "Fast": "2", "Slow": "4", "Part": "0.05"}
# The arrows of the first trade, which the crossover bought, of the same one if it had been sold short, if it were open, and
# of two such trades in the same bars.
ARROWS = """async () => {
  const {markersOf} = await import(document.querySelector("script[src*=backtest_page]").src);
  const [trade] = JSON.parse(document.getElementById("drawn").textContent).trades;
  const bars = [trade.opened_at, trade.closed_at].map((timestamp) => ({timestamp}));
  const shown = (trades) => markersOf(trades, bars).map(({shape, text}) => shape + text);
  return [[trade], [{...trade, direction: "SHORT"}], [{...trade, closed_at: null}], [trade, trade]].map(shown);
}"""
# The words about a result with more trades than are sent, one of whose positions is open.
WORDS = """async () => {
  const {shownText} = await import(document.querySelector("script[src*=backtest_page]").src);
  const [own, other] = [{symbol: "DEMOA"}, {symbol: "DEMOB"}];
  return shownText("DEMOA", {trades: [own, other, own], trades_in_all: 2345, positions: [own]}, 5, "1d");
}"""
TRADED = re.compile(r"DEMOA: [1-9]\d* closed trades? on [1-9]\d* bars")


@contextmanager
def jobs_wait(site: Installation) -> Iterator[None]:
    """Jobs stay in the queue."""
    worker = site.served.member("marketdata jobs")
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def start(page: Page) -> Locator:
    """Start a backtest with the dashboard's form. Returns its row."""
    form = page.locator("#strategy-form")
    expect(form.get_by_label("Symbols")).to_have_value("DEMOA")
    for label, value in ENTERED.items():
        form.get_by_label(label).fill(value)
    form.get_by_label("Limits of a backtest").select_option(label="An account's limits and zones")
    form.get_by_role("button", name="Start a backtest").click()
    expect(page.locator("#strategy-notice")).to_have_text("The backtest of crossover is queued.")
    newest = page.get_by_role("region", name="Newest backtests").locator("tbody tr").first
    expect(newest).to_contain_text("queued")
    expect(newest).to_contain_text("DEMOA, DEMOB")
    return newest


@WINDOWS
def test_a_backtest_is_started_watched_and_opened(
    opened: Opened, site: Installation, name: str, options: dict[str, Any]
):
    with opened(login=True, **options) as watched:
        page = watched.page
        watched.goto("/#symbol=DEMOA&tab=strategies")
        with jobs_wait(site):
            start(page).get_by_role("link", name="Open the backtest of").click()
            expect(page.locator("#running")).to_contain_text("The backtest is queued")
            assert_sound(watched)
        expect(page.locator("#equity canvas").first).to_be_visible()
        expect(page.locator("#running")).to_have_count(0)
        expect(page.locator("#limits")).to_have_text("With the limits and zones of an account.")
        expect(page.locator("#drawdown canvas").first).to_be_visible()
        expect(page.locator("#chart-text")).to_contain_text(TRADED)
        expect(page.locator("#curve-text")).to_contain_text("at the end")
        names = ["Return", "Max. drawdown", "Sharpe ratio", "Trades", "Win rate", "Profit factor"]
        assert page.locator(".headline dt").all_inner_texts() == names
        assert page.evaluate(ARROWS) == [
            ["arrowUp", "arrowDown"],
            ["arrowDown", "arrowUp"],
            ["arrowUp"],
            ["arrowUp2", "arrowDown2"],
        ]
        assert page.evaluate(WORDS) == (
            "DEMOA: 2 closed trades (of the first 3 of 2,345 trades) on 5 bars of 1d. "
            "Blue arrows up are purchases, arrows down are sales. A position is open at the end."
        )
        watched.shoot(f"backtest_{name}")
        page.get_by_label("Symbol").select_option("DEMOB")
        expect(page.locator("#chart-text")).to_contain_text("DEMOB:")
        expect(page.locator("pre.answer")).to_contain_text("A position that is open")
        assert_sound(watched)
        watched.goto("/#symbol=DEMOA&tab=strategies")
        expect(page.get_by_role("region", name="Newest backtests").locator("tbody tr").first).to_contain_text(
            "succeeded"
        )
        watched.shoot(f"strategies_{name}")
        assert_sound(watched)


def test_the_page_says_how_much_is_done_and_stops_asking_when_it_is_refused(
    opened: Opened, site: Installation
):
    asked, refused = list[str](), list[str]()

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if refused:
            return route.fulfill(status=404, json={"code": "not_found", "message": "There is no such job."})
        job = route.fetch().json()
        return route.fulfill(json=job | {"state": "running", "progress": {"done": 40, "total": 100}})

    with opened(login=True) as watched:
        page = watched.page
        page.clock.install()
        watched.goto("/#symbol=DEMOA&tab=strategies")
        with jobs_wait(site):
            newest = start(page)
            page.route("**/api/v1/jobs/*", answer)
            newest.get_by_role("link", name="Open the backtest of").click()
            expect(page.locator("#running")).to_contain_text("The backtest is running: 40 %")
            refused.append("from now on")
            expect(page.locator("#running")).to_contain_text("cannot be watched: There is no such job.")
            asked.clear()
            page.clock.run_for(10_000)
            page.wait_for_timeout(200)
        assert asked == []


def test_wrong_parameters_are_refused_in_words(opened: Opened):
    with opened(login=True) as watched:
        page = watched.page
        watched.goto("/#symbol=DEMOA&tab=strategies")
        form = page.locator("#strategy-form")
        form.get_by_label("Strategy to run").select_option("breakout")
        expect(form.get_by_label("Entry")).to_have_value("20")
        form.get_by_label("Part").fill("7")
        form.get_by_role("button", name="Start a backtest").click()
        expect(page.locator("#strategy-refusal")).to_contain_text("part above 0 and at most 1")
        assert watched.axe() == []
        assert [fault for fault in watched.faults if "422" not in fault] == []


def test_one_that_runs_is_watched_and_can_be_cancelled(opened: Opened):
    row = {
        "id": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
        "state": "running",
        "progress_pct": 40,
        "figures": None,
        "strategy": "crossover",
        "symbols": ["DEMOA"],
        "start": "2025-01-06",
        "end": "2025-01-11",
        "created_at": "2025-01-12T09:00:00Z",
    }
    with opened(login=True) as watched:
        page = watched.page
        page.route("**/api/v1/backtests?*", lambda route: route.fulfill(json={"backtests": [row]}))
        watched.goto("/#symbol=DEMOA&tab=strategies")
        expect(page.get_by_role("region", name="Newest backtests")).to_contain_text("running, 40 %")
        expect(page.get_by_role("button", name="Cancel the backtest")).to_be_visible()
        row["state"] = "cancelled"
        expect(page.locator("#strategy-notice")).to_contain_text(
            "The backtest of crossover has ended: cancelled."
        )
        expect(page.get_by_role("button", name="Cancel the backtest")).to_be_hidden()
        assert_sound(watched)


@pytest.mark.parametrize("options", [PHONE, DARK])
def test_the_page_of_a_grid_can_be_read(opened: Opened, options: dict[str, Any]):
    returns = {("5", "20"): -2.0, ("5", "50"): 1.9, ("9", "20"): -0.8}
    rows = [
        GridRow({"fast": fast, "slow": slow}, {"performance": {"return_pct": part}})
        for (fast, slow), part in returns.items()
    ]
    rows.append(GridRow({"fast": "9", "slow": "50"}, None, "--set: fast must be less than slow"))
    with opened(**options) as watched:
        watched.page.set_content(grid_page("crossover on A", rows, [("return_pct", "return", "{:,.2f} %")]))
        assert_sound(watched)
