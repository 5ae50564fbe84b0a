"""The trades that all sides get: one symbol's stream, row by row the same at every call, as JSON and as CSV.

The stream is addressed by row number, so that any part of it can be made by itself. Rows have no ids; their
times differ, so none is a duplicate of another.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BATCH_ROWS = 10_000
# A busy symbol's day. Spread over 23 h 20 min, so that no date holds more.
ROWS_A_DAY = 1_400_000
_STEP_US = 60_000
_FIRST_DAY = np.datetime64("2025-01-06", "us")
_DAY = np.timedelta64(1, "D")

_JSON_ROW = b'{"timestamp":"2025-01-06T00:00:00.000000Z","symbol":"BENCH","price":100.00,"volume":100},'
_CSV_ROW = b"2025-01-06 00:00:00.000000+00:00,BENCH,100.00,100.0\n"
CSV_HEADER = b"timestamp,symbol,price,volume\n"

Rows = npt.NDArray[np.int64]
Text = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Line:
    """Where the values stand in a row of text in which every value has one width."""

    text: bytes
    time: int
    price: int
    volume: int
    separator: bytes


_JSON = _Line(_JSON_ROW, _JSON_ROW.index(b"2025"), _JSON_ROW.index(b"100.00"), _JSON_ROW.rindex(b"100"), b"T")
_CSV = _Line(_CSV_ROW, 0, _CSV_ROW.index(b"100.00"), _CSV_ROW.rindex(b"100.0"), b" ")


def batch_rows(number: int, *, feed: int = 0, feeds: int = 1) -> Rows:
    """Row numbers of a feed's batch.

    Several feeds share the stream row by row, each a batch ahead of the last.
    """
    first = (number + feed) * BATCH_ROWS
    return np.arange(first, first + BATCH_ROWS) * feeds + feed


def json_body(rows: Rows, *, symbol: str = "BENCH") -> bytes:
    """A body for `POST /v1/trades/ingest`. `symbol` has five characters."""
    text = _filled(_JSON, rows).tobytes().replace(b"BENCH", symbol.encode())
    return b'{"trades":[' + text[:-1] + b"]}"


def csv_text(rows: Rows) -> bytes:
    """The same rows as the plain peer stores them, without its header."""
    return _filled(_CSV, rows).tobytes()


def spread_rows(count: int, *, minutes: int) -> Rows:
    """Row numbers evenly over the first `minutes` of the first day."""
    return np.linspace(0, minutes * 60_000_000 // _STEP_US - 1, count).astype(np.int64)


def _filled(line: _Line, rows: Rows) -> Text:
    count = len(rows)
    text = np.tile(np.frombuffer(line.text, np.uint8), (count, 1))
    days, places = np.divmod(rows, ROWS_A_DAY)
    times = _FIRST_DAY + days * _DAY + (places * _STEP_US).astype("m8[us]")
    written = np.datetime_as_string(times, unit="us").astype("S26")
    text[:, line.time : line.time + 26] = written.view(np.uint8).reshape(count, 26)
    text[:, line.time + 10] = line.separator[0]
    cents = 10_000 + rows * 7919 % 90_000
    _put_digits(text, line.price, cents // 100, width=3)
    _put_digits(text, line.price + 4, cents % 100, width=2)
    _put_digits(text, line.volume, 100 + rows * 31 % 900, width=3)
    return text


def _put_digits(text: Text, at: int, values: Rows, *, width: int) -> None:
    for place in range(width):
        text[:, at + place] = ord("0") + values // 10 ** (width - 1 - place) % 10
