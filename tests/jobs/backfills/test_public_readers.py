"""A key of the sensitivity `public` does not read rows that were fetched, unless the owner says so."""

from collections.abc import Iterator
from unittest.mock import Mock
from uuid import uuid4

import orjson
import pytest
from django.db import OperationalError
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied

from jobs.backfills.fetched import SYMBOLS, fetched_in
from jobs.backfills.models import Backfill
from sources.models import SourceSymbol
from stats.live.callers import identified, renewed_identities
from store.aliases import DatedAlias
from store.instruments import Instrument
from tests.api_client import Api, make_key, problem, trade
from tests.received_calls import received
from trades.stores import market_store

pytestmark = pytest.mark.django_db
REFUSED = (403, "insufficient_sensitivity")
TREE = "/api/v1/market-data/equities"
HOUR = {"start": "2025-01-02T14:30:00Z", "end": "2025-01-02T15:30:00Z", "resolution": "1m"}


@pytest.fixture
def public(api: Api, settings) -> Iterator[Api]:
    """A reader of public data, where META is fetched and AAPL came from a feed."""
    SYMBOLS.clear()
    settings.UDF_KEY = "unused"
    for symbol in ("AAPL", "META"):
        assert api.ingest(trade(symbol=symbol, timestamp="2025-01-02T14:31:00Z")).status_code == 200
    aliases = (DatedAlias("FB", None, "2022-06-09"),)
    market_store().set_instrument(Instrument("META", exchange="XNAS", aliases=aliases))
    SourceSymbol.objects.create(symbol="META", source="venue", name="META")
    yield Api(make_key(scopes=("market:read",), sensitivity="public"))
    SYMBOLS.clear()


def test_a_fetched_symbol_is_refused_and_another_is_not(public: Api):
    assert problem(public.get(f"{TREE}/META/ohlcv", HOUR)) == REFUSED
    assert problem(public.get(f"{TREE}/meta/trades/stream", HOUR)) == REFUSED
    assert problem(public.get(f"{TREE}/FB/ohlcv", {**HOUR, "symbol_as_of": "2021-01-01"})) == REFUSED
    for _ in range(2):  # the second may be answered without Django
        assert public.get(f"{TREE}/AAPL/ohlcv", HOUR).status_code == 200


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (f"{TREE}/ohlcv", {**HOUR, "symbols": "AAPL"}),
        ("/api/v2/stocks/bars", {"symbols": "META", "timeframe": "1Day"}),
        ("/udf/history", {"symbol": "META", "resolution": "1", "from": "1", "to": "2"}),
        ("/api/v1/gaps", {"symbols": "META"}),
    ],
)
def test_what_may_have_its_rows_is_refused(public: Api, path: str, query: dict[str, str]):
    assert public.get(path, query).status_code == 403  # dialects have errors of other forms


def test_what_is_exported_is_refused(public: Api):
    body = orjson.dumps({"dataset": "ohlcv", "symbols": ["META"], "start": "2025-01-02", "end": "2025-01-03"})
    assert problem(public.call("POST", "/api/v1/exports", body)) == REFUSED


@pytest.mark.parametrize(
    "path", ["/api/v1/instruments", "/api/v1/instruments/META", "/api/v1/conditions", "/udf/config"]
)
def test_facts_are_read(public: Api, path: str):
    assert public.get(path).status_code == 200


def test_contracts_on_a_fetched_symbol_and_of_a_fetched_contract_are_refused(public: Api):
    store = market_store()
    store.set_instrument(Instrument("ESH5", instrument_class="future", underlying="ES", expiry="2025-03-21"))
    store.set_instrument(
        Instrument("NQH5", instrument_class="future", underlying="META", expiry="2025-03-21")
    )
    SourceSymbol.objects.create(symbol="ESH5", source="venue", name="ESH5")
    SYMBOLS.clear()
    futures = "/api/v1/market-data/futures"
    assert problem(public.get(f"{futures}/ES/continuous", HOUR)) == REFUSED
    assert problem(public.get(f"{futures}/NQH5/ohlcv", HOUR)) == REFUSED


def test_bars_that_a_vendor_filled_in_are_refused_and_those_of_a_folder_are_not(public: Api, settings):
    settings.SOURCES = {"archive": {"kind": "folder"}, "massive": {}}
    gap = {
        "dataset": "bars",
        "symbol": "AAPL",
        "end_ns": 9,
        "state": "filled",
        "asked_at": timezone.now(),
        "job": uuid4(),
    }
    Backfill.objects.create(**gap, start_ns=1, source="archive")
    SYMBOLS.clear()
    assert public.get(f"{TREE}/AAPL/ohlcv", HOUR).status_code == 200
    Backfill.objects.create(**gap, start_ns=2, source="massive")
    SYMBOLS.clear()
    assert problem(public.get(f"{TREE}/AAPL/ohlcv", HOUR)) == REFUSED


def test_before_the_database_could_be_asked_all_is_refused(public: Api, monkeypatch):
    SYMBOLS.clear()
    monkeypatch.setattr(SourceSymbol.objects, "values_list", Mock(side_effect=OperationalError))
    assert fetched_in({"symbol": "AAPL"})


def test_a_live_connection_ends_when_something_is_fetched(public: Api):
    SourceSymbol.objects.all().delete()
    SYMBOLS.clear()
    call = received({"x-api-key": make_key(scopes=("market:read",), sensitivity="public")})
    identity = identified(call)
    assert identity is not None
    assert renewed_identities([(call, identity)]) == [identity]
    SourceSymbol.objects.create(symbol="META", source="venue", name="META")
    SYMBOLS.clear()
    [error] = renewed_identities([(call, identity)])
    assert isinstance(error, PermissionDenied)


def test_the_owner_may_permit_it(public: Api, settings):
    settings.PUBLIC_READS_FETCHED = True
    assert public.get(f"{TREE}/META/ohlcv", HOUR).status_code == 200


def test_a_caller_for_internal_data_reads_it(public: Api):
    reader = Api(make_key(scopes=("market:read",), sensitivity="internal"))
    assert reader.get(f"{TREE}/META/ohlcv", HOUR).status_code == 200
