"""The guides, their search, the list of errors, Swagger UI and the admin, in a browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import DESKTOP, WINDOWS, Watched
from tests.browser.conftest import Opened
from tests.system.installation import Installation

pytestmark = pytest.mark.system

OPERATION = "#operations-equities-equities_ohlcv"


def assert_is_faultless(watched: Watched) -> None:
    assert watched.faults == []
    assert watched.axe() == []
    assert watched.width_beyond() <= 0


@WINDOWS
def test_a_guide_is_found_and_read(opened: Opened, name: str, options):
    with opened(**options) as watched:
        page = watched.page
        watched.goto("/docs/guide")
        assert_is_faultless(watched)
        watched.shoot(f"guides_{name}")
        page.get_by_role("searchbox", name="Search the guides").fill("final bars")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Search").wait_for()
        watched.shoot(f"guides_search_{name}")
        assert_is_faultless(watched)
        page.get_by_role("link", name="Final bars").first.click()
        expect(page).to_have_url(re.compile("#final-bars$"))
        page.get_by_role("navigation", name="On this page").wait_for()
        watched.shoot(f"guide_{name}")
        assert_is_faultless(watched)


def test_an_error_leads_to_its_row_and_to_the_guide(opened: Opened):
    with opened() as watched:
        body = watched.page.request.get(f"{watched.base}/api/v1/limits").json()
        watched.goto(body["type"])
        row = watched.page.locator(f"tr#{body['code']}")
        expect(row).to_be_in_viewport()
        row.get_by_role("link").last.click()
        expect(watched.page).to_have_url(re.compile("/docs/guide/"))
        assert watched.faults == []


def open_operation(page: Page) -> None:
    page.locator("#operations-tag-equities").click()
    page.locator(f"{OPERATION} .opblock-summary-control").click()
    page.locator(f"{OPERATION} .responses-table .response").first.wait_for()


@WINDOWS
def test_swagger_shows_tags_in_order_and_a_call_as_curl(
    opened: Opened, site: Installation, name: str, options
):
    with opened(**options) as watched:
        page = watched.page
        watched.goto("/api/v1/docs")
        page.locator("#operations-tag-equities").wait_for()
        tags = page.locator(".opblock-tag").evaluate_all("tags => tags.map(tag => tag.dataset.tag)")
        assert tags[:2] == ["equities", "crypto"]
        assert tags[-1] == "operation"
        watched.shoot(f"swagger_{name}")
        open_operation(page)
        page.evaluate("key => ui.preauthorizeApiKey('XApiKey', key)", site.key)
        operation = page.locator(OPERATION)
        operation.get_by_role("button", name="Try it out").click()
        for parameter, value in {"symbol": "DEMOA", "last": "5"}.items():
            operation.get_by_placeholder(parameter, exact=True).fill(value)
        operation.get_by_role("button", name="Execute").click()
        curl = operation.locator(".curl-command")
        expect(curl).to_contain_text(f"{watched.base}/api/v1/market-data/equities/DEMOA/ohlcv")
        expect(curl).to_contain_text("X-API-Key: md_")
        expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
        watched.shoot(f"swagger_operation_{name}")
        assert watched.faults == []


RESOLVED = """async () => {
  const document = ui.getSystem().specSelectors.specJson().toJS();
  const [first, second] = Object.keys(document.paths);
  let others = 0;
  Object.defineProperty(document.paths, second, {enumerable: true, get() { others += 1; return {}; }});
  const {spec} = await ui.getSystem().fn.resolveSubtree(document, ["paths", first]);
  return {first: Object.keys(spec), others};
}"""


def test_swagger_loads_the_document_once_and_resolves_a_part_of_it(opened: Opened):
    """The page takes a second or two; with the whole document resolved it took ten."""
    with opened(**DESKTOP) as watched:
        page, asked = watched.page, list[str]()
        page.on("request", lambda request: asked.append(request.url))
        watched.goto("/api/v1/docs")
        open_operation(page)
        assert sum("/schema" in url for url in asked) == 1
        assert asked.index(f"{watched.base}/api/v1/schema?format=json") < 3
        resolved = page.evaluate(RESOLVED)
        assert "get" in resolved["first"]
        assert resolved["others"] == 0
        assert watched.faults == []


@WINDOWS
def test_the_admin_has_our_name_and_order(opened: Opened, superuser: tuple[str, str], name: str, options):
    with opened(**options) as watched:
        page = watched.page
        watched.goto("/login?next=/admin/")
        for label, text in zip(("Name", "Password"), superuser, strict=True):
            page.get_by_label(label).fill(text)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Records, keys, jobs, instruments").wait_for()
        captions = page.locator("#content-main caption").all_inner_texts()
        assert [caption.lower() for caption in captions[:4]] == [
            "audit",
            "keys and limits",
            "jobs",
            "instruments",
        ]
        watched.shoot(f"admin_{name}")
        assert_is_faultless(watched)
