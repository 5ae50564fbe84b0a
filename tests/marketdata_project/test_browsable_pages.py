"""Every endpoint that reads is a page with a form of its parameters, and the home page leads to them."""

import re
from decimal import Decimal
from functools import cache
from hashlib import sha256
from typing import Any
from unittest import mock

import orjson
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.exports.query import DATASET_ID, DataSetDocument
from jobs.models import Job
from jobs.services import job_submit
from ratelimit.models import ApiKey
from store.datasets import CORRECTED, DATASETS
from store.exceptions import StoreUnavailable
from store.instruments import CRYPTO, FUTURE, FX, Instrument
from tests.api_client import Api, make_key, trade
from tests.chance import SOAK
from tests.html_page import Page
from tests.trading.recorded import RecordedAccount
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.stores import market_store
from trading.models import ExecutionRow, OrderRow
from trading.services.rebalancing import model_set
from web.documents import example_of
from webhooks.models import MarketAlert, Webhook

pytestmark = pytest.mark.system

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SYMBOLS = {
    "equities": "AAPL",
    "futures": "ESZ5",
    "options": "AAPL250117C00150000",
    "crypto": "BTC-USD",
    "fx": "EUR-USD",
}
HOUR = "start=2025-01-02T14:00:00Z&end=2025-01-02T15:00:00Z"
OHLCV = "/api/v1/market-data/equities/AAPL/ohlcv"


@cache
def reads() -> dict[str, list[str]]:
    """The names of the query parameters of each path that is read; formats are links, not an input."""
    schema: dict[str, Any] = orjson.loads(Client().get("/schema?format=json").content)
    return {
        path: sorted(
            each["name"]
            for each in item["get"].get("parameters", [])
            if each["in"] == "query" and each["name"] != "format"
        )
        for path, item in schema["paths"].items()
        # A file has no page.
        if "get" in item and path != "/api/v1/downloads" and not path.endswith("/files/{path}")
    }


def path_of(template: str) -> str:
    symbols = {**SYMBOLS, "universes": "SP500"}
    symbol = next((symbol for path, symbol in symbols.items() if f"/{path}/" in template), "AAPL")
    kind = next((kind for kind in ("backtest", "export") if f"/{kind}s/" in template), "backfill")
    job = Job.objects.filter(kind=kind).values_list("uuid", flat=True).first()
    return (
        template.replace("{symbol}", symbol)
        .replace("{dataset}", "trades")
        .replace("{key}", str(ApiKey.objects.values_list("pk", flat=True)[0]))
        .replace("{job}", str(job))
        .replace("{dataset_id}", DATASET_ID)
        .replace("{upload}", str(Job.objects.filter(kind="upload").values_list("uuid", flat=True).first()))
        .replace("{path}", "manifest.json")
        .replace("{alert}", str(MarketAlert.objects.values_list("uuid", flat=True).first()))
        .replace("{webhook}", str(Webhook.objects.values_list("uuid", flat=True).first()))
        .replace("{source}", "binance")
        .replace("{account}", "main")
        .replace("{model}", "core")
        .replace("{order}", str(OrderRow.objects.values_list("uuid", flat=True).first()))
        .replace("{execution}", str(ExecutionRow.objects.values_list("uuid", flat=True).first()))
    )


@pytest.fixture
def stored(api: Api) -> Api:
    """An instrument of each class, three of them with trades, and an account."""
    account = RecordedAccount("main")
    account.order("BTC-USD", "buy", 1)
    account.hold("BTC-USD", "buy", 1, 100)
    model_set(account=account.row, name="core", weights={"AAPL": Decimal("0.5")})
    market_store().set_instrument(Instrument("ESZ5", instrument_class=FUTURE))
    market_store().set_instrument(Instrument("BTC-USD", instrument_class=CRYPTO))
    market_store().set_instrument(Instrument("EUR-USD", instrument_class=FX))
    for symbol in ("AAPL", "BTC-USD", "EUR-USD"):
        api.ingest(trade(symbol=symbol), trade(symbol=symbol, timestamp="2025-01-02T14:31:00Z"))
    quote = {"symbol": SYMBOLS["options"], "timestamp": "2025-01-02T14:30:00Z", "bid": 4.1, "ask": 4.2}
    api.call("POST", "/api/v1/option-quotes/ingest", orjson.dumps({"option_quotes": [quote]}))
    changes = orjson.dumps({"universe_changes": SAMPLE_ROWS["universe_changes"]})
    api.call("POST", "/api/v1/universe-changes/ingest", changes)
    return api


