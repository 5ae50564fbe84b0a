"""A mirror has its origin's commits, whatever happens to it in between."""

import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest

from store import mirroring, walk_lines
from store.copies import CopyProgress, MirrorInUse, NotAMirror
from store.csv import CsvStore
from store.datasets import DATASETS, QUOTES, TRADES
from store.exceptions import StoreUnavailable
from store.instruments import Instrument
from store.mirroring import Mirror
from store.protocol import ALL_TIME, Append, Dedupe
from tests.store.builders import DAY, SYMBOL, Clock, amendment, batch, cancel, trade
from tests.store.csv.copying.origins import Origin, logs_of
from tests.store.csv.disks import Ended, EndingDisk, FailingDisk
from tests.store.test_agreement import SYMBOLS

pytestmark = pytest.mark.system


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def origin(tmp_path: Path, clock: Clock) -> Origin:
    return Origin(CsvStore(tmp_path / "origin", clock=clock))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


def mirrored(origin: Origin, folder: Path, symbols=SYMBOLS, **options) -> list[CopyProgress]:
    mirror = Mirror(folder, "http://origin")
    with mirror.opened():
        return mirror.update(origin, symbols, **options)


def told(each: CopyProgress) -> str:
    return f"{each.dataset}/{each.symbol} {each.head.number}"


def fill(store: CsvStore) -> None:
    store.append(batch(trade(1), trade(DAY, trade_id="a"), request_key="k"))
    store.append(batch(trade(2), trade(1), trade(1, 4.0)))
    store.correct(amendment(cancel(DAY, trade_id="a")))
    store.append(batch(symbol="MSFT", complete_until=5 * DAY))
    quote = dict.fromkeys(QUOTES.schema.names) | {"timestamp": trade()["timestamp"], "bid": 1.0, "ask": 2.0}
    rows = pa.RecordBatch.from_pylist([quote], schema=QUOTES.schema)
    store.append(Append(QUOTES, SYMBOL, rows, "key:2", Dedupe.ROWS))


def test_a_mirror_has_the_same_commits(origin: Origin, folder: Path):
    fill(origin.store)
    assert sorted(map(told, mirrored(origin, folder))) == ["quotes/AAPL 1", "trades/AAPL 3", "trades/MSFT 1"]
    assert logs_of(folder) == logs_of(folder.parent / "origin")
    origin.store.append(batch(trade(7)))
    (progress,) = [
        each for each in mirrored(origin, folder) if (each.symbol, each.dataset) == (SYMBOL, "trades")
    ]
    assert progress.is_current
    assert progress.commits_behind == 0
    assert logs_of(folder) == logs_of(folder.parent / "origin")


def test_derived_files_are_made_and_made_again_after_a_while(origin: Origin, folder: Path):
    fill(origin.store)
    mirror = Mirror(folder, "http://origin")
    with mirror.opened():
        mirror.fold(mirror.update(origin, SYMBOLS))
        assert CsvStore(folder).rows_behind(TRADES, SYMBOL) == 0
        origin.store.append(batch(trade(9)))
        mirror.fold(mirror.update(origin, SYMBOLS), pause=100)
        assert CsvStore(folder).rows_behind(TRADES, SYMBOL) == 1
        mirror.fold(mirror.update(origin, SYMBOLS))
        assert CsvStore(folder).rows_behind(TRADES, SYMBOL) == 0


def test_the_symbols_that_were_asked_for_are_copied_and_all_declarations(origin: Origin, folder: Path):
    fill(origin.store)
    origin.store.set_instruments([Instrument(SYMBOL, exchange="XNAS"), Instrument("MSFT", exchange="XNYS")])
    mirrored(origin, folder, ["MSFT"])
    assert [name for name in DATASETS if CsvStore(folder).symbols(DATASETS[name])] == ["trades"]
    assert CsvStore(folder).declared_instruments() == origin.store.declared_instruments()


def test_more_symbols_than_are_asked_for_at_once(
    origin: Origin, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mirroring, "SYMBOLS_AT_ONCE", 2)
    names = ["AAPL", "MSFT", "IBM", "GE", "F"]
    for name in names:
        origin.store.append(batch(trade(1), symbol=name))
        origin.store.set_instrument(Instrument(name, exchange="XNYS"))
    asked: list[tuple[int, str, int]] = []
    answered = origin.states

    def states(symbols: Sequence[str], *, seen: str, wait_seconds: int) -> bytes:
        asked.append((len(symbols), seen[:1], wait_seconds))
        return answered(symbols, seen=seen, wait_seconds=wait_seconds)

    monkeypatch.setattr(origin, "states", states)
    mirror = Mirror(folder, "http://origin")
    with mirror.opened():
        assert len(mirror.update(origin, names)) == 6
        assert logs_of(folder) == logs_of(folder.parent / "origin")
        mirror.update(origin, names, wait_seconds=25)
    assert [size for size, _, _ in asked] == [2, 2, 1] * 2
    assert all(seen and wait == 1 for _, seen, wait in asked[3:])


def _ended_update(origin: Origin, folder: Path, ending: int) -> bool:
    """Mirror until a call to the disk, at which the process ends. Return whether it has ended."""
    disk = EndingDisk()
    mirror = Mirror(folder, "http://origin", disk=disk)
    with mirror.opened():
        disk.ending = disk.calls.total() + ending
        try:
            mirror.update(origin, SYMBOLS)
        except Ended:
            return True
    return False


