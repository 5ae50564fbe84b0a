"""Instruments as lines of a file: the last line applies; torn and unreadable lines are reported."""

import fcntl
import multiprocessing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from store.bar_policies import EVERY_PRINT, US_EQUITIES
from store.csv import CsvStore
from store.csv.instrument_file import INSTRUMENTS_FILE
from store.csv.log import log_lock
from store.exceptions import DataDamaged, OutcomeUnknown, StoreBusy, StoreUnavailable
from store.instruments import Instrument, default_instrument
from tests.store.builders import SYMBOL
from tests.store.csv.disks import FailingDisk, WatchedDisk

US = Instrument(SYMBOL, US_EQUITIES.name)
CHANGES = 40
MANY = [Instrument(name, exchange="XNYS") for name in ("B", "C", "D")]


@pytest.fixture
def store(tmp_path: Path) -> CsvStore:
    return CsvStore(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / INSTRUMENTS_FILE


def test_an_undeclared_instrument_has_the_defaults(store: CsvStore) -> None:
    assert store.instrument(SYMBOL) == Instrument(SYMBOL, EVERY_PRINT.name)
    assert store.instrument(SYMBOL).policy is EVERY_PRINT


def test_the_last_declaration_applies_in_every_store_of_the_folder(store: CsvStore, tmp_path: Path) -> None:
    other = CsvStore(tmp_path)
    for policy in (US_EQUITIES, EVERY_PRINT, US_EQUITIES):
        store.set_instrument(Instrument(SYMBOL, policy.name))
        assert store.instrument(SYMBOL).policy is other.instrument(SYMBOL).policy is policy
    assert other.instrument("IBM") == Instrument("IBM")


@pytest.mark.parametrize("torn", [b'{"symbol":"AAPL"}', b'{"symbol":"IBM","bar_pol', b"\x00\xff"])
def test_a_torn_line_is_ignored_and_cut_off_by_the_next_declaration(
    store: CsvStore, file: Path, torn: bytes
) -> None:
    store.set_instrument(US)
    before = file.read_bytes()
    file.write_bytes(before + torn)
    assert store.instrument(SYMBOL) == US
    store.set_instrument(Instrument("IBM", US_EQUITIES.name))
    written = file.read_bytes()
    assert written.startswith(before + b'{"symbol":"IBM","bar_policy":"us_equities","volume_kind":"whole",')
    assert written.count(b"\n") == 2


@pytest.mark.parametrize("line", [b"garbage", b'{"bar_policy":"all"}', b'{"symbol":"\xff"}', b""])
def test_a_damaged_line_is_reported_with_its_number(store: CsvStore, file: Path, line: bytes) -> None:
    store.set_instrument(US)
    file.write_bytes(file.read_bytes() + line + b"\n")
    with pytest.raises(DataDamaged, match=r"instruments.jsonl, line 2"):
        store.instrument(SYMBOL)


def test_fields_of_a_newer_version_are_ignored(store: CsvStore, file: Path) -> None:
    file.write_bytes(b'{"symbol":"AAPL","bar_policy":"us_equities","asset_class":"equity"}\n')
    assert store.instrument(SYMBOL) == US


@pytest.mark.parametrize(
    ("line", "instrument"),
    [
        (b'{"symbol":"AAPL","changed_at":5}', Instrument("AAPL")),
        (b'{"symbol":"AAPL","bar_policy":"us_equities"}', Instrument("AAPL", "us_equities")),
        (b'{"symbol":"AAPL","exchange":"XNAS"}', Instrument("AAPL", exchange="XNAS")),
        (
            b'{"symbol":"BTC-USD","instrument_class":"crypto"}',
            Instrument("BTC-USD", instrument_class="crypto", volume_kind="fractional"),
        ),
        (
            b'{"symbol":"AAPL250117C00150000","bar_policy":"us_equities"}',
            replace(default_instrument("AAPL250117C00150000"), bar_policy="us_equities"),
        ),
        (
            b'{"symbol":"AAPL250117C00150000","volume_kind":"whole"}',
            Instrument("AAPL250117C00150000", instrument_class="equity"),
        ),
    ],
    ids=["symbol", "policy", "exchange", "crypto", "option of an earlier version", "an equity by all means"],
)
def test_lines_of_earlier_versions_have_the_defaults_of_their_symbol(
    store: CsvStore, file: Path, line: bytes, instrument: Instrument
) -> None:
    file.write_bytes(line + b"\n")
    assert store.instrument(instrument.symbol) == instrument


def test_ingest_uses_the_readable_lines(store: CsvStore, file: Path) -> None:
    store.set_instrument(Instrument(SYMBOL, aliases=("APPLE",)))
    file.write_bytes(b"garbage\n" + file.read_bytes())
    assert store.canonical("APPLE") == SYMBOL
    with pytest.raises(DataDamaged, match="line 1"):
        store.set_instrument(US)


def test_a_file_that_was_replaced_is_read_from_its_beginning(store: CsvStore, file: Path) -> None:
    for name in ("A", "B"):
        store.set_instrument(Instrument(name, "us_equities"))
    assert len(store.declared_instruments()) == 2
    with file.open("r+b") as same_inode:
        same_inode.write(file.read_bytes().replace(b'"symbol":"A"', b'"symbol":"C"'))
        same_inode.seek(0, 2)
        same_inode.write(b'{"symbol":"D"}\n')
    assert [each.symbol for each in store.declared_instruments()] == ["B", "C", "D"]
    file.unlink()
    assert store.declared_instruments() == []


def test_a_thousand_at_once_are_one_write(tmp_path: Path) -> None:
    disk = WatchedDisk()
    store = CsvStore(tmp_path, disk=disk)
    instruments = [Instrument(f"S{number:04}", exchange="XNAS") for number in range(1000)]
    store.set_instruments(instruments)
    assert CsvStore(tmp_path).declared_instruments() == instruments
    assert disk.calls == {"append": 1, "sync": 1, "sync_folder": 1}


def test_a_policy_of_a_newer_version_is_store_unavailable(store: CsvStore, file: Path) -> None:
    file.write_bytes(b'{"symbol":"AAPL","bar_policy":"of_tomorrow"}\n')
    assert store.instrument(SYMBOL).bar_policy == "of_tomorrow"
    with pytest.raises(StoreUnavailable, match="of_tomorrow"):
        _ = store.instrument(SYMBOL).policy
    assert store.instrument("IBM").policy is EVERY_PRINT


@pytest.mark.parametrize("failing", range(1, 4))
def test_a_declaration_that_the_disk_refuses_can_be_repeated(tmp_path: Path, failing: int) -> None:
    disk = FailingDisk(failing)
    store = CsvStore(tmp_path, disk=disk)
    with pytest.raises(StoreUnavailable):
        store.set_instrument(US)
    assert CsvStore(tmp_path).instrument(SYMBOL) in (US, Instrument(SYMBOL))
    disk.heal()
    store.set_instrument(US)
    assert store.instrument(SYMBOL) == CsvStore(tmp_path).instrument(SYMBOL) == US


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("before", "failing"),
    [([], 1), ([], 2), ([], 3), ([US], 1), ([US], 2)],
    ids=["first append", "first sync", "first sync of the folder", "append", "sync"],
)
def test_several_declarations_that_the_disk_refuses_have_no_effect(
    tmp_path: Path, before: list[Instrument], failing: int, share: float
) -> None:
    CsvStore(tmp_path).set_instruments(before)
    disk = FailingDisk(failing, share=share)
    store = CsvStore(tmp_path, disk=disk)
    with pytest.raises(StoreUnavailable):
        store.set_instruments(MANY)
    assert store.declared_instruments() == CsvStore(tmp_path).declared_instruments() == before
    disk.heal()
    store.set_instruments(MANY)
    assert store.declared_instruments() == CsvStore(tmp_path).declared_instruments() == before + MANY