@pytest.fixture
def browser(stored, settings, tmp_path) -> Client:
    """A staff member's browser."""
    client = Client()
    person = User.objects.create_superuser("lovelace")
    client.force_login(person)
    owner, now = f"user:{person.pk}", timezone.now()
    of_backtest = {"strategy": "crossover", "symbols": ["AAPL"], "start": "2025-01-02", "end": "2025-01-03"}
    owned, settings.EXPORTS_DIR = sha256(owner.encode()).hexdigest(), tmp_path
    path = settings.EXPORTS_DIR / "datasets" / owned / f"{DATASET_ID}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(example_of(DataSetDocument)))
    for kind, parameters in (
        ("backfill", {"symbol": "AAPL"}),
        ("backtest", of_backtest),
        ("export", {}),
        ("upload", {"size": 1}),
    ):
        job_submit(kind=kind, parameters=parameters, owner=owner, created_by=owner, now=now)
    Webhook.objects.create(owner=owner, url="https://receiver.example/", created_at=now)
    alert = {"symbol": "AAPL", "kind": "silence", "seconds": 9, "armed_at": now, "created_at": now}
    MarketAlert.objects.create(owner=owner, **alert)
    return client


def page(browser: Client, url: str) -> tuple[int, Page]:
    response = browser.get(url, headers=HTML)
    assert response["Content-Type"] == "text/html; charset=utf-8", url
    return response.status_code, Page(response.content.decode())


def test_every_endpoint_that_reads_knows_format(browser):
    for template in [*reads()][:: 1 if SOAK else 3]:
        response = browser.get(f"{path_of(template)}?format=json")
        # Streams have no JSON, and some queries need more than a format.
        codes = {"missing_parameter", "not_acceptable"}
        assert response.status_code == 200 or response.json()["code"] in codes, template


def test_every_form_has_its_endpoint_s_parameters_and_may_be_sent_empty(browser):
    """A browser without scripts sends empty inputs; only a missing parameter may be refused."""
    assert len(reads()) > 40
    for template, names in [*reads().items()][:: 1 if SOAK else 3]:
        path = path_of(template)
        status, form = page(browser, path)
        assert sorted(form.inputs()) == names, template
        sent = browser.get(f"{path}?{'&'.join(f'{name}=' for name in names)}", headers=HTML)
        assert sent.status_code == status, template
        assert sent.status_code == 200 or "missing_parameter" in sent.content.decode(), template


def test_a_stream_s_page_leads_to_its_rows(browser):
    status, found = page(browser, f"{OHLCV}/stream?{HOUR}&resolution=1m&sort=")
    assert status == 200
    (csv,) = {target for target in found.links("alternate nofollow") if "format=csv" in target}
    rows = b"".join(browser.get(csv, headers=HTML).streaming_content).splitlines()
    assert (rows[0][:15], len(rows)) == (b"timestamp,open,", 3)
    assert page(browser, f"{OHLCV}/stream?start=soon")[0] == 400


def test_a_client_that_takes_anything_gets_the_stream(stored):
    response = stored.get(f"{OHLCV}/stream?{HOUR}&resolution=1m")
    assert response["Content-Type"].startswith("application/x-ndjson")


def test_a_refusal_is_told_above_the_form_and_explained_by_a_link(browser):
    status, found = page(browser, f"{OHLCV}?start=2025-01-02&resolutoin=1m")
    assert status == 400
    assert "/api/v1/docs/errors#unknown_parameter" in found.targets()
    assert found.inputs()["start"]["value"] == "2025-01-02"
    assert ("div", "alert") in [(tag, each.get("role")) for tag, each in found.elements]


