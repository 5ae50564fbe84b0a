"""Casts Arrow columns to the types of a dataset's columns, without overflow or loss."""

import math
import sys
from collections.abc import Callable
from decimal import Decimal
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from store.arrays import Integers
from store.declarations import ARROW_TYPES, WORD_SEPARATOR, Column, ColumnForm, ColumnKind
from store.timestamps import DAY_NS, EARLIEST_NS, LATEST_NS
from trades.batches.json_columns import parse_time_column
from trades.batches.serializers import refusal_of
from trades.batches.validation import TypedColumn, column_rule, fault_masks, null_mask, number_column
from trades.batches.value_rules import (
    COUNT_OUT_OF_RANGE,
    ID_LENGTH,
    LARGEST_NUMBER,
    NUMBER_OUT_OF_RANGE,
    TIME_OUT_OF_RANGE,
    WORDS_LIMIT,
    Fault,
    FaultMasks,
)
from web.requests.exceptions import ERRORS_LIMIT, FieldError, MalformedDocument

_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
# Valid texts are at most this long. A longer one in a dictionary could be repeated in every row.
_LONGEST_TEXT = WORDS_LIMIT * (ID_LENGTH + 1)
_TOO_LONG = " "


class _OfAnotherType(TypeError):
    """The Arrow type cannot be cast to the column's type."""


class TextBudget:
    """How many bytes of texts a body may still give to its rows, where several rows share the bytes of one text."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def take(self, size: int) -> None:
        """Take so many bytes. Raises `MalformedDocument` if fewer are left."""
        self._left -= size
        if self._left < 0:
            raise MalformedDocument(
                "document_too_large",
                f"the texts of all rows take more than {self._most:,} bytes; split the batch",
            )


def typed_values(column: Column, values: pa.Array, texts: TextBudget | None = None) -> TypedColumn:
    """Cast a column to the type of its kind; nulls stay nulls.

    texts: None for a source that is trusted. Raises `BatchRefused` for another type, `MalformedDocument` for texts beyond
    the budget.
    """
    plain = _decoded(values, texts or TextBudget(sys.maxsize))
    if types.is_null(plain.type):
        return TypedColumn(pa.nulls(len(plain), ARROW_TYPES[column.kind]))
    try:
        return _READERS[column.kind](column, plain)
    except _OfAnotherType:
        message = f"a column of type {str(values.type)[:64]} cannot be read as {column.kind.value}"
        raise refusal_of([FieldError(column.name, "invalid_type", message)]) from None


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece."""
    if column.num_chunks == 1:
        return column.chunk(0)
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def _decoded(values: pa.Array, texts: TextBudget) -> pa.Array:
    """Return the values, decoded if dictionary-encoded. Too long texts of a dictionary become an invalid text."""
    if not types.is_dictionary(values.type):
        words = values.flatten() if types.is_list(values.type) or types.is_large_list(values.type) else values
        if types.is_string_view(words.type):
            texts.take(int(view_lengths(words).sum(dtype=np.int64)))
        return values
    dictionary = values.dictionary
    if types.is_string_view(dictionary.type):
        texts.take(int(view_lengths(dictionary).sum(dtype=np.int64)))
    if is_text(dictionary.type):
        dictionary = dictionary.cast(pa.large_string())
        is_long = pc.greater(pc.binary_length(dictionary), _LONGEST_TEXT)
        dictionary = pc.if_else(is_long, _TOO_LONG, dictionary)
        texts.take(pc.sum(pc.binary_length(dictionary).take(values.indices)).as_py() or 0)
    elif not (types.is_primitive(dictionary.type) or types.is_decimal(dictionary.type)):
        return pa.array([None] * len(values), pa.binary())  # binary fits no column
    return dictionary.take(values.indices)


def view_lengths(texts: pa.Array) -> npt.NDArray[np.int32]:
    """Return the length in bytes of each text that is not null. A view has 16 bytes; the first four are the length."""
    end = texts.offset + len(texts)
    # The buffer may be longer than its views.
    views = np.frombuffer(texts.buffers()[1], np.int32, 4 * end).reshape(-1, 4)
    is_valid = texts.is_valid().to_numpy(zero_copy_only=False)
    lengths: npt.NDArray[np.int32] = views[texts.offset : end, 0][is_valid]
    return lengths


