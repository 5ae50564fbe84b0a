"""`manage.py instrument`: shows an instrument and changes it."""

import json
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from msgspec.structs import replace

from audit.models import AuditRecord
from store.instruments import Instrument, default_instrument
from tests.store.builders import batch, trade
from trades.instruments.serializers import FUTURE_DOCUMENT, instrument_document
from trades.instruments.services import instruments_set
from trades.stores import market_store

pytestmark = pytest.mark.django_db
# Its commit is what no interface names.
DATABASE: Any = connection
OCC = "AAPL250117C00150000"


@pytest.fixture(autouse=True)
def store(store_path: Path) -> Path:
    return store_path


def run(*arguments: str) -> str:
    call_command("instrument", *arguments, stdout=(out := StringIO()))
    return out.getvalue()


def declared(symbol: str) -> Instrument:
    return market_store().instrument(symbol)


def test_it_prints_the_document():
    document = json.loads(run(OCC))
    assert list(document) == list(FUTURE_DOCUMENT)
    assert (document["class"], document["strike"], document["exchange"]) == ("option", 150.0, None)
    changed = run("AAPL", "--bar-policy", "us_equities", "--exchange=XNAS", "--alias=apple")
    assert run("apple") == changed == json.dumps(instrument_document(declared("AAPL"))) + "\n"


def test_only_what_is_given_changes_and_an_empty_value_takes_back():
    run(
        "ESH26",
        "--class=future",
        "--exchange=XCME",
        "--expiry=2026-03-20",
        "--multiplier=50",
        "--tick-size",
        "0.25",
    )
    run(
        "ESH26",
        "--alias=es1",
        "--alias",
        "es mar26",
        "--allow-nonpositive-price",
        "--name=E-mini",
        "--currency=USD",
    )
    assert declared("ES1") == Instrument(
        "ESH26", instrument_class="future", exchange="XCME", currency="USD", tick_size=0.25, aliases=("ES1", "ES MAR26"),
        expiry="2026-03-20", multiplier=50.0, allow_nonpositive_price=True, name="E-mini",
    )  # fmt: skip
    run("ESH26", "--exchange=", "--alias=", "--no-allow-nonpositive-price", "--expiry", "", "--name=")
    assert declared("ESH26") == Instrument(
        "ESH26", instrument_class="future", currency="USD", tick_size=0.25, multiplier=50.0
    )
    run("ESH26", "--class=")
    assert declared("ESH26") == Instrument("ESH26", currency="USD", tick_size=0.25)


def test_an_option_of_an_occ_symbol_stays_what_its_symbol_says():
    run(OCC, "--exchange=XCBO", "--exercise=european")
    assert (declared(OCC).strike, declared(OCC).exercise) == (150.0, "european")
    run(OCC, "--exercise=")
    assert declared(OCC).exercise == "american"
    run(OCC, "--class=equity")
    assert declared(OCC) == Instrument(OCC, exchange="XCBO")
    run(OCC, "--class=")
    assert declared(OCC) == replace(default_instrument(OCC), exchange="XCBO")


def test_a_kind_of_volume_that_is_taken_back_is_that_of_the_class():
    run("BTC-USD", "--class=crypto", "--volume-kind=whole")
    assert declared("BTC-USD").volume_kind == "whole"
    run("BTC-USD", "--volume-kind=")
    assert declared("BTC-USD").volume_kind == "fractional"


def test_showing_tells_nothing():
    run("AAPL")
    assert market_store().declared_instruments() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: SYMBOL"),
        (["a/../b c  d"], "a symbol is"),
        (["AAPL", "--exchange=nasdaq"], "exchange: must be a MIC"),
        (
            ["AAPL", "--exchange=XTKZ"],
            "exchange: no calendar is known for the exchange 'XTKZ'; did you mean XTKS?",
        ),
        (["AAPL", "--calendar=NOPE"], "calendar: pandas-market-calendars has no hours for 'NOPE'"),
        (["AAPL", "--strike=5"], "strike: is for an instrument of the class option"),
        (["AAPL", "--tick-size=a lot"], "tick_size: must be a number"),
        (["AAPL", "--bar-policy=some"], "bar_policy: must be one of all, us_equities"),
        (["AAPL", "--alias=AAPL"], "AAPL cannot be used: it is an instrument of its own"),
        (["AAPL", "--alias=IBM"], "IBM cannot be used: it is a symbol with data of its own"),
    ],
)
def test_what_cannot_be_declared_is_refused(arguments: list[str], message: str):
    market_store().append(batch(trade(), symbol="IBM"))
    with pytest.raises(CommandError) as refusal:
        run(*arguments)
    assert message in str(refusal.value)
    assert market_store().declared_instruments() == []


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_is_lost_after_the_change_leaves_the_outcome_unknown(store_path, settings, monkeypatch):
    settings.AUDIT_DIR = store_path.parent / "audit"
    commit = cast("Any", connection)._commit

    def commit_and_lose():
        commit()
        raise OperationalError("the connection was lost")

    monkeypatch.setattr(DATABASE, "_commit", commit_and_lose)
    with pytest.raises(CommandError, match="the outcome is unknown"):
        run("AAPL", "--name", "Apple Inc.")
    assert declared("AAPL").name == "Apple Inc."


@pytest.mark.django_db(transaction=True)
def test_a_change_that_cannot_be_recorded_is_not_made(store_path):
    def refuse(execute, sql, params, many, context):
        if sql.startswith('UPDATE "audit_chainends"'):
            raise OperationalError("disk I/O error")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse), pytest.raises(CommandError, match="so it was not made"):
        run("AAPL", "--name", "Apple Inc.")
    assert declared("AAPL").name != "Apple Inc."


def test_what_was_there_before_is_read_when_nobody_else_can_change_it(store_path, settings, monkeypatch):
    """Another process tells of the instrument just before the head is locked."""
    settings.AUDIT_DIR = store_path.parent / "audit"
    monkeypatch.setattr("trades.instruments.services.events_lock", told_in_between)
    run("AAPL", "--name", "Apple Inc.")
    detail = json.loads(AuditRecord.objects.get(event="instrument.told").detail)
    assert {"path": "name", "before": "Between", "after": "Apple Inc."} in detail["change"]


def told_in_between() -> None:
    instruments_set(instruments=[replace(declared("AAPL"), name="Between")])
