"""The rules of a declaration, over HTTP, in files and in the admin."""

from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from store.instruments import INSTRUMENT_CLASSES, Instrument, default_instrument
from tests.chance import examples
from trades.instruments.catalogue import entry_of, instrument_in
from trades.instruments.serializers import (
    FUTURE_DOCUMENT,
    InstrumentSerializer,
    instrument_document,
    read_instrument,
)
from trades.models import TEXT_LENGTHS

EQUITY = Instrument("AAPL")
OCC = default_instrument("AAPL250117C00150000")
FUTURE = Instrument(
    "ESH26", instrument_class="future", underlying="ES", expiry="2026-03-20", multiplier=50.0, volume_kind="fractional"
)  # fmt: skip
TERMS: dict[str, Any] = {"underlying": "TWX", "expiry": "2014-06-21", "strike": 77.5, "right": "put"}


@pytest.mark.parametrize(
    ("data", "base", "expected"),
    [
        ({}, EQUITY, EQUITY),
        ({}, OCC, OCC),
        ({"symbol": "aapl"}, EQUITY, EQUITY),
        ({"exchange": "XNAS", "currency": "USD"}, EQUITY, replace(EQUITY, exchange="XNAS", currency="USD")),
        ({"exchange": "ZZZZ", "calendar": "NYSE"}, EQUITY, replace(EQUITY, exchange="ZZZZ", calendar="NYSE")),
        ({"exchange": None}, replace(EQUITY, exchange="XNAS"), EQUITY),
        ({"tick_size": 1e-9, "calendar": "CME Globex Crypto"}, EQUITY, replace(EQUITY, tick_size=1e-9, calendar="CME Globex Crypto")),
        ({"aliases": ["fb", "BTC/USD", "FB", "AAPL  250117C00150000"]}, EQUITY, replace(EQUITY, aliases=("FB", "BTC-USD", "AAPL250117C00150000"))),
        ({"name": "Ünïted =1 株式会社"}, EQUITY, replace(EQUITY, name="Ünïted =1 株式会社")),
        ({"class": "crypto"}, EQUITY, replace(EQUITY, instrument_class="crypto", volume_kind="fractional")),
        ({"class": "crypto", "exchange": "BINA"}, EQUITY, replace(EQUITY, instrument_class="crypto", exchange="BINA", volume_kind="fractional")),
        ({"class": "crypto", "volume_kind": "whole"}, EQUITY, replace(EQUITY, instrument_class="crypto")),
        ({"class": "future", "exchange": "XCME"}, FUTURE, replace(FUTURE, exchange="XCME")),
        ({"class": "equity"}, FUTURE, Instrument("ESH26")),
        ({"exchange": "XCBO"}, OCC, replace(OCC, exchange="XCBO")),
        ({"class": "future"}, OCC, Instrument(OCC.symbol, instrument_class="future", underlying="AAPL", expiry="2025-01-17", multiplier=100.0)),
        ({"class": "option", **TERMS}, Instrument("T1"), Instrument("T1", instrument_class="option", **TERMS)),
        ({"class": "fx"}, Instrument("EURUSD"), Instrument("EURUSD", instrument_class="fx", base_currency="EUR", currency="USD", volume_kind="fractional")),
        ({"class": "fx", "base_currency": "XAU", "currency": "EUR"}, Instrument("GOLD"), Instrument("GOLD", instrument_class="fx", base_currency="XAU", currency="EUR")),
        ({"currency": None}, Instrument("XAU-USD", instrument_class="fx"), Instrument("XAU-USD", instrument_class="fx")),
        ({"class": "crypto"}, Instrument("XAU-USD", instrument_class="fx"), Instrument("XAU-USD", instrument_class="crypto", currency="USD")),
        ({"bar_policy": "us_equities", "allow_nonpositive_price": True}, EQUITY, replace(EQUITY, bar_policy="us_equities", allow_nonpositive_price=True)),
    ],
    ids=[
        "nothing", "nothing of an option", "its own symbol", "exchange and currency", "an exchange whose hours are told", "nothing any more", "tick and calendar",
        "aliases in one spelling", "any script", "crypto counts fractions", "crypto of any exchange", "unless told", "the same class keeps all",
        "another class drops terms", "an option stays one", "an option as a future", "terms of an option", "a pair", "fx by another name", "a pair says its currencies again", "crypto has no base", "flag and policy",
    ],
)  # fmt: skip
def test_what_is_declared(data: dict[str, object], base: Instrument, expected: Instrument):
    assert read_instrument(data, base=base) == (expected, [])


