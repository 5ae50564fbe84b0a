"""Every dataset through every store: the same rows come back, and are recognised."""

import pyarrow as pa
import pytest

from store.datasets import DATASETS
from store.exceptions import IdConflict
from store.protocol import ALL_TIME, Append
from tests.trades.formats.bodies import read
from trades.batches.row_batch import BatchOptions
from trades.batches.sample_rows import SAMPLE_ROWS

datasets = pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)


@datasets
def test_rows_are_read_back_as_they_were(store, dataset):
    batch = read("json", SAMPLE_ROWS[dataset.name], BatchOptions(dataset))
    receipt = store.append(Append(dataset, batch.symbol, batch.rows, "key:1"))
    found = store.rows(dataset, batch.symbol, ALL_TIME)
    assert found.combine_chunks().equals(pa.Table.from_batches([batch.rows]))
    assert store.version(dataset, batch.symbol, ALL_TIME) == receipt.commit
    assert store.symbols(dataset) == [batch.symbol]


@datasets
def test_rows_sent_again_are_recognised(store, dataset):
    batch = read("json", SAMPLE_ROWS[dataset.name], BatchOptions(dataset))
    append = Append(dataset, batch.symbol, batch.rows, "key:1")
    store.append(append)
    assert store.append(append).duplicates == batch.rows.num_rows


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bars", {"close": 190.0}),
        ("open_interest", {"open_interest": 1}),
        ("corporate_actions", {"ratio": 2}),
    ],
)
def test_an_identity_with_other_values_is_a_conflict(store, name, change):
    dataset, row = DATASETS[name], SAMPLE_ROWS[name][0]
    first, other = (read("json", [sent], BatchOptions(dataset)) for sent in (row, row | change))
    store.append(Append(dataset, first.symbol, first.rows, "key:1"))
    with pytest.raises(IdConflict):
        store.append(Append(dataset, first.symbol, other.rows, "key:1"))
    assert store.rows(dataset, first.symbol, ALL_TIME).num_rows == 1


def test_datasets_of_one_symbol_are_logs_of_their_own(store):
    for name in ("quotes", "bars"):
        batch = read("json", SAMPLE_ROWS[name], BatchOptions(DATASETS[name]))
        assert store.append(Append(DATASETS[name], "AAPL", batch.rows, "key:1")).commit.number == 1
