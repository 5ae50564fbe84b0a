"""Times and spans as text, as tables."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ratelimit.instants import instant, span
from trades.timestamps import parse_timestamp

TIMES = [
    ("2030-01-02", datetime(2030, 1, 2, tzinfo=UTC)),
    ("2030-01-02T03:04", datetime(2030, 1, 2, 3, 4, tzinfo=UTC)),
    ("2030-01-02T03:04:05Z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ("2030-01-02 03:04:05.123456789+02:00", datetime(2030, 1, 2, 1, 4, 5, 123456, tzinfo=UTC)),
    ("2030-01-02T03+02", datetime(2030, 1, 2, 1, tzinfo=UTC)),
    ("2030-01-02t03:04:05z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ("1900-01-01", datetime(1900, 1, 1, tzinfo=UTC)),
    ("2200-06-01", datetime(2200, 6, 1, tzinfo=UTC)),
    ("2030-01-02T03:04:05-0130", datetime(2030, 1, 2, 4, 34, 5, tzinfo=UTC)),
]


@pytest.mark.parametrize(("text", "expected"), TIMES)
def test_a_time_is_read_as_utc_without_an_offset(text, expected):
    assert instant(text) == expected


NO_TIMES = [
    "",
    "tomorrow",
    "2030",
    "2030-W01-1",
    "20300102",
    "2030-02-30",
    "0001-01-01",
    "9999-12-31T23:59:59-01:00",
    "1899-12-31T23:59:59Z",
    "2201-01-01",
    "2200-12-31T23:30:00-01:00",
    "1735828200",
    "1735828200000",
    "2030-01-02Z",
    "2030-01-02T24:00:00Z",
    "2030-01-02T03:04:05+24:00",
    "2030-01-02T03:04:05.1234567891Z",
    "٢٠٣٠-01-02",
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="is no"):
        instant(text)


def test_times_in_bodies_about_keys_are_those_in_bodies_of_market_data():
    for text in [*(text for text, _ in TIMES), *NO_TIMES]:
        assert _is_read(instant, text) == _is_read(parse_timestamp, text), text


def _is_read(reader: Callable[[str], object], text: str) -> bool:
    try:
        reader(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("3600", 3600), ("90s", 90), ("5m", 300), ("12h", 43_200), ("7d", 604_800)],
)
def test_a_span_is_seconds_or_has_a_unit(text, seconds):
    assert span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "-1", "1w", "1.5h", "d", "1 d", "1" * 10])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ValueError, match="is not a span"):
        span(text)