@pytest.mark.parametrize(
    ("data", "path", "code"),
    [
        ([], "", "invalid_type"), (5, "", "invalid_type"), (None, "", "null"),
        ({"exchnage": "XNAS"}, "exchnage", "unknown_field"), ({"instrument_class": "future"}, "instrument_class", "unknown_field"),
        ({"symbol": "IBM"}, "symbol", "other_symbol"), ({"symbol": "../x"}, "symbol", "invalid_symbol"),
        *(({"exchange": bad}, "exchange", "invalid_format") for bad in ("xnas", "XNASD", "XNÀS", "XNAS\n")),
        ({"exchange": 5}, "exchange", "invalid_type"),
        *(({"currency": bad}, "currency", "invalid_format") for bad in ("usd", "USDT")),
        *(({"expiry": bad}, "expiry", "invalid_date") for bad in ("2026-02-30", "20260320", "2026-03-20T00:00:00Z", "1899-12-31", "٢٠٢٦-03-20")),
        ({"expiry": 20260320}, "expiry", "invalid_type"),
        *(({name: 0}, name, "out_of_range") for name in ("tick_size", "multiplier", "strike")),
        *(({name: -0.5}, name, "out_of_range") for name in ("tick_size", "multiplier", "strike", "settle")), ({"settle": None}, "settle", "null"),
        ({"tick_size": "0.25"}, "tick_size", "invalid_type"), ({"strike": True}, "strike", "invalid_type"),
        ({"tick_size": float("inf")}, "tick_size", "out_of_range"), ({"tick_size": 2**53 + 1}, "tick_size", "out_of_range"),
        ({"class": "bond"}, "class", "invalid_choice"), ({"class": None}, "class", "null"), ({"class": "Equity"}, "class", "invalid_choice"),
        ({"bar_policy": "of_tomorrow"}, "bar_policy", "invalid_choice"), ({"volume_kind": "some"}, "volume_kind", "invalid_choice"),
        ({"allow_nonpositive_price": "true"}, "allow_nonpositive_price", "invalid_type"), ({"allow_nonpositive_price": 1}, "allow_nonpositive_price", "invalid_type"),
        *(({"calendar": bad}, "calendar", "invalid_format") for bad in ("", " NYSE", "CME  Globex", "a|b", "x\n", "x" * 2_001)),
        *(({"name": bad}, "name", "invalid_text") for bad in ("", " x", "a\nb", "a\u202eb", "x" * 201)),
        ({"aliases": "FB"}, "aliases", "invalid_type"), ({"aliases": None}, "aliases", "null"), ({"aliases": ["A  B"]}, "aliases", "invalid_symbol"),
        ({"aliases": [5]}, "aliases", "invalid_type"), ({"aliases": [f"A{n}" for n in range(33)]}, "aliases", "too_many"),
        *(({name: value}, name, "of_other_class") for name, value in {**TERMS, "multiplier": 5, "exercise": "american", "settlement": "am"}.items()),
        *(({"class": "future", name: value}, name, "of_other_class") for name, value in (("strike", 5), ("right", "put"), ("exercise", "american"), ("settlement", "am"))),
        *(({"class": "option", **TERMS, name: None}, name, "required_of_option") for name in TERMS),
        *(({"class": "option", **TERMS, name: value}, name, "out_of_range") for name in ("tick_size", "multiplier", "strike") for value in (1e-300, 1e-19, 1e13, 1e300)),
        ({"base_currency": "EUR"}, "base_currency", "of_other_class"), ({"class": "fx", "base_currency": "eur"}, "base_currency", "invalid_format"),
        ({"class": "fx"}, "base_currency", "required_of_fx"), ({"class": "fx", "base_currency": "XAU"}, "currency", "required_of_fx"),
        ({"class": "fx", "base_currency": "USD", "currency": "USD"}, "base_currency", "equal_currencies"),
        ({"exchange": "ZZZZ"}, "exchange", "unknown_exchange"), ({"calendar": "NOPE"}, "calendar", "unknown_exchange"),
        ({"exchange": "XNYS", "calendar": "NOPE"}, "calendar", "unknown_exchange"), ({"class": "crypto", "calendar": "NOPE"}, "calendar", "unknown_exchange"), ({"calendar": "ASEX"}, "calendar", "unknown_exchange"),
        ({"exchange": "XADS", "calendar": "Asia/Dubai Mon-Fri 10-15:00"}, "calendar", "unknown_exchange"),
        ({"class": "option", **TERMS, "right": "C"}, "right", "invalid_choice"), ({"class": "option", **TERMS, "exercise": "bermudan"}, "exercise", "invalid_choice"),
    ],
)  # fmt: skip
def test_what_cannot_be_declared_is_said_with_its_field(data: object, path: str, code: str):
    instrument, errors = read_instrument(data, base=EQUITY)
    assert [(error.path, error.code) for error in errors] == [(path, code)]
    assert instrument is EQUITY


