"""Generated trades of one symbol, the same at every call: as JSON, as CSV, as record batches, and stored.

Rows are addressed by number, so that any part can be made by itself. No two rows have the same time, so none is a
duplicate of another, even without ids.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.csv import CsvStore
from store.csv.files.disk import Disk
from store.datasets import TRADES
from store.protocol import Append, Dedupe
from store.timestamps import SECOND_NS

BATCH_ROWS = 10_000
# A busy symbol's day. With _STEP_US between rows it takes 23 h 20 min, so it fits on one date.
ROWS_A_DAY = 1_400_000
_STEP_US = 60_000
_FIRST_DATE = np.datetime64("2025-01-06", "us")
_ONE_DAY = np.timedelta64(1, "D")

_JSON_ROW = b'{"timestamp":"2025-01-06T00:00:00.000000Z","symbol":"BENCH","price":100.00,"volume":100},'
_CSV_ROW = b"2025-01-06 00:00:00.000000+00:00,BENCH,100.00,100.0\n"
CSV_HEADER = b"timestamp,symbol,price,volume\n"

Rows = npt.NDArray[np.int64]
Text = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of text with the offsets of its values, which have fixed widths. separator: between date and time."""

    text: bytes
    time: int
    price: int
    volume: int
    separator: bytes


_JSON = _Line(_JSON_ROW, _JSON_ROW.index(b"2025"), _JSON_ROW.index(b"100.00"), _JSON_ROW.rindex(b"100"), b"T")
_CSV = _Line(_CSV_ROW, 0, _CSV_ROW.index(b"100.00"), _CSV_ROW.rindex(b"100.0"), b" ")


def batch_rows(number: int, *, feed: int = 0, feeds: int = 1, size: int = BATCH_ROWS) -> Rows:
    """Return the row numbers of a feed's batch.

    Feed f of n sends the rows f, f + n, f + 2n, …, and is f batches ahead of feed 0.
    """
    first = (number + feed) * size
    return np.arange(first, first + size) * feeds + feed


def json_body(rows: Rows, *, symbol: str = "BENCH") -> bytes:
    """Return a body for `POST /v1/trades/ingest`. `symbol` has five characters."""
    text = _filled(_JSON, rows).tobytes().replace(b"BENCH", symbol.encode())
    return b'{"trades":[' + text[:-1] + b"]}"


def csv_text(rows: Rows) -> bytes:
    """Return the same rows as lines of the plain peer's file, without its header."""
    return _filled(_CSV, rows).tobytes()


def spread_rows(count: int, *, minutes: int) -> Rows:
    """Return `count` row numbers, spread evenly over the first `minutes` of the first day."""
    return np.linspace(0, minutes * 60_000_000 // _STEP_US - 1, count).astype(np.int64)


def _filled(line: _Line, rows: Rows) -> Text:
    count = len(rows)
    text = np.tile(np.frombuffer(line.text, np.uint8), (count, 1))
    days, steps = np.divmod(rows, ROWS_A_DAY)
    times = _FIRST_DATE + days * _ONE_DAY + (steps * _STEP_US).astype("m8[us]")
    written = np.datetime_as_string(times, unit="us").astype("S26")
    text[:, line.time : line.time + 26] = written.view(np.uint8).reshape(count, 26)
    text[:, line.time + 10] = line.separator[0]
    cents = 10_000 + rows * 7919 % 90_000
    _put_digits(text, line.price, cents // 100, width=3)
    _put_digits(text, line.price + 4, cents % 100, width=2)
    _put_digits(text, line.volume, 100 + rows * 31 % 900, width=3)
    return text


def _put_digits(text: Text, offset: int, values: Rows, *, width: int) -> None:
    for digit in range(width):
        text[:, offset + digit] = ord("0") + values // 10 ** (width - 1 - digit) % 10


FIRST_DAY_NS = 1_577_836_800 * SECOND_NS  # 2020-01-01
MINUTE_NS = 60 * SECOND_NS
SYMBOL = "BENCH"
CHUNK_ROWS = 50_000
_EXCHANGES = np.array(["XNAS", "XNYS", "ARCX", "BATS"])
_CONDITIONS = np.array(["", "odd_lot", "intermarket_sweep", "odd_lot;intermarket_sweep"])


@dataclass(frozen=True, slots=True)
class Stream:
    """Trades from `start_ns` on, `a_minute` in each minute of the day. with_ids: they also have optional columns."""

    a_minute: int
    start_ns: int = FIRST_DAY_NS
    with_ids: bool = False

    def batches(self, count: int) -> Iterator[pa.RecordBatch]:
        """Yield the first `count` rows. A row is the same at every call."""
        for start in range(0, count, CHUNK_ROWS):
            yield self._rows(start).slice(0, count - start)

    def _rows(self, first: int) -> pa.RecordBatch:
        """Return the chunk that begins with row `first`, a multiple of `CHUNK_ROWS`."""
        rows = np.arange(first, first + CHUNK_ROWS)
        rng = np.random.default_rng(first)
        values = {
            "timestamp": self._times(rows, rng),
            "price": (20_000 + np.cumsum(rng.integers(-5, 6, CHUNK_ROWS))) / 100,
            "volume": rng.integers(1, 500, CHUNK_ROWS).astype(np.float64),
        }
        columns = {name: pa.array(column) for name, column in values.items()}
        if self.with_ids:
            columns |= _identities(rows, rng)
        return pa.record_batch(
            [columns.get(field.name, pa.nulls(CHUNK_ROWS, field.type)) for field in TRADES.schema],
            schema=TRADES.schema,
        )

    def _times(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        step = MINUTE_NS // self.a_minute // 1000
        shifts = rng.integers(0, step, len(rows))
        minutes, numbers = np.divmod(rows, self.a_minute)
        return self.start_ns + minutes * MINUTE_NS + (numbers * step + shifts) * 1000


class Unsynced(Disk):
    """A disk that does not sync. Stores that benchmarks only read need no durability."""

    def sync(self, descriptor: int) -> None:
        """Return at once."""

    def sync_folder(self, folder: Path) -> None:
        """Return at once."""


def stored(folder: Path, stream: Stream, count: int) -> CsvStore:
    """Make and return a store with the first `count` rows of a stream, and with derived files."""
    store = CsvStore(folder, disk=Unsynced())
    for batch in stream.batches(count):
        store.append(Append(TRADES, SYMBOL, batch, "bench", Dedupe.NONE))
    store.derive(TRADES, SYMBOL)
    return store


def _identities(rows: npt.NDArray[np.int64], rng: np.random.Generator) -> dict[str, pa.Array]:
    """Return the columns of ids, sequence numbers, exchanges and conditions, as a consolidated feed has them."""
    conditions = _CONDITIONS[rng.choice(len(_CONDITIONS), len(rows), p=(0.3, 0.3, 0.2, 0.2))]
    return {
        "trade_id": pa.array(52_983_525_000_000 + rows).cast(pa.string()),
        "sequence": pa.array(rows),
        "exchange": pa.array(_EXCHANGES[rng.integers(0, len(_EXCHANGES), len(rows))]),
        "conditions": pa.array(conditions, mask=conditions == ""),
    }
