"""The same rows in every format are the same batch, and wrong ones are refused with the same codes."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.datasets import DATASETS, TRADES
from store.declarations import ColumnForm, ColumnKind, Dataset
from tests.chance import SOAK
from tests.trades.formats.bodies import ENCODERS, read, valid_rows
from trades.batches.row_batch import BatchOptions
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.exceptions import BatchRefused

OTHERS = [name for name in ENCODERS if name != "json"]
BY_ROWS = ["ndjson", "msgpack", "msgpack columns"]

datasets = pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
often = settings(
    max_examples=1_000 if SOAK else 3, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def refusal(name: str, rows: list[Any], expected: BatchOptions) -> tuple[str, set[tuple[str, str]]]:
    """The code of the whole, and of each field with its path."""
    with pytest.raises(BatchRefused) as refused:
        read(name, rows, expected)
    return refused.value.code, {(error.path, error.code) for error in refused.value.errors}


@datasets
@often
@given(data=st.data())
def test_the_same_rows_are_the_same_batch_in_every_format(dataset, data):
    rows = data.draw(valid_rows(dataset))
    expected = BatchOptions(dataset)
    by_json = read("json", rows, expected)
    assert by_json.rows.schema.equals(dataset.schema)
    for name in OTHERS:
        batch = read(name, rows, expected)
        assert batch.symbol == by_json.symbol
        assert batch.rows.equals(by_json.rows), name


WRONG_VALUES: dict[ColumnKind, list[Any]] = {
    ColumnKind.TIME: ["1899-12-31T23:59:59Z", "2201-01-01T00:00:00Z"],
    ColumnKind.NUMBER: [-1.0, -5e-324, 2.0**53 + 2, 1e300],
    ColumnKind.INTEGER: [-1, 2**53 + 1, 2**63 - 1],
    ColumnKind.TEXT: ["a b", "\u202e", "x" * 65, "caf\u00e9", "\x7f"],
}


@st.composite
def wrong_rows(draw: Any, dataset: Dataset) -> list[dict[str, Any]]:
    """Valid rows in which one value is wrong and still of its type, so that every format can say it."""
    rows: list[dict[str, Any]] = draw(valid_rows(dataset))
    row = draw(st.sampled_from(rows))
    column = draw(st.sampled_from([c for c in dataset.columns if c.kind in WRONG_VALUES]))
    if column.required and draw(st.booleans()):
        row[column.name] = None
    else:
        values = WRONG_VALUES[column.kind]
        # A number without a lower bound may be negative.
        is_unbound = column.kind is ColumnKind.NUMBER and column.lower_bound is None
        value = draw(st.sampled_from([each for each in values if each > 0] if is_unbound else values))
        # A symbol may have a space inside.
        value = "a  b" if value == "a b" and column.form is ColumnForm.MEMBER else value
        row[column.name] = [value] if column.name == "conditions" else value
    return rows


@datasets
@often
@given(data=st.data())
def test_a_wrong_value_is_refused_alike_in_every_format(dataset, data):
    rows = data.draw(wrong_rows(dataset))
    expected = BatchOptions(dataset)
    by_json = refusal("json", rows, expected)
    for name in OTHERS:
        assert refusal(name, rows, expected) == by_json, name


ANY_VALUE = st.one_of(
    st.sampled_from([True, False, "", "1", "1_000", " 1 ", "NaN", [], {}, [[]], ["a;b"], ["a", None], {"a": 1}, 2**63, -(2**63)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**64 - 1),
    st.text(max_size=8),
)  # fmt: skip


def outcome(name: str, rows: list[Any], expected: BatchOptions) -> Any:
    try:
        return read(name, rows, expected).rows.to_pydict()
    except BatchRefused:
        return refusal(name, rows, expected)


@datasets
@often
@given(data=st.data())
def test_formats_that_have_jsons_types_judge_any_value_as_json_does(dataset, data):
    rows = data.draw(valid_rows(dataset))
    column = data.draw(st.sampled_from([c for c in dataset.columns if c.kind is not ColumnKind.TIME]))
    data.draw(st.sampled_from(rows))[column.name] = data.draw(ANY_VALUE)
    by_json = outcome("json", rows, BatchOptions(dataset))
    for name in BY_ROWS:
        assert outcome(name, rows, BatchOptions(dataset)) == by_json, name


@datasets
@pytest.mark.parametrize("name", ENCODERS)
def test_rows_of_two_symbols_are_mixed_in_every_format(dataset, name):
    rows = [dict(row) for row in SAMPLE_ROWS[dataset.name] * 2]
    rows[-1]["symbol"] = "MSFT"
    assert refusal(name, rows, BatchOptions(dataset))[0] == "mixed_symbols"


@pytest.mark.parametrize("name", ENCODERS)
def test_an_unknown_field_is_named_with_the_nearest_or_passed_over(name):
    rows = [dict(SAMPLE_ROWS["trades"][0], prise=1.5)]
    encoded = [row | {"prise": "1.5"} for row in rows] if name == "arrow" else rows
    if name != "arrow":
        code, errors = refusal(name, encoded, BatchOptions())
        assert (code, {path.rpartition(".")[2] for path, _ in errors}) == ("unknown_field", {"prise"})
        assert read(name, encoded, BatchOptions(ignore_unknown=True)).rows.num_rows == 1


@pytest.mark.parametrize("name", ENCODERS)
def test_a_missing_required_field_is_named(name):
    rows = [{key: value for key, value in SAMPLE_ROWS["trades"][0].items() if key != "price"}]
    _, errors = refusal(name, rows, BatchOptions())
    assert {(path.rpartition(".")[2], code) for path, code in errors} == {("price", "required")}


@pytest.mark.parametrize("name", OTHERS)
def test_the_query_may_name_the_symbol(name):
    rows = [{key: value for key, value in row.items() if key != "symbol"} for row in SAMPLE_ROWS["trades"]]
    assert read(name, rows, BatchOptions(given={"symbol": "AAPL"})).symbol == "AAPL"
    assert "symbol" in str(refusal(name, rows, BatchOptions())[1])


@pytest.mark.parametrize("name", OTHERS)
def test_query_and_rows_must_name_the_same_symbol(name):
    rows = SAMPLE_ROWS["trades"]
    assert read(name, rows, BatchOptions(given={"symbol": "AAPL"})).rows.num_rows == 3
    assert refusal(name, rows, BatchOptions(given={"symbol": "MSFT"}))[0] == "mixed_symbols"


@pytest.mark.parametrize("name", ENCODERS)
def test_the_query_may_give_the_resolution_of_bars(name):
    bars = DATASETS["bars"]
    rows = SAMPLE_ROWS["bars"]
    without = [{key: value for key, value in row.items() if key != "resolution"} for row in rows]
    assert read(name, without, BatchOptions(bars, given={"resolution": "1m"})).rows[
        "resolution"
    ].to_pylist() == ["1m"]
    assert read(name, rows, BatchOptions(bars, given={"resolution": "1m"})).rows.num_rows == 1
    assert refusal(name, rows, BatchOptions(bars, given={"resolution": "1h"}))[0] == "mixed_resolutions"


@pytest.mark.parametrize("name", OTHERS)
def test_a_batch_has_at_most_so_many_rows(name, monkeypatch):
    row = SAMPLE_ROWS["trades"][0]
    monkeypatch.setattr("trades.batches.row_batch.ROWS_LIMIT", 100)
    monkeypatch.setattr("trades.formats.arrow_body.ROWS_LIMIT", 100)
    assert read(name, [row] * 100, BatchOptions()).rows.num_rows == 100
    assert refusal(name, [row] * 101, BatchOptions())[0] == "too_many_rows"


@pytest.mark.parametrize("name", ["csv", "msgpack columns", "arrow", "ndjson", "msgpack"])
def test_one_wrong_row_of_many_is_found(name):
    rows = [dict(SAMPLE_ROWS["trades"][0]) for _ in range(5_000)]
    rows[3_333]["volume"] = -1.0
    assert refusal(name, rows, BatchOptions(TRADES)) == (
        "negative_volume",
        {("trades[3333].volume", "negative_volume")},
    )
