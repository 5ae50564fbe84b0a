"""Our corrections of the library's hours: what they say, that each is still needed, and until when holidays are known."""

import csv
import datetime as dt
import subprocess
import sys
from unittest import mock

import numpy as np
import pandas as pd
import pandas_market_calendars
import pytest

from calendars import corrections, library
from calendars.trading_calendar import TradingCalendar, exchange_calendar
from tests.calendars.published import day, ns
from tests.chance import SOAK

# The library itself calls what pandas will remove, and warns of Seoul's former break.
pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("calendars"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.* are discontinued:UserWarning"),
]
with corrections.TABLE.open(encoding="utf-8", newline="") as _lines:
    ROWS = [(name, row) for row in csv.DictReader(_lines) for name in row["calendars"].split(";")]


def own(name: str) -> pandas_market_calendars.MarketCalendar:
    """The library's calendar with its own name."""
    names = pandas_market_calendars.get_calendar_names()
    return next(
        found
        for found in map(pandas_market_calendars.get_calendar, [name, *names] if name in names else names)
        if found.name == name
    )


def test_every_correction_has_a_source_and_is_written_once():
    assert all(row["source"].startswith("https://") for _, row in ROWS)
    assert len({(name, row["date"]) for name, row in ROWS}) == len(ROWS)
    dates = [row["date"] for _, row in ROWS]
    assert dates == sorted(dates)


def is_wrong(frame: pd.DataFrame, correction: corrections.HoursCorrection, zone: dt.tzinfo) -> bool:
    """Whether a schedule of the library has other hours on a correction's date."""
    local = frame[frame.index == str(correction.date)]
    if correction.is_closed or local.empty:
        return bool(correction.is_closed != local.empty)
    opens, closes = (
        local.iloc[0][column].tz_convert(zone).time() for column in ("market_open", "market_close")
    )
    return bool(correction.open not in {None, opens} or correction.close not in {None, closes})


