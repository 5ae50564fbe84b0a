"""Files that end too early: a torn record, torn rows, and the two together, at every byte."""

import random
import shutil
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.exceptions import DataDamaged
from store.protocol import Window
from tests.chance import SOAK
from tests.faults.batches import all_rows, batch_of, findings, numbers_in, rows_of, rows_sent
from tests.faults.power import UnsyncedDisk
from tests.faults.table import Tallies
from tests.store.builders import SYMBOL, stored

LOG = f"trades/{SYMBOL}/commits.jsonl"
PRIOR = [1, 2, 6, 9]
LAST = 7
STEP = 1 if SOAK else 31


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with four batches and a last one, on several dates."""
    store = CsvStore(tmp_path / "written")
    for number in [*PRIOR, LAST]:
        store.append(batch_of(number))
    return tmp_path / "written"


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The same without the last batch."""
    store = CsvStore(tmp_path / "before")
    for number in PRIOR:
        store.append(batch_of(number))
    return tmp_path / "before"


def copied(source: Path, name: str) -> Path:
    target = source.parent / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def data_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / LOG).parent.glob("*.csv")}


def test_a_last_record_that_is_torn_at_any_byte(written: Path, tallied: Tallies):
    tally = tallied("03 last record or last rows torn")
    log = (written / LOG).read_bytes()
    last = log.rindex(b"\n", 0, -1) + 1
    watching = CsvStore(written)
    for length in range(last, len(log), 1 if SOAK else 11):
        (written / LOG).write_bytes(log[:length])
        copy = copied(written, "copy")
        store = CsvStore(copy, disk=UnsyncedDisk())
        found = findings(all_rows(store), PRIOR)
        tally.add(acknowledged=len(PRIOR), lost=len(found.lost), torn=len(found.torn))
        assert all_rows(store) == all_rows(watching) == rows_sent(PRIOR)
        again = store.append(batch_of(LAST))
        assert (again.commit.number, again.stored, again.replayed) == (
            len(PRIOR) + 1,
            len(rows_of(LAST)),
            False,
        )
        assert all_rows(CsvStore(copy)) == rows_sent([*PRIOR, LAST])
    tally.settle()


def test_rows_that_are_torn_at_any_byte_before_their_record_was_written(
    written: Path, before: Path, rng: random.Random, tallied: Tallies
):
    tally = tallied("03 last record or last rows torn")
    old, new = data_files(before), data_files(written)
    grown = [name for name in new if new[name] != old.get(name)]
    for length in range(0, max(map(len, new.values())), 40 * STEP):
        copy = copied(before, "copy")
        for name in grown:
            start = len(old.get(name, b""))
            end = min(start + length, len(new[name]))
            torn = new[name][: rng.choice([end, rng.randint(start, len(new[name]))])]
            (copy / LOG).with_name(name).write_bytes(torn)
        store = CsvStore(copy, disk=UnsyncedDisk())
        found = findings(all_rows(store), PRIOR)
        tally.add(acknowledged=len(PRIOR), lost=len(found.lost), torn=len(found.torn))
        assert store.append(batch_of(LAST)).stored == len(rows_of(LAST))
        assert all_rows(store) == all_rows(CsvStore(copy)) == rows_sent([*PRIOR, LAST])
        assert data_files(copy) == new
    tally.settle()


def test_committed_rows_that_are_cut_off_are_missed_and_all_others_are_served(
    tmp_path: Path, rng: random.Random, tallied: Tallies
):
    tally = tallied("03 last record or last rows torn")
    apart = [batch for batch in range(1, 400) if len(rows_of(batch)) == 1][:8]
    store = CsvStore(tmp_path)
    for number in apart:
        store.append(batch_of(number))
    whole = data_files(tmp_path)
    for _ in range(100 if SOAK else 8):
        name = rng.choice(list(whole))
        length = rng.randrange(len(whole[name]))
        (tmp_path / LOG).with_name(name).write_bytes(whole[name][:length])
        served = set()
        for number in apart:
            [row] = rows_of(number)
            window = Window(row["timestamp"], row["timestamp"] + 1)
            try:
                rows = stored(CsvStore(tmp_path), window)
            except DataDamaged:
                continue
            served |= numbers_in(rows)
            assert rows == [row]
        kept = whole[name][:length].count(b"\n") - 1
        expected = len(apart) - whole[name].count(b"\n") + 1 + max(kept, 0)
        tally.add(acknowledged=expected, lost=max(expected - len(served), 0))
        assert len(served) == expected
        (tmp_path / LOG).with_name(name).write_bytes(whole[name])
    tally.settle()
