"""Every exchange has a calendar that works, and nothing loads the library before it is asked."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from django.conf import settings
from pandas_market_calendars import get_calendar_names

from calendars import library
from calendars.exceptions import UnknownExchange
from calendars.exchanges import EXCHANGES, FOREX
from calendars.schedule import Hours, Schedule
from calendars.trading_calendar import (
    TradingCalendar,
    date_of_row,
    exchange_calendar,
    named_calendar,
    start_of_row,
)
from store.instrument_calendars import calendar_for
from store.instruments import EQUITY, Instrument
from tests.calendars.published import day, ns
from tests.chance import SOAK

# They share the years that the library has told.
pytestmark = [pytest.mark.system, pytest.mark.xdist_group("calendars")]

CALENDARS = sorted(set(EXCHANGES.values()))
# The first and the last years that can be asked for, and some between.
ERAS = [(1899, 1901), (2019, 2031), (2199, 2201)]
if SOAK:
    ERAS = [(1899, 1912), (1935, 1952), (1989, 2031), (2191, 2201)]


def instrument(
    exchange: str | None = None, calendar: str | None = None, instrument_class: str = EQUITY
) -> Instrument:
    return Instrument("TEST", instrument_class=instrument_class, exchange=exchange, calendar=calendar)


def test_every_exchange_has_a_calendar_of_the_library():
    assert set(CALENDARS) - set(get_calendar_names()) == set()
    assert all(len(mic) == 4 and mic.isascii() and mic == mic.upper() for mic in EXCHANGES if mic != FOREX)


# Years of a calendar take up to some seconds: usual runs try the best known ones, and a part of the others.
USUAL = {"NYSE", FOREX, "CME Globex Equity", "24/5", "XTKS", "XHKG", *CALENDARS[::16]}


@pytest.fixture(scope="module", params=[name for name in CALENDARS if SOAK or name in USUAL])
def eras(request) -> list[Schedule]:
    """The first, the last and some other years of a calendar that can be asked for, with a year more on both sides."""
    calendar = TradingCalendar(request.param)
    return [calendar.on_dates(day(f"{first}-01-01"), day(f"{last}-12-31")) for first, last in ERAS]


def test_a_calendar_has_dates_in_every_year(eras):
    for history, (first, last) in zip(eras, ERAS, strict=True):
        years = np.unique(history.date.view("M8[D]").astype("M8[Y]").astype(int) + 1970)
        assert years.tolist() == list(range(first, last + 1))


def test_instants_ascend_and_periods_cover_all_time(eras):
    order = ("start_ns", "label_ns", "pre_ns", "open_ns", "close_ns", "post_ns", "end_ns")
    for history in eras:
        for earlier, later in pairwise(order):
            assert (getattr(history, earlier) <= getattr(history, later)).all(), (earlier, later)
        assert (history.open_ns < history.close_ns).all()
        assert (np.diff(history.date) > 0).all()
        assert (history.start_ns[1:] == history.end_ns[:-1]).all()
        has_break = history.break_start_ns < history.break_end_ns
        assert (history.open_ns <= history.break_start_ns)[has_break].all()
        assert (history.break_end_ns <= history.close_ns)[has_break].all()


def test_instants_are_full_minutes(eras):
    for history in eras:
        for column in fields(history):
            if column.name.endswith("_ns"):
                assert (getattr(history, column.name) % 60_000_000_000 == 0).all(), column.name


@pytest.mark.parametrize(
    ("listing", "name"),
    [
        (instrument("XNYS"), "NYSE"),
        (instrument("XNAS"), "NYSE"),
        (instrument("XLON"), "XLON"),
        (instrument("XCME"), "CME Globex Equity"),
        (instrument("XCBT", "CBOT_Rate"), "CBOT_Rate"),
        (instrument(None, "24/5"), "24/5"),
        (instrument("XCME", "CME Globex Crypto", "crypto"), "CME Globex Crypto"),
        (instrument(None, None, "fx"), FOREX),
        (instrument("XNYS", None, "fx"), FOREX),
        (instrument(None, "CMEGlobex_Metals", "fx"), "CMEGlobex_Metals"),
    ],
)
def test_an_instrument_has_its_own_calendar_or_that_of_its_exchange(listing, name):
    assert calendar_for(listing) == TradingCalendar(name)


def test_an_instrument_without_an_exchange_trades_at_all_hours():
    assert calendar_for(instrument()) is None


@pytest.mark.parametrize("exchange", [None, "XNYS", "BINA"])
def test_crypto_trades_at_all_hours_on_every_exchange(exchange):
    assert calendar_for(instrument(exchange, instrument_class="crypto")) is None


@pytest.mark.parametrize(
    "listing",
    [
        instrument("XXXX"),
        instrument("xnys"),
        instrument("XNYS", "nope"),
        instrument(None, "ASEX"),
        instrument(""),
    ],
)
def test_an_unknown_exchange_or_calendar_is_refused(listing):
    with pytest.raises(UnknownExchange):
        calendar_for(listing)


def test_keys_of_different_calendars_differ():
    names = get_calendar_names()
    assert len({TradingCalendar(name).key for name in names}) == len(names)


def test_the_longest_closure_ends_with_the_next_trading_date():
    """The NYSE closed on 31 July 1914 and opened again on 12 December."""
    calendar = exchange_calendar("XNYS")
    assert calendar.trading_date_of(np.array([ns("1914-09-01")])).tolist() == [day("1914-12-12")]
    assert calendar.start_of_date(day("1914-09-01")) == ns("1914-07-31T05:00")


def test_a_date_alone_is_where_its_prints_begin():
    assert exchange_calendar("XNYS").start_of_date(day("2024-12-02")) == ns("2024-11-30T05:00")
    assert exchange_calendar("XCME").start_of_date(day("2024-12-03")) == ns("2024-12-02T23:00")
    assert exchange_calendar("XNYS").start_of_date(day("2024-12-01")) == ns("2024-11-30T05:00")


def test_a_calendar_that_began_late_puts_all_before_it_into_its_first_date():
    calendar = named_calendar("IEX")
    assert calendar.trading_date_of(np.array([ns("1950-01-03")])).tolist() == [day("2013-08-26")]


def test_dates_of_a_market_that_never_closes_follow_each_other():
    segments = named_calendar("24/7").on_dates(day("2024-02-28"), day("2024-03-02")).segments(Hours.REGULAR)
    assert (segments.start_ns[1:] == segments.end_ns[:-1]).all()
    assert len(segments.start_ns) == 4


def test_a_discontinued_break_is_no_break():
    """Seoul closed for lunch until 19 May 2000."""
    schedule = exchange_calendar("XKRX").on_dates(day("2000-05-19"), day("2000-05-22"))
    assert (schedule.break_start_ns < schedule.break_end_ns).tolist() == [True, False]


def test_years_after_2037_follow_the_zone_s_last_rules():
    """Of zones whose tables end in 2037 the rules go on."""
    (summer,) = exchange_calendar("XNYS").on_dates(day("2150-07-01"), day("2150-07-01")).open_ns
    (winter,) = exchange_calendar("XNYS").on_dates(day("2150-12-01"), day("2150-12-01")).open_ns
    assert (summer, winter) == (ns("2150-07-01T13:30"), ns("2150-12-01T14:30"))


def test_a_process_starts_and_keys_are_made_without_the_library():
    program = """
