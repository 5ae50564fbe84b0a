"""Instants as the program holds them: int64 nanoseconds since the Unix epoch, UTC. Text exists at the edges only."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trades.arrow_later import compute as pc

Instants = npt.NDArray[np.int64]

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
EARLIEST_NS = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS
LATEST_NS = int(datetime(2201, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS - 1

_EPOCH_UNITS_NS = {10: SECOND_NS, 13: 1_000_000, 16: 1_000, 19: 1}
_EPOCH = re.compile(r"[0-9]{10}|[0-9]{13}|[0-9]{16}|[0-9]{19}")
_ZONED = r"[T ].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
# Years so far away that nanoseconds since 1970 cannot count them are not even parsed.
_FAR_YEAR = re.compile(r"(?!19|20|21|2200)[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RANGE = "years from 1900 to 2200 can be stored"
_TEXT_WIDTH = len("2025-01-02T14:30:00.123456789Z")


class InvalidTimestamp(ValueError):
    """The text is not an ISO 8601 / RFC 3339 date or time. The caller must correct it."""

    code = "invalid_timestamp"


class TimestampOutOfRange(InvalidTimestamp):
    """The year lies outside 1900-2200. The caller must correct it."""

    code = "timestamp_out_of_range"


def parse_timestamps(texts: Sequence[str]) -> Instants:
    """Nanoseconds of each text, in order: ISO 8601 with 0-9 fractional digits; UTC where there is no offset.

    Raises `InvalidTimestamp`, or its subclass `TimestampOutOfRange`, if any of them is wrong.
    """
    try:
        parsed = _cast(texts, "UTC")
    except (pa.ArrowInvalid, UnicodeEncodeError):
        parsed = _parse_mixed(texts)
    if parsed.size and (parsed.min() < EARLIEST_NS or parsed.max() > LATEST_NS):
        raise TimestampOutOfRange(_RANGE)
    return parsed


def parse_timestamp(text: str) -> int:
    """One instant; see `parse_timestamps`."""
    try:
        return int(parse_timestamps([text])[0])
    except InvalidTimestamp:
        if _FAR_YEAR.match(text):
            raise TimestampOutOfRange(_RANGE) from None
        raise


def parse_timestamp_or_epoch(text: str) -> int:
    """As `parse_timestamp`, and epoch integers of 10, 13, 16 or 19 digits (s, ms, µs, ns)."""
    if not _EPOCH.fullmatch(text):
        return parse_timestamp(text)
    instant = int(text) * _EPOCH_UNITS_NS[len(text)]
    if not EARLIEST_NS <= instant <= LATEST_NS:
        raise TimestampOutOfRange(_RANGE)
    return instant


def format_timestamp(instant_ns: int) -> str:
    """RFC 3339 in UTC, ending in `Z`, with as many fractional digits as are needed."""
    seconds, fraction = divmod(instant_ns, SECOND_NS)
    whole = np.datetime_as_string(np.datetime64(seconds, "s"))
    return f"{whole}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{whole}Z"


def fixed_width_text(instants: Instants) -> pa.Array:
    """A string array in full precision, 30 bytes each: `2025-01-02T14:30:00.123456789Z`."""
    count = len(instants)
    spaced = pc.cast(pa.array(instants).view(pa.timestamp("ns")), pa.string())
    text = np.empty((count, _TEXT_WIDTH), dtype=np.uint8)
    text[:, :-1] = np.frombuffer(
        spaced.buffers()[2], dtype=np.uint8, count=count * (_TEXT_WIDTH - 1)
    ).reshape(count, -1)
    text[:, 10] = ord("T")
    text[:, -1] = ord("Z")
    offsets = np.arange(0, (count + 1) * _TEXT_WIDTH, _TEXT_WIDTH, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))


def invalid_timestamps(texts: Sequence[str], *, limit: int) -> list[int]:
    """The places of the first texts, at most `limit`, that `parse_timestamps` refuses, in order."""
    wrong: list[int] = []
    pending = [(0, len(texts))]
    while pending and len(wrong) < limit:
        start, end = pending.pop()
        try:
            parse_timestamps(texts[start:end])
        except InvalidTimestamp:
            middle = (start + end) // 2
            if end - start == 1:
                wrong.append(start)
            else:
                pending += [(middle, end), (start, middle)]
    return wrong


def _cast(texts: Sequence[str] | pa.Array, zone: str | None) -> Instants:
    instants = pa.array(texts, pa.string()).cast(pa.timestamp("ns", zone))
    return instants.cast(pa.int64()).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _parse_mixed(texts: Sequence[str]) -> Instants:
    """Texts with and without offsets. RFC 3339 also allows lower-case `t` and `z`."""
    try:
        upper = pc.ascii_upper(pa.array(texts, pa.string()))
        has_zone = pc.match_substring_regex(upper, _ZONED).to_numpy(zero_copy_only=False)
        parsed = np.empty(len(texts), dtype=np.int64)
        parsed[has_zone] = _cast(upper.filter(pa.array(has_zone)), "UTC")
        parsed[~has_zone] = _cast(upper.filter(pa.array(~has_zone)), None)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise InvalidTimestamp("not an ISO 8601 / RFC 3339 date or time") from error
    return parsed
