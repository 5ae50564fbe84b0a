"""Columns of instants: int64 nanoseconds since the Unix epoch, UTC, and their text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from store import instant_text
from store import lazy_pyarrow as pa
from store.lazy_imports import compute as pc

Instants = npt.NDArray[np.int64]

SECOND_NS = instant_text.SECOND_NS
MINUTE_NS = 60 * SECOND_NS
_DAY_SECONDS = 86_400
DAY_NS = _DAY_SECONDS * SECOND_NS
EARLIEST_NS, LATEST_NS = instant_text.EARLIEST_NS, instant_text.LATEST_NS
OUT_OF_RANGE, NO_TIMESTAMP = instant_text.OUT_OF_RANGE, instant_text.NO_TIMESTAMP
InvalidTimestamp = instant_text.InvalidTimestamp
TimestampOutOfRange = instant_text.TimestampOutOfRange
parse_timestamp = instant_text.parse_timestamp
parse_timestamp_or_epoch = instant_text.parse_timestamp_or_epoch

_ZONED = r"[T ].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
# The longest text that is parsed. This bounds error messages, which repeat the text.
LONGEST_TEXT = 64
_TEXT_WIDTH = len("2025-01-02T14:30:00.123456789Z")
_SECONDS_WIDTH = len("2025-01-02T14:30:00")


def parse_timestamps(texts: Sequence[str]) -> Instants:
    """Return the nanoseconds of ISO 8601 texts, extended or basic, with 0-9 fractional digits.

    Without an offset they are UTC. Raises `InvalidTimestamp`, or its subclass `TimestampOutOfRange`, if any text is
    invalid.
    """
    try:
        parsed = _cast(_texts(texts), "UTC")
    except (pa.ArrowInvalid, UnicodeEncodeError):
        parsed = _parse_mixed(texts)
    if parsed.size and (parsed.min() < EARLIEST_NS or parsed.max() > LATEST_NS):
        raise TimestampOutOfRange(OUT_OF_RANGE)
    return parsed


def format_timestamp(instant_ns: int) -> str:
    """Return RFC 3339 in UTC, ending in `Z`, with as many fractional digits as needed."""
    seconds, fraction = divmod(instant_ns, SECOND_NS)
    text = np.datetime_as_string(np.datetime64(seconds, "s"))
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


def fixed_width_text(instants: Instants, end: str = "") -> pa.Array:
    """Return texts such as `2025-01-02T14:30:00.123456789Z`, each followed by the ASCII `end`."""
    cells = np.empty(len(instants), dtype=_cell_type(len(end)))
    seconds = instants // SECOND_NS  # numpy's divmod takes four times as long as its quotient
    fraction = (instants - seconds * SECOND_NS).astype(np.int32)
    days = seconds // _DAY_SECONDS
    seconds -= days * _DAY_SECONDS
    milliseconds = fraction // 1_000_000
    fraction -= milliseconds * 1_000_000
    microseconds = fraction // 1_000
    clock, after_point, inner = _digits()
    cells["date"] = _dates(days)
    cells["clock"] = clock[seconds]
    cells["milli"] = after_point[milliseconds]
    cells["micro"] = inner[microseconds]
    cells["nano"] = inner[fraction - microseconds * 1_000]  # last: it overwrites the fourth byte of "micro"
    if end:
        cells["end"] = end.encode()
    return _fixed_width(cells)


def seconds_text(instants: Instants, before: str = "", end: str = "") -> pa.Array:
    """Return texts such as `2025-01-02T14:30:00`, cut to seconds, between two ASCII texts."""
    count, date = len(instants), len(before)
    end_offset = date + _SECONDS_WIDTH
    pieces = {"date": ("S11", date), "clock": ("u8", date + 11)}
    around = {"before": (before.encode(), 0), "end": (end.encode(), end_offset)}
    pieces |= {name: (f"S{len(text)}", offset) for name, (text, offset) in around.items() if text}
    cells = np.empty(count, dtype=_cells(pieces, end_offset + len(end)))
    days, within = np.divmod(instants, DAY_NS)
    cells["date"] = _dates(days)
    cells["clock"] = _digits()[0][within // SECOND_NS]
    for name, (text, _) in around.items():
        if text:
            cells[name] = text
    return _fixed_width(cells)


def _cell_type(end: int) -> np.dtype[np.void]:
    """Return the byte layout of a text. Pieces of three digits are written as four bytes."""
    pieces = {
        "date": ("S11", 0),
        "clock": ("u8", 11),
        "milli": ("u4", 19),
        "micro": ("u4", 23),
        "nano": ("u4", 26),
    }
    if end:
        pieces["end"] = (f"S{end}", _TEXT_WIDTH)
    return _cells(pieces, _TEXT_WIDTH + end)


def _cells(pieces: dict[str, tuple[str, int]], width: int) -> np.dtype[np.void]:
    """Return a numpy type of `width` bytes with the given pieces."""
    return np.dtype(
        {
            "names": list(pieces),
            "formats": [format_code for format_code, _ in pieces.values()],
            "offsets": [offset for _, offset in pieces.values()],
            "itemsize": width,
        }
    )


def _fixed_width(cells: npt.NDArray[np.void]) -> pa.Array:
    offsets = np.arange(0, cells.nbytes + 1, cells.itemsize, dtype=np.int32)
    return pa.StringArray.from_buffers(len(cells), pa.py_buffer(offsets), pa.py_buffer(cells))


def _dates(days: Instants) -> npt.NDArray[np.bytes_]:
    """Return a text such as `2025-01-02T` per day; only one text if all days are the same."""
    if not len(days) or days.min() == days.max():
        return _date_texts(days[:1])
    distinct, indices = np.unique(days, return_inverse=True)
    return _date_texts(distinct)[indices]


def _date_texts(days: Instants) -> npt.NDArray[np.bytes_]:
    return np.char.add(np.datetime_as_string(days.astype("datetime64[D]")).astype("S10"), b"T")


@cache
def _digits() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return texts as machine words: `14:30:00` for each second of a day.

    Also `.123` and `123Z` for each number below 1,000.
    """
    numbers = [f"{number:03d}" for number in range(1000)]
    two = np.array([number[1:] for number in numbers[:60]], dtype="S2")
    clock = np.empty(86_400, dtype=[("h", "S2"), (":", "S1"), ("m", "S2"), ("::", "S1"), ("s", "S2")])
    clock[":"] = clock["::"] = b":"
    of_day = np.arange(86_400)
    clock["h"], clock["m"], clock["s"] = two[of_day // 3600], two[of_day // 60 % 60], two[of_day % 60]
    after_point = np.array([f".{number}" for number in numbers], dtype="S4").view(np.uint32)
    inner = np.array([f"{number}Z" for number in numbers], dtype="S4").view(np.uint32)
    return clock.view(np.uint64), after_point, inner


def _texts(texts: Sequence[str]) -> pa.Array:
    """Return texts as a column. Raises `InvalidTimestamp` if one is too long: Arrow's errors have it several times."""
    column = pa.array(texts, pa.string())
    if len(column) and (pc.max(pc.binary_length(column)).as_py() or 0) > LONGEST_TEXT:
        raise InvalidTimestamp(NO_TIMESTAMP)
    return column


def _cast(texts: pa.Array, zone: str | None) -> Instants:
    instants = texts.cast(pa.timestamp("ns", zone))
    return instants.view(pa.int64()).to_numpy()  # type: ignore[no-any-return]


def _parse_mixed(texts: Sequence[str]) -> Instants:
    """Parse texts with and without offsets, also of the basic format; RFC 3339 allows lower-case `t` and `z`."""
    try:
        plain = _texts([instant_text.extended(text) for text in _texts(texts).to_pylist()])
        upper = pc.ascii_upper(plain)
        has_zone = pc.match_substring_regex(upper, _ZONED).to_numpy(zero_copy_only=False)
        parsed = np.empty(len(texts), dtype=np.int64)
        parsed[has_zone] = _cast(upper.filter(pa.array(has_zone)), "UTC")
        parsed[~has_zone] = _cast(upper.filter(pa.array(~has_zone)), None)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise InvalidTimestamp(NO_TIMESTAMP) from error
    return parsed