import django, sys
django.setup()
import marketdata_project.urls
from calendars import trading_calendar
from stats.sessions import services, views
from store.log_views import bar_grid
from trades.imports import services as imports

assert trading_calendar.exchange_calendar("XNYS").key.startswith("NYSE-")
assert trading_calendar.named_calendar("CME Globex Equity").key
print(sorted({"pandas", "pandas_market_calendars", "exchange_calendars"} & set(sys.modules)))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, cwd=settings.BASE_DIR, check=False,
    )  # fmt: skip
    assert ended.stdout.strip() == "[]", ended.stderr


def test_the_page_says_which_calendar_an_exchange_has():
    page = (settings.BASE_DIR / "docs" / "sessions.md").read_text()
    rows = re.findall(r"^\| ((?:`[A-Z]{4}`(?:, )?)+) \| `([^`]+)` \|$", page, re.MULTILINE)
    told = {mic: name for mics, name in rows for mic in re.findall("[A-Z]{4}", mics)}
    others = {mic: name for mic, name in EXCHANGES.items() if name not in {mic, "NYSE"}}
    assert told == others


def test_the_page_says_until_when_each_exchanges_holidays_are_known():
    page = (settings.BASE_DIR / "docs" / "sessions.md").read_text()
    rows = re.findall(r"^\| ([0-9-]{10}|by rule, [\w ,]+|no holidays) \| (`.+) \|$", page, re.MULTILINE)
    told = {mic: until for until, mics in rows for mic in re.findall("`([A-Z0-9]{4,5})`", mics)}
    assert told.keys() == EXCHANGES.keys()
    for mic, until in told.items():
        known = exchange_calendar(mic).holidays_known_until
        assert (
            until.startswith(("by rule", "no holidays")) if known is None else until == known.isoformat()
        ), mic


