"""Rows as a stream: the rows of the document however they are cut, written as value by value, in bounded memory."""

import itertools
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stats.rendering.format import StreamEncoder, TimeForm
from stats.rendering.formats import FORMATS
from stats.rendering.table import ColumnRole, Table
from tests.chance import examples
from tests.stats.rendering.tables import OPENING_NS, TRADES, document, over_nulls, tables, within_others

pytestmark = pytest.mark.system

STREAMED = [name for name, each in FORMATS.items() if each.stream is not None]


def encoder(name: str, table: Table, form: TimeForm | None = None) -> StreamEncoder:
    stream = FORMATS[name].stream
    assert stream is not None
    return stream(table.columns, form)


def streamed(name: str, table: Table, cuts: list[int], form: TimeForm | None = None) -> bytes:
    made = encoder(name, table, form)
    edges = [0, *sorted(cut % (len(table) + 1) for cut in cuts), len(table)]
    parts = [part for start, end in itertools.pairwise(edges) for part in made.rows(table.slice(start, end))]
    return b"".join((made.begin(), *parts, made.end()))


def coded(table: Table) -> Table:
    """The table with its texts dictionary-encoded, as the store has them; the dictionaries have other texts, too."""
    values = dict(zip(table.data.column_names, table.arrays(), strict=True))
    for column in table.columns:
        if column.role in {ColumnRole.TEXT, ColumnRole.WORDS}:
            longer = pa.concat_arrays([pa.array(['"unused"', ",;"]), values[column.name]])
            encoded = longer.dictionary_encode()
            indices = over_nulls(encoded.indices, 0)
            values[column.name] = pa.DictionaryArray.from_arrays(indices, encoded.dictionary).slice(2)
    return Table.of(table.columns, values)


def many_trades(count: int) -> Table:
    """Trades a nanosecond apart, the price of each a seventh above the one before."""
    rows = {
        "timestamp": OPENING_NS + np.arange(count),
        "price": np.arange(count) / 7,
        "volume": np.ones(count),
    }
    return Table.of(TRADES[:3], rows)


@settings(max_examples=examples(250), deadline=None)
@given(table=tables, cuts=st.lists(st.integers(0, 100), max_size=4))
def test_a_stream_is_the_document_however_it_is_cut(table: Table, cuts: list[int]):
    """Of batches it has the document's rows."""
    for form in (None, *TimeForm):
        for name in ("ndjson", "csv"):
            assert streamed(name, table, cuts, form) == FORMATS[name].render(document(table, time_form=form))
        whole = FORMATS["arrow"].render(document(table, head={}, time_form=form))
        batches = streamed("arrow", table, cuts, form)
        assert pa.ipc.open_stream(batches).read_all().equals(pa.ipc.open_stream(whole).read_all())


@settings(max_examples=examples(250), deadline=None)
@given(table=tables, before=st.integers(0, 70), is_coded=st.booleans())
def test_the_bytes_are_of_the_rows_alone(table: Table, before: int, is_coded: bool):
    """Neither other rows that are stored beside them, nor what is stored under nulls, is in them."""
    stored = within_others(table, before)
    for form in (None, *TimeForm):
        for name, each in FORMATS.items():
            expected = each.render(document(table, time_form=form))
            found = coded(stored) if is_coded else stored
            assert each.render(document(found, time_form=form)) == expected, name


@pytest.mark.parametrize("name", STREAMED)
def test_more_rows_than_a_block_are_all_written(name: str):
    count = 40_001
    table = many_trades(count)
    assert len(FORMATS["ndjson"].render(document(table)).splitlines()) == count
    cut = streamed(name, table, [1, 16_384, 20_000])
    if name == "arrow":
        assert pa.ipc.open_stream(cut).read_all()["price"].to_pylist() == (np.arange(count) / 7).tolist()
    else:
        assert cut == FORMATS[name].render(document(table))


@pytest.mark.parametrize("name", STREAMED)
def test_encoders_are_stateless(name: str):
    table = many_trades(5_000)
    made = encoder(name, table)
    made.rows(table)
    tracemalloc.start()
    arrow_before = pa.total_allocated_bytes()
    written = sum(len(part) for _ in range(20) for part in made.rows(table))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written > 2 * 10**6
    assert kept + pa.total_allocated_bytes() - arrow_before < 10**5
