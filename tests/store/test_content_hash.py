"""The hash of a commit's content: its text is fixed, and it depends on the rows alone."""

import hashlib
import struct
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.content_hash import ContentHash, TableHash
from store.datasets import DATASETS, TRADES
from store.declarations import Column, ColumnKind, Dataset
from store.rows.stored_rows import corrections_of
from tests.store.builders import record_batch, trade

NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False), st.just(-0.0))
TEXTS = st.none() | st.text(max_size=4)
rows_of_trades = st.lists(
    st.builds(trade, st.integers(0, 10**9), trade_id=TEXTS, exchange=TEXTS, sequence=st.none() | st.integers(0, 9), buyer_is_maker=st.none() | st.booleans()),
    max_size=6,
)  # fmt: skip


def hash_of(*batches: pa.RecordBatch | pa.Table, dataset: Dataset = TRADES) -> str:
    content = ContentHash(dataset)
    for rows in batches:
        content.add_rows(rows)
    return content.hexdigest()


def by_hand(columns: list[tuple[str, str, list[Any]]], count: int) -> str:
    """The hash as the module's page says. columns: name, the format of a value in `struct` or "text", values."""
    digests = b""
    for name, form, values in columns:
        if all(value is None for value in values):
            continue
        if form == "text":
            data = "".join(value or "" for value in values).encode()
            sizes = b"".join(
                struct.pack("<i", -1 if value is None else len(value.encode())) for value in values
            )
        else:
            data = b"".join(struct.pack(form, value or 0) for value in values)
            sizes = b"".join(struct.pack("<b", -1 if value is None else 1) for value in values)
            sizes = sizes if None in values else b""
        digests += name.encode() + b"\0" + hashlib.sha256(sizes).digest() + hashlib.sha256(data).digest()
    return hashlib.sha256(count.to_bytes(8, "little") + digests).hexdigest()


FORMS = {
    ColumnKind.TIME: "<q",
    ColumnKind.INTEGER: "<q",
    ColumnKind.NUMBER: "<d",
    ColumnKind.TEXT: "text",
    ColumnKind.BOOLEAN: "<B",
}


@given(rows_of_trades)
def test_it_is_as_the_page_says(rows: list[dict[str, Any]]):
    columns = [
        (column.name, FORMS[column.kind], [row[column.name] for row in rows]) for column in TRADES.columns
    ]
    assert hash_of(record_batch(*rows)) == by_hand(columns, len(rows))


def test_it_never_changes():
    rows = [
        trade(1, trade_id="a", conditions="T;é", sequence=3),
        trade(2, 0.1, exchange="Q", buyer_is_maker=True),
    ]
    assert hash_of(record_batch(*rows)) == "ff2a24d2ccd1ab9ac30f46562c2fed83d8e98f8bdcc13f8fc2b02a2896dfb92c"


@given(rows_of_trades, st.lists(st.integers(0, 6), max_size=3))
def test_it_does_not_depend_on_batches(rows: list[dict[str, Any]], cuts: list[int]):
    whole = record_batch(*rows)
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = [whole.slice(start, stop - start) for start, stop in pairwise(bounds)]
    assert hash_of(*pieces) == hash_of(pa.Table.from_batches(pieces)) == hash_of(whole)


@given(rows_of_trades, rows_of_trades)
def test_other_rows_have_another_hash(one: list[dict[str, Any]], other: list[dict[str, Any]]):
    assert (hash_of(record_batch(*one)) == hash_of(record_batch(*other))) == (one == other)


def test_a_column_without_values_may_be_added():
    columns = (*TRADES.columns, Column("later", ColumnKind.NUMBER, later=True))
    rows = record_batch(trade(1), trade(2, trade_id="a"))
    table = pa.Table.from_batches([rows]).append_column("later", pa.nulls(2, "double"))
    wider = TableHash(columns)
    wider.add(table)
    assert wider.hexdigest() == hash_of(rows)


def test_a_negative_zero_is_a_zero():
    assert hash_of(record_batch(trade(1, -0.0))) == hash_of(record_batch(trade(1, 0.0)))


CORRECTED = {name: dataset for name, dataset in DATASETS.items() if dataset.corrected}


@pytest.mark.parametrize("dataset", CORRECTED.values(), ids=CORRECTED)
def test_corrections_are_told_apart_from_rows(dataset: Dataset):
    lines = corrections_of(dataset).schema.empty_table()
    content = ContentHash(dataset)
    content.add_corrections(lines)
    assert content.hexdigest() != hash_of(dataset=dataset)
