"""Hours that an instrument of an exchange without a calendar declares as text."""

import datetime as dt

import numpy as np
import pytest

from calendars.declared import EXAMPLE
from calendars.exceptions import UnknownExchange
from calendars.schedule import Hours, SpecialSession
from calendars.trading_calendar import TradingCalendar, named_calendar
from store.instrument_calendars import calendar_for, trading_dates
from store.instruments import Instrument
from tests.calendars.published import day, ns

pytestmark = pytest.mark.system
ABU_DHABI = "Asia/Dubai Mon-Fri 10:00-15:00 closed 2026-01-01,2026-12-02"


def sessions(text: str, first: str, last: str) -> list[tuple[str, ...]]:
    """The date, and the start and end of each period of trading, as UTC text."""
    schedule = named_calendar(text).on_dates(day(first), day(last))
    periods = schedule.segments(Hours.REGULAR)
    return [
        (
            str(np.datetime64(date, "D")),
            *(
                str(np.datetime64(instant, "ns").astype("M8[m]"))
                for number in np.flatnonzero(periods.date_index == index)
                for instant in (int(periods.start_ns[number]), int(periods.end_ns[number]))
            ),
        )
        for index, date in enumerate(schedule.date.tolist())
    ]


def test_dates_are_the_weekdays_that_are_not_closed():
    assert sessions(ABU_DHABI, "2025-12-31", "2026-01-05") == [
        ("2025-12-31", "2025-12-31T06:00", "2025-12-31T11:00"),
        ("2026-01-02", "2026-01-02T06:00", "2026-01-02T11:00"),
        ("2026-01-05", "2026-01-05T06:00", "2026-01-05T11:00"),
    ]
    calendar = named_calendar(ABU_DHABI)
    assert (calendar.zone.key, calendar.holidays_known_until) == ("Asia/Dubai", None)
    assert not calendar.on_dates(day("2026-01-01"), day("2026-12-31")).early.any()


@pytest.mark.parametrize(
    ("text", "first", "last", "expected"),
    [
        (
            "Asia/Kuwait Sun-Thu 09:00-12:40", "2026-03-05", "2026-03-08",
            [("2026-03-05", "2026-03-05T06:00", "2026-03-05T09:40"), ("2026-03-08", "2026-03-08T06:00", "2026-03-08T09:40")],
        ),
        (
            "Asia/Ho_Chi_Minh Mon,Wed 09:00-11:30,13:00-14:45", "2026-03-02", "2026-03-04",
            [
                ("2026-03-02", "2026-03-02T02:00", "2026-03-02T04:30", "2026-03-02T06:00", "2026-03-02T07:45"),
                ("2026-03-04", "2026-03-04T02:00", "2026-03-04T04:30", "2026-03-04T06:00", "2026-03-04T07:45"),
            ],
        ),
        (
            "America/New_York Mon 18:00-17:00", "2026-03-02", "2026-03-09",
            [("2026-03-02", "2026-03-01T23:00", "2026-03-02T22:00"), ("2026-03-09", "2026-03-08T22:00", "2026-03-09T21:00")],
        ),
        (
            "Asia/Shanghai Tue 21:00-02:30,09:00-15:00", "2026-03-03", "2026-03-03",
            [("2026-03-03", "2026-03-02T13:00", "2026-03-02T18:30", "2026-03-03T01:00", "2026-03-03T07:00")],
        ),
        (
            "UTC Sat-Sun 00:00-24:00", "2026-03-07", "2026-03-08",
            [("2026-03-07", "2026-03-07T00:00", "2026-03-08T00:00"), ("2026-03-08", "2026-03-08T00:00", "2026-03-09T00:00")],
        ),
    ],
    ids=["a weekend on Friday", "a break", "the evening before, clocks go forward", "a night session", "all day"],
)  # fmt: skip
def test_hours_are_local(text, first, last, expected):
    assert sessions(text, first, last) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("localtime Mon-Fri 10:00-15:00", "'localtime' is no IANA time zone"),
        ("Asia/Duba Mon-Fri 10:00-15:00", "'Asia/Duba' is no IANA time zone; did you mean Asia/Dubai?"),
        ("Asia/Dubai Mo-Fri 10:00-15:00", "'Mo-Fri' is no weekday and no range of weekdays"),
        ("Asia/Dubai Mon-Wed-Fri 10:00-15:00", "'Mon-Wed-Fri' is no weekday"),
        ("Asia/Dubai Mon-Fri 10:00", "'10:00' is no period such as 10:00-15:00"),
        ("Asia/Dubai Mon-Fri 9:00-15:00", "'9:00-15:00' is no period"),
        ("Asia/Dubai Mon-Fri 10:00-15:60", "has a time that no day has"),
        ("Asia/Dubai Mon-Fri 10:00-24:01", "has a time that no day has"),
        ("Asia/Dubai Mon-Fri 10:00-10:00", "must be periods in order"),
        ("Asia/Dubai Mon-Fri 10:00-12:00,11:00-15:00", "must be periods in order"),
        ("Asia/Dubai Mon-Fri 10:00-12:00,12:00-15:00", "must be periods in order"),
        ("Asia/Dubai Mon-Fri 08:00-09:00,10:00-11:00,12:00-13:00", "nor two of them"),
        ("Asia/Dubai Mon-Fri 10:00-15:00 closed 2026-02-30", "'2026-02-30' is no date such as 2026-01-01"),
        ("Asia/Dubai Mon-Fri 10:00-15:00 closed 20260101", "'20260101' is no date"),
        ("Asia/Dubai Mon-Fri 10:00-15:00 closed", "needs a time zone, weekdays and hours"),
        ("Asia/Dubai 10:00-15:00", "needs a time zone, weekdays and hours"),
        ("Asia/Dubai Mon-Fri", f"has no hours for 'Asia/Dubai Mon-Fri'; hours may be declared: {EXAMPLE}"),
    ],
)
def test_a_wrong_part_is_named(text: str, message: str):
    with pytest.raises(UnknownExchange) as refused:
        named_calendar(text)
    assert message in str(refused.value)


