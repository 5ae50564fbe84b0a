"""Every dataset through every store: the same rows come back, and are recognised."""

import pyarrow as pa
import pytest

from store.datasets import CORRECTED, DATASETS
from store.exceptions import CorrectedRowInvalid, IdConflict
from store.protocol import ALL_TIME, Action, Amendment, Append, Correction
from store.walk import BEGINNING, CommittedCorrections
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


NEW: dict[str, dict[str, object]] = {
    "bars": {"high": 200.0, "trade_count": 4},
    "open_interest": {"open_interest": 1.0},
    "corporate_actions": {"ratio": 2.0},
    "interest_rates": {"rate": 0.5},
    "trading_status": {"reason": "T1"},
}


@pytest.mark.parametrize(
    "dataset", [each for each in CORRECTED if each.has_complete_ids], ids=lambda each: each.name
)
def test_a_row_is_corrected_then_cancelled_and_every_commit_stays_readable(store, dataset):
    batch = read("json", SAMPLE_ROWS[dataset.name], BatchOptions(dataset))
    store.append(Append(dataset, batch.symbol, batch.rows, "key:1"))
    first, *others = batch.rows.to_pylist()
    named = {name: first[name] for name in dataset.named_by}
    new = NEW[dataset.name]
    for action, values in ((Action.CORRECT, new), (Action.CANCEL, {})):
        correction = Correction(action, first["timestamp"], named, values)
        for stored in (1, 0):
            assert store.correct(Amendment(dataset, batch.symbol, (correction,), "key:1")).stored == stored
        named |= {name: new[name] for name in dataset.named_by if name in new}
    versions = [store.rows(dataset, batch.symbol, ALL_TIME, commit=n).to_pylist() for n in (1, 2, 3)]
    assert versions == [[first, *others], [first | new, *others], others]
    for sent in ([first], [first | new]):
        rows = pa.RecordBatch.from_pylist(sent, schema=dataset.schema)
        assert store.append(Append(dataset, batch.symbol, rows, "key:1")).duplicates == 1
    corrections = [
        (each.before, each.after)
        for piece in store.commits(dataset, batch.symbol, BEGINNING)
        if isinstance(piece, CommittedCorrections)
        for each in piece.corrections
    ]
    assert corrections == [(first, first | new), (first | new, None)]


def test_a_correction_that_would_break_a_rule_is_refused_with_all_others(store):
    batch = read("json", SAMPLE_ROWS["bars"], BatchOptions(DATASETS["bars"]))
    store.append(Append(DATASETS["bars"], batch.symbol, batch.rows, "key:1"))
    (bar,) = batch.rows.to_pylist()
    corrections = [
        Correction(Action.CORRECT, bar["timestamp"], {"resolution": "1m"}, new)
        for new in ({"close": 189.99}, {"low": 195.0})
    ]
    with pytest.raises(CorrectedRowInvalid) as refused:
        store.correct(Amendment(DATASETS["bars"], batch.symbol, tuple(corrections), "key:1"))
    assert (refused.value.rows, refused.value.code) == ([1], "inconsistent_bar")
    assert store.rows(DATASETS["bars"], batch.symbol, ALL_TIME).to_pylist() == [bar]
