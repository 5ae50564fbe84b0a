"""Instruments in the admin: found there, changed by the same rules as everywhere, never deleted."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from store.instruments import Instrument, default_instrument
from tests.api_client import Api, trade
from trades.models import InstrumentEntry
from trades.stores import market_store

pytestmark = pytest.mark.system

LIST = "/admin/trades/instrumententry/"
OCC = "AAPL250117C00150000"
EMPTY = dict.fromkeys(
    ["name", "exchange", "currency", "tick_size", "aliases", "calendar", "underlying", "expiry", "strike", "right", "multiplier",
     "exercise", "settlement", "instrument_class", "bar_policy", "volume_kind"], "",
)  # fmt: skip


@pytest.fixture
def staff(api: Api) -> Client:
    """A superuser's browser before a store with a symbol and an instrument with a declaration."""
    api.ingest(trade(symbol="IBM"))
    market_store().set_instrument(
        Instrument("ESH26", instrument_class="future", exchange="XCME", expiry="2026-03-20", aliases=("ES1",))
    )
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def listed(staff: Client, **query: str) -> set[str]:
    page = staff.get(LIST, query)
    assert page.status_code == 200
    return {entry.symbol for entry in page.context["cl"].queryset}


def change(staff: Client, symbol: str, **values: str) -> Any:
    return staff.post(f"{LIST}{symbol}/change/", {**EMPTY, **values})


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    found: dict[str, list[str]] = response.context["adminform"].form.errors
    return found


def test_every_instrument_is_listed_filtered_and_searched(staff: Client, api: Api):
    assert listed(staff) == {"ESH26", "IBM"}
    api.ingest(trade(symbol=OCC))
    assert listed(staff) == {"ESH26", "IBM", OCC}
    assert listed(staff, instrument_class="option") == {OCC}
    assert listed(staff, exchange="XCME") == listed(staff, q="es1") == {"ESH26"}
    assert listed(staff, right="call", q="aapl") == {OCC}


def test_a_change_tells_the_store(staff: Client):
    response = change(
        staff,
        "IBM",
        exchange="XNYS",
        aliases="big blue; i.b.m",
        allow_nonpositive_price="on",
        tick_size="0.01",
    )
    assert response.status_code == 302
    expected = Instrument(
        "IBM", exchange="XNYS", aliases=("BIG BLUE", "I.B.M"), allow_nonpositive_price=True, tick_size=0.01
    )
    assert market_store().instrument("IBM") == expected
    assert InstrumentEntry.objects.get(pk="IBM").exchange == "XNYS"
    page = staff.get(f"{LIST}IBM/change/").content.decode()
    assert "BIG BLUE;I.B.M" in page  # fmt: skip


def test_an_empty_field_is_what_nobody_has_told(staff: Client):
    assert change(staff, "ESH26", instrument_class="future", currency="USD").status_code == 302
    assert market_store().instrument("ESH26") == Instrument(
        "ESH26", instrument_class="future", currency="USD"
    )


def test_one_may_be_added(staff: Client):
    response = staff.post(f"{LIST}add/", {**EMPTY, "symbol": "aapl  250117c00150000", "exchange": "XCBO"})
    assert response.status_code == 302
    assert market_store().instrument(OCC).exchange == "XCBO"
    assert market_store().instrument(OCC).strike == default_instrument(OCC).strike
    assert OCC in listed(staff)


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"exchange": "nyse"}, "exchange", "MIC"),
        ({"exchange": "XTKZ"}, "exchange", "did you mean XTKS?"),
        ({"calendar": "NYSEE"}, "calendar", "did you mean NYSE?"),
        ({"strike": "5"}, "strike", "of the class option"),
        ({"instrument_class": "bond"}, "instrument_class", "not one of the available choices"),
        ({"tick_size": "-1"}, "tick_size", "greater than 0"),
        ({"expiry": "someday"}, "expiry", "valid date"),
        ({"aliases": "A  B"}, "aliases", "a symbol is"),
        ({"aliases": "ES1"}, "aliases", "an alias of ESH26"),
        ({"aliases": "IBM"}, "aliases", "an instrument of its own"),
    ],
    ids=str,
)
def test_what_cannot_be_declared_is_said_beside_its_field(
    staff: Client, values: dict[str, str], field: str, message: str
):
    found = errors(change(staff, "IBM", **values))
    assert list(found) == [field]
    assert message in found[field][0]
    assert market_store().declared_instruments(symbol="IBM") == []


@pytest.mark.parametrize(
    ("symbol", "message"),
    [("", "required"), ("../x", "a symbol is"), ("es1", "an alias of ESH26"), ("IBM", "already exists")],
)
def test_what_cannot_be_added(staff: Client, symbol: str, message: str):
    found = errors(staff.post(f"{LIST}add/", {**EMPTY, "symbol": symbol}))
    assert message in found["symbol"][0]
    assert [each.symbol for each in market_store().declared_instruments()] == ["ESH26"]


def test_none_is_deleted(staff: Client):
    assert staff.get(f"{LIST}IBM/delete/").status_code == 403
    assert staff.post(f"{LIST}IBM/delete/", {"post": "yes"}).status_code == 403
    staff.post(LIST, {"action": "delete_selected", "_selected_action": ["IBM"], "post": "yes"})
    assert "IBM" in listed(staff)


@pytest.mark.parametrize("path", ["", "add/", "IBM/change/"])
def test_it_is_for_staff_with_the_permission_only(staff: Client, path: str):
    for user in (User.objects.create_user("guest"), User.objects.create_user("clerk", is_staff=True)):
        other = Client()
        other.force_login(user)
        assert other.get(LIST + path).status_code == (403 if user.is_staff else 302)
        assert other.post(LIST + path, EMPTY).status_code == (403 if user.is_staff else 302)
    assert Client().get(LIST + path).status_code == 302


def test_the_form_has_declared_hours_in_full(staff: Client):
    holidays = ",".join(f"2026-{month:02d}-01" for month in range(1, 13))
    hours = f"Asia/Dubai Mon-Fri 10:00-15:00 closed {holidays}"
    market_store().set_instrument(Instrument("FAB", exchange="XADS", calendar=hours))
    staff.get(LIST)
    form = staff.get(f"{LIST}FAB/change/").context["adminform"].form
    assert form.initial["calendar"] == hours
