"""A store written by a version without later columns: tests/store/data/before_later_columns."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from store import open_store
from store.csv import CsvStore
from store.csv.derived.manifest import read_manifest
from store.datasets import TRADES
from store.exceptions import IdConflict, RequestKeyReused
from store.protocol import Window
from store.timestamps import format_timestamp
from tests.store.builders import (
    DAY,
    NOON,
    SYMBOL,
    Row,
    amendment,
    batch,
    cancel,
    correct,
    stored,
    trade,
)

BEFORE = Path(__file__).parent.parent / "data" / "before_later_columns" / "store"
FOLDER = f"trades/{SYMBOL}"

WITH_IDS = [trade(at, 100.0 + at, trade_id=name) for at, name in enumerate("abc")]
FIRST = [*WITH_IDS, trade(DAY, 110.0, trade_id="a", exchange="N")]
SECOND = [trade(10, 50.0, conditions="odd_lot"), trade(11, 51.0), trade(11, 51.0)]
LAST = trade(20, 120.0, trade_id="d")
FIXES = amendment(
    cancel(1, trade_id="b"),
    correct(2, trade_id="c", new={"price": 202.0}),
    correct(10, price=50.0, volume=1.0, new={"volume": 5.0}),
    request_key="fix-1",
)
STANDING = [
    WITH_IDS[0], WITH_IDS[2] | {"price": 202.0}, SECOND[0] | {"volume": 5.0}, *SECOND[1:], LAST, FIRST[3],
]  # fmt: skip


def with_flag(rows: list[Row], flag: bool = True) -> list[Row]:
    return [row | {"buyer_is_maker": flag} for row in rows]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BEFORE, tmp_path / "store"))


@pytest.fixture
def store(path: Path) -> CsvStore:
    return CsvStore(path)


def files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (path / FOLDER).glob("*.csv")}


@pytest.mark.parametrize("derived", [True, False])
def test_it_is_read_as_it_was(path: Path, derived: bool):
    if not derived:
        shutil.rmtree(path / FOLDER / ".derived")
    store = CsvStore(path)
    assert stored(store) == STANDING
    assert stored(store, Window(NOON, NOON + 3)) == STANDING[:2]
    assert stored(store, commit=1) == FIRST
    assert stored(store, commit=2) == [*WITH_IDS, *SECOND, FIRST[3]]
    assert store.log(TRADES, SYMBOL).head.token == "4-1fb85d"
    assert list(store.check(TRADES, SYMBOL).findings()) == []


def test_its_segments_are_of_another_format_and_made_again(path: Path, store: CsvStore):
    derived = path / FOLDER / ".derived"
    assert list(derived.glob("*.arrow"))
    assert read_manifest(derived) is None
    older = set(derived.glob("*.arrow"))
    store.derive(TRADES, SYMBOL)
    assert not older & set(derived.glob("*.arrow"))
    for file in (path / FOLDER).glob("*.csv"):
        file.write_bytes(b"")
    assert stored(store, commit=3) == [row for row in STANDING if row != LAST]


def test_its_segments_are_folded_on(path: Path, store: CsvStore):
    store.derive(TRADES, SYMBOL)
    store.append(batch(*with_flag([trade(30, 1.0)])))
    segments = read_manifest(path / FOLDER / ".derived").segments  # type: ignore[union-attr]
    store.derive(TRADES, SYMBOL)
    assert stored(CsvStore(path)) == [*STANDING[:-1], *with_flag([trade(30, 1.0)]), STANDING[-1]]
    shutil.rmtree(path / FOLDER / ".derived")
    assert segments
    assert stored(CsvStore(path)) == [*STANDING[:-1], *with_flag([trade(30, 1.0)]), STANDING[-1]]
    store.derive(TRADES, SYMBOL, rebuild=True)
    assert stored(CsvStore(path))[-2] == with_flag([trade(30, 1.0)])[0]


@pytest.mark.parametrize("replayed", [FIRST, with_flag(FIRST), with_flag(FIRST, flag=False)])
def test_its_request_keys_replay(store: CsvStore, replayed: list[Row]):
    receipt = store.append(batch(*replayed, request_key="feed-1"))
    assert (receipt.replayed, receipt.stored, receipt.commit.token) == (True, 4, "1-2494ed")
    with pytest.raises(RequestKeyReused):
        store.append(batch(*FIRST[:3], request_key="feed-1"))
    assert store.correct(FIXES).replayed


@pytest.mark.parametrize("replayed", [[*FIRST, *SECOND, LAST], with_flag([*FIRST, *SECOND, LAST])])
def test_its_feed_is_replayed_with_and_without_the_column(path: Path, store: CsvStore, replayed: list[Row]):
    before = files(path)
    assert store.append(batch(*replayed)).stored == 0
    assert store.append(batch(*replayed, trade(40))).stored == 1
    with pytest.raises(IdConflict):
        store.append(batch(*with_flag([trade(0, 1.0, trade_id="a")])))
    assert {name: text for name, text in files(path).items() if text != before.get(name)}.keys() == {
        "2025-01-02.csv"
    }


def test_it_is_appended_to(path: Path, store: CsvStore):
    before = files(path)
    store.append(batch(trade(30)))
    store.append(batch(*with_flag([trade(31), trade(32, trade_id="e"), trade(2 * DAY)])))
    after = files(path)
    assert all(after[name].startswith(text) for name, text in before.items())
    assert after["2025-01-02.csv"].splitlines()[0] == before["2025-01-02.csv"].splitlines()[0]
    assert after.keys() - before.keys() == {"2025-01-02.1.csv", "2025-01-04.csv"}
    new = [trade(30), *with_flag([trade(31), trade(32, trade_id="e")])]
    assert stored(CsvStore(path)) == [*STANDING[:-1], *new, STANDING[-1], *with_flag([trade(2 * DAY)])]
    assert stored(CsvStore(path), commit=4) == STANDING
    with pytest.raises(IdConflict):
        store.append(batch(*with_flag([trade(32, trade_id="e")], flag=False)))
    assert list(store.check(TRADES, SYMBOL).findings()) == []


def test_its_rows_are_corrected(path: Path, store: CsvStore):
    store.correct(amendment(correct(2, trade_id="c", new={"buyer_is_maker": True}), cancel(20, trade_id="d")))
    expected = [STANDING[0], *with_flag(STANDING[1:2]), *STANDING[2:5], STANDING[6]]
    assert stored(store) == stored(CsvStore(path)) == expected
    assert stored(store, commit=4) == STANDING
    assert list(store.check(TRADES, SYMBOL).findings()) == []
    store.derive(TRADES, SYMBOL)
    assert stored(CsvStore(path)) == expected


def test_the_in_process_reader_reads_it(path: Path, store: CsvStore):
    reader = open_store(path)
    assert reader.trades(SYMBOL).buyer_is_maker.tolist() == [None] * len(STANDING)
    assert reader.latest(SYMBOL).buyer_is_maker is None
    store.append(batch(*with_flag([trade(2 * DAY)]), trade(2 * DAY, 5.0)))
    assert reader.trades(SYMBOL).buyer_is_maker.tolist() == [None] * len(STANDING) + [True, None]
    frame: Any = reader.trades(SYMBOL, "2025-01-04", frame=True)
    assert str(frame["buyer_is_maker"].dtype) == "boolean"
    assert frame["buyer_is_maker"].isna().tolist() == [False, True]
    as_of = format_timestamp(store.log(TRADES, SYMBOL).committed_at(4))
    assert len(reader.trades(SYMBOL, as_of=as_of)) == len(STANDING)
    assert reader.symbols() == [SYMBOL, "MSFT"]


def test_it_goes_on_with_records_of_version_2(path: Path, store: CsvStore):
    store.append(batch(*with_flag([trade(30), trade(2 * DAY)]), request_key="new"))
    store.correct(amendment(cancel(30, price=100.0)))
    lines = (path / FOLDER / "commits.jsonl").read_bytes().splitlines()
    assert [line.startswith(b'{"v":2,') for line in lines] == [False] * 4 + [True] * 2
    assert list(CsvStore(path).check(TRADES, SYMBOL).findings()) == []
