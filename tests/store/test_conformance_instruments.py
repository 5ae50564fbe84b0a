"""Instruments, aliases and the stamp of the catalogue, in every store."""

import pytest

from store.datasets import DATASETS, OPEN_INTEREST, TRADES
from store.exceptions import AliasTaken
from store.instruments import Instrument, default_instrument
from store.protocol import Append
from tests.store.builders import DAY, NOON, SYMBOL, Clock, append_of, batch, trade

FUTURE = Instrument(
    "ESH26", "us_equities", "future", "XCME", "USD", 0.25, "fractional", ("ES1", "ES MAR26"), "ES", "2026-03-20",
    None, None, 50.0, None, None, "CME_Equity", allow_nonpositive_price=True, name="E-mini S&P 500 März",
)  # fmt: skip
OPTION = default_instrument("AAPL250117C00150000")


def interest() -> Append:
    row = {"timestamp": NOON, "date": NOON - NOON % DAY, "open_interest": 5.0, "status": "final"}
    return append_of(OPEN_INTEREST, row, symbol="ESH26")


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("AAPL", Instrument("AAPL")),
        ("AAPL251317C00150000", Instrument("AAPL251317C00150000")),
        (
            "AAPL250117P00150500",
            Instrument(
                "AAPL250117P00150500",
                instrument_class="option",
                underlying="AAPL",
                expiry="2025-01-17",
                strike=150.5,
                right="put",
                multiplier=100.0,
                exercise="american",
                settlement="pm",
            ),
        ),
    ],
    ids=["equity", "no option of a real date", "option"],
)
def test_undeclared_instrument_is_the_default(store, symbol: str, expected: Instrument):
    assert store.instrument(symbol) == expected
    assert store.canonical(symbol) == symbol
    assert store.declared_instruments() == store.declared_instruments(symbol=symbol) == []


def test_declarations_are_a_symbols_own_in_their_order(store, clock: Clock):
    first, second = Instrument("AAPL", settle=1.0), Instrument("AAPL", settle=2.5)
    for clock.now, each in ((NOON, first), (NOON + 1, FUTURE), (NOON + 2, second)):
        store.set_instrument(each)
    assert store.declarations("AAPL") == [(NOON, first), (NOON + 2, second)]
    assert store.declarations("AAPL", as_of_ns=NOON + 1) == [(NOON, first)]
    assert store.declarations("MSFT") == []


@pytest.mark.parametrize("instrument", [FUTURE, OPTION, Instrument("AAPL")], ids=lambda each: each.symbol)
def test_declared_fields_are_read_back(store, instrument: Instrument):
    store.set_instrument(instrument)
    assert store.instrument(instrument.symbol) == instrument
    assert (
        store.declared_instruments() == store.declared_instruments(symbol=instrument.symbol) == [instrument]
    )


@pytest.mark.parametrize(
    ("instrument_class", "kind"), [("equity", "whole"), ("crypto", "fractional"), ("fx", "fractional")]
)
def test_volume_kind_is_fractional_only_for_crypto(store, instrument_class: str, kind: str):
    store.set_instrument(Instrument("X", instrument_class=instrument_class))
    assert store.instrument("X").volume_kind == kind
    assert store.instrument("X").has_integer_volume is (kind == "whole")


def test_instrument_as_of_an_instant(store, clock: Clock):
    told = [Instrument(SYMBOL, exchange=exchange) for exchange in ("XNAS", "XNYS")]
    for instrument in told:
        clock.now += 10
        store.set_instrument(instrument)
    instants = [NOON, NOON + 9, NOON + 10, NOON + 19, NOON + 20, NOON + 99]
    found = [store.instrument(SYMBOL, as_of_ns=at).exchange for at in instants]
    assert found == [None, None, "XNAS", "XNAS", "XNYS", "XNYS"]
    listed = [[each.exchange for each in store.declared_instruments(as_of_ns=at)] for at in instants]
    assert listed == [[], [], ["XNAS"], ["XNAS"], ["XNYS"], ["XNYS"]]
    assert [store.last_declared_ns(at) for at in instants] == [
        0,
        0,
        NOON + 10,
        NOON + 10,
        NOON + 20,
        NOON + 20,
    ]


