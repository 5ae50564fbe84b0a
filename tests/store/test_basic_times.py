"""ISO 8601's basic format, and leap seconds, wherever a time is read."""

from datetime import UTC, datetime

import pytest

from store.instant_text import parse_instant
from store.timestamps import InvalidTimestamp, parse_timestamp, parse_timestamps

SAME = [
    ("20240102T093100Z", "2024-01-02T09:31:00Z"),
    ("20240102T0931Z", "2024-01-02T09:31:00Z"),
    ("20240102T09", "2024-01-02T09:00:00Z"),
    ("20240102", "2024-01-02"),
    ("20240102t093100.000000001z", "2024-01-02T09:31:00.000000001Z"),
    ("20240102T093100.5+0530", "2024-01-02T09:31:00.5+05:30"),
    ("20240102T093100-05", "2024-01-02T09:31:00-05:00"),
]


@pytest.mark.parametrize(("basic", "usual"), SAME)
def test_the_basic_format_is_the_same_instant(basic: str, usual: str):
    assert parse_timestamp(basic) == parse_timestamp(usual)
    assert parse_timestamps([usual, basic]).tolist() == parse_timestamps([usual, usual]).tolist()
    if len(usual) < len("2024-01-02T09:31:00.000000001Z"):
        assert parse_instant(basic) == parse_instant(usual)


def test_an_instant_is_that_of_the_calendar():
    assert parse_instant("20240102T093100Z") == datetime(2024, 1, 2, 9, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2024010", "20240132", "20241301T000000Z", "20240102T2500Z", "20240102T093100Z1", "20240102 093100"],
)
def test_what_is_no_time_stays_refused(text: str):
    with pytest.raises(InvalidTimestamp):
        parse_timestamp(text)
    with pytest.raises(InvalidTimestamp):
        parse_timestamps([text])
    with pytest.raises(ValueError, match="time"):
        parse_instant(text)


@pytest.mark.parametrize("text", ["2016-12-31T23:59:60Z", "20161231T235960Z", "2017-01-01T05:29:60+05:30"])
def test_a_leap_second_is_said_to_be_refused(text: str):
    for parse in (parse_timestamp, parse_instant):
        with pytest.raises(ValueError, match="a leap second is refused"):
            parse(text)
