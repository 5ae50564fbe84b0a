"""Weeks across a change of clocks, early closes and holidays, against the exchanges' published hours."""

import numpy as np
import pytest

from calendars.schedule import Hours
from calendars.trading_calendar import exchange_calendar
from store.bars.spans import PeriodSpans
from store.log_views.session_spans import aligned_window, period_spans
from store.protocol import Window
from store.resolutions import Resolution
from tests.calendars.published import WEEKS, ns


def told(spans: PeriodSpans) -> list[tuple[str, str, str, str]]:
    """Date, start, end and label of each span, as texts."""
    dates = spans.dates[np.searchsorted(spans.labels, spans.spans.label_ns)]
    columns = (spans.spans.start_ns, spans.spans.end_ns, spans.spans.label_ns)
    texts = [np.datetime_as_string(column.view("M8[ns]"), unit="m") for column in columns]
    return list(
        zip(np.datetime_as_string(dates.view("M8[D]")).tolist(), *(t.tolist() for t in texts), strict=True)
    )


@pytest.mark.parametrize("week", WEEKS, ids=str)
def test_a_range_within_a_date_is_aligned_to_the_date(week):
    calendar = exchange_calendar(week.exchange)
    for published in week.dates:
        touched = aligned_window(
            Resolution.DAY, ns(published.closes), ns(published.closes) + 1, calendar=calendar
        )
        assert touched == Window(ns(published.start), ns(published.end))


def test_a_week_and_a_month_are_labelled_by_their_first_trading_date_and_dated_by_their_first_day():
    calendar = exchange_calendar("XNYS")
    window = Window(ns("2024-12-31T12:00"), ns("2025-01-02T12:00"))
    weeks = period_spans(Resolution.WEEK, window, calendar=calendar, hours=Hours.ALL)
    assert told(weeks) == [("2024-12-30", "2024-12-28T05:00", "2025-01-04T05:00", "2024-12-30T05:00")]
    months = period_spans(Resolution.MONTH, window, calendar=calendar, hours=Hours.ALL)
    assert told(months) == [
        ("2024-12-01", "2024-11-30T05:00", "2025-01-01T05:00", "2024-12-02T05:00"),
        ("2025-01-01", "2025-01-01T05:00", "2025-02-01T05:00", "2025-01-02T05:00"),
    ]


def test_a_futures_week_begins_on_sunday_evening():
    window = Window(ns("2024-03-11T12:00"), ns("2024-03-11T12:01"))
    calendar = exchange_calendar("XCME")
    week = period_spans(Resolution.WEEK, window, calendar=calendar, hours=Hours.ALL)
    assert told(week) == [("2024-03-11", "2024-03-08T23:00", "2024-03-15T22:00", "2024-03-10T22:00")]


def test_a_regular_week_is_its_sessions_and_ends_with_the_last():
    window = Window(ns("2024-11-27T12:00"), ns("2024-11-27T12:01"))
    week = period_spans(Resolution.WEEK, window, calendar=exchange_calendar("XNYS"), hours=Hours.REGULAR)
    assert [row[1:3] for row in told(week)] == [
        ("2024-11-25T14:30", "2024-11-25T21:00"),
        ("2024-11-26T14:30", "2024-11-26T21:00"),
        ("2024-11-27T14:30", "2024-11-27T21:00"),
        ("2024-11-29T14:30", "2024-11-29T18:00"),
    ]
    assert week.labels.tolist() == [ns("2024-11-25T14:30")]
    assert week.ends_ns.tolist() == [ns("2024-11-29T18:00")]
