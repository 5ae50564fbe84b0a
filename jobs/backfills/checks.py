"""Checks rows that a source gave, before they are stored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Floats, Integers, Mask
from store.declarations import WORD_SEPARATOR, Dataset
from store.protocol import Window
from store.timestamps import DAY_NS, format_timestamp
from trades.batches.validation import TypedColumn, row_errors, validate_columns

# A price that differs from both prices beside the gap by a larger part of them is shown to a person.
USUAL_MOVE = 0.2
# The same for prices that may jump: of auctions, and the first after a halt or from an ex-date on.
WIDE_MOVE = 0.5
_AUCTION_WORDS = (
    "opening_print", "official_open", "closing_print", "official_close", "corrected_close", "reopening_print", "cross",
    "intraday_auction",
)  # fmt: skip
_PRICES = {"trades": ("price",), "quotes": ("bid", "ask"), "bars": ("open", "high", "low", "close")}
_CONDITIONS = "conditions"


class Verdict(Enum):
    """What becomes of rows. ACCEPTED: store them. REFUSED: ask another source. QUARANTINED: a person decides."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around a gap.

    before, after: the last price before it and the first one after it; None if there is none, or none above zero.
    wide_ns: instants after which the first print may jump: openings, ends of halts, ex-dates. allows_nonpositive:
    whether the instrument's prices may be zero or less.
    """

    before: float | None = None
    after: float | None = None
    wide_ns: Sequence[int] = ()
    allows_nonpositive: bool = False


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """The verdict on rows. rows: as they are to be stored, in one batch; None if they are refused.

    code, reason: why not, with the first wrong row; empty if they are accepted. row: its number from 0.
    """

    verdict: Verdict
    rows: pa.RecordBatch | None = None
    code: str = ""
    reason: str = ""
    row: int | None = None


@dataclass(frozen=True, slots=True)
class _WrongRow:
    code: str
    message: str
    row: int


def rows_check(rows: pa.Table, dataset: Dataset, window: Window, surroundings: Surroundings) -> CheckedRows:
    """Check rows in the dataset's schema: values, window, order, ids, prices.

    Rows without an id may repeat, because real prints do. An id may not.
    """
    batch = _in_one_piece(rows, dataset)
    columns = {name: TypedColumn(batch.column(name)) for name in dataset.schema.names}
    values, broken = validate_columns(
        dataset, columns, allows_nonpositive=lambda: surroundings.allows_nonpositive
    )
    if broken:
        error = row_errors(broken, limit=1)[0]
        return _refused(
            batch, _WrongRow(error.code, f"{error.column or 'the row'} {error.message}", error.row)
        )
    batch = pa.record_batch([values[name] for name in dataset.schema.names], schema=dataset.schema)
    fault = next(_faults(batch, dataset, window), None)
    if fault is not None:
        return _refused(batch, fault)
    far = _far_prices(batch, dataset, surroundings)
    if far.any():
        return _quarantined(batch, far)
    return CheckedRows(Verdict.ACCEPTED, batch)


def _in_one_piece(rows: pa.Table, dataset: Dataset) -> pa.RecordBatch:
    batches = rows.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=dataset.schema)


def _faults(batch: pa.RecordBatch, dataset: Dataset, window: Window) -> Iterator[_WrongRow]:
    """Yield what is wrong with valid rows: each kind once, with its first row."""
    times: Integers = batch.column(0).to_numpy()
    outside = (times < window.start_ns) | (times >= window.end_ns)
    if outside.any():
        yield _WrongRow("outside_window", "lies outside the window that was asked for", int(outside.argmax()))
    backwards = times[1:] < times[:-1]
    if backwards.any():
        yield _WrongRow("not_in_order", "lies before the row before it", int(backwards.argmax()) + 1)
    repeated = _first_repeated_id(batch, dataset, times)
    if repeated is not None:
        yield _WrongRow("duplicate_id", "has the id of a row before it", repeated)


def _first_repeated_id(batch: pa.RecordBatch, dataset: Dataset, times: Integers) -> int | None:
    """Return the first row whose event date and id columns are those of an earlier row. A null id identifies nothing."""
    if not dataset.id_columns or not batch.num_rows:
        return None
    has_id = batch.column(dataset.id_columns[-1]).is_valid().to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(has_id)
    keys = times[rows] // DAY_NS
    for name in dataset.id_columns:
        encoded = batch.column(name).dictionary_encode(null_encoding="encode").indices.to_numpy()[rows]
        # Numbering the combinations anew keeps them small, so that no product overflows.
        keys = np.unique(keys * (int(encoded.max(initial=0)) + 1) + encoded, return_inverse=True)[1]
    _, first = np.unique(keys, return_index=True)
    if len(first) == len(rows):
        return None
    is_repeated = np.ones(len(rows), dtype=bool)
    is_repeated[first] = False
    return int(rows[is_repeated.argmax()])


def _far_prices(batch: pa.RecordBatch, dataset: Dataset, around: Surroundings) -> Mask:
    """Return a mask of the rows with a price that is far from both sides. Nothing is far if a side is unknown.

    A gap that is open to one side may be of any length, so a price may have moved by any amount.
    """
    far = np.zeros(batch.num_rows, dtype=bool)
    sides = [side for side in (around.before, around.after) if side is not None and side > 0]
    if len(sides) < 2 or not batch.num_rows:
        return far
    limits = _limits(batch, around.wide_ns)
    for name in _PRICES.get(dataset.name, ()):
        prices: Floats = batch.column(name).to_numpy(zero_copy_only=False)
        # A missing price is NaN, which is not far from anything.
        far |= np.logical_and.reduce([np.abs(prices - side) > limits * side for side in sides])
    return far


def _limits(batch: pa.RecordBatch, wide_ns: Sequence[int]) -> Floats:
    """Return the part by which each row's price may differ."""
    times: Integers = batch.column(0).to_numpy()
    first = np.searchsorted(times, np.asarray(wide_ns, dtype=np.int64))
    is_wide = np.isin(times, times[first[first < len(times)]])
    if _CONDITIONS in batch.schema.names:
        encoded = batch.column(_CONDITIONS).dictionary_encode(null_encoding="encode")
        words = [{*(text or "").split(WORD_SEPARATOR)} for text in encoded.dictionary.to_pylist()]
        of_auctions = np.array([not each.isdisjoint(_AUCTION_WORDS) for each in words], dtype=bool)
        is_wide |= of_auctions[encoded.indices.to_numpy()]
    return np.where(is_wide, WIDE_MOVE, USUAL_MOVE)


def _refused(batch: pa.RecordBatch, fault: _WrongRow) -> CheckedRows:
    return CheckedRows(
        Verdict.REFUSED, None, fault.code, f"{_place(batch, fault.row)} {fault.message}", fault.row
    )


def _quarantined(batch: pa.RecordBatch, far: Mask) -> CheckedRows:
    row, count = int(far.argmax()), int(far.sum())
    reason = (
        f"{_place(batch, row)} is far from the prices on both sides of the gap; so are {count - 1:,} others"
    )
    return CheckedRows(Verdict.QUARANTINED, batch, "far_price", reason, row)


def _place(batch: pa.RecordBatch, row: int) -> str:
    instant = pc.fill_null(batch.column(0), 0)[row].as_py()
    return f"row {row:,}, {format_timestamp(instant)},"