@pytest.mark.parametrize("query", ["", "?format=api", "?start=&end=&format=api"])
def test_a_page_without_a_query_is_there_for_its_form(browser, query):
    """What a page's own links lead to; a program is refused there."""
    status, found = page(browser, OHLCV + query)
    assert status == 200
    assert "resolution" in found.inputs()
    assert [tag for tag, each in found.elements if each.get("role") == "alert"] == []
    refused = browser.get(OHLCV)
    assert (refused.status_code, refused.json()["code"]) == (400, "missing_parameter")
    assert page(browser, f"{OHLCV}?resolution=1m")[0] == 400


def test_a_page_that_is_there_for_its_form_is_no_refusal(browser):
    status, found = page(browser, "/api/v1/trades/ingest")
    assert status == 200
    assert [tag for tag, each in found.elements if each.get("role") == "alert"] == []


def test_pages_are_named_after_their_symbol_and_lead_home(browser):
    html = browser.get(f"{OHLCV}?last=1", headers=HTML).content.decode()
    assert "<title>Bars of AAPL \N{EN DASH} Market data API</title>" in html
    assert "/" in Page(html).targets()


def test_choices_say_which_one_is_meant_without_a_choice(browser):
    html = browser.get(f"{OHLCV}?last=1", headers=HTML).content.decode()
    for default in ("1d", "raw", "include", "asc", "0"):
        assert re.search(f'default: {default}[<"]', html)


def test_a_page_shows_a_hundred_rows_unless_it_is_asked_for_more(browser, api):
    api.ingest(
        *(trade(symbol="MANY", timestamp=f"2025-01-02T14:{n // 60:02}:{n % 60:02}Z") for n in range(300))
    )
    path = "/api/v1/market-data/equities/MANY/trades"
    for query, shown in ((HOUR, 100), (f"{HOUR}&limit=150", 150), ("last=120", 120)):
        html = browser.get(f"{path}?{query}", headers=HTML).content.decode()
        assert html.count("&quot;timestamp&quot;") == shown
        assert html.count("<tr>") == shown + 1


def test_home_leads_who_is_logged_in_through_the_tree(browser):
    found = Page(browser.get("/endpoints").content.decode())
    targets = [target for target in found.targets() if target.startswith(("/api/v1/", "/v1/"))]
    for market_class, symbol in SYMBOLS.items():
        assert any(f"/{market_class}/{symbol}/" in target for target in targets)
    for target in targets[:: 1 if SOAK else 3]:
        status = browser.get(target, headers=HTML).status_code
        assert status in {200, 400}, target


def test_home_leads_to_the_newest_rows_and_to_all_forms(browser):
    targets = set(Page(browser.get("/endpoints").content.decode()).targets())
    tree = "/api/v1/market-data"
    wanted = {
        f"{tree}/equities/AAPL/ohlcv?last=100",
        f"{tree}/futures/ESZ5/open-interest?last=100",
        "/api/v1/instruments?class=equity",
        "/api/v1/cache/invalidate",
        *(f"/api/v1/{dataset.name.replace('_', '-')}/corrections" for dataset in CORRECTED),
        *(f"/api/v1/{dataset.replace('_', '-')}/ingest" for dataset in DATASETS),
    }
    assert wanted <= targets
    for target in wanted:
        if "/market-data/" in target or "instruments" in target:
            assert browser.get(target, headers=HTML).status_code == 200, target


def test_home_names_no_symbol_to_who_is_not_logged_in(stored):
    html = Client().get("/endpoints").content.decode()
    assert 'href="/login?' in html
    assert not any(symbol in html for symbol in SYMBOLS.values())


@pytest.mark.parametrize("scope", ["market:read", "trading:read"])
def test_home_names_symbols_to_a_key_that_may_read_them(stored, scope: str):
    client = Client()
    client.post("/login", {"key": make_key(scopes=(scope,))})
    html = client.get("/endpoints").content.decode()
    assert all((symbol in html) == (scope == "market:read") for symbol in SYMBOLS.values())


def test_home_is_there_while_the_store_is_not(browser):
    with mock.patch("marketdata_project.pages.catalogue_first", side_effect=StoreUnavailable("away")):
        response = browser.get("/endpoints")
    assert response.status_code == 200
    assert "/readyz" in response.content.decode()
