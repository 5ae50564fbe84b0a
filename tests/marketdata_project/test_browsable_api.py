"""The browsable API, for who is logged in to the admin."""

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from tests.api_client import INGEST, OHLC, body_of, problem, trade

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def browser(api) -> Client:
    """A staff member's browser, which checks CSRF tokens, before a store with one trade."""
    api.ingest(trade())
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("lovelace"))
    return client


@pytest.mark.parametrize("path", [OHLC, "/v1/stats/ohlc/"])
def test_bars_are_a_page(browser, path):
    response = browser.get(path, {"symbol": "AAPL"}, headers=HTML)
    page = response.content.decode()
    assert (response.status_code, response["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "lovelace" in page
    assert "2025-01-02T14:30:00Z" in page
    assert "ETag" not in response


JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
OF_LIBRARIES = [JAVA, "text/html, */*", "text/html;q=0.9,*/*;q=0.1", "text/html, application/xml, */*;q=0.5"]


@pytest.mark.parametrize("accept", OF_LIBRARIES)
def test_a_library_that_prefers_html_by_default_gets_json_with_a_key(api, accept):
    api.ingest(trade())
    found = api.get(OHLC, {"symbol": "AAPL"}, Accept=accept)
    assert (found.status_code, found["Content-Type"]) == (200, "application/json")
    refused = api.get(OHLC, {"symbol": "NOPE"}, Accept=accept)
    assert (refused.status_code, refused["Content-Type"]) == (404, "application/problem+json")


def test_a_client_with_a_key_that_asks_for_html_gets_it(api):
    api.ingest(trade())
    for accept in ("text/html", HTML["Accept"]):
        page = api.get(OHLC, {"symbol": "AAPL"}, Accept=accept)
        assert page["Content-Type"].startswith("text/html"), accept


def test_a_refusal_is_a_page_too(browser):
    response = browser.get(OHLC, {"symbol": "NOPE"}, headers=HTML)
    assert (response.status_code, response["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "unknown_symbol" in response.content.decode()


def test_what_is_sent_is_shown_and_never_run(browser):
    response = browser.get(OHLC, {"symbol": "<script>alert(1)</script>"}, headers=HTML)
    assert response.status_code == 422
    assert "<script>alert(1)" not in response.content.decode()


def test_the_page_of_ingest_offers_a_form(browser):
    response = browser.get(INGEST, headers=HTML)
    assert (response.status_code, response["Allow"]) == (200, "POST, OPTIONS")
    assert "<textarea" in response.content.decode()


def test_a_form_of_a_list_of_ids_has_no_rows(browser):
    response = browser.get("/api/v1/orders/batch/cancel", headers=HTML)
    assert response.status_code == 200
    page = response.content.decode()
    assert "<textarea" in page
    assert "&quot;orders&quot;: [" in page


def test_a_program_is_told_that_ingest_is_not_read(browser):
    response = browser.get(INGEST)
    assert problem(response) == (405, "method_not_allowed")
    assert response["Allow"] == "POST, OPTIONS"


def test_a_form_posts_a_batch(browser):
    page = browser.get(INGEST, headers=HTML)
    token = {"X-CSRFToken": page.cookies["csrftoken"].value}
    body = body_of(trade(price=2))
    response = browser.generic("POST", INGEST, body, "application/json", headers=HTML | token)
    assert response.status_code == 200
    assert "&quot;stored&quot;: 1" in response.content.decode()


def test_a_session_without_a_token_cannot_write(browser):
    response = browser.post(INGEST, body_of(trade(price=2)), content_type="application/json")
    assert problem(response) == (403, "forbidden")


def test_who_is_not_staff_sees_nothing(api):
    api.ingest(trade())
    client = Client()
    client.force_login(User.objects.create_user("eve"))
    assert client.get(OHLC, {"symbol": "AAPL"}, headers=HTML).status_code == 401


def test_the_page_of_a_refusal_shows_the_type_that_programs_get(browser):
    page = browser.get(OHLC, {"symbol": "NOPE"}, headers=HTML).content.decode()
    assert "application/problem+json" in page


@pytest.mark.parametrize("path", ["/logout", "/logout/", "/admin/logout/", "/api/v1/auth/logout"])
@pytest.mark.parametrize("form", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"])
@pytest.mark.parametrize("has_cookies", [True, False], ids=["same site", "cross-site"])
def test_a_form_of_another_page_logs_nobody_out(browser, path, form, has_cookies):
    """Browsers send no cookies with the form of another site; but the answer could still remove them."""
    kept = dict(browser.cookies)
    if not has_cookies:
        browser.cookies.clear()
    response = browser.post(path, "a=b", content_type=form, headers={"Origin": "https://other.example"})
    assert 400 <= response.status_code < 500
    assert [name for name in response.cookies if name in kept] == []
    assert Session.objects.count() == 1
