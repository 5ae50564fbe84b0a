"""The form of fetches: an empty installation gets a market from an exchange, and what is refused is said."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import WINDOWS
from tests.browser.conftest import Opened
from tests.browser.desks import assert_is_sound
from tests.browser.test_dashboard import SUMMARY
from tests.sources.exchanges import FakeBinance
from tests.system.installation import Installation, installed

pytestmark = pytest.mark.xdist_group("browser and fetches")
TERMS = "binance's terms apply. Its data are for your own use: do not pass them on."


@pytest.fixture(scope="module")
def binance() -> Iterator[FakeBinance]:
    with FakeBinance() as exchange:
        yield exchange


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, binance: FakeBinance) -> Iterator[Installation]:
    """An installation without data, which asks the fake instead of Binance."""
    sources = json.dumps({"binance": {"url": binance.url}})
    folder = tmp_path_factory.mktemp("fetches")
    with installed(
        folder,
        LOAD_SAMPLE="0",
        SOURCES=sources,
        OUTBOUND_SCHEMES="http,https",
        OUTBOUND_NETWORKS="127.0.0.0/8",
    ) as installation:
        yield installation


@pytest.fixture
def slow(binance: FakeBinance) -> Iterator[None]:
    """The exchange takes its time, so that progress is seen."""
    binance.delay = 1.0
    yield
    binance.delay = 0.0


def form(page: Page) -> Locator:
    return page.get_by_role("form", name="Fetch from an exchange or a vendor")


def show_cost(page: Page, market: str, start: str, end: str) -> None:
    expect(form(page).get_by_label("Fetch from")).to_have_value("binance")
    fields = {"Market": market, "From (UTC)": start, "To, exclusive (UTC)": end}
    for label, value in fields.items():
        form(page).get_by_label(label).fill(value)
    form(page).get_by_role("button", name="Show the cost").press("Enter")


def test_an_empty_installation_fetches_a_market_and_shows_its_bars(
    opened: Opened, binance: FakeBinance, slow: None
):
    with opened(login=True) as watched:
        page = watched.page
        watched.goto("/")
        expect(form(page).get_by_label("Fetch from")).to_have_value("binance")
        # Nobody is asked before a person looks for a market.
        assert binance.calls == []
        form(page).get_by_label("Market").press_sequentially("eth")
        hint = page.locator("#fetch-hint")
        expect(hint).to_have_text("2 markets of binance have “eth” in their names.")
        form(page).get_by_label("Market").fill("btc-usdt")
        expect(hint).to_have_text("BTC in USDT · symbol BTC-USDT")
        watched.shoot("fetch_form")
        show_cost(page, "BTC-USDT", "2024-01-01", "2024-01-03")
        expect(page.get_by_role("heading", name="BTC-USDT from binance")).to_be_focused()
        plan = page.locator("#fetch-plan")
        for text in ("requests4", "rowsabout 2,880", "on diskabout 202KB", TERMS):
            expect(plan).to_contain_text(text)
        watched.shoot("fetch_plan")
        assert_is_sound(watched)
        assert binance.asked("klines") == []
        plan.get_by_role("button", name="Fetch").press("Enter")
        expect(page.locator("#fetch-state")).to_have_text(re.compile(r"Fetching … \d+ %"))
        watched.shoot("fetch_progress")
        expect(page.locator("#chart")).to_be_focused()
        expect(page.locator("#note")).to_have_text("2,880 new rows from binance.")
        expect(page.locator(SUMMARY)).to_contain_text("500 bars")
        expect(page.locator("#about")).to_contain_text("BTC in USDT · crypto")
        expect(page.locator("#symbols strong")).to_have_text(["BTC-USDT"])
        watched.shoot("fetch_chart")
        assert_is_sound(watched)
        # The terms were shown, and all is known.
        page.get_by_role("button", name="Fetch from …").press("Enter")
        expect(page.get_by_role("heading", name="Fetch from an exchange")).to_be_focused()
        show_cost(page, "BTC/USDT", "2024-01-01", "2024-01-03")
        expect(plan).to_contain_text("All of it was fetched before.")
        expect(plan).not_to_contain_text("terms")
        form(page).get_by_role("button", name="Close").press("Enter")
        expect(page.locator("#chart")).to_be_visible()


@WINDOWS
def test_an_unknown_symbol_is_offered_and_a_refusal_is_a_sentence(
    opened: Opened, name: str, options: dict[str, Any]
):
    with opened(login=True, **options) as watched:
        page = watched.page
        watched.goto("/?symbol=ETH-USTD")
        expect(form(page).get_by_label("Market")).to_have_value("ETH-USTD")
        expect(page.locator("#chart")).to_be_hidden()
        expect(form(page).get_by_label("Fetch from")).to_have_value("binance")
        form(page).get_by_role("button", name="Show the cost").press("Enter")
        refusal = page.locator("#fetch-refusal")
        expect(refusal).to_contain_text("binance has no market ETH-USTD: did you mean ETH/USDT")
        assert refusal.get_by_role("link").get_attribute("href") == "/docs/errors#source_refused"
        watched.shoot(f"fetch_refusal_{name}")
        # Chromium logs the 404 of the symbol.
        watched.faults[:] = [fault for fault in watched.faults if "404" not in fault]
        assert_is_sound(watched)


def test_a_fetch_is_cancelled(opened: Opened, slow: None):
    with opened(login=True) as watched:
        page = watched.page
        watched.goto("/?symbol=ETH-USDT")
        show_cost(page, "ETH/USDT", "2024-01-01", "2025-01-01")
        page.locator("#fetch-plan").get_by_role("button", name="Fetch").click()
        page.get_by_role("button", name="Cancel the fetch").click()
        expect(page.locator("#fetch-state")).to_have_text(
            "The fetch was cancelled. What it has stored stays."
        )


def test_who_may_not_fetch_is_not_offered_it(opened: Opened, site: Installation):
    with opened() as watched:
        page = watched.page
        watched.goto("/?symbol=NOSUCH")
        page.get_by_label("API key").fill(site.new_key(scopes=("market:read",)))
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#messages")).to_contain_text("unknown_symbol")
        expect(page.get_by_role("button", name="Fetch from …")).to_be_hidden()
        expect(form(page)).to_be_hidden()
