"""The page of a backtest, in a browser: it waits for the job, then shows curves, trades on candles, and every input."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.chromium import DESKTOP, PHONE
from tests.browser.conftest import Opened
from tests.browser.test_pages import assert_sound
from tests.system.installation import Installation

pytestmark = pytest.mark.system

# Of the sample's days.
TODAY = datetime.now(UTC).date()
BODY = {
    "strategy": "crossover",
    "symbols": ["DEMOA", "DEMOB"],
    "start": str(TODAY - timedelta(days=7)),
    "end": str(TODAY),
    "parameters": {"interval": "30min", "fast": 4, "slow": 12, "part": 0.05},
}
TRADED = re.compile(r"DEMOA: [1-9]\d* closed trades? on [1-9]\d* bars")


@pytest.mark.parametrize(("name", "options"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_a_backtest_is_started_watched_and_opened(
    site: Installation, opened: Opened, name: str, options: dict[str, Any]
):
    headers = {"X-API-Key": site.key}
    base = f"http://127.0.0.1:{site.port}/api/v1"
    job = httpx.post(f"{base}/backtests", json=BODY, headers=headers).raise_for_status().json()
    with opened(login=True, **options) as watched:
        page = watched.page
        watched.goto(f"/api/v1/backtests/{job['id']}")
        expect(page.locator("#equity canvas").first).to_be_visible()
        expect(page.locator("#drawdown canvas").first).to_be_visible()
        expect(page.locator("#chart-text")).to_contain_text(TRADED)
        expect(page.locator("#curve-text")).to_contain_text("at the end")
        watched.shoot(f"backtest_{name}")
        page.get_by_label("Symbol").select_option("DEMOB")
        expect(page.locator("#chart-text")).to_contain_text("DEMOB:")
        for heading in ("inputs", "config", "parameters"):
            expect(page.get_by_role("heading", name=heading, exact=True).first).to_be_attached()
        expect(page.get_by_role("cell", name="A position that is open")).to_be_attached()
        assert_sound(watched)