def test_an_unknown_exchange_says_that_hours_may_be_declared():
    with pytest.raises(UnknownExchange, match=EXAMPLE):
        calendar_for(Instrument("FAB", exchange="XADS"))


def test_an_instrument_of_an_unknown_exchange_has_its_declared_hours():
    bank = Instrument("FAB", exchange="XADS", calendar=ABU_DHABI)
    assert calendar_for(bank) == TradingCalendar(ABU_DHABI)
    # 22:00 UTC is already the next local date; a holiday belongs to the next trading date.
    instants = np.array([ns("2026-01-02T06:00"), ns("2026-01-04T22:00"), ns("2025-12-31T21:00")])
    assert trading_dates(instants, bank).tolist() == [day("2026-01-02"), day("2026-01-05"), day("2026-01-02")]


def test_special_sessions_have_the_usual_hours_or_their_own():
    given = SpecialSession(
        dt.date(2026, 1, 4),
        dt.datetime(2026, 1, 4, 8, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 4, 9, tzinfo=dt.UTC),
    )
    calendar = TradingCalendar(ABU_DHABI, (SpecialSession(dt.date(2026, 1, 3)), given))
    dates = calendar.on_dates(day("2026-01-01"), day("2026-01-05"))
    assert dates.open_ns.tolist() == [ns(f"2026-01-{at}:00") for at in ("02T06", "03T06", "04T08", "05T06")]
    assert dates.close_ns.tolist() == [ns(f"2026-01-{at}:00") for at in ("02T11", "03T11", "04T09", "05T11")]
    assert dates.special.tolist() == [False, True, True, False]


def test_keys_of_different_hours_differ():
    texts = (
        "UTC Mon-Fri 10:00-15:00",
        "UTC Mon,Fri 10:00-15:00",
        "UTC Mon-Fri 10:00-15:00 closed 2026-01-01",
    )
    keys = {TradingCalendar(text).key for text in texts}
    assert len(keys) == 3
    assert all(len(key) < 60 for key in keys)
