"""Accounts of which a page and a client see everything, and what a person does in the trading panel."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from playwright.sync_api import Page, Route, expect

from tests.browser.chromium import Watched
from tests.browser.conftest import Opened
from tests.front.front_server import eventually
from tests.system.installation import Installation

# The tables of open tabs that are wider than their place.
CUT = """() => [...document.querySelectorAll("#tabs .scrolls")]
  .filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.getAttribute("aria-label"))"""
# Nothing but the drawdown is in the way of an account with these.
WIDE = {"max_symbol_exposure": 100, "daily_loss": 90, "total_loss": 90, "collar": 50}


class Desk:
    """An account with a coin of its own, of which a page and this client see everything."""

    def __init__(self, client: httpx.Client, name: str, **limits: float) -> None:
        self.client, self.name, self.symbol = client, name, f"{name}-COIN"
        declared = {"class": "crypto", "currency": "USD"}
        client.put(f"/api/v1/instruments/{self.symbol}", json=declared).raise_for_status()
        self.post("/accounts", {"id": name, "kind": "cash", "currency": "USD"})
        self.post(f"/accounts/{name}/transfers", {"amount": 100_000})
        assert eventually(lambda: self.get("/portfolio")["equity"] == 100_000)
        config = {**self.get("/config")["config"], **limits}
        path = f"/api/v1/config/risk?account={name}"
        client.put(path, json=config, headers={"If-Match": "*"}).raise_for_status()
        self.print(100)

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(f"/api/v1{path}", params={"account": self.name, **parameters})
        return answer.raise_for_status().json()

    def post(self, path: str, document: object = None, **parameters: str) -> Any:
        return self.client.post(f"/api/v1{path}", json=document, params=parameters).raise_for_status().json()

    def print(self, price: float) -> None:
        """Store a large trade of this moment."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        trade = {"timestamp": now, "symbol": self.symbol, "price": price, "volume": 1_000_000}
        self.client.post("/v1/trades/ingest", json={"trades": [trade]}).raise_for_status()

    def start(self) -> None:
        self.post("/trading/start", account=self.name)

    def buy(self, quantity: float) -> None:
        """Hold the coin."""
        order = {"symbol": self.symbol, "side": "buy", "quantity": quantity, "client_order_id": "first"}
        self.post(f"/accounts/{self.name}/orders", order)
        assert eventually(self.is_held)

    def is_held(self) -> bool:
        """Print once more, and say whether the account has a position: orders are filled by prints after the engine saw them."""
        self.print(100)
        return bool(self.get("/portfolio")["positions"])


@contextmanager
def traded(
    opened: Opened, site: Installation, desk: Desk, *others: Desk, **options: Any
) -> Iterator[Watched]:
    """The dashboard of a login that sees these accounts only. The first one and its coin are shown.

    tab: the open one. routes: what answers calls in the server's place, by URL; the page's clock can then be moved.
    """
    tab = options.pop("tab", "positions")
    routes: dict[str, Callable[[Route], object]] = options.pop("routes", {})
    scopes = {"scopes": options.pop("scopes")} if "scopes" in options else {}
    accounts = json.dumps([each.name for each in (desk, *others)])
    key = site.new_key(rate=1_000_000, trading_rate=1_000_000, accounts=accounts, **scopes)
    with opened(**options) as watched:
        if routes:
            watched.page.clock.install()
        for url, answer in routes.items():
            watched.page.route(url, answer)
        watched.goto(f"/#symbol={desk.symbol}&account={desk.name}&tab={tab}")
        watched.page.get_by_label("API key").fill(key)
        watched.page.get_by_role("button", name="Log in").click()
        expect(watched.page.locator("#connection")).to_have_attribute("data-state", "live")
        # Chromium logs the 401 that tells the page that nobody is logged in.
        watched.faults[:] = [fault for fault in watched.faults if "401" not in fault]
        yield watched


def assert_is_sound(watched: Watched) -> None:
    assert watched.faults == []
    assert watched.axe() == []
    assert watched.width_beyond() == 0
    cut = watched.page.evaluate(CUT)
    assert cut == [], cut


def section(page: Page, name: str) -> Any:
    """A table's frame, also that of a tab that is not open."""
    return page.get_by_role("region", name=name, exact=True, include_hidden=True)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=re.compile(f"^{name}")).click()


def confirm(page: Page, name: str, **entered: str) -> None:
    dialog = page.get_by_role("dialog")
    for label, value in entered.items():
        dialog.get_by_label(label).fill(value)
    dialog.get_by_role("button", name=name).click()
    expect(dialog).to_have_count(0)


def preview(page: Page, quantity: str, **prices: str) -> None:
    page.locator("#order-quantity").fill(quantity)
    for label, value in prices.items():
        page.get_by_label(label.replace("_", " ")).fill(value)
    page.locator("#sides [value=buy]").click()
