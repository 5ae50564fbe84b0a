"""A step of the system's clock stops writes until an operator accepts it; small steps and a suspended machine do not."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.writing.system_clock import CLOCK_FILE, MAX_STEP_NS, SystemClock, boot_time_ns
from store.exceptions import ClockStepped
from tests.store.builders import DAY, NOON, SECOND, batch, stored, trade, trades_of

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
YEAR = 365 * DAY


@dataclass
class Machine:
    """A machine's two clocks. Its folder has stores of several processes."""

    folder: Path
    wall: int = NOON
    boot: int = HOUR

    def passes(self, length: int) -> None:
        self.wall += length
        self.boot += length

    def steps(self, length: int) -> None:
        self.wall += length

    def is_started_again(self) -> None:
        self.boot = 0
        known = json.loads((self.folder / CLOCK_FILE).read_bytes())
        (self.folder / CLOCK_FILE).write_text(json.dumps({**known, "boot_id": "of the start before"}))

    def store(self, *, has_boot_time: bool = True) -> CsvStore:
        boot_time = (lambda: self.boot) if has_boot_time else None
        return CsvStore(
            self.folder, clock=SystemClock(self.folder, now=lambda: self.wall, boot_time=boot_time)
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def times(store: CsvStore) -> list[int]:
    log = trades_of(store)
    return [log.committed_at(number) for number in range(1, log.head.number + 1)]


@pytest.mark.parametrize("step", [YEAR, MINUTE + 1, -MINUTE - 1, -YEAR])
def test_a_step_of_more_than_a_minute_refuses_writes_until_it_is_taken_back(machine: Machine, step: int):
    store = machine.store()
    store.append(batch(trade(1)))
    machine.steps(step)
    for _ in range(2):
        with pytest.raises(ClockStepped, match=r"manage\.py store clock --accept"):
            store.append(batch(trade(2)))
    assert stored(store) == [trade(1)]
    machine.steps(-step)
    store.append(batch(trade(2)))
    assert times(store) == [NOON, NOON + 1]


def test_a_process_that_starts_after_a_step_knows_of_it(machine: Machine):
    machine.store().append(batch(trade(1)))
    machine.steps(YEAR)
    with pytest.raises(ClockStepped):
        machine.store().append(batch(trade(2)))
    machine.steps(-YEAR)
    machine.store().append(batch(trade(2)))


def test_a_clock_that_is_set_before_the_first_commit_of_a_start_has_not_stepped(machine: Machine):
    store = machine.store()
    machine.steps(YEAR)
    store.append(batch(trade(1)))
    machine.is_started_again()
    machine.steps(-MINUTE // 2)
    machine.store().append(batch(trade(2)))


def test_batches_that_make_no_commit_are_answered_whatever_the_clock_is(machine: Machine):
    store = machine.store()
    store.append(batch(trade(1), request_key="k"))
    machine.steps(YEAR)
    assert store.append(batch(trade(1), request_key="k")).replayed
    assert store.append(batch(trade(1))).stored == 0


def test_steps_of_at_most_a_minute_and_a_suspended_machine_go_on(machine: Machine):
    store = machine.store()
    for number, step in enumerate((MINUTE, -MINUTE, MINUTE, MINUTE, MINUTE)):
        machine.steps(step)
        store.append(batch(trade(number)))
    machine.passes(30 * DAY)
    store.append(batch(trade(9)))
    assert times(store)[-1] == machine.wall


def test_an_accepted_step_is_accepted_for_all_processes(machine: Machine):
    stores = [machine.store(), machine.store()]
    for number, store in enumerate(stores):
        store.append(batch(trade(number)))
    machine.steps(YEAR)
    machine.store().accept_clock(machine.wall)
    for number, store in enumerate(stores):
        store.append(batch(trade(10 + number)))
    assert times(stores[0])[2:] == [machine.wall, machine.wall + 1]
    machine.steps(-YEAR)
    for store in stores:
        with pytest.raises(ClockStepped):
            store.append(batch(trade(20)))


@pytest.mark.parametrize("has_boot_time", [True, False], ids=["Linux", "macOS"])
def test_a_log_that_is_ahead_refuses_writes_until_that_is_accepted(machine: Machine, has_boot_time: bool):
    """A commit was stamped by a clock a year ahead. The processes of today have seen no step."""
    ahead = Machine(machine.folder, wall=NOON + YEAR)
    ahead.store().append(batch(trade(1)))
    ahead.is_started_again()
    store = machine.store(has_boot_time=has_boot_time)
    with pytest.raises(ClockStepped, match="ahead of the clock"):
        store.append(batch(trade(2)))
    store.append(batch(trade(2), symbol="OTHER"))
    store.accept_clock(NOON + YEAR)
    for number in (2, 3):
        machine.store(has_boot_time=has_boot_time).append(batch(trade(number)))
    assert times(store) == [NOON + YEAR, NOON + YEAR + 1, NOON + YEAR + 2]
    assert trades_of(store).as_of(NOON + DAY).commit.number == 0


def test_a_log_that_is_a_minute_ahead_is_written_to(machine: Machine):
    ahead = Machine(machine.folder, wall=NOON + MINUTE)
    ahead.store().append(batch(trade(1)))
    ahead.is_started_again()
    machine.store().append(batch(trade(2)))


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b'{"until_ns": "1"}'])
def test_a_damaged_file_accepts_nothing(machine: Machine, text: bytes):
    store = machine.store()
    store.append(batch(trade(1)))
    machine.steps(YEAR)
    (machine.folder / CLOCK_FILE).write_bytes(text)
    with pytest.raises(ClockStepped):
        store.append(batch(trade(2)))


def test_a_store_without_a_clock_of_its_own_watches_the_systems(tmp_path: Path):
    store, now = CsvStore(tmp_path), time.time_ns
    store.append(batch(trade(1)))
    assert trades_of(store).committed_at(1) == pytest.approx(now(), abs=MAX_STEP_NS)
    assert json.loads((tmp_path / CLOCK_FILE).read_bytes())["until_ns"] == 0
    if hasattr(time, "CLOCK_BOOTTIME"):
        earlier = time.monotonic_ns()
        assert boot_time_ns() >= earlier


def test_the_difference_of_both_clocks_is_read_at_one_time(machine: Machine):
    """The process is stopped for an hour between reading one and the other."""
    readings = iter([HOUR])
    clock = SystemClock(machine.folder, now=lambda: machine.wall, boot_time=lambda: next(readings, 2 * HOUR))
    clock.check(NOON)
