"""The windows in which stored rows of the same dates are looked for."""

import numpy as np
import pytest

from store.timestamps import DAY_NS
from trades.dated_rows import dates_windows

BEFORE, AFTER, MOST = 14, 33, 62


@pytest.mark.parametrize(
    "days",
    [
        pytest.param([20_000], id="one date"),
        pytest.param([20_000, 20_000, 20_001], id="dates that are beside each other"),
        pytest.param([4_000, 20_000], id="dates far apart"),
        pytest.param([*range(19_000, 19_366)], id="a year"),
        pytest.param([0, 47, 95, 200, -20_000], id="gaps, in no order"),
    ],
)
def test_windows_cover_the_days_around_each_date_once_and_are_short(days: list[int]) -> None:
    windows = list(dates_windows(np.array(days) * DAY_NS))
    covered = [day for each in windows for day in range(each.start_ns // DAY_NS, each.end_ns // DAY_NS)]
    around = {day for date in days for day in range(date - BEFORE, date + AFTER)}
    assert covered == sorted(around)
    assert all(each.end_ns - each.start_ns <= MOST * DAY_NS for each in windows)
