"""The grid of the in-process reader against the one that HTTP cuts bars by in UTC."""

from dataclasses import fields

import numpy as np
import pytest

from calendars.schedule import Hours, SessionMode
from store.bars.spans import PeriodSpans, Spans
from store.instruments import Instrument
from store.log_views.bar_grid import BarGrid
from store.log_views.grids import plain_grid
from store.protocol import Window
from store.resolutions import Resolution
from tests.store.builders import DAY, MINUTE, NOON

FIXED = [each for each in Resolution if not each.is_tick and each.length_ns <= DAY]
TIMES = np.array([NOON - 1, NOON, NOON + 1, NOON + 7 * MINUTE, NOON + DAY, -1, 0])


@pytest.mark.parametrize("resolution", FIXED, ids=lambda each: each.value)
def test_plain_grid_equals_bar_grid(resolution: Resolution):
    grid = plain_grid(resolution.length_ns, Instrument("ACME"))
    other = BarGrid(resolution, None, SessionMode.UTC, Hours.ALL)
    assert grid.resolution is resolution
    assert (grid.is_plain, grid.is_of_regular_sessions) == (other.is_plain, other.is_of_regular_sessions)
    window = grid.aligned(NOON - 1, NOON + DAY)
    assert window == other.aligned(NOON - 1, NOON + DAY)
    assert grid.labels_of(TIMES, window).tolist() == other.labels_of(TIMES, window).tolist()
    assert grid.trading_dates(TIMES).tolist() == other.trading_dates(TIMES).tolist()
    assert grid.dates_of_rows(TIMES).tolist() == other.dates_of_rows(TIMES).tolist()


def test_daily_periods_equal_bar_grid():
    window = Window(NOON // DAY * DAY, NOON // DAY * DAY + 3 * DAY)
    days = plain_grid(DAY, Instrument("ACME")).periods(window)
    others = BarGrid(Resolution.DAY, None, SessionMode.UTC, Hours.ALL).periods(window)
    assert columns(days) == columns(others)


@pytest.mark.parametrize(("days", "is_period"), [(2, True), (7, True), (31, True), (1.5, False)])
def test_length_without_resolution_is_a_period_if_whole_days(days: float, is_period: bool):
    length = plain_grid(int(days * DAY), Instrument("ACME")).resolution
    assert (length.length_ns, length.is_period) == (days * DAY, is_period)
    assert not isinstance(length, Resolution)


def columns(periods: PeriodSpans) -> list[list[int]]:
    spans = [getattr(periods.spans, column.name).tolist() for column in fields(Spans)]
    return [*spans, periods.labels.tolist(), periods.dates.tolist(), periods.ends_ns.tolist()]
