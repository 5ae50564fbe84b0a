"""Durations as text."""

from datetime import timedelta

import pytest

from ratelimit.management.commands.apikey import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("3600", 3600), ("90s", 90), ("5m", 300), ("12h", 43_200), ("7d", 604_800)],
)
def test_a_duration_is_seconds_or_has_a_unit(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "-1", "1w", "1.5h", "d", "1 d", "1" * 10])
def test_a_malformed_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