@pytest.mark.parametrize("name", sorted({name for name, _ in ROWS}))
def test_the_library_is_still_wrong(name: str):
    """A correction that an update of the library makes needless is deleted.

    Of two early closes on one date the library takes one that depends on the range that it is asked for.
    """
    library.load()
    calendar = own(name)
    for correction in corrections.corrections_of(name):
        date, first = correction.date, dt.date(correction.date.year // 10 * 10 - 1, 1, 1)
        ranges = ((date, date), (first, dt.date(first.year + 11, 12, 31)))
        assert any(is_wrong(calendar.schedule(*each), correction, calendar.tz) for each in ranges), correction


@pytest.mark.parametrize("name", sorted(corrections._LAST_KNOWN_YEARS))
def test_lists_of_holidays_are_named_as_the_library_names_them(name: str):
    assert library.own_name(name) == name


HOURS = {
    # Exchange, trading date, open and close in UTC; None if it is closed.
    "stocks, 3 July": ("XNYS", "2024-07-03", ("2024-07-03T13:30", "2024-07-03T17:00")),
    "stocks, the day after Thanksgiving": ("XNAS", "2024-11-29", ("2024-11-29T14:30", "2024-11-29T18:00")),
    "stocks, mourning": ("XNAS", "2025-01-09", None),
    "equity futures, mourning": ("XCME", "2025-01-09", ("2025-01-08T23:00", "2025-01-09T14:30")),
    "equity futures, mourning in 2018": ("XCME", "2018-12-05", ("2018-12-04T23:00", "2018-12-05T14:30")),
    "grains, mourning": ("XCBT", "2025-01-09", ("2025-01-09T01:00", "2025-01-09T18:15")),
    "energy, mourning": ("XNYM", "2025-01-09", ("2025-01-08T23:00", "2025-01-09T22:00")),
    "metals, mourning": ("XCEC", "2025-01-09", ("2025-01-08T23:00", "2025-01-09T22:00")),
    "equity futures, 3 July": ("XCME", "2024-07-03", ("2024-07-02T22:00", "2024-07-03T17:15")),
    "equity futures, Good Friday": ("XCME", "2025-04-18", None),
    "equity futures, Good Friday with an employment report": (
        "XCME", "2026-04-03", ("2026-04-02T22:00", "2026-04-03T13:15")),
    "energy, Labor Day": ("XNYM", "2025-09-01", ("2025-08-31T22:00", "2025-09-01T18:30")),
    "energy, Independence Day on a Friday": ("XNYM", "2025-07-04", ("2025-07-03T22:00", "2025-07-04T17:00")),
    "metals, Christmas Eve": ("XCEC", "2024-12-24", ("2024-12-23T23:00", "2024-12-24T18:45")),
    "grains, the day after Thanksgiving": ("XCBT", "2024-11-29", ("2024-11-29T14:30", "2024-11-29T18:05")),
    "volatility futures, Christmas Eve": ("XCBF", "2024-12-24", ("2024-12-24T14:30", "2024-12-24T18:15")),
    "London, Christmas Eve": ("XLON", "2024-12-24", ("2024-12-24T08:00", "2024-12-24T12:30")),
    "Hong Kong, typhoon": ("XHKG", "2024-09-06", None),
    # News of each date: etoday.co.kr/news/view/1263429, speconomy.com (ncode=1065579446931207),
    # newspim.com/news/view/20220103000022, kuk.kode.co.kr/article/view/kuk202601020012.
    "Seoul, first session of 2016": ("XKRX", "2016-01-04", ("2016-01-04T01:00", "2016-01-04T06:00")),
    "Seoul, first session of 2020": ("XKRX", "2020-01-02", ("2020-01-02T01:00", "2020-01-02T06:30")),
    "Seoul, first session of 2022": ("XKRX", "2022-01-03", ("2022-01-03T01:00", "2022-01-03T06:30")),
    "Seoul, second session of 2022": ("XKRX", "2022-01-04", ("2022-01-04T00:00", "2022-01-04T06:30")),
    "Seoul, first session of 2026": ("XKRX", "2026-01-02", ("2026-01-02T01:00", "2026-01-02T06:30")),
    "Seoul, last session of 2025": ("XKRX", "2025-12-30", ("2025-12-30T00:00", "2025-12-30T06:30")),
    "Seoul, entrance exam of 2008": ("XKRX", "2008-11-13", ("2008-11-13T01:00", "2008-11-13T07:00")),
    "Seoul, entrance exam": ("XKRX", "2024-11-14", ("2024-11-14T01:00", "2024-11-14T07:30")),
    "Seoul, local elections": ("XKRX", "2026-06-03", None),
    "Mumbai, a Saturday instead of a Monday": ("XNSE", "2024-01-20", ("2024-01-20T03:45", "2024-01-20T10:00")),
    "Mumbai, the Monday": ("XNSE", "2024-01-22", None),
    "Mumbai, another Saturday": ("XNSE", "2024-01-27", None),
    "Mumbai, test of the recovery site": ("XBOM", "2024-03-02", ("2024-03-02T03:45", "2024-03-02T07:00")),
    "Mumbai, second test of the recovery site": ("XNSE", "2024-05-18", ("2024-05-18T03:45", "2024-05-18T07:00")),
    "Mumbai, budget of 2015": ("XNSE", "2015-02-28", ("2015-02-28T03:45", "2015-02-28T10:00")),
    "Mumbai, budget of 2020": ("XBOM", "2020-02-01", ("2020-02-01T03:45", "2020-02-01T10:00")),
    "Mumbai, budget of 2025": ("XNSE", "2025-02-01", ("2025-02-01T03:45", "2025-02-01T10:00")),
    "Mumbai, budget of 2026, a Sunday": ("XBOM", "2026-02-01", ("2026-02-01T03:45", "2026-02-01T10:00")),
    "Mumbai, Muhurat of 2018": ("XBOM", "2018-11-07", ("2018-11-07T12:00", "2018-11-07T13:00")),
    "Mumbai, Muhurat of 2019": ("XNSE", "2019-10-27", ("2019-10-27T12:45", "2019-10-27T13:45")),
    "Mumbai, Muhurat of 2020": ("XNSE", "2020-11-14", ("2020-11-14T12:45", "2020-11-14T13:45")),
    "Mumbai, Muhurat of 2021": ("XBOM", "2021-11-04", ("2021-11-04T12:45", "2021-11-04T13:45")),
    "Mumbai, Muhurat of 2022": ("XBOM", "2022-10-24", ("2022-10-24T12:45", "2022-10-24T13:45")),
    "Mumbai, Muhurat of 2023": ("XNSE", "2023-11-12", ("2023-11-12T12:45", "2023-11-12T13:45")),
    "Mumbai, Muhurat of 2024": ("XNSE", "2024-11-01", ("2024-11-01T12:30", "2024-11-01T13:30")),
    "Mumbai, Muhurat of 2024 at the BSE": ("XBOM", "2024-11-01", ("2024-11-01T12:30", "2024-11-01T13:30")),
    "Mumbai, Muhurat of 2025": ("XBOM", "2025-10-21", ("2025-10-21T08:15", "2025-10-21T09:15")),
    "Taipei, typhoon": ("XTAI", "2024-10-31", None),
    "Buenos Aires, the last day with the old opening": (
        "XBUE", "2025-07-25", ("2025-07-25T14:00", "2025-07-25T20:00")),
    "Buenos Aires, the first day with the new opening": (
        "XBUE", "2025-07-28", ("2025-07-28T13:30", "2025-07-28T20:00")),
    "Buenos Aires, later": ("XBUE", "2026-11-27", ("2026-11-27T13:30", "2026-11-27T20:00")),
    "Tel Aviv, a Sunday of 2024": ("XTAE", "2024-01-07", ("2024-01-07T07:59", "2024-01-07T13:40")),
    "Tel Aviv, Easter Monday of 2024": ("XTAE", "2024-04-01", ("2024-04-01T06:59", "2024-04-01T14:15")),
    "Tel Aviv, Passover of 2024, an interim day": ("XTAE", "2024-04-24", ("2024-04-24T06:59", "2024-04-24T11:15")),
    "Tel Aviv, Sukkot of 2024, a Sunday": ("XTAE", "2024-10-20", ("2024-10-20T06:59", "2024-10-20T11:15")),
    "Tel Aviv, Sukkot of 2025, a Sunday": ("XTAE", "2025-10-12", ("2025-10-12T06:59", "2025-10-12T11:15")),
    "Tel Aviv, Sukkot of 2026": ("XTAE", "2026-09-30", ("2026-09-30T06:59", "2026-09-30T11:15")),
    "Tel Aviv, Passover of 2026, a Friday": ("XTAE", "2026-04-03", ("2026-04-03T06:59", "2026-04-03T10:50")),
}  # fmt: skip
# https://www.tase.co.il/en/content/knowledge_center/trading_vacation_schedule, and the lists of 2024 and 2025. Until 2025
# the exchange traded from Sunday to Thursday, since 5 January 2026 from Monday to Friday.
TEL_AVIV_CLOSED = {
    2024: "03-24 04-22 04-23 04-28 04-29 05-13 05-14 06-11 06-12 08-13 10-02 10-03 10-16 10-17 10-23 10-24",
    2025: "04-13 04-30 05-01 06-01 06-02 08-03 09-22 09-23 09-24 10-01 10-02 10-06 10-07 10-13 10-14",
    2026: "01-02 03-03 04-01 04-02 04-07 04-08 04-21 04-22 05-21 05-22 07-23 09-11 09-18 09-21 09-25 10-02 10-27",
}


@pytest.mark.parametrize(("exchange", "date", "hours"), HOURS.values(), ids=HOURS)
def test_hours_are_those_that_the_exchange_published(exchange, date, hours):
    found = exchange_calendar(exchange).on_dates(day(date), day(date))
    expected = [] if hours is None else [tuple(map(ns, hours))]
    assert list(zip(found.open_ns.tolist(), found.close_ns.tolist(), strict=True)) == expected


@pytest.mark.parametrize("year", TEL_AVIV_CLOSED)
def test_tel_aviv_is_closed_on_the_holidays_that_it_published(year: int):
    days = np.arange(day(f"{year}-01-01"), day(f"{year + 1}-01-01"))
    weekdays = (days + 3) % 7
    traded = np.isin(weekdays, [6, 0, 1, 2, 3] if year < 2026 else [0, 1, 2, 3, 4])
    dates = exchange_calendar("XTAE").on_dates(int(days[0]), int(days[-1])).date
    assert not np.isin(days[~traded], dates).any()
    closed = days[traded & ~np.isin(days, dates)]
    assert " ".join(str(np.datetime64(each, "D"))[5:] for each in closed.tolist()) == TEL_AVIV_CLOSED[year]


def test_the_library_still_takes_jewish_holidays_for_easter():
    """The mend is deleted once this fails."""
    code = "import pandas, exchange_calendars.tase_holidays as h; print(pandas.Timestamp(2024, 1, 1) + h._Purim())"
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert told.stdout == "2024-03-31 00:00:00\n"


@pytest.mark.parametrize("exchange", ["XNSE", "XBOM"])
@pytest.mark.parametrize("date", ["2024-03-02", "2024-05-18"])
def test_a_session_in_two_parts_has_a_break(exchange: str, date: str):
    found = exchange_calendar(exchange).on_dates(day(date) - 1, day(date) + 2)
    index = found.date.tolist().index(day(date))
    assert found.break_start_ns[index] == ns(f"{date}T04:30")
    assert found.break_end_ns[index] == ns(f"{date}T06:00")
    assert (found.break_start_ns < found.break_end_ns).sum() == 1
    assert found.early.tolist() == [each == day(date) for each in found.date.tolist()]


def test_a_corrected_close_is_an_early_close():
    dates = exchange_calendar("XCME").on_dates(day("2025-01-08"), day("2025-01-10"))
    assert dates.early.tolist() == [False, True, False]


def test_the_first_session_of_each_year_opens_late_in_seoul_alone():
    """Also where a decade begins, and in years to come."""
    for exchange, late in (("XKRX", 1), ("XTKS", 0)):
        dates = exchange_calendar(exchange).on_dates(day("2001-01-01"), day("2049-12-31"))
        years = dates.date.view("M8[D]").astype("M8[Y]")
        _, first = np.unique(years, return_index=True)
        local = [
            (pd.Timestamp(each, tz="UTC").tz_convert(exchange_calendar(exchange).zone)).hour
            for each in dates.open_ns[first].tolist()
        ]
        assert local == [9 + late] * 49
        assert not dates.early[first].any()


def test_all_aliases_of_a_calendar_are_corrected():
    dates = TradingCalendar("CMEGlobex_GC").on_dates(day("2025-07-04"), day("2025-07-04"))
    assert dates.close_ns.tolist() == [ns("2025-07-04T17:00")]


def test_keys_change_with_the_corrections():
    key = exchange_calendar("XNYS").key
    assert corrections.digest() in key
    library.versions.cache_clear()
    with mock.patch.object(corrections, "digest", return_value="another"):
        assert exchange_calendar("XNYS").key != key
    library.versions.cache_clear()


@pytest.mark.parametrize(
    ("exchange", "first_unknown"), [("XSHG", "2027-01-01"), ("XBOM", "2027-01-01"), ("XKAR", "2026-01-01")]
)
def test_holidays_are_known_as_far_as_their_list_goes(exchange: str, first_unknown: str):
    assert exchange_calendar(exchange).known_until_day == day(first_unknown)


def test_holidays_by_rule_are_always_known():
    assert exchange_calendar("XNYS").known_until_day > day("2209-12-31")


@pytest.mark.skipif(not SOAK, reason="the calendars of all these lists take some seconds")
def test_a_list_that_ends_ends_where_it_is_said_to():
    """After the last known year, a calendar has fewer holidays than before."""
    for name, year in corrections._LAST_KNOWN_YEARS.items():
        weekdays = [
            np.array(pd.bdate_range(f"{each}-01-01", f"{each}-12-31"), "M8[D]").astype(np.int64)
            for each in (year, year + 1)
        ]
        calendar = TradingCalendar({"BSE": "XBOM", "NSE": "XNSE"}.get(name, name))
        first, last = (
            (dt.date(each, month, at) - dt.date(1970, 1, 1)).days
            for each, month, at in ((year, 1, 1), (year + 1, 12, 31))
        )
        dates = calendar.on_dates(first, last).date
        closed = [int((~np.isin(each, dates)).sum()) for each in weekdays]
        assert closed[1] < closed[0], (name, closed)
