"""A store written by a version without later columns: tests/store/data/before_later_columns."""

import shutil
from pathlib import Path

import pytest

from store import open_store
from store.csv import CsvStore
from store.csv.derived.manifest import read_manifest
from store.datasets import TRADES
from store.exceptions import IdConflict, RequestKeyReused
from store.protocol import Window
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


@pytest.mark.parametrize("replayed", [FIRST, with_flag(FIRST), with_flag(FIRST, flag=False)])
def test_its_request_keys_replay(store: CsvStore, replayed: list[Row]):
    receipt = store.append(batch(*replayed, request_key="feed-1"))
    assert (receipt.replayed, receipt.stored, receipt.commit.token) == (True, 4, "1-2494ed")
    with pytest.raises(RequestKeyReused):
        store.append(batch(*FIRST[:3], request_key="feed-1"))
    assert store.correct(FIXES).replayed


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
    for again in (FIRST, with_flag([*FIRST, *SECOND, LAST])):
        assert store.append(batch(*again)).stored == 0
    with pytest.raises(IdConflict):
        store.append(batch(*with_flag([trade(32, trade_id="e")], flag=False)))
    store.correct(amendment(correct(2, trade_id="c", new={"buyer_is_maker": True}), cancel(20, trade_id="d")))
    corrected = [STANDING[0], *with_flag(STANDING[1:2]), *STANDING[2:5], *new, STANDING[6]]
    expected = [*corrected, *with_flag([trade(2 * DAY)])]
    assert stored(store) == stored(CsvStore(path)) == expected
    store.derive(TRADES, SYMBOL)
    assert stored(CsvStore(path)) == expected
    flags = open_store(path).trades(SYMBOL).buyer_is_maker.tolist()
    assert flags == [row["buyer_is_maker"] for row in expected]
    lines = (path / FOLDER / "commits.jsonl").read_bytes().splitlines()
    assert [line.startswith(b'{"v":2,') for line in lines] == [False] * 4 + [True] * 3
    assert list(store.check(TRADES, SYMBOL).findings()) == []
