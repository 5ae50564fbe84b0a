"""When instruments trade, by published hours."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from store.instruments import CRYPTO, FUTURE, FX, OPTION, Instrument
from store.timestamps import DAY_NS, SECOND_NS
from tests.calendars.published import WEEKS, Week, ns
from trading.market.hours import is_in_session, last_session_end_ns, next_open_ns, session_end_ns

WEDNESDAY = ns("2024-03-13T15:00")


@pytest.mark.parametrize("week", WEEKS, ids=str)
def test_a_day_order_ends_with_its_session(week: Week):
    instrument = Instrument("SYMBOL", exchange=week.exchange)
    for date, following in pairwise(week.dates):
        closes, next_closes = ns(date.closes), ns(following.closes)
        for instant in (*map(ns, (date.start, date.pre, date.opens)), closes - 1):
            assert session_end_ns(instrument, instant) == closes, date
        for text in (date.closes, date.post, date.end, following.opens):
            assert session_end_ns(instrument, ns(text)) == next_closes, date


@pytest.mark.parametrize("week", WEEKS, ids=str)
def test_a_closed_market_opens_with_its_next_session(week: Week):
    instrument = Instrument("SYMBOL", exchange=week.exchange)
    for date, following in pairwise(week.dates):
        opens, closes = ns(date.opens), ns(date.closes)
        assert next_open_ns(instrument, ns(date.start)) == opens, date
        assert next_open_ns(instrument, opens + SECOND_NS) == opens + SECOND_NS, date
        for text in (date.closes, date.end):
            assert next_open_ns(instrument, ns(text)) == ns(following.opens), date
        instants = np.array([opens - 1, opens, closes - 1, closes])
        assert is_in_session(instrument, instants).tolist() == [False, True, True, False], date


@pytest.mark.parametrize(
    "instrument",
    [
        Instrument("BTC-USD", instrument_class=CRYPTO, exchange="XNYS"),
        Instrument("SYMBOL"),
        Instrument("SYMBOL", exchange="OTC1"),
    ],
    ids=["crypto", "no exchange", "unknown exchange"],
)
def test_without_a_calendar_there_are_utc_dates(instrument: Instrument):
    midnight = WEDNESDAY // DAY_NS * DAY_NS
    assert session_end_ns(instrument, WEDNESDAY) == midnight + DAY_NS
    assert session_end_ns(instrument, midnight) == midnight + DAY_NS
    assert next_open_ns(instrument, WEDNESDAY) == WEDNESDAY
    assert is_in_session(instrument, np.array([midnight, WEDNESDAY])).all()


def test_a_date_of_foreign_exchange_ends_at_five_in_new_york():
    pair = Instrument("EUR-USD", instrument_class=FX)
    assert session_end_ns(pair, WEDNESDAY) == ns("2024-03-13T21:00")
    assert session_end_ns(pair, ns("2024-03-15T22:00")) == ns("2024-03-18T21:00")
    assert next_open_ns(pair, ns("2024-03-15T22:00")) == ns("2024-03-17T21:00")


def test_a_break_is_outside_of_the_session():
    stock = Instrument("SYMBOL", exchange="XHKG")
    lunch = ns("2024-03-13T04:30")
    assert not is_in_session(stock, np.array([lunch])).any()
    assert next_open_ns(stock, lunch) == ns("2024-03-13T05:00")
    assert session_end_ns(stock, lunch) == ns("2024-03-13T08:00")


def test_no_instants_are_in_no_session():
    assert not len(is_in_session(Instrument("SYMBOL", exchange="XNYS"), np.empty(0, np.int64)))


@pytest.mark.parametrize(
    ("terms", "expiry", "end"),
    [
        ({"exchange": "XCME", "calendar": "CME_Equity"}, "2024-03-15", "2024-03-15T21:00"),
        # A Saturday, and Good Friday: the last session is Thursday's.
        ({"exchange": "XNYS"}, "2024-03-16", "2024-03-15T20:00"),
        ({"exchange": "XNYS"}, "2024-03-29", "2024-03-28T20:00"),
        # An early close.
        ({"exchange": "XNYS"}, "2024-07-03", "2024-07-03T17:00"),
        ({}, "2024-03-16", "2024-03-17T00:00"),
        ({"exchange": "OTC1"}, "2024-03-15", "2024-03-16T00:00"),
    ],
)
def test_a_future_has_a_last_session(terms: dict[str, Any], expiry: str, end: str):
    assert last_session_end_ns(Instrument("FUT", instrument_class=FUTURE, expiry=expiry, **terms)) == ns(end)


def test_what_has_no_expiry_has_no_last_session():
    assert last_session_end_ns(Instrument("FUT", instrument_class=FUTURE)) is None
    assert (
        last_session_end_ns(Instrument("AAPL240315C00150000", instrument_class=OPTION, expiry="2024-03-15"))
        is None
    )
