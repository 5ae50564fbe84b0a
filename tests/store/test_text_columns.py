"""Text of whole columns against the same made text by text."""

import json
import math
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import text_columns
from store.text_columns import (
    each_distinct,
    ended_numbers,
    escaped,
    joined_lines,
    quoted,
    text_bytes,
)

texts = (
    st.none()
    | st.text(st.characters(codec="utf-8"), max_size=6)
    | st.sampled_from(["=1", "'x", "a,b", '"', "\r", ""])
)
columns = st.lists(texts, max_size=8)
lines = st.integers(0, 9).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(
            st.one_of(
                st.text(max_size=3),
                st.lists(texts, min_size=count, max_size=count),
                st.lists(st.sampled_from("abc"), min_size=count, max_size=count).map(tuple),
            ),
            max_size=5,
        ),
    )
)


def sliced(values: list[str | None]) -> pa.Array:
    """The array as part of a longer one."""
    return pa.array(["=,", None, *values, '"'], pa.string()).slice(2, len(values))


@settings(deadline=None)
@given(drawn=lines, at_once=st.integers(1, 4))
def test_lines_join_their_pieces(drawn: tuple[int, list[str | list[str | None] | tuple[str]]], at_once: int):
    """Tuples are dictionary-encoded."""
    count, pieces = drawn
    expected = "".join(
        piece if isinstance(piece, str) else piece[line] or "" for line in range(count) for piece in pieces
    )
    arrays = [
        piece
        if isinstance(piece, str)
        else sliced(list(piece)).dictionary_encode()
        if isinstance(piece, tuple)
        else sliced(piece)
        for piece in pieces
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_columns, "_LINES_AT_ONCE", at_once)
        assert joined_lines(arrays, count) == expected.encode()


@settings(deadline=None)
@given(values=columns)
def test_each_distinct_text_is_converted_once(values: list[str | None]):
    converted: list[str] = []

    def convert(distinct: pa.Array) -> pa.Array:
        converted.extend(distinct.to_pylist())
        return pa.array([f"<{text}>" for text in distinct.to_pylist()], pa.string())

    expected = ["none" if text is None else f"<{text}>" for text in values]
    for array in (sliced(values), sliced(values).dictionary_encode()):
        converted.clear()
        assert each_distinct(array, convert, null="none").to_pylist() == expected
        assert len(converted) == len(set(converted))


@settings(deadline=None)
@given(values=columns)
def test_a_text_that_looks_like_a_formula_gets_an_apostrophe(values: list[str | None]):
    expected = [f"'{text}" if text and text[0] in "=+-@\t\r'" else text for text in values]
    assert escaped(sliced(values)).to_pylist() == expected


@settings(deadline=None)
@given(values=columns)
def test_a_text_that_csv_would_break_is_quoted(values: list[str | None]):
    def marked(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if not text or re.search('[,"\r\n]', text) else text

    assert quoted(sliced(values)).to_pylist() == [None if text is None else marked(text) for text in values]


@settings(deadline=None)
@given(values=columns)
def test_bytes_of_texts_are_those_of_the_values(values: list[str | None]):
    assert text_bytes(sliced(values)).tobytes() == "".join(text or "" for text in values).encode()


@settings(deadline=None)
@given(numbers=st.lists(st.floats() | st.sampled_from([-0.0, 0.1, 1e16, 5e-324])))
def test_numbers_are_exact_and_null_if_not_finite(numbers: list[float]):
    found = ended_numbers(np.array(numbers, np.float64), ";").to_pylist()
    assert all(text.endswith(";") for text in found)
    read = [json.loads(text[:-1]) for text in found]
    assert repr(read) == repr([number if math.isfinite(number) else None for number in numbers])
