"""Lengths of time as texts."""

from math import ceil

import pytest

from web.durations import duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.43, "0.4 s"),
        (9.96, "10 s"),
        (12.3, "12 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_200, "2 h"),
        (172_800, "2 days"),
        (43_939_605.2, "509 days"),
    ],
)
def test_people_read_a_length_of_time(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.41, "0.5 s"), (60.3, "61 s"), (149, "3 min"), (7_201, "3 h")]
)
def test_a_length_of_time_that_is_long_enough(seconds: float, text: str) -> None:
    assert duration_text(seconds, ceil) == text
