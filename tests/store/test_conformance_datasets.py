"""Every dataset through every store: the same rows come back, and are recognised."""

from typing import Any

import pyarrow as pa
import pytest

from store.datasets import CORRECTED, DATASETS
from store.exceptions import CorrectedRowInvalid, IdConflict, RequestKeyReused
from store.protocol import ALL_TIME, Action, Amendment, Append, Correction, Dedupe, Fill, Window
from store.walk import BEGINNING, CommitRecord, CommittedCorrections
from tests.store.builders import append_of
from tests.trades.formats.bodies import read
from trades.batches.row_batch import BatchOptions
from trades.batches.sample_rows import SAMPLE_ROWS

datasets = pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)


@datasets
def test_rows_are_read_back_as_they_were_and_recognised(store, dataset):
    batch = read("json", SAMPLE_ROWS[dataset.name], BatchOptions(dataset))
    sent = Append(dataset, batch.symbol, batch.rows, "key:1")
    receipt = store.append(sent)
    found = store.log(dataset, batch.symbol).at().rows(ALL_TIME)
    assert found.combine_chunks().equals(pa.Table.from_batches([batch.rows]))
    assert store.log(dataset, batch.symbol).at().version(ALL_TIME) == receipt.commit
    assert store.symbols(dataset) == [batch.symbol]
    assert store.append(sent).duplicates == batch.rows.num_rows


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
    assert store.log(dataset, first.symbol).at().rows(ALL_TIME).num_rows == 1


def test_datasets_of_one_symbol_are_logs_of_their_own(store):
    for name in ("quotes", "bars"):
        batch = read("json", SAMPLE_ROWS[name], BatchOptions(DATASETS[name]))
        assert store.append(Append(DATASETS[name], "AAPL", batch.rows, "key:1")).commit.number == 1


