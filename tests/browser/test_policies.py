"""Every kind of page works under its policy, which refuses it nothing that it needs."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.chromium import Watched
from tests.browser.conftest import Opened
from tests.system.batches import Batch
from tests.system.clients import connected
from tests.system.installation import Installation

SYMBOL = "BROWSER"
# A path, and a selector of what its page has when it works. `test_pages.py` and `test_guides.py` hold the other pages to theirs.
FOR_STAFF = {
    f"/v1/stats/ohlc?symbol={SYMBOL}": "pre.answer",
    "/admin/": "#content-main",
    "/admin/audit/auditrecord/": "#changelist",
    "/admin/ratelimit/apikey/": "#changelist",
}


@pytest.fixture(scope="module")
def base(site: Installation) -> str:
    """The installation's URL. It has a symbol."""
    with connected(site.port, site.key) as client:
        assert client.ingest(Batch(1, SYMBOL, 100, has_ids=True).body).status == 200
    return f"http://127.0.0.1:{site.port}"


@pytest.fixture(scope="module")
def staff(base: str, browser: Browser, superuser: tuple[str, str]) -> Iterator[BrowserContext]:
    """A browser that has logged in, by the form."""
    context = browser.new_context(base_url=base)
    page = context.new_page()
    log_in(page, "/login?next=/endpoints", superuser)
    assert page.url == f"{base}/endpoints"
    yield context
    context.close()


def log_in(page: Page, path: str, user: tuple[str, str]) -> None:
    page.goto(path)
    for field, text in zip(("username", "password"), user, strict=True):
        page.fill(f"input[name={field}]", text)
    with page.expect_navigation():
        page.press("input[name=password]", "Enter")


def assert_works(watched: Watched, path: str, selector: str) -> None:
    watched.goto(path)
    watched.page.locator(selector).first.wait_for(state="attached")
    # Without one a browser asks for /favicon.ico, whenever it has time.
    assert watched.page.locator("link[rel=icon]").count() == 1
    assert watched.faults == [], path


@pytest.mark.parametrize("path", FOR_STAFF)
def test_pages_for_the_staff_work_under_their_policy(staff: BrowserContext, base: str, path: str):
    assert_works(Watched(staff.new_page(), base), path, FOR_STAFF[path])


def test_an_operation_of_the_documentation_opens_and_runs(opened: Opened):
    with opened() as watched:
        watched.goto("/api/v1/docs")
        watched.page.locator(".opblock-tag").first.click()
        watched.page.locator(".opblock-get .opblock-summary-control").first.click()
        watched.page.locator(".try-out__btn").first.click()
        watched.page.locator(".btn.execute").first.wait_for()
        assert watched.faults == []


def test_who_logs_out_by_the_button_is_logged_out(opened: Opened, base: str, superuser: tuple[str, str]):
    with opened() as watched:
        log_in(watched.page, "/login?next=/api/v1/instruments", superuser)
        assert watched.page.url == f"{base}/api/v1/instruments"
        with watched.page.expect_navigation():
            watched.page.get_by_role("button", name="Log out").click()
        watched.goto("/endpoints")
        watched.page.get_by_text("log in").first.wait_for()


def test_the_policy_refuses_what_a_page_does_not_need(opened: Opened):
    """The tests above can fail: a script in the page, a style, and a form that leads elsewhere are refused."""
    with opened() as watched:
        watched.goto("/docs/errors")
        with watched.page.expect_console_message(lambda message: "form-action" in message.text):
            watched.page.evaluate(
                "document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">a</p>"
                '<form id="away" action="https://evil.example/"></form>\');'
                "document.body.appendChild(Object.assign(document.createElement('script'), {text: 'window.ran = true'}));"
                "document.getElementById('away').submit();"
            )
        assert watched.page.evaluate("window.ran") is None
        refused = "\n".join(watched.faults)
        for directive in ("style-src", "script-src", "form-action"):
            assert directive in refused
