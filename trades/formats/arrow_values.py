"""Arrow's types as the columns of a dataset: safe casts only, nothing wraps and nothing is lost."""

import math
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from http_requests.exceptions import FieldError
from store.arrays import Integers
from store.declarations import ARROW_TYPES, WORD_SEPARATOR, Column, ColumnForm, ColumnKind
from store.timestamps import DAY_NS, EARLIEST_NS, LATEST_NS
from trades.batches.json_columns import text_times
from trades.batches.refusals import refused
from trades.batches.validation import Typed, faults_at, rule_of
from trades.batches.value_rule import (
    COUNT_OUT_OF_RANGE,
    ID_LENGTH,
    LARGEST_NUMBER,
    NUMBER_OUT_OF_RANGE,
    TIME_OUT_OF_RANGE,
    WORDS_LIMIT,
    Fault,
    Found,
)

_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
# No text that is right is longer; a longer one in a dictionary could stand in every row.
_LONGEST_TEXT = WORDS_LIMIT * (ID_LENGTH + 1)
_TOO_LONG = " "


class _OfAnotherType(TypeError):
    """No value of this Arrow type can be one of the column's."""


def typed_values(column: Column, values: pa.Array) -> Typed:
    """A column in the type of its kind; nulls stay nulls.

    Raises `BatchRefused` for a type that cannot be it.
    """
    plain = _decoded(values)
    if types.is_null(plain.type):
        return Typed(pa.nulls(len(plain), ARROW_TYPES[column.kind]))
    try:
        return _READERS[column.kind](column, plain)
    except _OfAnotherType:
        message = f"a column of type {str(values.type)[:64]} cannot be read as {column.kind.value}"
        raise refused([FieldError(column.name, "invalid_type", message)]) from None


def _decoded(values: pa.Array) -> pa.Array:
    """The values themselves where they were encoded as a dictionary."""
    if not types.is_dictionary(values.type):
        return values
    dictionary = values.dictionary
    if _is_text(dictionary.type):
        dictionary = dictionary.cast(pa.large_string())
        is_long = pc.greater(pc.binary_length(dictionary), _LONGEST_TEXT)
        dictionary = pc.if_else(is_long, _TOO_LONG, dictionary)
    elif not types.is_primitive(dictionary.type):
        return pa.array([None] * len(values), pa.binary())  # of another type, whatever the column is
    return dictionary.take(values.indices)


def _times(column: Column, values: pa.Array) -> Typed:
    if _is_text(values.type):
        return text_times(column, values.cast(pa.string()))
    return _instants(values)


