"""Spans of any range: disjoint, ascending, and nested by resolution and hours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calendars.schedule import Hours, SessionMode
from calendars.trading_calendar import TradingCalendar, exchange_calendar, named_calendar, trading_date_of
from store.bars.spans import Spans
from store.log_views.session_spans import (
    aligned_window,
    expected_intervals,
    intraday_spans,
    open_windows,
    period_spans,
)
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS
from tests.calendars.published import ns

pytestmark = pytest.mark.system

MINUTE_NS = 60 * SECOND_NS
PERIODS = tuple(map(Resolution.parse, ("1d", "3d", "1w", "2w", "52w", "1M", "3M", "12M")))
NAMES = ("NYSE", "CME Globex Equity", "CBOT_Agriculture", "XTKS", "XTAE", "XBOM", "24/7", "CME Globex Crypto")
CALENDARS = tuple(named_calendar(name) for name in NAMES)

# The first use of a calendar's decade asks the library, which takes its time.
seeded = settings(deadline=None, derandomize=True)

calendars = st.sampled_from(CALENDARS)
maybe_calendars = st.sampled_from((None, *CALENDARS))
periods = st.sampled_from(PERIODS)
resolutions = st.sampled_from(
    (*PERIODS, *map(Resolution.parse, ("tick", "1s", "45s", "1m", "7m", "1h", "5h", "12h")))
)
some_hours = st.sampled_from(Hours)
modes = st.sampled_from(SessionMode)
instants = st.integers(ns("1995-01-01"), ns("2035-01-01"))


@st.composite
def windows(draw, *, longest_ns: int = 100 * DAY_NS) -> Window:
    start = draw(instants)
    return Window(start, start + draw(st.integers(1, longest_ns)))


def measure(spans: Spans) -> int:
    return int((spans.end_ns - spans.start_ns).sum())


def is_within(instant: int, spans: Spans) -> int:
    """How many of the spans an instant lies in."""
    return int(((spans.start_ns <= instant) & (instant < spans.end_ns)).sum())


def stand_in_order(spans: Spans) -> bool:
    return bool(
        (spans.start_ns < spans.end_ns).all()
        and (spans.end_ns[:-1] <= spans.start_ns[1:]).all()
        and (np.diff(spans.label_ns) >= 0).all()
    )


@seeded
@given(periods, windows(), maybe_calendars, modes, st.data())
def test_periods_of_all_hours_cover_all_time(resolution, window, calendar, mode, data):
    found = period_spans(resolution, window, calendar=calendar, hours=Hours.ALL, mode=mode)
    spans = found.spans
    assert (spans.start_ns[1:] == spans.end_ns[:-1]).all()
    assert spans.start_ns[0] <= window.start_ns
    assert window.end_ns <= spans.end_ns[-1]
    assert is_within(data.draw(st.integers(window.start_ns, window.end_ns - 1)), spans) == 1


@seeded
@given(windows(), calendars, st.data())
def test_an_instant_lies_in_the_period_of_its_trading_date(window, calendar, data):
    instant = data.draw(st.integers(window.start_ns, window.end_ns - 1))
    found = period_spans(Resolution.DAY, window, calendar=calendar, hours=Hours.ALL)
    place = int(np.searchsorted(found.spans.end_ns, instant, side="right"))
    assert trading_date_of(np.array([instant]), calendar).tolist() == [found.dates[place]]
    assert calendar.start_of_date(int(found.dates[place])) == found.spans.start_ns[place]


@seeded
@given(periods, windows(), maybe_calendars, some_hours, modes)
def test_spans_are_disjoint_and_ascending_and_labels_are_distinct(resolution, window, calendar, hours, mode):
    found = period_spans(resolution, window, calendar=calendar, hours=hours, mode=mode)
    assert stand_in_order(found.spans)
    assert (np.diff(found.labels) > 0).all()
    assert (np.diff(found.dates) > 0).all()
    assert np.unique(found.spans.label_ns).tolist() == found.labels.tolist()
    last_of_label = np.searchsorted(found.spans.label_ns, found.labels, side="right") - 1
    assert found.ends_ns.tolist() == found.spans.end_ns[last_of_label].tolist()


@seeded
@given(periods, windows(), calendars, modes)
def test_regular_hours_lie_within_extended_hours_and_those_within_all_hours(
    resolution, window, calendar, mode
):
    regular, extended, everything = (
        period_spans(resolution, window, calendar=calendar, hours=hours, mode=mode)
        for hours in (Hours.REGULAR, Hours.EXTENDED, Hours.ALL)
    )
    assert set(regular.dates) == set(extended.dates) <= set(everything.dates)
    assert measure(regular.spans) <= measure(extended.spans) <= measure(everything.spans)
    for inner, outer in ((regular, extended), (extended, everything)):
        places = np.searchsorted(outer.spans.start_ns, inner.spans.start_ns, side="right") - 1
        assert (inner.spans.end_ns <= outer.spans.end_ns[places]).all()
        inner_date = inner.dates[np.searchsorted(inner.labels, inner.spans.label_ns)]
        outer_date = outer.dates[np.searchsorted(outer.labels, outer.spans.label_ns[places])]
        assert (inner_date == outer_date).all()


@seeded
@given(resolutions, windows(), maybe_calendars)
def test_an_aligned_window_covers_the_range_and_is_aligned_already(resolution, window, calendar):
    whole = aligned_window(resolution, window.start_ns, window.end_ns, calendar=calendar)
    assert whole.start_ns <= window.start_ns
    assert window.end_ns <= whole.end_ns
    assert aligned_window(resolution, whole.start_ns, whole.end_ns, calendar=calendar) == whole


@seeded
@given(periods, windows(), maybe_calendars)
def test_an_aligned_window_consists_of_its_periods(resolution, window, calendar):
    whole = aligned_window(resolution, window.start_ns, window.end_ns, calendar=calendar)
    spans = period_spans(resolution, whole, calendar=calendar, hours=Hours.ALL).spans
    assert (spans.start_ns[0], spans.end_ns[-1]) == (whole.start_ns, whole.end_ns)


@seeded
@given(
    st.sampled_from([Resolution.parse(each) for each in ("30m", "45s", "7m", "1h", "12h")]),
    windows(longest_ns=9 * DAY_NS),
    calendars,
    st.sampled_from((Hours.REGULAR, Hours.EXTENDED)),
)
def test_intervals_are_cut_to_the_sessions_of_days(resolution, window, calendar, hours):
    length = resolution.length_ns
    whole = Window(window.start_ns // length * length, -(-window.end_ns // length) * length)
    spans = intraday_spans(resolution, whole, calendar=calendar, hours=hours)
    assert stand_in_order(spans)
    assert (spans.label_ns % length == 0).all()
    assert (spans.label_ns <= spans.start_ns).all()
    assert (spans.end_ns <= spans.label_ns + length).all()
    days = period_spans(Resolution.DAY, whole, calendar=calendar, hours=hours).spans
    starts = np.maximum(days.start_ns, whole.start_ns)
    ends = np.minimum(days.end_ns, whole.end_ns)
    assert measure(spans) == int(np.maximum(ends - starts, 0).sum())


def closed_spans(window: Window, calendar: TradingCalendar | None, hours: Hours) -> Spans:
    """The parts of a window in which nothing trades: nights, breaks, weekends, holidays, each as long as it lasts.

    Labels are their starts. Without a calendar there are none.
    """
    if calendar is None:
        none = np.empty(0, dtype=np.int64)
        return Spans(none, none, none)
    opens, closes = open_windows(window, calendar=calendar, hours=hours)
    starts = np.append(np.int64(window.start_ns), closes)
    ends = np.append(opens, np.int64(window.end_ns))
    lasts = starts < ends
    return Spans(starts[lasts], ends[lasts], starts[lasts])


@seeded
@given(windows(longest_ns=9 * DAY_NS), calendars, some_hours)
def test_an_interval_is_expected_or_closed(window, calendar, hours):
    whole = Window(window.start_ns // MINUTE_NS * MINUTE_NS, -(-window.end_ns // MINUTE_NS) * MINUTE_NS)
    expected = expected_intervals(Resolution.MINUTE, whole, calendar, hours)
    closed = closed_spans(whole, calendar, hours)
    assert stand_in_order(closed)
    assert (closed.end_ns[:-1] < closed.start_ns[1:]).all(), "touching closures are one"
    assert len(expected) * MINUTE_NS + measure(closed) == whole.end_ns - whole.start_ns
    assert not any(is_within(int(start), closed) for start in expected[:: max(1, len(expected) // 20)])


def test_an_interval_around_a_break_has_two_windows():
    window = Window(ns("2024-12-02T02:00"), ns("2024-12-02T04:00"))
    spans = intraday_spans(
        Resolution.parse("2h"), window, calendar=exchange_calendar("XTKS"), hours=Hours.REGULAR
    )
    assert spans.label_ns.tolist() == [ns("2024-12-02T02:00")] * 2
    assert spans.start_ns.tolist() == [ns("2024-12-02T02:00"), ns("2024-12-02T03:30")]
    assert spans.end_ns.tolist() == [ns("2024-12-02T02:30"), ns("2024-12-02T04:00")]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_and_the_last_instant_that_can_be_stored_have_periods(name):
    calendar = TradingCalendar(name)
    for instant in (ns("1900-01-01"), ns("2201-01-01") - 1):
        for resolution in PERIODS:
            window = aligned_window(resolution, instant, instant + 1, calendar=calendar)
            assert window.start_ns <= instant < window.end_ns