def test_concurrent_threads_get_the_same_schedule():
    """The library's rules for holidays cache in themselves."""
    wanted = [(name, number) for name in ("NYSE", "XLON", "CME Globex Equity") for number in range(200, 204)]
    alone = [library.decade(*each) for each in wanted]
    library.decade.cache_clear()
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda each: library.decade(*each), wanted))
    for one, other in zip(alone, together, strict=True):
        for column in fields(one):
            assert np.array_equal(getattr(one, column.name), getattr(other, column.name)), column.name


@pytest.mark.parametrize(
    ("exchange", "instants", "dates"),
    [
        # Midnight UTC lies in the evening before in New York, and in the day itself in Tokyo and Sydney.
        (
            "XNYS",
            ["2024-03-08T00:00", "2024-03-08T05:00", "2024-03-08T14:30", "2024-03-08T21:00"],
            ["2024-03-08"] * 4,
        ),
        ("XTKS", ["2024-03-08T00:00", "2024-03-07T15:00", "2024-03-08T06:00"], ["2024-03-08"] * 3),
        ("XASX", ["2024-03-08T00:00", "2024-03-07T13:00", "2024-03-07T23:00"], ["2024-03-08"] * 3),
        (None, ["2024-03-08T00:00", "2024-03-08T23:59"], ["2024-03-08"] * 2),
    ],
)
def test_the_row_of_a_whole_date_means_that_date_whatever_instant_it_has(exchange, instants, dates):
    calendar = None if exchange is None else exchange_calendar(exchange)
    given = np.array([ns(instant) for instant in instants])
    assert date_of_row(given, calendar).tolist() == [day(date) for date in dates]
    assert given.tolist() == [ns(instant) for instant in instants]


@pytest.mark.parametrize(
    ("exchange", "stored", "effect"),
    [
        ("XNYS", "2024-03-08T00:00", "2024-03-08T05:00"),
        ("XASX", "2024-03-08T00:00", "2024-03-07T13:00"),
        ("XASX", "2024-03-08T00:30", "2024-03-08T00:30"),
        ("XNYS", "2024-12-01T00:00", "2024-11-30T05:00"),  # a Sunday: it belongs to Monday's trading date
        (None, "2024-03-08T00:00", "2024-03-08T00:00"),
    ],
)
def test_an_action_of_midnight_utc_takes_effect_when_its_trading_date_starts(exchange, stored, effect):
    calendar = None if exchange is None else exchange_calendar(exchange)
    assert start_of_row(ns(stored), calendar) == ns(effect)


@pytest.mark.parametrize(
    ("exchange", "holiday"),
    [
        ("XNYS", "2024-11-28"),
        ("XNYS", "2023-04-07"),
        ("XNYS", "2025-01-09"),
        ("XLON", "2024-08-26"),
        ("XCME", "2022-04-15"),
        ("XCME", "2024-12-25"),
        ("XCEC", "2023-04-07"),
        ("XCBT", "2024-11-28"),
    ],
)
def test_a_holiday_is_no_trading_date(exchange, holiday):
    calendar = exchange_calendar(exchange)
    before, itself = (len(calendar.on_dates(date, date)) for date in (day(holiday) - 1, day(holiday)))
    assert not itself
    assert before or day(holiday) % 7 == 4  # a Monday follows a Sunday