NEW: dict[str, dict[str, object]] = {
    "bars": {"high": 200.0, "trade_count": 4},
    "open_interest": {"open_interest": 1.0},
    "corporate_actions": {"ratio": 2.0},
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
    versions = [store.log(dataset, batch.symbol).at(n).rows(ALL_TIME).to_pylist() for n in (1, 2, 3)]
    assert versions == [[first, *others], [first | new, *others], others]
    for sent in ([first], [first | new]):
        assert store.append(append_of(dataset, *sent, symbol=batch.symbol)).duplicates == 1
    corrections = [
        (each.before, each.after)
        for piece in store.log(dataset, batch.symbol).commits(BEGINNING)
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
    assert store.log(DATASETS["bars"], batch.symbol).at().rows(ALL_TIME).to_pylist() == [bar]


BARS = DATASETS["bars"]
BAR: dict[str, Any] = {"timestamp": 1_764_093_600 * 10**9, "resolution": "1h", "open": 1.0, "high": 2.0, "low": 1.0, "close": 2.0,
       "volume": 5.0, "vwap": None, "trade_count": None}  # fmt: skip
NEXT = BAR | {"timestamp": BAR["timestamp"] + 3_600 * 10**9}


def bars_batch(*rows, **terms):
    return append_of(BARS, *rows, symbol="RUN1", **terms)


def bars(store, commit=None):
    return store.log(BARS, "RUN1").at(commit).rows(ALL_TIME).to_pylist()


def counts(receipt):
    return receipt.stored, receipt.duplicates, receipt.replaced, receipt.commit.number


def test_a_running_bar_that_is_sent_again_replaces_the_stored_one(store):
    grown = BAR | {"high": 3.0, "close": 3.0, "volume": 9.0, "vwap": 2.5}
    store.append(bars_batch(BAR, BAR | {"resolution": "1m"}))
    assert counts(store.append(bars_batch(grown, NEXT, replaces=True))) == (1, 0, 1, 2)
    assert bars(store) == [grown, BAR | {"resolution": "1m"}, NEXT]
    assert bars(store, commit=1) == [BAR, BAR | {"resolution": "1m"}]
    assert counts(store.append(bars_batch(grown, NEXT, replaces=True))) == (0, 2, 0, 2)
    # Without replacing, the first form is still known.
    assert counts(store.append(bars_batch(BAR))) == (0, 1, 0, 2)
    with pytest.raises(IdConflict):
        store.append(bars_batch(BAR | {"close": 1.5}))
    records = [
        piece for piece in store.log(BARS, "RUN1").commits(BEGINNING) if isinstance(piece, CommitRecord)
    ]
    assert [(each.length, each.receipt.stored, each.receipt.replaced) for each in records] == [
        (2, 2, 0),
        (2, 1, 1),
    ]


def test_what_is_sent_last_stands_whatever_stood_before(store):
    other = BAR | {"close": 1.5}
    for sent, expected in (
        (BAR, (1, 0, 0, 1)),
        (other, (0, 0, 1, 2)),
        (BAR, (0, 0, 1, 3)),
        (BAR, (0, 1, 0, 3)),
    ):
        assert counts(store.append(bars_batch(sent, replaces=True))) == expected
    assert [bars(store, commit=number) for number in (1, 2, 3)] == [[BAR], [other], [BAR]]


def test_of_rows_with_one_identity_in_a_batch_the_last_stands(store):
    forms = [BAR | {"close": close} for close in (1.0, 1.25, 1.5)]
    receipt = store.append(bars_batch(*forms, NEXT, replaces=True))
    assert (counts(receipt), receipt.duplicate_rows) == ((2, 2, 0, 1), (0, 1))
    assert bars(store) == [forms[2], NEXT]
    assert counts(store.append(bars_batch(NEXT, forms[2], forms[0], replaces=True))) == (0, 2, 1, 2)
    assert bars(store) == [forms[0], NEXT]


def test_a_cancelled_row_comes_back_only_by_a_replacing_batch(store):
    store.append(bars_batch(BAR, NEXT))
    cancel = Correction(Action.CANCEL, BAR["timestamp"], {"resolution": "1h"})
    store.correct(Amendment(BARS, "RUN1", (cancel,), "key:1"))
    assert counts(store.append(bars_batch(BAR))) == (0, 1, 0, 2)
    assert counts(store.append(bars_batch(BAR, NEXT, replaces=True))) == (1, 1, 0, 3)
    assert bars(store) == [BAR, NEXT]
    assert bars(store, commit=2) == [NEXT]
    assert counts(store.append(bars_batch(BAR | {"close": 1.0}, replaces=True))) == (0, 0, 1, 4)
    assert [bar["close"] for bar in bars(store)] == [1.0, 2.0]


def test_replacing_meets_rows_of_fills_as_any_batch(store):
    first, last = BAR["timestamp"], NEXT["timestamp"]
    later = BAR | {"timestamp": last + 3_600 * 10**9}
    store.append(bars_batch(later))
    store.append(bars_batch(BAR, NEXT, fill=Fill(Window(first, last + 1), "other")))
    receipt = store.append(bars_batch(BAR | {"close": 1.0}, later | {"close": 1.5}, replaces=True))
    assert (counts(receipt), receipt.superseded) == ((1, 0, 1, 3), 2)
    assert bars(store) == [BAR | {"close": 1.0}, later | {"close": 1.5}]
    assert bars(store, commit=2) == [BAR, NEXT, later]
    assert counts(store.append(bars_batch(BAR | {"close": 1.25}, replaces=True))) == (0, 0, 1, 4)


def test_a_replacing_batch_is_repeated_by_its_key(store):
    store.append(bars_batch(BAR))
    first = store.append(bars_batch(BAR | {"close": 1.0}, replaces=True, request_key="k"))
    again = store.append(bars_batch(BAR | {"close": 1.0}, replaces=True, request_key="k"))
    assert (again.replayed, again.replaced, first.replaced, again.commit) == (True, 1, 1, first.commit)
    with pytest.raises(RequestKeyReused):
        store.append(bars_batch(BAR | {"close": 1.0}, request_key="k"))


def test_only_rows_with_identities_that_can_be_corrected_replace_others():
    with pytest.raises(ValueError, match="all have ids"):
        append_of(DATASETS["trades"], complete_until_ns=1, replaces=True)
    with pytest.raises(ValueError, match="all have ids"):
        bars_batch(BAR, dedupe=Dedupe.NONE, replaces=True)
