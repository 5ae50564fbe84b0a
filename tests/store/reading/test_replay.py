"""What `Reader.replay` takes and gives; its order is tested over every store."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import QUOTES, UNIVERSE_CHANGES
from store.exceptions import UnknownSymbol
from store.protocol import Append
from store.reading import Reader, replay
from store.reading.exceptions import InvalidUniverse, UnknownColumn, UnknownDataset
from tests.store.builders import DAY, MINUTE, NOON, SECOND, SYMBOL, Clock, amendment, batch, correct, trade
from tests.store.quotes import quote
from tests.store.reading.stores import SYMBOLS, add


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """B and A with imported trades, A with quotes."""
    add(tmp_path, trade(0, 1.0), trade(2, 3.0), symbol="B")
    add(tmp_path, trade(1, 2.0), trade(2, 4.0), symbol="A")
    quotes = pa.RecordBatch.from_pylist([quote(1, 1.0, 2.0, "XNAS")], schema=QUOTES.schema)
    CsvStore(tmp_path).append(Append(QUOTES, "A", quotes, "key:1"))
    return open_store(tmp_path)


def test_logs_are_those_that_exist_and_rows_are_merged(reader: Reader):
    replayed = reader.replay(["B", "A"], datasets=("trades", "quotes"), columns=["price", "exchange"])
    assert replayed.logs == (("quotes", "A"), ("trades", "A"), ("trades", "B"))
    (part,) = replayed
    assert [(known_ns - NOON, *log, *row) for known_ns, *log, row in part.rows()] == [
        (0, "trades", "B", NOON, 1.0, None, 0, None),
        (1, "quotes", "A", NOON + 1, "XNAS", 0, None),
        (1, "trades", "A", NOON + 1, 2.0, None, 0, None),
        (2, "trades", "A", NOON + 2, 4.0, None, 1, None),
        (2, "trades", "B", NOON + 2, 3.0, None, 1, None),
    ]
    assert [reader.replay(each).logs for each in (None, ["a"])] == [
        (("trades", "A"), ("trades", "B")),
        (("trades", "A"),),
    ]
    (quotes,) = reader.replay(datasets="quotes")
    assert [dataset for _, dataset, *_ in quotes.rows()] == ["quotes"]


def test_columns_are_arrays_by_log(reader: Reader):
    (part,) = reader.replay(["A", "B"], NOON, NOON + 2)
    assert (part.log.tolist(), part.row.tolist(), part.present) == ([1, 0], [0, 0], [0, 1])
    assert (part.of(0).price.tolist(), part.of(1).time_ns.tolist()) == ([2.0], [NOON])
    commit, ordinal = part.of(1).stored_name(0)
    assert (commit, ordinal) == (reader.version("B"), 0)


def test_a_replay_is_one_snapshot_and_can_be_repeated(reader: Reader, tmp_path: Path):
    replayed, past = reader.replay("AB"[:1].split()), reader.replay(["A"], as_of=1)
    add(tmp_path, trade(5, 9.0), symbol="A")
    assert [sum(map(len, replayed)) for _ in range(2)] == [2, 2]
    assert list(past) == []
    assert sum(map(len, reader.replay(["A"]))) == 3


def test_members_of_a_universe_without_the_dataset_are_left_out(reader: Reader, tmp_path: Path):
    changes = [{"timestamp": NOON - DAY, "member": each, "action": "add"} for each in ("A", "B", "GONE")]
    rows = pa.RecordBatch.from_pylist(changes, schema=UNIVERSE_CHANGES.schema)
    CsvStore(tmp_path).append(Append(UNIVERSE_CHANGES, "X", rows, "test"))
    assert reader.replay("@X").logs == (("trades", "A"), ("trades", "B"))
    assert reader.replay("@X", datasets=["quotes"]).logs == (("quotes", "A"),)
    assert reader.replay(["X"], datasets=["universe_changes"], columns=["action"]).logs


def test_wrong_arguments(reader: Reader):
    with pytest.raises(UnknownColumn, match=r"there are .*price"):
        reader.replay(["A"], columns=["prices"])
    with pytest.raises(UnknownDataset):
        reader.replay(["A"], datasets=["trade"])
    with pytest.raises(UnknownSymbol):
        reader.replay(["A", "C"])
    with pytest.raises(InvalidUniverse):
        reader.replay(["A", "a"])
    assert list(reader.replay([])) == []


def test_what_is_known_after_the_end_is_left_out(tmp_path: Path):
    clock = Clock(NOON + 10 * SECOND)
    store = CsvStore(tmp_path, clock=clock)
    store.append(batch(trade(0, 1.0), trade(1, 2.0, received_at=NOON + 2 * MINUTE), trade(2, 3.0)))
    clock.now = NOON + MINUTE
    store.correct(amendment(correct(0, price=1.0, volume=1.0, new={"price": 8.0})))
    reader = open_store(tmp_path)
    found = {
        end: [
            (known_ns - NOON, row.price, row.change)  # type: ignore[attr-defined]
            for part in reader.replay([SYMBOL], NOON, NOON + end)
            for known_ns, _, _, row in part.rows()
        ]
        for end in (10 * SECOND, MINUTE, MINUTE + 1)
    }
    rows = [(10 * SECOND, 1.0, None), (10 * SECOND, 3.0, None)]
    assert found == {
        10 * SECOND: [],
        MINUTE: rows,
        MINUTE + 1: [*rows, (MINUTE, 8.0, "correct")],
    }


def test_parts_of_many_rows_are_bounded_and_an_ordered_log_is_not_copied(
    sample: Reader, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(replay, "ROWS_AT_ONCE", 600)
    monkeypatch.setattr(replay, "_LEAST_ROWS", 10)
    parts = list(sample.replay(SYMBOLS, columns=["price"]))
    lengths = list(map(len, parts))
    assert len(lengths) > 20
    assert max(lengths) <= 2 * 600 + 200
    known_ns = np.concatenate([part.known_ns for part in parts])
    assert (np.diff(known_ns) >= 0).all()
    assert len(known_ns) == sum(len(sample.trades(symbol)) for symbol in SYMBOLS)
