"""Converts whole columns to text, and joins the cells of all rows to lines at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson

from store import lazy_pyarrow as pa
from store.lazy_imports import compute as pc

# A part of every line: one text per row, or a constant. A dictionary array must have no nulls.
TextPiece: TypeAlias = "pa.Array | str"
_Ends: TypeAlias = npt.NDArray[np.int32]

_COLUMN_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z

# Lines per step: few enough that their texts fit into the processor's cache.
_LINES_AT_ONCE = 4_096

# A spreadsheet treats a cell that begins with one of these as a formula.
ESCAPED_FIRST = "=+-@\t\r'"
_IS_ESCAPED_FIRST = np.zeros(256, dtype=bool)
_IS_ESCAPED_FIRST[list(ESCAPED_FIRST.encode())] = True


def joined_lines(pieces: Sequence[TextPiece], count: int) -> bytes:
    """Return `count` lines, each of which joins its pieces; a null adds no text."""
    return b"".join(line_blocks(pieces, count))


def line_blocks(pieces: Sequence[TextPiece], count: int) -> Iterator[memoryview]:
    """Yield the bytes of `joined_lines` in blocks of whole lines. To send them one by one saves a slow copy.

    All texts of a block are put into one array and taken from it in the lines' order: first those of the columns,
    then the constants, then the dictionaries. This takes half the time of joining line by line.
    """
    merged = _merged(pieces)
    kinds = tuple(map(type, merged))
    columns = [piece for piece in merged if not isinstance(piece, (str, pa.DictionaryArray))]
    constants = pa.array([piece for piece in merged if isinstance(piece, str)], pa.string())
    coded: list[tuple[int, Any]] = [
        (index, piece) for index, piece in enumerate(merged) if isinstance(piece, pa.DictionaryArray)
    ]
    fixed = pa.concat_arrays([constants, *(piece.dictionary for _, piece in coded)])
    for start in range(0, count, _LINES_AT_ONCE):
        lines = min(_LINES_AT_ONCE, count - start)
        texts = pa.concat_arrays([*(column.slice(start, lines) for column in columns), fixed])
        indices, first = _indices(kinds, lines), lines * len(columns) + len(constants)
        indices = indices.copy() if coded else indices
        for index, piece in coded:
            indices[:, index] = piece.indices.slice(start, lines).to_numpy() + first
            first += len(piece.dictionary)
        taken = pc.take(texts, pa.array(indices.ravel()), boundscheck=False)
        yield memoryview(taken.buffers()[2] or b"")


@lru_cache(maxsize=16)
def _indices(kinds: Sequence[type], lines: int) -> npt.NDArray[np.int32]:
    """Return a row per line with the index of each piece's text in a block; any index for a dictionary's text."""
    is_constant = np.array([kind is str for kind in kinds], dtype=bool)
    is_column = ~is_constant & np.array([kind is not pa.DictionaryArray for kind in kinds], dtype=bool)
    first = np.where(is_constant, np.cumsum(is_constant) - 1, (np.cumsum(is_column) - 1) * lines)
    first[is_constant] += lines * np.count_nonzero(is_column)
    indices: npt.NDArray[np.int32] = first + np.arange(lines)[:, np.newaxis] * is_column
    return indices.astype(np.int32)


def _merged(pieces: Sequence[TextPiece]) -> list[TextPiece]:
    """Join neighbouring constants, and add the constants beside a dictionary to its texts."""
    merged: list[TextPiece] = []
    for piece in _constants_joined(pieces):
        if merged and isinstance(piece, str) and isinstance(merged[-1], pa.DictionaryArray):
            merged[-1] = _between("", merged[-1], piece)
        elif merged and isinstance(merged[-1], str) and isinstance(piece, pa.DictionaryArray):
            merged[-1] = _between(merged[-1], piece, "")
        else:
            merged.append(piece)
    return merged


def _between(before: str, piece: pa.DictionaryArray, after: str) -> pa.DictionaryArray:
    texts = pc.binary_join_element_wise(before, piece.dictionary, after, "")
    return pa.DictionaryArray.from_arrays(piece.indices, texts, safe=False)


def _constants_joined(pieces: Sequence[TextPiece]) -> Iterator[TextPiece]:
    for is_constant, run in groupby(pieces, key=lambda piece: isinstance(piece, str)):
        neighbours = list(run)
        yield from ["".join(neighbours)] if is_constant else neighbours


def each_distinct(
    values: pa.Array, convert: Callable[[pa.Array], pa.Array], *, null: str
) -> pa.DictionaryArray:
    """Return a dictionary array of the converted texts; null values become the text `null`.

    values: texts, dictionary-encoded or not. convert: gets the distinct texts and returns a text for each.
    """
    encoded = values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
    texts, codes = convert(encoded.dictionary), encoded.indices
    if encoded.null_count:
        codes = codes.fill_null(len(texts))
        texts = pa.concat_arrays([texts, pa.array([null])])
    return pa.DictionaryArray.from_arrays(codes, texts, safe=False)


def ended_numbers(numbers: npt.NDArray[Any], end: str) -> pa.Array:
    """Return each number's shortest exact text followed by `end`, an ASCII character.

    The text of a number that is not finite is `null`.
    """
    return ended_columns([numbers], [end])[0]


def ended_columns(columns: Sequence[npt.NDArray[Any]], ends: Sequence[str]) -> list[pa.Array]:
    """Return the JSON texts of several columns of one length, each followed by its column's `end`, an ASCII character.

    Numbers are as in `ended_numbers`; times are quoted RFC 3339 in UTC. All texts come from JSON lists, one for each
    run of columns of a type, whose commas are overwritten.
    """
    count = len(columns[0])
    listed = [_listed(list(run)) for _, run in groupby(columns, key=lambda column: column.dtype)]
    text = np.frombuffer(bytearray(b",".join(listed) + b","), dtype=np.uint8)
    commas = np.flatnonzero(text == ord(","))[
        : count * len(columns)
    ]  # without rows the last comma ends no text
    for index, end in enumerate(ends):
        if end != ",":
            text[commas[index * count : (index + 1) * count]] = ord(end)
    offsets = np.zeros(len(commas) + 1, np.int32)
    np.add(commas, 1, out=offsets[1:], casting="same_kind")
    texts = pa.StringArray.from_buffers(len(commas), pa.py_buffer(offsets), pa.py_buffer(text))
    return [texts.slice(index * count, count) for index in range(len(columns))]


def _listed(columns: Sequence[npt.NDArray[Any]]) -> bytes:
    """Return the elements of a JSON list of all values."""
    values = columns[0] if len(columns) == 1 else np.concatenate(columns)
    return orjson.dumps(values, option=_COLUMN_OPTIONS)[1:-1]


def are_exact_integers(numbers: npt.NDArray[np.float64]) -> bool:
    """Return whether all numbers are integers that int64 holds exactly, and none is minus zero."""
    are_integers = bool(np.all(numbers == np.floor(numbers)) and np.all(np.abs(numbers) <= 2.0**53))
    return are_integers and not np.any(np.signbit(numbers) & (numbers == 0))


def text_bytes(values: pa.Array) -> npt.NDArray[np.uint8]:
    """Return the bytes of all texts, concatenated; empty if no value is present."""
    ends = text_ends(values)
    return np.frombuffer(values.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]


def text_ends(values: pa.Array) -> _Ends:
    """Return the offset of each text in the array's buffer, and the end of the last one."""
    if not len(values):
        return np.zeros(1, np.int32)
    return np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]


