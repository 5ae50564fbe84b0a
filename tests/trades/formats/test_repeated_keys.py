"""A key that is repeated in one row is refused, in every dataset, whatever the values are."""

import json
from typing import Any

import pytest

from store.datasets import DATASETS
from store.declarations import Column, ColumnForm, Dataset
from trades.batches.row_batch import BatchOptions
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.batches.validation import columns_of
from trades.formats.json_body import read_json_body, read_ndjson_body
from web.requests.exceptions import MalformedDocument

COLUMNS = [(dataset, column) for dataset in DATASETS.values() for column in columns_of(dataset)]


def spellings(column: Column, own: Any) -> list[str]:
    """JSON texts that the typed decoder takes, or null, for a column."""
    if column.form is ColumnForm.ID:
        return ['"7"', "7", "77"] + ([] if column.required else ["null"])
    return [json.dumps(own)] + ([] if column.required else ["null"])


@pytest.mark.parametrize(
    ("dataset", "column"), COLUMNS, ids=[f"{dataset.name}-{column.name}" for dataset, column in COLUMNS]
)
def test_a_repeated_key_is_refused_whatever_its_values_are(dataset: Dataset, column: Column):
    row = SAMPLE_ROWS[dataset.name][0]
    others = json.dumps({name: value for name, value in row.items() if name != column.name})[1:-1]
    texts = spellings(column, row.get(column.name))
    for first in texts:
        for second in texts:
            line = f'{{{others},"{column.name}":{first},"{column.name}":{second}}}'.encode()
            for read, body in (
                (read_json_body, b'{"%b":[%b]}' % (dataset.name.encode(), line)),
                (read_ndjson_body, line),
            ):
                with pytest.raises(MalformedDocument) as refused:
                    read(body, BatchOptions(dataset))
                assert refused.value.code == "duplicate_key", (first, second)


def test_members_as_integers_are_read_without_a_second_parse(monkeypatch: pytest.MonkeyPatch):
    rows = [{**SAMPLE_ROWS["universe_changes"][0], "member": member} for member in ("APO", 7, 700)]
    monkeypatch.setattr("trades.formats.json_body.read_json", None)
    body = json.dumps({"universe_changes": rows}).encode()
    batch = read_json_body(body, BatchOptions(DATASETS["universe_changes"]))
    assert batch.rows["member"].to_pylist() == ["APO", "7", "700"]