def test_an_end_at_each_call_to_the_disk(origin: Origin, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walk_lines, "ANSWER_COMMITS", 2)
    fill(origin.store)
    origin.store.set_instrument(Instrument(SYMBOL, exchange="XNAS"))
    for ending in count(1):
        has_ended = _ended_update(origin, folder, ending)
        reopened = CsvStore(folder)
        for dataset in DATASETS.values():
            for symbol in reopened.symbols(dataset):
                head = reopened.log(dataset, symbol).head
                assert origin.store.log(dataset, symbol).at(head.number).commit == head
                assert reopened.log(dataset, symbol).at().rows(ALL_TIME) == origin.store.log(
                    dataset, symbol
                ).at(head.number).rows(ALL_TIME)

        mirrored(origin, folder)
        assert logs_of(folder) == logs_of(folder.parent / "origin")
        shutil.rmtree(folder)
        if not has_ended:
            break
    assert ending > 10


@pytest.mark.parametrize("lasting", [False, True])
def test_each_call_to_the_disk_fails(origin: Origin, folder: Path, lasting: bool):
    fill(origin.store)
    for failing in count(1):
        disk = FailingDisk(lasting=lasting)
        mirror = Mirror(folder, "http://origin", disk=disk)
        with mirror.opened():
            disk.failing = disk.calls.total() + failing
            with_error = False
            try:
                mirror.update(origin, SYMBOLS)
            except StoreUnavailable:
                with_error = True
            assert with_error == bool(disk.failed)
            disk.heal()
            mirror.update(origin, SYMBOLS)
        assert logs_of(folder) == logs_of(folder.parent / "origin")
        shutil.rmtree(folder)
        if not disk.failed and failing > 30:
            break


def test_a_restored_log_is_told_and_copied_anew(origin: Origin, folder: Path):
    kept = folder.parent / "kept"
    fill(origin.store)
    shutil.copytree(folder.parent / "origin", kept)
    origin.store.append(batch(trade(8)))
    mirrored(origin, folder)
    before = logs_of(folder)
    shutil.rmtree(folder.parent / "origin")
    kept.rename(folder.parent / "origin")
    origin = Origin(CsvStore(folder.parent / "origin"))
    origin.store.append(batch(trade(9)))
    reader = CsvStore(folder)
    assert reader.log(TRADES, SYMBOL).head.number == 4
    (restored,) = [each for each in mirrored(origin, folder) if each.problem]
    assert (restored.symbol, restored.dataset, restored.is_current) == (SYMBOL, "trades", False)
    assert "--anew" in restored.problem
    assert logs_of(folder) == before
    assert all(not each.problem for each in mirrored(origin, folder, anew=True))
    assert logs_of(folder) == logs_of(folder.parent / "origin")
    assert logs_of(reader) == logs_of(origin.store)


def test_a_log_that_the_origin_lost_is_told_and_discarded(origin: Origin, folder: Path):
    fill(origin.store)
    mirrored(origin, folder)
    shutil.rmtree(folder.parent / "origin" / "trades" / "MSFT")
    (lost,) = [each for each in mirrored(origin, folder) if each.problem]
    assert lost.symbol == "MSFT"
    mirrored(origin, folder, anew=True)
    assert logs_of(folder) == logs_of(folder.parent / "origin")


def test_anew_discards_in_the_first_round_only(origin: Origin, folder: Path):
    fill(origin.store)
    mirror = Mirror(folder, "http://origin")
    with mirror.opened():
        rounds = mirror.follow(origin, SYMBOLS, pause_after=_no_pause, wait_seconds=0, anew=True)
        assert not any(each.problem for each in next(rounds))
        before = logs_of(folder)
        shutil.rmtree(folder.parent / "origin" / "trades")
        assert [each.symbol for each in next(rounds) if each.problem] == list(SYMBOLS)
    assert logs_of(folder) == before


def _no_pause(_failures: int, error: Exception) -> float:
    raise error


def test_the_store_does_not_write_to_a_mirror(origin: Origin, folder: Path):
    fill(origin.store)
    early = CsvStore(folder)
    mirrored(origin, folder)
    before = logs_of(folder)
    for store in (early, CsvStore(folder)):
        with pytest.raises(StoreUnavailable, match="is a mirror"):
            store.append(batch(trade(3)))
        with pytest.raises(StoreUnavailable, match="is a mirror"):
            store.correct(amendment(cancel(1, price=100.0, volume=1.0)))
        with pytest.raises(StoreUnavailable, match="is a mirror"):
            store.set_instrument(Instrument(SYMBOL))
    assert logs_of(folder) == before


def test_a_folder_with_other_data_is_refused(origin: Origin, folder: Path):
    CsvStore(folder).append(batch(trade(3)))
    with pytest.raises(NotAMirror, match="choose an empty folder"):
        mirrored(origin, folder)
    mirrored(origin, folder.parent / "own")
    with (
        pytest.raises(NotAMirror, match="is a mirror of http://origin"),
        Mirror(folder.parent / "own", "http://other").opened(),
    ):
        pass
    (folder.parent / "file").write_text("")
    with pytest.raises(NotAMirror, match="not a folder"):
        mirrored(origin, folder.parent / "file")


def test_a_mirror_that_was_written_to_is_told(origin: Origin, folder: Path):
    fill(origin.store)
    mirrored(origin, folder)
    (folder / "mirror.json").rename(folder / "kept")
    CsvStore(folder).append(batch(trade(33)))
    (folder / "kept").rename(folder / "mirror.json")
    (told_problem,) = [each.problem for each in mirrored(origin, folder) if each.problem]
    assert "this folder was written to" in told_problem


def test_one_process_at_a_time(origin: Origin, folder: Path):
    with Mirror(folder, "http://origin").opened(), pytest.raises(MirrorInUse):
        mirrored(origin, folder)
