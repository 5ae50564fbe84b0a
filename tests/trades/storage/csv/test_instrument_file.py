"""Instruments as lines of a file: the last one counts, torn and foreign ones are met with a clear word."""

import multiprocessing
from pathlib import Path

import msgspec
import pytest

from tests.trades.storage.builders import SYMBOL
from tests.trades.storage.csv.disks import FailingDisk
from trades.bar_policies import EVERY_PRINT, US_EQUITIES
from trades.storage.csv import CsvStore
from trades.storage.csv.instrument_file import INSTRUMENTS_FILE
from trades.storage.exceptions import DataDamaged, StoreUnavailable
from trades.storage.instruments import Instrument

US = Instrument(SYMBOL, US_EQUITIES.name)
CHANGES = 40


@pytest.fixture
def store(tmp_path: Path) -> CsvStore:
    return CsvStore(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / INSTRUMENTS_FILE


def test_nobody_told_about_it_has_the_defaults(store: CsvStore) -> None:
    assert store.instrument(SYMBOL) == Instrument(SYMBOL, EVERY_PRINT.name)
    assert store.instrument(SYMBOL).policy is EVERY_PRINT


def test_the_last_change_counts_in_every_store_over_the_folder(store: CsvStore, tmp_path: Path) -> None:
    other = CsvStore(tmp_path)
    for policy in (US_EQUITIES, EVERY_PRINT, US_EQUITIES):
        store.set_instrument(Instrument(SYMBOL, policy.name))
        assert store.instrument(SYMBOL).policy is other.instrument(SYMBOL).policy is policy
    assert other.instrument("IBM") == Instrument("IBM")


@pytest.mark.parametrize("torn", [b'{"symbol":"AAPL"}', b'{"symbol":"IBM","bar_pol', b"\x00\xff"])
def test_a_torn_line_was_never_told_and_is_cut_off_by_the_next(
    store: CsvStore, file: Path, torn: bytes
) -> None:
    store.set_instrument(US)
    before = file.read_bytes()
    file.write_bytes(before + torn)
    assert store.instrument(SYMBOL) == US
    store.set_instrument(Instrument("IBM", US_EQUITIES.name))
    written = file.read_bytes()
    assert written.startswith(before + b'{"symbol":"IBM","bar_policy":"us_equities","changed_at":')
    assert written.count(b"\n") == 2


@pytest.mark.parametrize("line", [b"garbage", b"[]", b'{"bar_policy":"all"}', b'{"symbol":"\xff"}', b""])
def test_a_damaged_line_is_said_with_its_number(store: CsvStore, file: Path, line: bytes) -> None:
    store.set_instrument(US)
    file.write_bytes(file.read_bytes() + line + b"\n")
    with pytest.raises(DataDamaged, match=r"instruments.jsonl, line 2"):
        store.instrument(SYMBOL)


def test_fields_that_a_newer_version_knows_are_passed_over(store: CsvStore, file: Path) -> None:
    file.write_bytes(b'{"symbol":"AAPL","bar_policy":"us_equities","asset_class":"equity"}\n')
    assert store.instrument(SYMBOL) == US


def test_a_policy_that_only_a_newer_version_knows_is_a_clear_refusal(store: CsvStore, file: Path) -> None:
    file.write_bytes(b'{"symbol":"AAPL","bar_policy":"of_tomorrow"}\n')
    assert store.instrument(SYMBOL).bar_policy == "of_tomorrow"
    with pytest.raises(StoreUnavailable, match="of_tomorrow"):
        _ = store.instrument(SYMBOL).policy
    assert store.instrument("IBM").policy is EVERY_PRINT


@pytest.mark.parametrize("failing", range(1, 4))
def test_a_change_that_the_disk_refuses_can_be_tried_again(tmp_path: Path, failing: int) -> None:
    disk = FailingDisk(failing)
    store = CsvStore(tmp_path, disk=disk)
    with pytest.raises(StoreUnavailable):
        store.set_instrument(US)
    assert CsvStore(tmp_path).instrument(SYMBOL) in (US, Instrument(SYMBOL))
    disk.heal()
    store.set_instrument(US)
    assert store.instrument(SYMBOL) == CsvStore(tmp_path).instrument(SYMBOL) == US


def change(folder: Path, name: str) -> None:
    """Run as a process: changes that end with an instrument under the policy of US equities."""
    store = CsvStore(folder)
    for number in range(CHANGES):
        policy = US_EQUITIES if number % 2 else EVERY_PRINT
        store.set_instrument(Instrument(name, policy.name))
        assert store.instrument(name).policy is policy


def test_changes_of_several_processes_are_all_there(tmp_path: Path, file: Path) -> None:
    names = ["A", "B", "C"]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([change.__module__])
    processes = [context.Process(target=change, args=(tmp_path, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    lines = [msgspec.json.decode(line, type=Instrument) for line in file.read_bytes().splitlines()]
    assert {name: sum(line.symbol == name for line in lines) for name in names} == dict.fromkeys(
        names, CHANGES
    )
    store = CsvStore(tmp_path)
    assert {store.instrument(name).bar_policy for name in names} == {US_EQUITIES.name}
