"""Errors as pages, for browsers."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from marketdata_project.problem_pages import nearest_page
from store.exceptions import StoreUnavailable
from store.instruments import OPTION, Instrument
from tests.api_client import trade
from tests.html_page import Page
from trades.stores import market_store

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def assert_leads_back(html: str) -> None:
    assert {"/", "/api/v1/docs"} <= set(Page(html).targets())


@pytest.mark.parametrize("path", ["/nope", "/api/v1/nope", "/v1/", "/.env", "/docs/guide/nope", "/%00"])
def test_an_unknown_path_is_a_page_with_the_way_back(db, path):
    response = Client().get(path, headers={**BROWSER, "X-Correlation-ID": "found-again"})
    html = response.content.decode()
    assert (response.status_code, response["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "Content-Security-Policy" in response
    assert_leads_back(html)
    assert "<h1>Page not found</h1>" in html
    assert "/api/v1/docs/errors#not_found" in Page(html).targets()
    assert "found-again" in html


def test_what_was_asked_for_is_escaped(db):
    html = Client().get("/<b>a", headers=BROWSER).content.decode()
    assert "<b>" not in html


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("/api/v1/instrumnets", "/api/v1/instruments"),
        ("/api/v1/trade/ingest", "/api/v1/trades/ingest"),
        ("/api/v1/market-data/equites/AAPL/ohlcv", "/api/v1/market-data/equities/AAPL/ohlcv"),
        ("/api/v1/market-data/equities/AAPL/ohlc", "/api/v1/market-data/equities/AAPL/ohlcv"),
        ("/api/v1/market-data/equities/AAPL/ohlc.csv", "/api/v1/market-data/equities/AAPL/ohlcv.csv"),
        ("/api/v1/market-data/equities/AAPL/trade/stream", "/api/v1/market-data/equities/AAPL/trades/stream"),
        ("/api/v1/market-data/equities/AAPL/zzz", None),
        ("/wp-login.php", None),
    ],
)
def test_the_nearest_page_is_offered(db, path, nearest):
    assert nearest_page(path) == nearest
    targets = Page(Client().get(path, headers=BROWSER).content.decode()).targets()
    assert nearest is None or nearest in targets


def test_every_plain_method_refusal_is_a_page(db):
    response = Client().post("/docs/errors", headers=BROWSER)
    assert (response.status_code, response["Content-Type"]) == (405, "text/html; charset=utf-8")
    assert "GET" in response["Allow"]


def test_a_failure_of_a_page_is_a_page(db, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr("marketdata_project.pages.render", fail)
    response = Client().get("/docs/errors", headers=BROWSER)
    assert (response.status_code, response["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert b"secret" not in response.content
    assert_leads_back(response.content.decode())


@pytest.mark.parametrize("headers", [BROWSER, {}])
def test_a_cache_keeps_pages_and_problems_apart(db, headers):
    assert "Accept" in Client().get("/nope", headers=headers)["Vary"].split(", ")


@pytest.fixture
def staff(api) -> Client:
    api.ingest(trade(symbol="AAPL"))
    client = Client()
    client.force_login(User.objects.create_superuser("lovelace"))
    return client


def test_the_page_of_an_unknown_symbol_leads_to_the_nearest(staff):
    response = staff.get("/api/v1/market-data/equities/APPL/ohlcv?last=5", headers=BROWSER)
    targets = Page(response.content.decode()).targets()
    assert response.status_code == 404
    assert "/api/v1/market-data/equities/AAPL/ohlcv?last=5" in targets
    assert "/" in targets


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("equities/equities/ohlcv", "equities/EQUITIEZ/ohlcv"),
        ("options/AAPL%20%20250117C00150001/quotes", "options/AAPL250117C00150000/quotes"),
    ],
)
def test_only_the_symbol_of_the_path_is_replaced(staff, path, nearest):
    market_store().set_instrument(Instrument("EQUITIEZ"))
    market_store().set_instrument(Instrument("AAPL250117C00150000", instrument_class=OPTION))
    html = staff.get(f"/api/v1/market-data/{path}?last=5", headers=BROWSER).content.decode()
    assert f"/api/v1/market-data/{nearest}?last=5" in Page(html).targets()


def test_the_page_of_an_unknown_symbol_opens_without_the_catalogue(staff, monkeypatch):
    def fail(*_: object) -> None:
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr("stats.market_data.views.catalogue_nearest", fail)
    assert staff.get("/api/v1/market-data/equities/APPL/ohlcv?last=5", headers=BROWSER).status_code == 404


def test_a_page_of_bars_leads_to_the_dashboard(staff):
    html = staff.get("/api/v1/market-data/equities/AAPL/ohlcv?last=5", headers=BROWSER).content.decode()
    assert "/#symbol=AAPL" in Page(html).targets()
