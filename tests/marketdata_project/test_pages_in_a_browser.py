"""Every kind of page, in a real browser: its policy refuses it nothing that it needs, and it works."""

from collections.abc import Iterator

import pytest

from tests.marketdata_project.browser import Browser, browsing
from tests.system.batches import Batch
from tests.system.clients import connected
from tests.system.installation import Installation, installed

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("browser")]

USER, PASSWORD = "lovelace", "the analytical engine 1843"
LOGIN = f"""
document.querySelector("input[name=username]").value = "{USER}";
document.querySelector("input[name=password]").value = "{PASSWORD}";
document.querySelector("input[name=password]").form.requestSubmit();
"""
# A path, what is true of its page when it works. Swagger UI renders the operations of a tag when the tag is opened.
FOR_ANYBODY = {
    "/endpoints": "document.querySelector('h1').innerText === 'Market data API' && getComputedStyle(document.body).margin === '0px'",
    "/api/v1/docs": "document.querySelectorAll('.opblock-tag').length > 2",
    "/docs": "document.querySelectorAll('.opblock-tag').length > 2",
    "/api/v1/docs/errors": "document.querySelectorAll('tr[id]').length > 20",
    "/docs/guide": "document.querySelectorAll('li a').length > 20",
    "/docs/guide/limits": "document.querySelectorAll('table').length > 1 && document.querySelector('h2[id]') !== null",
    "/login/login/": "document.querySelector('input[type=password]') !== null",
    "/admin/login/": "document.querySelector('#login-form') !== null",
}
FOR_STAFF = {
    "/endpoints": "document.body.innerText.includes('Calendar')",
    "/v1/stats/ohlc?symbol=BROWSER": "document.querySelectorAll('td.number').length > 3",
    "/v1/trades/ingest": "document.querySelector('textarea') !== null",
    "/api/v1/instruments": "document.querySelector('.raw pre') !== null",
    "/api/v1/instruments/BROWSER": "document.querySelector('.raw pre') !== null",
    "/api/v1/market-data/equities/BROWSER/ohlcv?last=5": "document.querySelector('.query-form select') !== null",
    "/admin/": "document.querySelector('#content-main') !== null",
    "/admin/audit/auditrecord/": "document.querySelector('#changelist') !== null",
    "/admin/ratelimit/apikey/": "document.querySelector('#changelist') !== null",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with a symbol and somebody of the staff."""
    with installed(tmp_path_factory.mktemp("browser"), WORKERS="1") as installation:
        with connected(installation.port, installation.key) as client:
            assert client.ingest(Batch(1, "BROWSER", 100, has_ids=True).body).status == 200
        installation.served.add_superuser(USER, PASSWORD)
        yield installation


@pytest.fixture(scope="module")
def base(site: Installation) -> str:
    return f"http://127.0.0.1:{site.port}"


@pytest.fixture
def browser(tmp_path) -> Iterator[Browser]:
    with browsing(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture(scope="module")
def staff(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that has logged in, by the form."""
    with browsing(tmp_path_factory.mktemp("staff") / "profile") as browser:
        browser.open(f"{base}/admin/login/?next=/")
        browser.evaluate(LOGIN)
        browser.await_load()
        assert browser.evaluate("location.pathname") == "/"
        yield browser


def assert_works(browser: Browser, url: str, is_true: str) -> None:
    browser.open(url)
    assert browser.await_true(is_true), (url, browser.complaints, browser.evaluate("document.body.innerText"))
    assert browser.refused == []
    # Without one a browser asks for /favicon.ico, whenever it has time.
    assert browser.evaluate("document.querySelector('link[rel=icon]') !== null")
    assert browser.complaints == []


def test_pages_for_anybody_work_under_their_policy(browser: Browser, base: str):
    for path, is_true in FOR_ANYBODY.items():
        assert_works(browser, base + path, is_true)


@pytest.mark.parametrize("path", FOR_STAFF)
def test_pages_for_the_staff_work_under_their_policy(staff: Browser, base: str, path: str):
    assert_works(staff, base + path, FOR_STAFF[path])


def test_an_operation_of_the_documentation_opens_and_runs(browser: Browser, base: str):
    browser.open(f"{base}/api/v1/docs")
    assert browser.await_true("document.querySelector('.opblock-tag') !== null")
    browser.evaluate("document.querySelector('.opblock-tag').click()")
    assert browser.await_true("document.querySelectorAll('.opblock').length > 2")
    browser.evaluate("document.querySelector('.opblock-get .opblock-summary-control').click()")
    assert browser.await_true("document.querySelector('.try-out__btn') !== null")
    browser.evaluate("document.querySelector('.try-out__btn').click()")
    assert browser.await_true("document.querySelector('.btn.execute') !== null")
    assert browser.refused == []


def test_a_form_of_the_browsable_api_sends_its_batch(staff: Browser, base: str):
    """The page's script sends it, and shows the answer in the page's place."""
    staff.open(f"{base}/v1/trades/ingest")
    body = Batch(2, "BROWSER", 3, has_ids=True).body.decode()
    staff.evaluate(f"document.querySelector('textarea').value = {body!r}")
    staff.evaluate("document.querySelector('textarea').form.querySelector('button').click()")
    assert staff.await_true("document.querySelector('.raw pre')?.textContent.includes('\"stored\": 3')"), (
        staff.evaluate("document.body.innerText")
    )
    assert staff.refused == []


def test_who_logs_out_by_the_button_is_logged_out(browser: Browser, base: str):
    browser.open(f"{base}/login/login/?next=/api/v1/instruments")
    browser.evaluate(LOGIN)
    browser.await_load()
    assert browser.evaluate("location.pathname") == "/api/v1/instruments"
    browser.evaluate("document.querySelector('#logoutForm button').click()")
    browser.await_load()
    browser.open(f"{base}/endpoints")
    assert "log in" in browser.evaluate("document.body.innerText")


def test_the_policy_refuses_what_a_page_does_not_need(browser: Browser, base: str):
    """The tests above can fail: a script in the page, a style, and a form that leads elsewhere are refused."""
    browser.open(f"{base}/endpoints")
    browser.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">a</p><form action=\"https://evil.example/\"></form>');"
        "document.body.appendChild(Object.assign(document.createElement('script'), {text: 'window.ran = true'}));"
        "document.forms[0].submit();"
    )
    for directive in ("style-src-attr", "script-src-elem", "form-action"):
        assert browser.await_true(f"window.refusedByPolicy.some(line => line.startsWith('{directive}'))")
    assert browser.evaluate("window.ran") is None
