"""Declarations in files: faults of their log, and those that a store of an earlier version has taken over."""

import fcntl
import multiprocessing
import random
import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from store.bar_policies import EVERY_PRINT, US_EQUITIES
from store.csv import CsvStore
from store.csv.earlier_instruments import EARLIER_INSTRUMENTS_FILE
from store.csv.log import log_lock
from store.datasets import DECLARED_INSTRUMENTS
from store.exceptions import AliasTaken, DataDamaged, StoreBusy
from store.instruments import Instrument, InstrumentHistory, default_instrument
from store.protocol import Append
from tests.store.builders import NOON, SYMBOL, Clock, batch, trade
from tests.store.csv.disks import Ended, EndingDisk, WatchedDisk

US = Instrument(SYMBOL, US_EQUITIES.name)
CHANGES = 11
MANY = [Instrument(name, exchange="XNYS") for name in ("B", "C", "D")]
# Made by a clock that was set back, and once was a year ahead; the last request was never acknowledged.
EARLIER = [(0, US), (NOON, MANY[0]), (NOON, MANY[1]), (NOON - 50, Instrument(SYMBOL, aliases=("APL",))),
           (NOON + 10**17, MANY[2]), (NOON + 5, Instrument("B", exchange="XNAS"))]  # fmt: skip
AFTER_ALL = NOON + 2 * 10**17
INSTANTS = [None, 0, NOON - 51, NOON - 50, NOON, NOON + 4, NOON + 5, NOON + 10**17 - 1, NOON + 10**17]


@pytest.fixture
def store(tmp_path: Path) -> CsvStore:
    return CsvStore(tmp_path, clock=Clock(AFTER_ALL))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "instruments" / "ALL"


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    file = tmp_path / EARLIER_INSTRUMENTS_FILE
    lines = [_line(instrument, changed_at=changed_at) for changed_at, instrument in EARLIER]
    file.write_bytes(b"".join([*lines, _line(US, changed_at=NOON, more=1), b'{"symbol":"IBM","bar_pol']))
    return file


def _line(instrument: Instrument, **others: int) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(instrument) | others) + b"\n"


def answers(store: CsvStore, instants: Sequence[int | None] = INSTANTS) -> list[object]:
    return [
        (store.declared_instruments(as_of_ns=at), *(store.declarations(s, as_of_ns=at) for s in (SYMBOL, "B")))
        for at in instants
    ]  # fmt: skip


def expected() -> list[object]:
    """What earlier versions answered: of the lines up to an instant, a symbol's last line applies."""
    history = InstrumentHistory(EARLIER)
    return [(history.declared(None, at), *(history.declarations(s, at) for s in (SYMBOL, "B"))) for at in INSTANTS]  # fmt: skip


def damages(store: CsvStore) -> list[str]:
    return [each.message for each in store.check(*DECLARED_INSTRUMENTS).findings() if not each.is_harmless]


def test_declarations_of_an_earlier_version_are_read_as_they_were(store: CsvStore, earlier: Path) -> None:
    assert answers(store) == expected()
    assert store.canonical("APL") == SYMBOL
    assert [path.name for path in earlier.parent.iterdir()] == [EARLIER_INSTRUMENTS_FILE]


def test_the_first_declaration_takes_them_over_with_their_times(
    store: CsvStore, earlier: Path, log: Path
) -> None:
    before = earlier.read_bytes()
    store.set_instrument(Instrument("Z"))
    earlier.write_bytes(b"of no use any more\n")
    past = [at for at in INSTANTS if at is not None]
    for each in (store, CsvStore(earlier.parent)):
        assert answers(each, past) == expected()[1:]
        assert each.declared_instruments() == [*sorted(expected()[0][0], key=str), Instrument("Z")]  # type: ignore[index]
    earlier.write_bytes(before)
    assert CsvStore(earlier.parent).log(*DECLARED_INSTRUMENTS).head.number == 2
    assert len((log / "1970.csv").read_bytes().splitlines()) == 1 + len(EARLIER) + 1


