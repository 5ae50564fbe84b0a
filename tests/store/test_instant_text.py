"""The text of an instant, as tables, and against what reads whole columns of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from store.instant_text import epoch_ns, format_instant, parse_instant, parse_instant_or_epoch
from store.timestamps import parse_timestamp, parse_timestamp_or_epoch

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
NO_TIMES = [
    "",
    "tomorrow",
    "2030",
    "2030-W01-1",
    "2030-02-30",
    "0001-01-01",
    "9999-12-31T23:59:59-01:00",
    "1899-12-31T23:59:59Z",
    "2201-01-01",
    "2200-12-31T23:30:00-01:00",
    "2030-01-02Z",
    "2030-01-02x03:04",
    "2030-01-02T24:00:00Z",
    "2030-01-02T03:04:05+24:00",
    "2030-01-02T03:04:05+02:60",
    "2030-01-02T03:04:05 +02:00",
    "2030-01-02T03:04:05,5Z",
    "2030-01-02T03:04:05.1234567891Z",
    "٢٠٣٠-01-02",
]
EPOCHS = [
    ("1735787045", datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ("1735787045678", datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)),
    ("1735787045678901", datetime(2025, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
    ("1735787045678901999", datetime(2025, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
]
NO_EPOCHS = ["9999999999", "99999999999", "173578704", "-1735787045", "1735787045 ", "1" * 20, "١٧٣٥٧٨٧٠٤٥"]

PIECES = [*"0123456789", "-", "-", ":", ":", "T", "t", " ", "Z", "z", "+", ".", ",", "٢", "\n"]


@st.composite
def misspelled(draw: st.DrawFn) -> str:
    """A time, or an epoch integer, in which a few characters are others, more or fewer."""
    text = draw(st.sampled_from([text for text, _ in (*TIMES, *EPOCHS)]))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(["", *PIECES])) + text[place + draw(st.integers(0, 1)) :]
    return text


def microseconds(read: Callable[[str], datetime], text: str) -> int | None:
    try:
        return (read(text) - EPOCH) // timedelta(microseconds=1)
    except ValueError:
        return None


def microseconds_of_ns(read: Callable[[str], int], text: str) -> int | None:
    try:
        return read(text) // 1_000
    except ValueError:
        return None


@pytest.mark.parametrize("read", [parse_instant, parse_instant_or_epoch])
@pytest.mark.parametrize(("text", "expected"), TIMES)
def test_a_time_is_read_as_utc_without_an_offset(read, text, expected):
    assert read(text) == expected


@pytest.mark.parametrize("read", [parse_instant, parse_instant_or_epoch])
@pytest.mark.parametrize("text", [*NO_TIMES, *NO_EPOCHS])
def test_invalid_time_raises(read, text):
    with pytest.raises(ValueError, match="is no"):
        read(text)


@pytest.mark.parametrize(("text", "expected"), EPOCHS)
def test_epoch_integer_is_accepted_only_by_parse_instant_or_epoch(text, expected):
    assert parse_instant_or_epoch(text) == expected
    with pytest.raises(ValueError, match="is not an ISO 8601 time"):
        parse_instant(text)


def test_other_digits_are_no_epoch_integer():
    assert [epoch_ns(text) for text in ("", "2030-01-02", "20300102", "1" * 18)] == [None] * 4


@given(misspelled())
@example("2030-01-02T03:04:05+02:60")
@example("2030-01-02T03:04:05+0299")
def test_both_parsers_return_the_same_instant(text):
    assert microseconds(parse_instant, text) == microseconds_of_ns(parse_timestamp, text)
    assert microseconds(parse_instant_or_epoch, text) == microseconds_of_ns(parse_timestamp_or_epoch, text)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (None, None),
        (datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "2030-01-02T03:04:05Z"),
        (datetime.fromisoformat("2030-01-02T03:04:05.5+02:00"), "2030-01-02T01:04:05.500000Z"),
    ],
)
def test_an_instant_is_written_in_utc(at, text):
    assert format_instant(at) == text
