"""Stored rows are read as written: any window, any columns, with nulls and repeated texts."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.csv.derived.segment_rows import SegmentRows, plain_rows, write_rows
from store.csv.files import arrow_file
from store.datasets import TRADES
from store.rows.stored_rows import stored_schema
from tests.chance import examples

SCHEMA = stored_schema(TRADES)
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.sampled_from(["", "x", "odd_lot", "\u00e9\u20ac", "y" * 40]),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Rows in order of time, some of them a slice of others; some columns have only nulls or only one text."""
    count = draw(st.integers(1, 40))
    columns: list[list[Any]] = [sorted(draw(st.lists(st.integers(0, 2**62), min_size=count, max_size=count)))]
    for field in [*SCHEMA][1:]:
        values = VALUES[field.type] | st.none() if field.nullable else VALUES[field.type]
        if field.nullable:
            values = draw(st.sampled_from([values, st.none(), st.just(draw(values))]))
        columns.append(draw(st.lists(values, min_size=count, max_size=count)))
    table = pa.table(
        [pa.array(each, field.type) for each, field in zip(columns, SCHEMA, strict=True)], SCHEMA
    )
    return table.slice(draw(st.integers(0, count - 1)))


@pytest.fixture(params=[8, 16_384], autouse=True, scope="module")
def blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow_file, "BLOCK_BYTES", request.param)
        patch.setattr(arrow_file, "_SEARCHED_AT_ONCE", request.param)
        yield


def mapped(folder: pytest.TempPathFactory, rows: pa.Table) -> SegmentRows:
    path = folder.getbasetemp() / "one.rows.arrow"
    return SegmentRows(path, write_rows(path, TRADES, rows))


@settings(deadline=None, max_examples=examples(60))
@given(rows=tables(), data=st.data())
def test_any_rows_are_read_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: pa.Table, data: st.DataObject
) -> None:
    file = mapped(tmp_path_factory, rows)
    assert len(file) == len(rows)
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    names = data.draw(st.sets(st.sampled_from(SCHEMA.names), min_size=1)) | {"timestamp"}
    found = plain_rows(TRADES, file.batch(start, stop, names), names)
    expected = rows.slice(start, stop - start).select([name for name in SCHEMA.names if name in names])
    found.validate(full=True)
    assert found.equals(expected)
    indices = pa.array(sorted(data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1)))).to_numpy()
    assert plain_rows(TRADES, file.at(indices)).equals(rows.take(pa.array(indices)))


@settings(deadline=None, max_examples=examples(60))
@given(rows=tables(), data=st.data())
def test_times_are_searched_as_numpy_searches(
    tmp_path_factory: pytest.TempPathFactory, rows: pa.Table, data: st.DataObject
) -> None:
    times = rows.column("timestamp").to_numpy()
    found = mapped(tmp_path_factory, rows).times
    near = st.sampled_from(times.tolist()).flatmap(lambda time: st.integers(time - 1, time + 1))
    wanted = data.draw(st.lists(near | st.integers(-(2**63), 2**63 - 1)))
    assert found.searchsorted(wanted).tolist() == times.searchsorted(wanted).tolist()
    assert [int(found.searchsorted(each)) for each in wanted] == times.searchsorted(wanted).tolist()
    assert found[:].tolist() == times.tolist()
    assert found[len(times) - 1] == times[-1]
