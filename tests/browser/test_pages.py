"""The data pages, the forms that send bodies, and the pages of errors, in a browser."""

import json
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.browser.chromium import PHONE, WINDOWS, Watched
from tests.browser.conftest import Opened
from tests.chance import SOAK

pytestmark = pytest.mark.system

BARS = "/api/v1/market-data/equities/DEMOA/ohlcv"
TRADE = {"symbol": "FORM", "timestamp": "2025-01-02T14:30:00Z", "price": 12.5, "volume": 10}


def assert_sound(watched: Watched, *, statuses: tuple[int, ...] = ()) -> None:
    """No faults but the statuses that a page is about, nothing for axe, nothing beyond the window."""
    faults = [fault for fault in watched.faults if not any(f"status of {each}" in fault for each in statuses)]
    assert faults == []
    assert watched.axe() == []
    assert watched.width_beyond() <= 0


@WINDOWS
def test_a_page_of_bars_has_its_answer_and_the_way_to_its_candles(
    opened: Opened, name: str, options: dict[str, Any]
):
    with opened(login=True, **options) as watched:
        page = watched.page
        watched.goto(f"{BARS}?last=60&resolution=1h")
        page.get_by_role("heading", name="Bars of DEMOA").wait_for()
        assert page.locator(".rows tbody tr").count() == 60
        assert not page.locator("pre.answer").is_visible()
        page.get_by_text("JSON", exact=True).click()
        assert page.locator("pre.answer").inner_text().count('"close"') == 60
        assert not page.get_by_label("adjustment").is_visible()
        assert page.get_by_role("link", name="Open in the dashboard").is_visible()
        watched.shoot(f"data_page_{name}")
        assert_sound(watched)


def test_empty_fields_of_a_query_are_not_sent(opened: Opened):
    with opened(login=True) as watched:
        page = watched.page
        watched.goto(BARS)
        page.get_by_label("last").fill("3")
        page.get_by_role("button", name="Show").click()
        page.wait_for_url("**/ohlcv?last=3")
        assert page.locator(".rows tbody tr").count() == 3
        page.go_back()
        assert page.get_by_label("last").is_enabled()
        assert_sound(watched)


@WINDOWS
def test_a_file_is_shown_and_imported(opened: Opened, name: str, options: dict[str, Any]):
    with opened(login=True, **options) as watched:
        page = watched.page
        watched.goto("/import")
        lines = 700 * b"15.01.2024 09:31:00;9,25;7;b\n"
        rows = b"Datum;Kurs;Menge;Note\n02.01.2024 09:31:00;10,5;100;a\n" + lines
        page.locator("#file").set_input_files({"name": "OWN.csv", "mimeType": "text/csv", "buffer": rows})
        answer = page.locator("#answer")
        page.get_by_label("Time format").fill("%m/%d/%Y")
        page.get_by_role("button", name="Preview").press("Enter")
        expect(answer).to_contain_text("Datum has dates without a time of day")
        page.get_by_label("Time format").fill("")
        page.get_by_role("button", name="Preview").press("Enter")
        expect(page.get_by_role("heading", name="What would be stored")).to_be_focused()
        expect(answer).to_contain_text("--time-format '%d.%m.%Y %H:%M:%S'")
        expect(page.get_by_role("region", name="column, its cells, note")).to_contain_text("Note")
        watched.shoot(f"import_{name}")
        assert_sound(watched)
        page.get_by_role("button", name="Change options").press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Nothing was stored")
        page.get_by_label("Symbol", exact=True).fill(f"OWN{name.upper()}")
        page.get_by_role("button", name="Preview").press("Enter")
        expect(answer).to_contain_text(f"OWN{name.upper()}")
        page.get_by_role("button", name="Store these rows").press("Enter")
        expect(page.get_by_role("heading", name="Stored")).to_be_focused()
        expect(answer).to_contain_text("701 rows: 701 stored")
        watched.shoot(f"imported_{name}")
        assert_sound(watched)


@WINDOWS
def test_a_form_sends_a_row_and_shows_the_answer(opened: Opened, name: str, options: dict[str, Any]):
    with opened(login=True, **options) as watched:
        page = watched.page
        watched.goto("/api/v1/trades/ingest")
        body = page.get_by_label("Content", exact=False)
        assert "trades" in json.loads(body.input_value())
        watched.shoot(f"ingest_{name}")
        assert_sound(watched)
        body.fill(json.dumps({"trades": [{**TRADE, "symbol": f"FORM{name.upper()}"}]}))
        page.get_by_role("button", name="Store a batch of trades").click()
        page.locator("pre.answer", has_text=f"FORM{name.upper()}").wait_for()
        assert page.get_by_label("Content", exact=False).input_value().startswith('{"trades"')
        watched.shoot(f"ingested_{name}")
        assert_sound(watched)