def escaped(values: pa.Array) -> pa.Array:
    """Return the texts, with an apostrophe before each that a spreadsheet would treat as a formula.

    A text that begins with an apostrophe gets another one, so that every text can be read back.
    """
    present = values.drop_null()
    starts = text_ends(present)[:-1]
    data = np.frombuffer(present.buffers()[2] or b"", dtype=np.uint8)
    first = data[starts[starts < len(data)]]  # for an empty text this is the next text's first byte
    if not _IS_ESCAPED_FIRST[first].any():
        return values
    risky = pc.is_in(pc.utf8_slice_codeunits(values, 0, 1), pa.array(list(ESCAPED_FIRST)))
    return pc.if_else(risky, pc.binary_join_element_wise("'", values, ""), values)


def quoted(values: pa.Array) -> pa.Array:
    """Return the texts. Those that are empty or hold a comma, a quote or a line end are quoted (RFC 4180)."""
    if not _may_need_quotes(values.drop_null()):
        return values
    structural = pc.match_substring_regex(values, '[,"\r\n]|^$')
    marked = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return pc.if_else(structural, marked, values)


def _may_need_quotes(present: pa.Array) -> bool:
    """Return whether any text may need quotes. Checks all bytes at once, not text by text."""
    text = text_bytes(present)
    if np.any((text == ord(",")) | (text == ord('"')) | (text == ord("\r")) | (text == ord("\n"))):
        return True
    ends = text_ends(present)
    return bool(np.any(ends[1:] == ends[:-1]))
