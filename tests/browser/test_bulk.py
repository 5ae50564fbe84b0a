"""The tabs of exports and of alerts: what runs, files, alerts, webhooks and their deliveries."""

import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import WINDOWS
from tests.browser.conftest import Opened
from tests.browser.desks import assert_is_sound, section
from tests.browser.test_backtests import jobs_wait
from tests.system.installation import Installation

pytestmark = pytest.mark.system
EXPORT = {
    "dataset": "trades",
    "symbols": ["DEMOA", "DEMOB"],
    "format": "csv",
    "start": "2000-01-01",
    "end": "2100-01-01",
}


@pytest.fixture(scope="module")
def caller(site: Installation) -> Any:
    """A client with the key of `opened(login=True)`."""
    with httpx.Client(
        base_url=f"http://127.0.0.1:{site.port}/api/v1", headers={"X-API-Key": site.key}
    ) as client:
        yield client


# On how many lines a cell's text stands.
LINES = """cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return range.getClientRects().length;
}"""


def row(page: Page, table: str, text: str) -> Any:
    return section(page, table).locator("tbody tr").filter(has_text=text).first


@WINDOWS
def test_an_export_is_watched_its_files_are_downloaded_and_another_one_is_cancelled(
    opened: Opened, site: Installation, caller: httpx.Client, name: str, options: dict[str, Any]
) -> None:
    with opened(login=True, **options) as watched:
        page = watched.page
        with jobs_wait(site):
            job = caller.post("/exports", json=EXPORT).raise_for_status().json()
            watched.goto("/#symbol=DEMOA&tab=exports")
            expect(row(page, "Newest exports", "trades of DEMOA, DEMOB")).to_contain_text("queued")
        done = section(page, "Newest exports").locator("tbody tr").first
        expect(done).to_contain_text(", csv")
        state = done.get_by_text("succeeded", exact=True)
        assert state.evaluate(LINES) == 1
        done.get_by_role("button", name="Files").click()
        expect(page.get_by_role("heading", name="Files of trades of DEMOA, DEMOB")).to_be_focused()
        with page.expect_download() as download:
            section(page, "Files").get_by_role("link", name="trades/DEMOA.csv").click()
        content = caller.get(f"/exports/{job['id']}/files/trades/DEMOA.csv").content
        assert download.value.path().read_bytes() == content
        watched.shoot(f"exports-{name}")
        assert_is_sound(watched)
        caller.delete(f"/exports/{job['id']}").raise_for_status()
        expect(done).to_contain_text("files deleted")
        expect(done.get_by_role("button")).to_have_count(0)
        watched.shoot(f"exports-deleted-{name}")
        with jobs_wait(site):
            caller.post("/exports", json=EXPORT | {"symbols": ["DEMOX"]}).raise_for_status()
            waiting = row(page, "Newest exports", "trades of DEMOX")
            waiting.get_by_role("button", name="Cancel").click()
            expect(waiting).to_contain_text("cancelled")
        expect(waiting.get_by_role("button")).to_have_count(0)
        caller.post("/audit/exports", json={"format": "csv"}).raise_for_status()
        expect(row(page, "Newest exports", "audit")).to_contain_text("succeeded")


@WINDOWS
def test_the_charts_symbol_is_exported(
    opened: Opened, caller: httpx.Client, name: str, options: dict[str, Any]
) -> None:
    with opened(login=True, **options) as watched:
        page = watched.page
        watched.goto("/#symbol=DEMOB&tab=exports")
        form = page.get_by_role("form", name="Export rows as files")
        expect(form).to_contain_text("of DEMOB from")
        form.get_by_label("Rows").select_option("Bars of the chart's length")
        form.get_by_label("from (UTC)").fill("2020-01-01")
        form.get_by_role("button", name="Export").click()
        expect(row(page, "Newest exports", "ohlcv of DEMOB")).to_contain_text("succeeded")
        watched.shoot(f"exports-form-{name}")
        assert_is_sound(watched)
    parameters = caller.get("/jobs", params={"kind": "export", "limit": 1}).json()["jobs"][0]["parameters"]
    assert {"dataset": "ohlcv", "symbols": ["DEMOB"], "start": "2020-01-01"}.items() <= parameters.items()


@WINDOWS
def test_an_alert_is_set_for_the_charts_symbol_fires_and_is_deleted(
    opened: Opened, caller: httpx.Client, name: str, options: dict[str, Any]
) -> None:
    symbol = f"ALERT-{name.upper()}"
    declared = {"class": "crypto", "currency": "USD"}
    caller.put(f"/instruments/{symbol}", json=declared).raise_for_status()
    with opened(login=True, **options) as watched:
        page = watched.page
        watched.goto(f"/#symbol={symbol}&tab=alerts")
        form = page.get_by_role("form", name="Set an alert")
        expect(form).to_contain_text(f"When {symbol} is")
        form.get_by_label("Price", exact=True).fill("150,5")
        form.get_by_role("button", name="Set an alert").click()
        alert = row(page, "Newest alerts", f"{symbol}at 150.50")
        expect(alert).to_contain_text("at 150.50 or above")
        expect(alert).to_contain_text("armed")
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        trade = {"timestamp": now, "symbol": symbol, "price": 151, "volume": 1}
        caller.post("/trades/ingest", json={"trades": [trade]}).raise_for_status()
        expect(alert).to_contain_text("fired")
        expect(alert).to_contain_text("at 151")
        watched.shoot(f"alerts-{name}")
        assert_is_sound(watched)
        alert.get_by_role("button", name="Arm again").click()
        expect(alert).to_contain_text("armed")
        expect(alert.get_by_role("button", name="Arm again")).to_have_count(0)
        alert.get_by_role("button", name="Delete").click()
        expect(alert).to_have_count(0)


@WINDOWS
def test_a_webhook_is_tested_and_a_delivery_replayed(
    opened: Opened, caller: httpx.Client, name: str, options: dict[str, Any]
) -> None:
    body = {"url": f"https://receiver.example/{name}", "kinds": ["job.failed"]}
    made = caller.post("/webhooks", json=body).raise_for_status().json()
    with opened(login=True, **options) as watched:
        page = watched.page
        watched.goto("/#symbol=DEMOA&tab=alerts")
        page.get_by_label("Webhook", exact=True).select_option(body["url"])
        expect(page.locator("#webhook-state")).to_have_text("Active.")
        page.get_by_role("button", name="Send a test").click()
        sent = row(page, "Newest deliveries", "webhook.test")
        expect(sent).to_contain_text(re.compile("pending: .*again at"))
        expect(page.locator("#webhook-state")).to_contain_text("The receiver fails since")
        path = f"/webhooks/{made['id']}"
        with page.expect_response(re.compile("/replay$")) as replayed:
            sent.get_by_role("button", name="Replay").click()
        assert replayed.value.status == 200
        expect(page.get_by_role("button", name="Resume")).to_be_hidden()
        caller.patch(path, json={"state": "paused"}).raise_for_status()
        expect(page.locator("#webhook-state")).to_contain_text("Paused: by owner.")
        watched.shoot(f"webhooks-{name}")
        assert_is_sound(watched)
        page.get_by_role("button", name="Resume").click()
        expect(page.locator("#webhook-state")).not_to_contain_text("Paused")
        caller.delete(path).raise_for_status()