def test_a_line_that_an_earlier_version_adds_after_the_take_over_is_told_once(
    store: CsvStore, earlier: Path, caplog: pytest.LogCaptureFixture
) -> None:
    earlier.write_bytes(_line(US, changed_at=1))
    store.set_instrument(Instrument("Z"))
    assert store.declarations("Z")
    assert not caplog.records
    earlier.write_bytes(_line(US, changed_at=1) + _line(Instrument("Q"), changed_at=2))
    for symbol in ("Y", "X"):
        store.set_instrument(Instrument(symbol))
        assert store.declarations(symbol)
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert "have no effect" in caplog.text
    assert not store.declarations("Q")


def test_an_end_at_each_call_to_the_disk_loses_and_doubles_nothing(earlier: Path, tmp_path: Path) -> None:
    for ending in count(1):
        folder = tmp_path / str(ending)
        folder.mkdir()
        shutil.copy(earlier, folder)
        disk = EndingDisk()
        disk.ending = ending
        try:
            CsvStore(folder, disk=disk, clock=Clock(AFTER_ALL)).set_instrument(Instrument("Z"))
        except Ended:
            assert answers(CsvStore(folder), INSTANTS[1:]) == expected()[1:]
        else:
            break
        CsvStore(folder, clock=Clock(AFTER_ALL)).set_instrument(Instrument("Y"))
        assert answers(CsvStore(folder), INSTANTS[1:]) == expected()[1:]
        assert CsvStore(folder).declarations("Y")
    assert ending > 5


@pytest.mark.parametrize("line", [b"garbage", b'{"bar_policy":"all"}', b'{"symbol":"\xff"}', b"", b'{"symbol":"A","changed_at":1e300}'])  # fmt: skip
def test_a_damaged_line_of_an_earlier_version_is_reported_with_its_number(
    store: CsvStore, earlier: Path, line: bytes
) -> None:
    lines = earlier.read_bytes().split(b"\n")
    earlier.write_bytes(b"\n".join([lines[0], line, *lines[1:]]))
    for refused in (lambda: store.instrument(SYMBOL), lambda: store.set_instrument(US)):
        with pytest.raises(DataDamaged, match=r"instruments.jsonl, line 2:"):
            refused()
    assert store.symbols(DECLARED_INSTRUMENTS[0]) == []


