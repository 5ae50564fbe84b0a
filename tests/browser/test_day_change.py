"""The change of the day in the headline and the watch list: of the newest daily bar, adjusted for splits."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opened
from tests.patience import PATIENCE_SECONDS
from tests.system.installation import Installation

DAY_OF = "async (snapshot) => (await import('/static/dashboard/prices.js')).dayOf(snapshot)"


def bar(timestamp: str, close: float, opened: float = 1) -> dict[str, Any]:
    return {"timestamp": timestamp, "open": opened, "close": close, "final": True}


AFTER_CLOSE, BEFORE_OPEN = bar("2026-11-27T18:30:00Z", 104), bar("2026-11-30T09:30:00Z", 90)
DAY, DAY_BEFORE = bar("2026-11-27T14:30:00Z", 99), bar("2026-11-25T14:30:00Z", 100)
CASES: dict[str, tuple[list[Any], list[float | None]]] = {
    "after an early close": ([AFTER_CLOSE, DAY, DAY_BEFORE], [104, -1, -1]),
    "before the open": ([BEFORE_OPEN, DAY, DAY_BEFORE], [90, -1, -1]),
    "the first day": ([AFTER_CLOSE, DAY | {"open": 110}, None], [104, -11, -10]),
    "only daily bars": ([None, DAY, DAY_BEFORE], [99, -1, -1]),
    "newer daily bars than minutes": ([bar("2026-11-25T20:00:00Z", 7), DAY, DAY_BEFORE], [99, -1, -1]),
    "below zero": ([None, DAY | {"close": -30}, DAY_BEFORE | {"close": -20}], [-30, -10, -50]),
    "to zero": ([None, DAY | {"close": 0}, DAY_BEFORE], [0, -100, -100]),
    "from zero": ([None, DAY, DAY_BEFORE | {"close": 0}], [99, 99, None]),
    "nothing": ([None, None, None], [None, None, None]),
}


def test_the_change_is_of_the_newest_session(opened: Opened):
    with opened(login=True) as watched:
        watched.goto("/")
        found = {}
        for name, (bars, _) in CASES.items():
            parts = dict(zip(("minute_bar", "daily_bar", "previous_daily_bar"), bars, strict=True))
            day = watched.page.evaluate(DAY_OF, {"trade": None, "quote": None, **parts})
            found[name] = [day[each] for each in ("last", "change", "percent")]
        assert found == {name: expected for name, (_, expected) in CASES.items()}


@pytest.mark.parametrize(
    ("before", "since"), [("2026-11-29", None), ("2026-11-27", "2026-11-27"), ("2026-10-30", "2026-10-30")]
)
def test_a_change_of_several_days_names_the_date_of_its_base(opened: Opened, before: str, since: str | None):
    with opened(login=True) as watched:
        watched.goto("/")
        days = {
            "daily_bar": DAY | {"date": "2026-11-30"},
            "previous_daily_bar": DAY_BEFORE | {"date": before},
        }
        assert watched.page.evaluate(DAY_OF, days)["since"] == since


@pytest.fixture
def split_today(site: Installation) -> Iterator[httpx.Client]:
    """A client that has stored a symbol with a split of today: it traded at 100 yesterday, today at 25.5."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    prints = [(today - timedelta(hours=1), 100), (today, 25.5)]
    trades = [print_of(at, price) for at, price in prints]
    action = {"symbol": "SPLITS", "timestamp": f"{today:%Y-%m-%d}", "kind": "split", "ratio": 4}
    base, headers = f"http://127.0.0.1:{site.port}/api/v1", {"X-API-Key": site.key}
    with httpx.Client(base_url=base, headers=headers, timeout=PATIENCE_SECONDS) as client:
        client.post("/trades/ingest", json={"trades": trades}).raise_for_status()
        client.post("/corporate-actions/ingest", json={"corporate_actions": [action]}).raise_for_status()
        yield client


def print_of(at: datetime, price: float) -> dict[str, Any]:
    return {"timestamp": at.isoformat(), "symbol": "SPLITS", "price": price, "volume": 10}


def test_on_the_day_of_a_split_the_change_is_of_the_same_shares(opened: Opened, split_today: httpx.Client):
    with opened(login=True) as watched:
        page = watched.page
        watched.goto("/?symbol=SPLITS")
        change = page.locator("#day-change")
        expect(change).to_have_text("+0.50 (+2.00 %)")
        page.get_by_role("button", name="Keep in the watch list").click()
        item = page.locator("#symbols button", has_text="SPLITS")
        expect(item.locator(".change")).to_have_text("+2.00 %")
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        stored = split_today.post("/trades/ingest", json={"trades": [print_of(datetime.now(UTC), 24.5)]})
        stored.raise_for_status()
        expect(page.locator("#last-price")).to_have_text("24.50")
        expect(change).to_have_text(re.compile(r".0\.50 \(.2\.00 %\)"))
        expect(change).to_have_attribute("data-kind", "loss")
        assert watched.faults == []


def test_a_snapshot_from_before_the_newest_trade_does_not_set_the_price_back(
    opened: Opened, split_today: httpx.Client
):
    with opened(login=True) as watched:
        page, price = watched.page, watched.page.locator("#last-price")
        with page.expect_response("**/SPLITS/snapshot**") as answered:
            watched.goto("/?symbol=SPLITS")
        old = answered.value.json()
        expect(price).not_to_be_empty()
        before = price.inner_text()
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        page.route("**/SPLITS/snapshot**", lambda route: route.fulfill(json=old))
        newest = print_of(datetime.now(UTC), 23.25)
        with page.expect_response("**/SPLITS/snapshot**"):
            split_today.post("/trades/ingest", json={"trades": [newest]}).raise_for_status()
            expect(price).to_have_text("23.25")
        page.wait_for_timeout(500)
        expect(price).to_have_text("23.25")
        cancel = {name: newest[name] for name in ("timestamp", "price", "volume")} | {"action": "cancel"}
        cancelled = {"symbol": "SPLITS", "corrections": [cancel]}
        split_today.post("/trades/corrections", json=cancelled).raise_for_status()
        expect(price).to_have_text(before)
        assert watched.faults == []