def test_a_body_that_is_sent_again_after_a_lost_answer_is_stored_once(opened: Opened):
    with opened(login=True) as watched:
        page, keys = watched.page, []

        def lose_the_first_answer(route: Route) -> None:
            keys.append(route.request.headers["idempotency-key"])
            if len(keys) == 1:
                assert route.fetch().ok
                route.abort()
            else:
                route.continue_()

        watched.goto("/api/v1/trades/ingest?dedupe=none")
        page.route("**/trades/ingest?dedupe=none", lose_the_first_answer)
        page.get_by_label("Content", exact=False).fill(json.dumps({"trades": [{**TRADE, "symbol": "ONCE"}]}))
        page.get_by_role("button", name="Store a batch of trades").click()
        page.get_by_role("alert").get_by_text("could not be reached").wait_for()
        stored = []
        for _ in range(2):
            with page.expect_response("**/trades/ingest?dedupe=none"):
                page.get_by_role("button", name="Store a batch of trades").click()
            page.locator("pre.answer", has_text="ONCE").wait_for()
            answer = page.request.get("/api/v1/market-data/equities/ONCE/trades?last=9&format=csv")
            stored.append(answer.text().count("12.5"))
        assert stored == [1, 2]
        assert keys[0] == keys[1] != keys[2]


def test_a_call_that_takes_something_away_is_asked_for_first(opened: Opened):
    with opened(login=True) as watched:
        page, sent = watched.page, list[str]()
        page.on("request", lambda request: sent.append(request.method))
        watched.goto("/api/v1/orders?account=DEMO")
        button = page.get_by_role("button", name="Cancel all orders")
        expect(button).to_have_class("danger")
        button.click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("protective")
        watched.shoot("delete_asks_desktop")
        dialog.get_by_role("button", name="Keep").click()
        expect(dialog).to_be_hidden()
        assert "DELETE" not in sent
        button.click()
        with page.expect_response(lambda response: response.request.method == "DELETE"):
            dialog.get_by_role("button", name="Cancel").click()
        assert sent.count("DELETE") == 1


def test_a_refused_body_is_explained_above_the_form_and_kept(opened: Opened):
    with opened(login=True) as watched:
        page = watched.page
        watched.goto("/api/v1/trades/ingest")
        page.get_by_label("Content", exact=False).fill('{"trades": [{"symbol": "AAPL"}]}')
        page.get_by_role("button", name="Store a batch of trades").click()
        page.get_by_role("alert").wait_for()
        assert page.get_by_label("Content", exact=False).input_value() == '{"trades": [{"symbol": "AAPL"}]}'
        watched.shoot("refused_body_desktop")
        assert_sound(watched, statuses=(400, 422))


@WINDOWS
def test_an_unknown_path_is_a_page_with_the_way_back(opened: Opened, name: str, options: dict[str, Any]):
    with opened(**options) as watched:
        page = watched.page
        watched.goto("/api/v1/instrumnets")
        assert page.get_by_role("link", name="/api/v1/instruments").is_visible()
        watched.shoot(f"not_found_{name}")
        assert_sound(watched, statuses=(404,))


def test_an_unknown_symbol_leads_to_the_nearest(opened: Opened):
    with opened(login=True) as watched:
        watched.goto(f"{BARS.replace('DEMOA', 'DEMOZ')}?last=3")
        watched.shoot("unknown_symbol_desktop")
        assert_sound(watched, statuses=(404,))
        watched.page.get_by_role("link", name="DEMO").click()
        watched.page.get_by_role("heading", name="DEMO").wait_for()
        assert watched.page.locator(".rows tbody tr").count() == 3


@pytest.mark.parametrize("path", ["/endpoints", "/docs/errors", "/login"])
@WINDOWS
def test_other_pages_have_the_same_header_and_fit(
    opened: Opened, path: str, name: str, options: dict[str, Any]
):
    with opened(**options) as watched:
        watched.goto(path)
        links = watched.page.get_by_role("navigation", name="Site").get_by_role("link")
        assert links.all_inner_texts() == ["Dashboard", "Data", "Docs", "Guides", "Admin"]
        watched.shoot(f"{path.strip('/').replace('/', '_')}_{name}")
        assert_sound(watched)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("trades", "/api/v1/market-data/equities/DEMOA/trades?last=50"),
        ("audit", "/api/v1/audit"),
        ("keys", "/api/v1/keys"),
        ("instrument", "/api/v1/instruments/DEMOA"),
        ("instruments", "/api/v1/instruments"),
        ("coverage", "/api/v1/market-data/equities/DEMOA/coverage"),
        ("limits", "/api/v1/limits"),
    ][: None if SOAK else 3],
)
def test_lists_and_documents_fit(opened: Opened, name: str, path: str):
    with opened(login=True, **PHONE) as watched:
        watched.goto(path)
        assert watched.page.locator(".rows, pre.answer").first.is_visible()
        watched.shoot(f"{name}_phone")
        assert_sound(watched)