@pytest.mark.parametrize(
    ("line", "instrument"),
    [
        (b'{"symbol":"AAPL","changed_at":5}', Instrument("AAPL")),
        (b'{"symbol":"AAPL","bar_policy":"us_equities","asset_class":"equity"}', US),
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
    ids=["symbol", "policy, and a field that is unknown", "exchange", "crypto", "option of an earlier version", "an equity by all means"],
)  # fmt: skip
def test_the_earliest_lines_have_the_defaults_of_their_symbol(
    store: CsvStore, earlier: Path, line: bytes, instrument: Instrument
) -> None:
    earlier.write_bytes(line + b"\n")
    assert store.instrument(instrument.symbol) == instrument
    store.set_instrument(Instrument("Z"))
    assert CsvStore(earlier.parent).instrument(instrument.symbol) == instrument


def test_a_line_that_an_earlier_version_adds_is_read_until_the_log_exists(
    store: CsvStore, earlier: Path
) -> None:
    earlier.write_bytes(_line(US))
    assert store.instrument("B") == Instrument("B")
    earlier.write_bytes(_line(US) + _line(MANY[0]))
    assert store.instrument("B") == MANY[0]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


def test_flipped_and_torn_bytes_are_found_and_give_no_other_answer(store: CsvStore, log: Path) -> None:
    store.append(batch(trade(), symbol="IBM"))
    store.set_instruments([Instrument(SYMBOL, exchange="XNAS", aliases=("APL",)), *MANY])
    store.set_instruments([Instrument("Y"), Instrument("Z")])
    right, chance = answers(store), random.Random(44)
    for file in (log / "commits.jsonl", log / "1970.csv"):
        data = file.read_bytes()
        places = chance.sample(range(len(data)), 60)
        torn = [] if file.suffix == ".jsonl" else [data[:place] for place in places]
        for changed in (*(flipped(data, place) for place in places), *torn):
            file.write_bytes(changed)
            damaged = CsvStore(log.parents[1])
            assert damages(damaged)
            try:
                assert answers(damaged) == right
            except DataDamaged:
                assert damaged.canonical("IBM") == "IBM"
                with pytest.raises(DataDamaged):
                    damaged.canonical("APL")
        file.write_bytes(data)
    assert (answers(store), damages(store)) == (right, [])


def test_a_log_that_was_restored_is_read_from_its_beginning(
    store: CsvStore, log: Path, tmp_path: Path
) -> None:
    store.set_instrument(US)
    shutil.copytree(log, tmp_path / "kept")
    store.set_instruments(MANY)
    assert store.declared_instruments() == [US, *MANY]
    shutil.rmtree(log)
    (tmp_path / "kept").rename(log)
    assert store.declared_instruments() == [US]
    CsvStore(tmp_path, clock=Clock(AFTER_ALL)).set_instruments([Instrument("Z"), Instrument("Y")])
    assert [each.symbol for each in store.declared_instruments()] == [SYMBOL, "Y", "Z"]


def test_a_thousand_at_once_are_one_write(tmp_path: Path) -> None:
    disk = WatchedDisk()
    store = CsvStore(tmp_path, disk=disk)
    instruments = [Instrument(f"S{number:04}", exchange="XNAS") for number in range(1000)]
    store.set_instruments(instruments)
    assert CsvStore(tmp_path).declared_instruments() == instruments
    assert (disk.calls["append"], disk.calls["sync"]) == (2, 2)


def test_a_declaration_does_not_wait_for_ever_for_another_process(
    store: CsvStore, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `manage.py instrument` that was stopped keeps its lock."""
    store.set_instrument(US)
    monkeypatch.setattr(log_lock, "LOCK_PATIENCE_SECONDS", 0.01)
    with (log / "commits.jsonl").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreBusy):
            store.set_instrument(MANY[0])
        assert store.instrument("B") == CsvStore(store._path).instrument("B") == Instrument("B")
    store.set_instrument(MANY[0])
    assert store.instrument("B") == MANY[0]


def change(folder: Path, name: str) -> None:
    """Declare an instrument repeatedly, last under the policy of US equities. Runs as a process."""
    store = CsvStore(folder)
    for number in range(CHANGES):
        policy = EVERY_PRINT if number % 2 else US_EQUITIES
        store.set_instrument(Instrument(name, policy.name))
        assert store.instrument(name).policy is policy


def test_declarations_of_several_processes_are_all_stored_after_those_of_an_earlier_version(
    tmp_path: Path, earlier: Path
) -> None:
    names = ["X", "Y", "Z"]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([change.__module__])
    processes = [context.Process(target=change, args=(tmp_path, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    store = CsvStore(tmp_path)
    assert [len(store.declarations(name)) for name in names] == [CHANGES] * 3
    assert {store.instrument(name).bar_policy for name in names} == {US_EQUITIES.name}
    assert answers(store, INSTANTS[1:4]) == expected()[1:4]


def test_only_one_of_two_processes_gets_an_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one declares it between the check and the write."""
    store, other = CsvStore(tmp_path), CsvStore(tmp_path)
    append = store.append

    def later(declared: Append) -> object:
        monkeypatch.setattr(store, "append", append)
        other.set_instrument(Instrument("META", aliases=("FB",)))
        return append(declared)

    monkeypatch.setattr(store, "append", later)
    with pytest.raises(AliasTaken, match="FB"):
        store.set_instrument(Instrument("FACEBOOK", aliases=("FB",)))
    assert [each.symbol for each in store.declared_instruments()] == ["META"]