@pytest.mark.parametrize(("name", "code"), [("base_currency", "GBP"), ("currency", "JPY")])
def test_currencies_must_be_those_of_the_symbol(name: str, code: str):
    _, errors = read_instrument({"class": "fx", name: code}, base=Instrument("EUR-USD"))
    assert [(error.path, error.code) for error in errors] == [(name, "other_currency")]


def test_every_wrong_field_is_named():
    _, errors = read_instrument({"exchange": 1, "tick_size": 0, "clas": "equity"}, base=EQUITY)
    assert [error.path for error in errors] == ["exchange", "tick_size", "clas"]
    assert "did you mean class?" in errors[2].message


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({"exchange": "XTKZ"}, "for the exchange 'XTKZ'; did you mean XTKS?"),
        ({"exchange": "ZZZZ"}, "known are AIXK"),
        ({"exchange": "XADS"}, "declares its hours as its calendar, such as: Asia/Dubai Mon-Fri 10:00-15:00"),
        ({"calendar": "CBOT_Rates"}, "no hours for 'CBOT_Rates'; did you mean CBOT_Rate?"),
    ],
)
def test_an_exchange_without_known_hours_is_declared_the_nearest(data: dict[str, object], hint: str):
    (error,) = read_instrument(data, base=EQUITY)[1]
    assert hint in error.message


@pytest.mark.parametrize("instrument", [EQUITY, OCC, FUTURE], ids=lambda each: each.symbol)
def test_what_is_shown_can_be_declared_again(instrument: Instrument):
    document = instrument_document(instrument)
    assert list(document) == list(FUTURE_DOCUMENT) == list(InstrumentSerializer().fields)
    base = default_instrument(instrument.symbol)
    assert read_instrument({**document, "aliases": list(instrument.aliases)}, base=base) == (instrument, [])


TEXTS = st.one_of(
    st.text(max_size=210),
    st.sampled_from(["XNAS", "USD", "2026-03-20", "call", "'=1", "=1", "a;b", "NaN", "CME Globex Crypto"]),
)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.lists(TEXTS, max_size=3), st.dictionaries(TEXTS, TEXTS, max_size=1)
)  # fmt: skip
LIKELY = {
    "class": st.sampled_from(INSTRUMENT_CLASSES),
    "expiry": st.dates(date(1900, 1, 1), date(2200, 12, 31)).map(str),
    "exchange": st.sampled_from(["XNAS", "XCME", "XLON"]),
    "currency": st.text("AUSD", min_size=3, max_size=3),
    "name": st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable() and text == text.strip()),
    "aliases": st.lists(st.text("ABC1 ", min_size=1, max_size=5), max_size=3),
    "right": st.sampled_from(["call", "put"]),
    **dict.fromkeys(("tick_size", "strike", "multiplier"), st.floats(1e-12, 1e15)),
    "underlying": st.text("ABC", min_size=1, max_size=4),
    "allow_nonpositive_price": st.booleans(),
    "bar_policy": st.sampled_from(["all", "us_equities"]),
    "volume_kind": st.sampled_from(["whole", "fractional"]),
}


@settings(max_examples=examples(300), deadline=None)
@example({}, {"multiplier": None, "strike": None, "exercise": None}, OCC)
@example({}, {"multiplier": None}, FUTURE)
@given(
    st.fixed_dictionaries({}, optional=LIKELY),
    st.dictionaries(st.sampled_from([*FUTURE_DOCUMENT, "unknown"]), VALUES, max_size=2),
    st.sampled_from([EQUITY, OCC, FUTURE]),
)
def test_whatever_is_declared_is_refused_by_field_or_kept_whole(likely, unlikely, base: Instrument):
    instrument, errors = read_instrument({**likely, **unlikely}, base=base)
    if errors:
        assert {error.path for error in errors} <= {*FUTURE_DOCUMENT, "unknown"}
        return
    assert msgspec.json.decode(msgspec.json.encode(instrument), type=Instrument) == instrument
    entry = entry_of(instrument)
    assert [getattr(entry, name) for name in TEXT_LENGTHS] == [
        getattr(instrument, name) or "" for name in TEXT_LENGTHS
    ]
    assert (str(entry.expiry or ""), instrument_in(entry)) == (instrument.expiry or "", instrument)
