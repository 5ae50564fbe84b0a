"""Aliases with dates in documents, in files, in the admin, and of instruments read by the name of a date."""

from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import call_command
from django.test import Client

from audit.models import AuditRecord
from store.aliases import Alias, DatedAlias
from store.instruments import Instrument
from tests.api_client import Api, answer, problem
from tests.trades.instruments.test_admin import EMPTY, LIST
from trades.instruments.serializers import instrument_document, read_instrument
from trades.instruments.texts import read_texts
from trades.models import InstrumentEntry
from trades.stores import market_store

pytestmark = pytest.mark.django_db
PATH = "/api/v1/instruments"
FB = DatedAlias("FB", "2012-05-18", "2022-06-09")
ALIASES: tuple[Alias, ...] = (
    "FACEBOOK",
    FB,
    DatedAlias("F B", None, "2012-05-18"),
    DatedAlias("MVRS", "2022-06-09"),
)
DOCUMENTS: list[Any] = [
    "FACEBOOK",
    {"symbol": "FB", "from": "2012-05-18", "to": "2022-06-09"},
    {"symbol": "F B", "from": None, "to": "2012-05-18"},
    {"symbol": "MVRS", "from": "2022-06-09", "to": None},
]
CELL = "FACEBOOK;FB@2012-05-18/2022-06-09;F B@/2012-05-18;MVRS@2022-06-09/"
META = Instrument("META", aliases=ALIASES)


@pytest.fixture(autouse=True)
def store(store_path: Path) -> Path:
    return store_path


def put(api: Api, symbol: str, aliases: list[Any]) -> Any:
    return api.call("PUT", f"{PATH}/{symbol}", orjson.dumps({"aliases": aliases}))


def test_an_alias_with_dates_is_an_object_and_comes_back(api: Api):
    declared = put(api, "META", DOCUMENTS)
    assert answer(declared)["aliases"] == answer(api.get(f"{PATH}/META"))["aliases"] == DOCUMENTS
    assert market_store().instrument("META") == META
    assert put(api, "META", answer(declared)["aliases"]).status_code == 200
    assert answer(api.get(PATH, {"search": "fb@2012"}))["instruments"] == [answer(declared)]
    recorded = AuditRecord.objects.filter(method="PUT").values_list("detail", flat=True)
    assert recorded
    assert not [detail for detail in recorded if "***" in detail]


def test_what_is_said_in_other_ways(api: Api):
    said = [
        {"symbol": "fb"},
        {"symbol": "mvrs", "from": "2022-06-09"},
        {"to": None, "symbol": "MVRS", "from": "2022-06-09"},
    ]
    assert read_instrument({"aliases": said}, base=Instrument("META")) == (
        Instrument("META", aliases=("FB", DatedAlias("MVRS", "2022-06-09"))), [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("alias", "code"),
    [
        ({"symbol": "FB", "from": "2022-06-09", "to": "2022-06-09"}, "invalid_range"),
        ({"symbol": "FB", "from": "2022-06-09", "to": "2012-05-18"}, "invalid_range"),
        ({"symbol": "FB", "from": "2022-6-9"}, "invalid_date"),
        ({"symbol": "FB", "to": 20220609}, "invalid_date"),
        ({"symbol": "FB", "to": "2022-06-09T00:00:00Z"}, "invalid_date"),
        ({"symbol": "A  B", "to": "2022-06-09"}, "invalid_symbol"),
        ({"to": "2022-06-09"}, "invalid_type"),
        ({"symbol": "FB", "until": "2022-06-09"}, "unknown_field"),
        (["FB"], "invalid_type"),
    ],
)
def test_a_wrong_alias_is_named(api: Api, alias: object, code: str):
    base = Instrument("META")
    instrument, errors = read_instrument({"aliases": [alias]}, base=base)
    assert (instrument, [(error.path, error.code) for error in errors]) == (base, [("aliases", code)])
    response = api.call("PUT", f"{PATH}/META", orjson.dumps({"aliases": [alias]}))
    assert response.status_code == 422
    assert {error["code"] for error in answer(response)["errors"]} <= {code}


def test_the_command_takes_and_shows_them():
    call_command("instrument", "META", "--alias=fb@2012-05-18/2022-06-09", stdout=(shown := StringIO()))
    assert orjson.loads(shown.getvalue())["aliases"] == DOCUMENTS[1:2]


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("FB@2012-05-18", "invalid_symbol"),
        ("FB@2012/2022", "invalid_date"),
        ("FB@2022-06-09/2012-05-18", "invalid_range"),
        ("@/", "invalid_symbol"),
    ],
)
def test_a_wrong_text_is_named(cell: str, code: str):
    _, errors = read_texts({"aliases": cell}, Instrument("META"))
    assert [(error.path, error.code) for error in errors] == [("aliases", code)]


def test_the_admin_shows_and_takes_them(admin_client: Client):
    market_store().set_instrument(META)
    page = admin_client.get(f"{LIST}META/change/").content.decode()
    assert CELL in page
    entry = InstrumentEntry.objects.get(pk="META")
    values = EMPTY | {
        "instrument_class": "equity",
        "bar_policy": "all",
        "volume_kind": "whole",
        "aliases": entry.aliases,
    }
    assert admin_client.post(f"{LIST}META/change/", values).status_code == 302
    assert market_store().instrument("META") == META
    market_store().set_instrument(Instrument("IBM"))
    refused = admin_client.post(f"{LIST}IBM/change/", values | {"aliases": "FB@2020-01-01/"})
    assert "an alias of META" in refused.content.decode()


def test_an_instrument_is_read_by_the_name_of_a_date(api: Api):
    old = Instrument("FB.2012", exchange="XNAS", aliases=(FB,))
    new = Instrument("FB", exchange="XNYS")
    market_store().set_instruments([old, new])

    def found(**query: str) -> Any:
        return answer(api.get(f"{PATH}/fb", query))

    assert found()["symbol"] == found(symbol_as_of="2022-06-09")["symbol"] == "FB"
    assert (
        found(symbol_as_of="2022-06-08")["symbol"] == found(symbol_as_of="1600000000")["symbol"] == "FB.2012"
    )
    assert found(symbol_as_of="2020-01-01") == orjson.loads(orjson.dumps(instrument_document(old)))
    assert problem(api.get(f"{PATH}/FB", {"symbol_as_of": "soon"})) == (400, "invalid_timestamp")
    before = {"symbol_as_of": "2020-01-01", "as_of": "2020-01-01"}
    assert problem(api.get(f"{PATH}/FB", before)) == (404, "not_known_then")


def test_names_at_one_time_are_refused_and_one_after_another_are_not(api: Api):
    assert put(api, "FB.2012", [DOCUMENTS[1]]).status_code == 200
    assert problem(put(api, "FB.2013", [{"symbol": "FB", "from": "2022-06-08"}])) == (422, "alias_taken")
    assert put(api, "FB.2013", [{"symbol": "FB", "from": "2022-06-09"}]).status_code == 200
    assert answer(api.get(f"{PATH}/FB"))["symbol"] == "FB.2013"
