"""The text of an instant, as tables, and against what reads whole columns of them."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from store.instant_text import epoch_ns, format_instant, parse_instant, parse_instant_or_epoch
from store.timestamps import InvalidTimestamp, parse_timestamp, parse_timestamps

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
    ("20240102T093100Z", datetime(2024, 1, 2, 9, 31, tzinfo=UTC)),
    ("20240102T0931Z", datetime(2024, 1, 2, 9, 31, tzinfo=UTC)),
    ("20240102T09", datetime(2024, 1, 2, 9, tzinfo=UTC)),
    ("20240102", datetime(2024, 1, 2, tzinfo=UTC)),
    ("20240102t093100.5+0530", datetime(2024, 1, 2, 4, 1, 0, 500_000, tzinfo=UTC)),
    ("20240102T093100-05", datetime(2024, 1, 2, 14, 31, tzinfo=UTC)),
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
    "2024010",
    "20240132",
    "20241301T000000Z",
    "20240102T2500Z",
    "20240102T093100Z1",
    "20240102 093100",
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


def read_by(parse: Callable[[str], int], text: str) -> int | None:
    try:
        return parse(text)
    except InvalidTimestamp:
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
def test_one_text_is_read_like_a_column(text):
    assert read_by(parse_timestamp, text) == read_by(lambda each: int(parse_timestamps([each])[0]), text)


@pytest.mark.parametrize("text", ["2016-12-31T23:59:60Z", "20161231T235960Z", "2017-01-01T05:29:60+05:30"])
def test_a_leap_second_is_said_to_be_refused(text: str):
    for parse in (parse_timestamp, parse_instant):
        with pytest.raises(ValueError, match="a leap second is refused"):
            parse(text)


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