def _times(column: Column, values: pa.Array) -> TypedColumn:
    if is_text(values.type):
        return parse_time_column(column, values.cast(pa.string()))
    return _instants(values)


def _instants(values: pa.Array) -> TypedColumn:
    """Return timestamps and dates as nanoseconds; integers already count nanoseconds."""
    unit_ns = _unit_of(values.type)
    integers = values.cast(pa.int32()) if types.is_date32(values.type) else values
    if types.is_uint64(integers.type):
        latest = pa.scalar(LATEST_NS + 1, pa.uint64())
        integers = pc.min_element_wise(integers, latest, skip_nulls=False)
    integers = integers.cast(pa.int64())
    counts: Integers = (integers.fill_null(0) if integers.null_count else integers).to_numpy()
    wrong = (counts < -(-EARLIEST_NS // unit_ns)) | (counts > LATEST_NS // unit_ns)
    instants = np.where(wrong, 0, counts) * unit_ns if unit_ns > 1 or wrong.any() else counts
    faults = [(TIME_OUT_OF_RANGE, wrong)] if wrong.any() else ()
    return TypedColumn(pa.array(instants, mask=null_mask(integers)), faults)


def _unit_of(arrow_type: pa.DataType) -> int:
    if types.is_timestamp(arrow_type):
        return _UNIT_NS[arrow_type.unit]
    if types.is_date32(arrow_type):
        return DAY_NS
    if types.is_date64(arrow_type):
        return _UNIT_NS["ms"]
    if types.is_int64(arrow_type) or types.is_uint64(arrow_type):
        return 1
    raise _OfAnotherType


def _numbers(_column: Column, values: pa.Array) -> TypedColumn:
    faults: FaultMasks = []
    if types.is_integer(values.type):
        too_large = ~_at_most_exact(values).fill_null(True).to_numpy(zero_copy_only=False)
        faults = [(NUMBER_OUT_OF_RANGE, too_large)] if too_large.any() else []
        numbers = values.cast(pa.float64(), safe=False)
    elif _has_fractions(values.type):
        numbers = nearest_floats(values)
    else:
        raise _OfAnotherType
    return TypedColumn(number_column(numbers), faults)


def _integers(column: Column, values: pa.Array) -> TypedColumn:
    """Cast integers, and other numbers with integer values: pandas stores integers with gaps as floats."""
    if _has_fractions(values.type):
        wide = nearest_floats(values)
        # A float does not tell whether the decimal that it is nearest to is whole.
        is_whole = pc.equal(pc.floor(values), values)
        fits = pc.and_(is_whole, pc.less_equal(pc.abs(wide), float(LARGEST_NUMBER)))
    elif types.is_integer(values.type):
        wide = values
        fits = _at_most_exact(values)
    else:
        raise _OfAnotherType
    faults = {
        int(index): column_rule(column).convert(_integer(values[int(index)].as_py()))
        for index in np.flatnonzero(pc.invert(fits).fill_null(False))[:ERRORS_LIMIT]
    }
    return TypedColumn(pc.if_else(fits, wide, None).cast(pa.int64()), fault_masks(len(values), faults))


def _has_fractions(arrow_type: pa.DataType) -> bool:
    return bool(types.is_floating(arrow_type) or types.is_decimal(arrow_type))


def nearest_floats(values: pa.Array) -> pa.Array:
    """Return floats and decimals as float64, each the nearest one to the decimal number that was meant.

    Floats of fewer bits with a fraction mean their shortest decimal text: 187.15, not 187.149993896484375. Whole numbers
    are exact. Half a second for a million.
    """
    if types.is_decimal(values.type):  # Arrow's own cast of decimals misses the nearest number
        return values.cast(pa.string()).cast(pa.float64())
    if types.is_float64(values.type):
        return values
    exact = values.cast(pa.float64())
    texts = _half_texts(values) if types.is_float16(values.type) else values.cast(pa.string())
    return pc.if_else(pc.equal(pc.floor(exact), exact), exact, texts.cast(pa.float64()))


def _half_texts(values: pa.Array) -> pa.Array:
    """Return the shortest texts of floats of 16 bits. Arrow writes more digits."""
    distinct = values.dictionary_encode()
    return pa.array(map(str, distinct.dictionary.to_numpy(zero_copy_only=False)), pa.string()).take(
        distinct.indices
    )


def _integer(number: float | Decimal) -> float:
    """Return a number with an integer value as an integer, any other as a float."""
    if math.isfinite(number) and number == math.floor(number):
        return int(number)
    return 0.5 if isinstance(number, Decimal) else number


def _booleans(_column: Column, values: pa.Array) -> TypedColumn:
    if not types.is_boolean(values.type):
        raise _OfAnotherType
    return TypedColumn(values)


def _at_most_exact(values: pa.Array) -> pa.Array:
    """Return a mask of the integers of at most 2^53 in magnitude; larger ones are not exact as floats."""
    if types.is_uint64(values.type):
        return pc.less_equal(values, pa.scalar(LARGEST_NUMBER, pa.uint64()))
    wide = values.cast(pa.int64())
    largest, smallest = pa.scalar(LARGEST_NUMBER, pa.int64()), pa.scalar(-LARGEST_NUMBER, pa.int64())
    return pc.and_(pc.less_equal(wide, largest), pc.greater_equal(wide, smallest))


def _texts(column: Column, values: pa.Array) -> TypedColumn:
    if is_text(values.type):
        texts = values.cast(pa.string())
        if column.form is ColumnForm.WORDS:
            texts = pc.if_else(pc.equal(texts, ""), None, texts)
        return TypedColumn(texts)
    if column.form.takes_integers and types.is_integer(values.type):
        counts = _integers(column, values)
        negative = pc.less(counts.values, 0).fill_null(False).to_numpy(zero_copy_only=False)
        return TypedColumn(counts.values.cast(pa.string()), [*counts.faults, (COUNT_OUT_OF_RANGE, negative)])
    is_list = types.is_list(values.type) or types.is_large_list(values.type)
    if column.form is ColumnForm.WORDS and is_list and is_word(values.type.value_type):
        return _joined(column, values)
    raise _OfAnotherType


def _joined(column: Column, lists: pa.Array) -> TypedColumn:
    """Join lists of words by semicolons."""
    # Some writers use large strings or string views, which Arrow cannot search or join in lists.
    lists = lists.cast(pa.list_(pa.string()))
    all_words = lists.flatten()
    faults: dict[int, Fault] = {}
    if all_words.null_count or pc.any(pc.match_substring(all_words, WORD_SEPARATOR)).as_py():
        rule = column_rule(column)
        converted = (None if words is None else rule.convert(words) for words in lists.to_pylist())
        wrong = ((index, value) for index, value in enumerate(converted) if isinstance(value, Fault))
        faults = dict(islice(wrong, ERRORS_LIMIT))
    texts = pc.binary_join(lists, WORD_SEPARATOR)
    # An empty list is null; a list of one empty word joins to the same text, and is refused.
    is_empty = pc.equal(pc.list_value_length(lists), 0)
    return TypedColumn(pc.if_else(is_empty, None, texts), fault_masks(len(lists), faults))


def is_word(arrow_type: pa.DataType) -> bool:
    """Return whether words of a list may have the type; if all lists are empty, Arrow gives them the type null."""
    return is_text(arrow_type) or types.is_null(arrow_type)


def is_text(arrow_type: pa.DataType) -> bool:
    checks = (types.is_string, types.is_large_string, types.is_string_view)
    return any(check(arrow_type) for check in checks)


_READERS: dict[ColumnKind, Callable[[Column, pa.Array], TypedColumn]] = {
    ColumnKind.TIME: _times,
    ColumnKind.NUMBER: _numbers,
    ColumnKind.INTEGER: _integers,
    ColumnKind.TEXT: _texts,
    ColumnKind.BOOLEAN: _booleans,
}