def _instants(values: pa.Array) -> Typed:
    """Nanoseconds of timestamps, dates, and integers, which are nanoseconds already."""
    unit_ns = _unit_of(values.type)
    whole = values.cast(pa.int32()) if types.is_date32(values.type) else values
    if types.is_uint64(whole.type):
        latest = pa.scalar(LATEST_NS + 1, pa.uint64())
        whole = pc.min_element_wise(whole, latest, skip_nulls=False)
    counted = whole.cast(pa.int64())
    counts: Integers = (counted.fill_null(0) if counted.null_count else counted).to_numpy()
    wrong = (counts < -(-EARLIEST_NS // unit_ns)) | (counts > LATEST_NS // unit_ns)
    instants = np.where(wrong, 0, counts) * unit_ns if unit_ns > 1 or wrong.any() else counts
    mask = counted.is_null().to_numpy(zero_copy_only=False) if counted.null_count else None
    return Typed(pa.array(instants, mask=mask), [(TIME_OUT_OF_RANGE, wrong)] if wrong.any() else ())


def _unit_of(kind: pa.DataType) -> int:
    if types.is_timestamp(kind):
        return _UNIT_NS[kind.unit]
    if types.is_date32(kind):
        return DAY_NS
    if types.is_date64(kind):
        return _UNIT_NS["ms"]
    if types.is_int64(kind) or types.is_uint64(kind):
        return 1
    raise _OfAnotherType


def _numbers(_column: Column, values: pa.Array) -> Typed:
    faults: Found = []
    if types.is_integer(values.type):
        rounded = ~_at_most_exact(values).fill_null(True).to_numpy(zero_copy_only=False)
        faults = [(NUMBER_OUT_OF_RANGE, rounded)] if rounded.any() else []
        numbers = values.cast(pa.float64(), safe=False)
    elif types.is_floating(values.type) or types.is_decimal(values.type):
        numbers = values.cast(pa.float64())
    else:
        raise _OfAnotherType
    mask = numbers.is_null().to_numpy(zero_copy_only=False) if numbers.null_count else None
    # Minus zero is zero.
    return Typed(pa.array(numbers.to_numpy(zero_copy_only=False) + 0.0, mask=mask), faults)


def _integers(column: Column, values: pa.Array) -> Typed:
    """Integers, and floats that are whole: pandas has no others where some are missing."""
    if types.is_floating(values.type):
        wide = values.cast(pa.float64())
        fits = pc.and_(pc.equal(pc.floor(wide), wide), pc.less_equal(pc.abs(wide), float(LARGEST_NUMBER)))
    elif types.is_integer(values.type):
        wide = values
        fits = _at_most_exact(values)
    else:
        raise _OfAnotherType
    faults = {
        int(place): rule_of(column).stored(_whole(wide[int(place)].as_py()))
        for place in np.flatnonzero(pc.invert(fits).fill_null(False))
    }
    return Typed(pc.if_else(fits, wide, None).cast(pa.int64()), faults_at(len(values), faults))


def _whole(number: float) -> float:
    """A float as an integer if it is one."""
    return int(number) if math.isfinite(number) and number == math.floor(number) else number


def _booleans(_column: Column, values: pa.Array) -> Typed:
    if not types.is_boolean(values.type):
        raise _OfAnotherType
    return Typed(values)


def _at_most_exact(values: pa.Array) -> pa.Array:
    """Which integers are at most 2^53 away from zero, beyond which floats are not exact."""
    if types.is_uint64(values.type):
        return pc.less_equal(values, pa.scalar(LARGEST_NUMBER, pa.uint64()))
    wide = values.cast(pa.int64())
    largest, smallest = pa.scalar(LARGEST_NUMBER, pa.int64()), pa.scalar(-LARGEST_NUMBER, pa.int64())
    return pc.and_(pc.less_equal(wide, largest), pc.greater_equal(wide, smallest))


def _texts(column: Column, values: pa.Array) -> Typed:
    if _is_text(values.type):
        texts = values.cast(pa.string())
        if column.form is ColumnForm.WORDS:
            texts = pc.if_else(pc.equal(texts, ""), None, texts)
        return Typed(texts)
    if column.form is ColumnForm.ID and types.is_integer(values.type):
        counts = _integers(column, values)
        negative = pc.less(counts.values, 0).fill_null(False).to_numpy(zero_copy_only=False)
        return Typed(counts.values.cast(pa.string()), [*counts.faults, (COUNT_OUT_OF_RANGE, negative)])
    is_list = types.is_list(values.type) or types.is_large_list(values.type)
    if column.form is ColumnForm.WORDS and is_list and _is_text(values.type.value_type):
        return _joined(column, values)
    raise _OfAnotherType


def _joined(column: Column, lists: pa.Array) -> Typed:
    """Lists of words as texts with semicolons between them."""
    # Some writers make lists of large texts or of views, which Arrow neither searches nor joins.
    lists = lists.cast(pa.list_(pa.string()))
    words = lists.flatten()
    faults: dict[int, Fault] = {}
    if words.null_count or pc.any(pc.match_substring(words, WORD_SEPARATOR)).as_py():
        stored = (None if found is None else rule_of(column).stored(found) for found in lists.to_pylist())
        faults = {place: found for place, found in enumerate(stored) if isinstance(found, Fault)}
    texts = pc.binary_join(lists, WORD_SEPARATOR)
    # A list of one empty word is joined to the same text as an empty list.
    is_empty = pc.equal(pc.list_value_length(lists), 0)
    return Typed(pc.if_else(is_empty, None, texts), faults_at(len(lists), faults))


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


_READERS: dict[ColumnKind, Callable[[Column, pa.Array], Typed]] = {
    ColumnKind.TIME: _times,
    ColumnKind.NUMBER: _numbers,
    ColumnKind.INTEGER: _integers,
    ColumnKind.TEXT: _texts,
    ColumnKind.BOOLEAN: _booleans,
}