def test_a_clock_that_is_set_back_changes_no_answer_as_of_an_instant_before(store, clock: Clock):
    instants = [NOON - 5, NOON - 1, NOON, NOON + 1, NOON + 9]
    store.set_instrument(Instrument(SYMBOL, exchange="XNAS"))
    clock.now = NOON + 2
    store.set_instrument(Instrument("MSFT"))
    before = [store.declared_instruments(as_of_ns=instant) for instant in instants[:-1]]
    clock.now = NOON - 5
    store.set_instrument(Instrument(SYMBOL, exchange="XNYS"))
    assert [store.declared_instruments(as_of_ns=instant) for instant in instants[:-1]] == before
    assert [each.exchange for _, each in store.declarations(SYMBOL, as_of_ns=NOON + 9)] == ["XNAS", "XNYS"]
    assert store.last_declared_ns(NOON + 9) == NOON + 3


def test_alias_is_resolved_until_it_is_removed(store):
    store.set_instruments([FUTURE, Instrument("META", aliases=("FB",))])
    assert [store.canonical(each) for each in ("ES1", "ES MAR26", "FB", "ESH26", "META")] == [
        "ESH26", "ESH26", "META", "ESH26", "META",
    ]  # fmt: skip
    assert store.instrument("FB").symbol == "META"
    store.set_instrument(Instrument("META", aliases=("FACEBOOK",)))
    assert [store.canonical(each) for each in ("FB", "FACEBOOK")] == ["FB", "META"]
    store.set_instruments([Instrument("META"), Instrument("FB", aliases=("FACEBOOK",))])
    assert store.canonical("FACEBOOK") == "FB"


@pytest.mark.parametrize(
    ("instruments", "place", "taken"),
    [
        ([Instrument("META", aliases=("FB", "IBM"))], 0, "IBM"),
        ([Instrument("A"), Instrument("META", aliases=("ESH26",))], 1, "ESH26"),
        ([Instrument("META", aliases=("GOOG",))], 0, "GOOG"),
        ([Instrument("META", aliases=("META",))], 0, "META"),
        ([Instrument("GOOG")], 0, "GOOG"),
        ([Instrument("A", aliases=("X",)), Instrument("B", aliases=("X",))], 1, "X"),
        ([Instrument("A", aliases=("B",)), Instrument("B")], 0, "B"),
        ([Instrument("A", aliases=("ALPHABET",))], 0, "ALPHABET"),
    ],
    ids=[
        "trades", "open interest", "another's alias", "its own symbol", "told under an alias", "twice at once",
        "told at once", "has aliases itself",
    ],
)  # fmt: skip
def test_taken_alias_refuses_all_declarations(store, instruments: list[Instrument], place: int, taken: str):
    store.append(batch(trade(), symbol="IBM"))
    store.append(interest())
    store.set_instruments([Instrument("ALPHABET", aliases=("GOOG",))])
    for refuse in (store.check_instruments, store.set_instruments):
        with pytest.raises(AliasTaken, match=taken) as refusal:
            refuse(instruments)
        assert (refusal.value.index, refusal.value.alias) == (place, taken)
    assert [each.symbol for each in store.declared_instruments()] == ["ALPHABET"]


def test_symbol_declared_without_data_may_become_an_alias(store):
    store.set_instrument(Instrument("FB", exchange="XNAS"))
    store.set_instrument(Instrument("META", aliases=("FB",)))
    assert store.canonical("FB") == "META"
    assert [each.symbol for each in store.declared_instruments()] == ["META"]


def test_aliases_can_be_swapped_in_one_call(store):
    store.set_instruments([Instrument("A", aliases=("X",)), Instrument("B", aliases=("Y",))])
    store.set_instruments([Instrument("A", aliases=("Y",)), Instrument("B", aliases=("X",))])
    assert (store.canonical("X"), store.canonical("Y")) == ("B", "A")


def test_catalogue_stamp_changes_only_with_symbols_and_instruments(store):
    stamps = [store.catalogue_stamp()]

    def has_changed() -> bool:
        stamps.append(store.catalogue_stamp())
        assert stamps[-1] == store.catalogue_stamp()
        return stamps[-1] not in stamps[:-1]

    assert not has_changed()
    store.append(batch(trade()))
    assert has_changed()
    store.append(batch(trade(5)))
    assert not has_changed()
    store.append(batch(trade(), symbol="IBM"))
    assert has_changed()
    store.append(interest())
    assert has_changed()
    store.set_instrument(Instrument("IBM"))
    assert has_changed()
    store.set_instrument(Instrument("IBM", exchange="XNYS"))
    assert has_changed()
    assert {name: store.symbols(dataset) for name, dataset in DATASETS.items() if store.symbols(dataset)} == {
        TRADES.name: [SYMBOL, "IBM"],
        OPEN_INTEREST.name: ["ESH26"],
    }