@pytest.mark.parametrize(("share", "declared"), [(0.0, []), (0.99, []), (1.0, MANY)])
def test_several_declarations_that_cannot_be_cut_off_are_outcome_unknown(
    tmp_path: Path, share: float, declared: list[Instrument]
) -> None:
    disk = FailingDisk(1, lasting=True, share=share)
    with pytest.raises(OutcomeUnknown):
        CsvStore(tmp_path, disk=disk).set_instruments(MANY)
    assert disk.failed == ["append", "truncate"]
    assert CsvStore(tmp_path).declared_instruments() == declared


def test_several_declarations_take_effect_all_or_none(store: CsvStore, file: Path) -> None:
    store.set_instruments([US])
    before = file.read_bytes()
    store.set_instruments(MANY)
    written = file.read_bytes()
    for length in range(len(before), len(written)):
        file.write_bytes(written[:length])
        assert store.declared_instruments() == CsvStore(file.parent).declared_instruments() == [US], length
    store.set_instruments([Instrument("Z")])
    assert (
        store.declared_instruments() == CsvStore(file.parent).declared_instruments() == [US, Instrument("Z")]
    )
    file.write_bytes(written)
    assert store.declared_instruments() == CsvStore(file.parent).declared_instruments() == [US, *MANY]


def test_a_damaged_line_among_others_is_reported(store: CsvStore, file: Path) -> None:
    store.set_instruments(MANY)
    lines = file.read_bytes().splitlines(keepends=True)
    for number in range(len(lines)):
        file.write_bytes(b"".join([*lines[:number], b"garbage\n", *lines[number + 1 :]]))
        with pytest.raises(DataDamaged, match=f"line {number + 1}:"):
            store.declared_instruments()


def change(folder: Path, name: str) -> None:
    """Declare an instrument repeatedly, last under the policy of US equities. Runs as a process."""
    store = CsvStore(folder)
    for number in range(CHANGES):
        policy = US_EQUITIES if number % 2 else EVERY_PRINT
        store.set_instrument(Instrument(name, policy.name))
        assert store.instrument(name).policy is policy


def test_declarations_of_several_processes_are_all_stored(tmp_path: Path, file: Path) -> None:
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


def test_a_declaration_does_not_wait_for_ever_for_another_process(
    store: CsvStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `manage.py instrument` that was stopped keeps its lock."""
    store.set_instrument(US)
    with file.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(log_lock, "LOCK_PATIENCE_SECONDS", 0.01)
        with pytest.raises(StoreBusy):
            store.set_instrument(MANY[0])
    assert store.instrument("B") == Instrument("B")
    store.set_instrument(MANY[0])
    assert store.instrument("B") == MANY[0]
