"""The terms of an instrument by the time at which they were declared."""

from store.instruments import Instrument
from store.protocol import ALL_TIME
from store.terms import TermsPeriod, terms_then

OLD, NEW = (
    Instrument("AAPL", exchange="XNYS"),
    Instrument("AAPL", "us_equities", exchange="XNYS", name="Apple"),
)
FIRST, END = ALL_TIME.start_ns, ALL_TIME.end_ns


def test_an_instrument_that_was_declared_once_always_had_its_terms():
    assert terms_then(NEW, [(100, NEW)]) == terms_then(NEW, []) == (TermsPeriod(NEW, FIRST, END),)


def test_facts_that_are_no_terms_make_no_period():
    renamed = Instrument("AAPL", "us_equities", exchange="XNYS", name="Apple Computer")
    assert terms_then(NEW, [(100, renamed), (200, NEW)]) == (TermsPeriod(NEW, FIRST, END),)


def test_before_the_first_declaration_the_last_terms_count():
    old = Instrument("AAPL", exchange="XNYS", name="Apple")
    assert terms_then(NEW, [(100, OLD), (200, OLD), (300, NEW)]) == (
        TermsPeriod(NEW, FIRST, 100),
        TermsPeriod(old, 100, 300),
        TermsPeriod(NEW, 300, END),
    )
