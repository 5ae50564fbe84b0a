"""What a column's values may be, checked for whole columns at once: the same rules as for a row over HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trades.datasets import Column, Dataset, Kind
from trades.timestamps import EARLIEST_NS, LATEST_NS
from trades.trade_batch import ID_LENGTH, LARGEST_NUMBER, WORDS_LIMIT, is_plain

Mask = npt.NDArray[np.bool_]

_POSITIVE = {"price"}
_NOT_NEGATIVE = {"volume"}
_WORDS = {"conditions"}
_WORD = rf"^[!-~]{{1,{ID_LENGTH}}}$"


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that rows break: the column, a stable code, a sentence, and which rows, at least one."""

    column: str
    code: str
    message: str
    rows: Mask


def broken_rules(dataset: Dataset, rows: pa.RecordBatch) -> Iterator[Broken]:
    """Every rule that a row breaks. `rows` has the dataset's columns in their types; any of them may hold nulls."""
    for column in dataset.columns:
        values = rows.column(column.name)
        if values.null_count and column.required:
            yield Broken(column.name, "required", "is required", _mask(values.is_null()))
        if values.null_count < len(values):
            yield from _RULES[column.kind](column, values)


def _times(column: Column, values: pa.Array) -> Iterator[Broken]:
    present = values.fill_null(0).to_numpy()
    wrong = (present < EARLIEST_NS) | (present > LATEST_NS)
    yield from _broken(column, "timestamp_out_of_range", "years from 1900 to 2200 can be stored", wrong)


def _numbers(column: Column, values: pa.Array) -> Iterator[Broken]:
    present = values.fill_null(1.0).to_numpy()
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(present) <= LARGEST_NUMBER)
    yield from _broken(column, "out_of_range", "must be a finite number of at most 2^53", wrong)
    if column.name in _POSITIVE:
        yield from _broken(column, "nonpositive_price", "must be greater than 0", present <= 0)
    if column.name in _NOT_NEGATIVE:
        yield from _broken(column, "negative_volume", "must be 0 or more", present < 0)


def _integers(column: Column, values: pa.Array) -> Iterator[Broken]:
    present = values.fill_null(0).to_numpy()
    yield from _broken(
        column, "out_of_range", "must be between 0 and 2^53", (present < 0) | (present > LARGEST_NUMBER)
    )


def _texts(column: Column, values: pa.Array) -> Iterator[Broken]:
    if column.name in _WORDS:
        distinct = values.dictionary_encode()
        fits = np.array([_are_words(text) for text in distinct.dictionary.to_pylist()])
        wrong = ~fits[distinct.indices.fill_null(0).to_numpy()] & _mask(values.is_valid())
    elif _all_plain(values):
        return
    else:
        wrong = ~_mask(pc.match_substring_regex(values, _WORD).fill_null(True))
    message = f"must be 1-{ID_LENGTH} visible ASCII characters without spaces"
    yield from _broken(column, "invalid_text", message, wrong)


def _all_plain(values: pa.Array) -> bool:
    """Whether all texts are words, as far as all their characters and the longest and shortest tell."""
    lengths = pc.min_max(pc.binary_length(values)).as_py()
    characters = np.frombuffer(values.drop_null().buffers()[2], dtype=np.uint8)
    is_visible = characters.size and characters.min() > ord(" ") and characters.max() <= ord("~")
    return bool(is_visible and lengths["min"] >= 1 and lengths["max"] <= ID_LENGTH)


def _are_words(text: str) -> bool:
    words = text.split(";")
    return len(words) <= WORDS_LIMIT and all(1 <= len(word) <= ID_LENGTH and is_plain(word) for word in words)


def _broken(column: Column, code: str, message: str, wrong: Mask) -> Iterator[Broken]:
    if wrong.any():
        yield Broken(column.name, code, message, wrong)


def _mask(values: pa.Array) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=bool)


_RULES: dict[Kind, Callable[[Column, pa.Array], Iterator[Broken]]] = {
    Kind.TIME: _times,
    Kind.NUMBER: _numbers,
    Kind.INTEGER: _integers,
    Kind.TEXT: _texts,
}
