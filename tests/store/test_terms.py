"""The terms of an instrument by the time at which they were declared."""

import numpy as np
import pytest

from store.instruments import Instrument
from store.protocol import ALL_TIME
from store.terms import Settle, TermsPeriod, terms_at, terms_then

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


def test_the_terms_of_an_instant():
    terms = terms_then(NEW, [(100, OLD), (300, NEW)])
    policies = [terms_at(terms, instant).bar_policy for instant in (FIRST - 1, 99, 100, 299, 300)]
    assert policies == [NEW.bar_policy, NEW.bar_policy, OLD.bar_policy, OLD.bar_policy, NEW.bar_policy]


def test_each_instant_has_the_settle_of_its_time():
    slow = Instrument("AAPL", settle=3e-8)
    fast = Instrument("AAPL", settle=2e-9)
    settle = Settle.of(
        (TermsPeriod(slow, FIRST, 100), TermsPeriod(fast, 100, 200), TermsPeriod(fast, 200, END))
    )
    assert settle == Settle((30, 2), (100,))
    assert settle.after(np.array([99, 100])).tolist() == [129, 102]
    assert [settle.at(99), settle.at(100)] == [30, 2]
    assert settle.of_ends(60).after(np.array([39, 40])).tolist() == [129, 102]
    assert settle.key != Settle((30, 2)).key != Settle((302,)).key


@pytest.mark.parametrize(
    ("settle", "newest_ns", "until_ns"),
    [
        (Settle((2,)), 110, 108),
        (Settle((2, 30), (100,)), 90, 88),
        (Settle((2, 30), (100,)), 102, 99),
        (Settle((2, 30), (100,)), 140, 110),
        (Settle((30, 2), (100,)), 120, 90),
        (Settle((30, 2), (100,)), 130, 128),
    ],
)
def test_a_later_settle_does_not_move_back_what_is_over(settle: Settle, newest_ns: int, until_ns: int):
    assert settle.over_until(newest_ns) == until_ns
