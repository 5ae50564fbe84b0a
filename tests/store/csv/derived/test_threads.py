"""Threads read while others append, correct, derive and delete: every answer is that of its commit."""

import random
import shutil
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from store.bar_policies import BAR_POLICIES
from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import StorageError, StoreUnavailable
from store.protocol import ALL_TIME, Window
from store.walk import Resync
from tests.chance import SOAK
from tests.patience import PATIENCE_SECONDS
from tests.store.builders import DAY, MINUTE, NOON, SECOND, SYMBOL, batch, trade
from tests.store.csv.derived.test_same_answers import House

pytestmark = pytest.mark.system

RACE_SECONDS = 60.0 if SOAK else 1.0
INTERVALS = (SECOND, 7 * MINUTE, MINUTE, 11 * 60 * MINUTE, DAY, 7 * SECOND // 2)
READERS, COMMITS, ENOUGH = 3, 40, 10
TURNS, WHOLE = 60, {(5, 1.0), (5, 100.0)}


class Race:
    """A store in which everything happens concurrently.

    The store in memory always has at least the commits of the other one.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.house = House(folder, seed)
        self.seed = seed
        self.errors: list[object] = []
        self.reads = 0
        self._began = time.monotonic()

    def goes_on(self) -> bool:
        """Return whether to continue: until the time is over, but at least once."""
        seconds = time.monotonic() - self._began
        return seconds < RACE_SECONDS or (self.reads <= ENOUGH and seconds < PATIENCE_SECONDS)

    def write(self) -> None:
        chooser = random.Random(self.seed)
        for _ in range(COMMITS):
            self.house.append(8) if chooser.random() < 0.7 else self.house.correct()
            time.sleep(RACE_SECONDS / COMMITS / 2)

    def derive(self) -> None:
        chooser = random.Random(self.seed + 1)
        while self.goes_on():
            with suppress(StoreUnavailable):  # the folder was deleted during the fold
                self.house.store.derive(TRADES, SYMBOL, rebuild=chooser.random() < 0.1)

    def disturb(self) -> None:
        chooser = random.Random(self.seed + 2)
        while self.goes_on():
            time.sleep(0.05)
            chosen = chooser.choice([self.house.delete, self.house.spoil, self.house.set_policy])
            with suppress(FileNotFoundError):
                chosen()

    def read(self, seed: int) -> None:
        chooser = random.Random(seed)
        while self.goes_on():
            head = self.house.store.log(TRADES, SYMBOL).head.number
            self._compare(chooser, chooser.choice([head, chooser.randint(1, head)]))
            self.reads += 1

    def _compare(self, chooser: random.Random, at: int) -> None:
        interval_ns = chooser.choice(INTERVALS)
        start = (NOON + chooser.randint(-2, 10) * DAY // 2) // interval_ns * interval_ns
        window = Window(start, start + chooser.randint(0, max(1, 3 * DAY // interval_ns)) * interval_ns)
        policy = chooser.choice([*BAR_POLICIES.values()])
        stores = self.house.store, self.house.memory
        found, expected = (
            store.log(TRADES, SYMBOL).at(at).bars(window, interval_ns, policy=policy) for store in stores
        )
        rows, expected_rows = (store.log(TRADES, SYMBOL).at(at).rows(window) for store in stores)
        same = all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in found.__slots__)
        if not same or not rows.equals(expected_rows):
            self.errors.append((window, interval_ns, policy.name, at))

    def run(self, *works: Callable[[], None]) -> None:
        threads = [threading.Thread(target=self._guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 the test shows it
            self.errors.append(traceback.format_exc())


def test_answers_are_those_of_their_commit_during_concurrent_changes(tmp_path: Path, seed: int) -> None:
    race = Race(tmp_path, seed)
    readers = [lambda number=number: race.read(seed + number) for number in range(READERS)]
    race.run(race.write, race.derive, race.disturb, *readers)
    assert race.errors == []
    assert race.reads > ENOUGH


def two_logs(folder: Path, log: Path) -> list[Path]:
    """Copies of two derived logs of the same commits' numbers, one of small trades and one of large ones."""
    copies = []
    for volume in (1.0, 100.0):
        shutil.rmtree(log, ignore_errors=True)
        store = CsvStore(folder)
        for number in range(4):
            store.append(batch(trade(number, volume=volume)))
        store.derive(TRADES, SYMBOL)
        store.append(batch(trade(9, volume=volume)))
        copies.append(shutil.copytree(log, folder / f"{volume}"))
    return copies


def test_readers_of_a_log_that_is_restored_never_mix_the_two(tmp_path: Path) -> None:
    log = tmp_path / "trades" / SYMBOL
    copies, store = two_logs(tmp_path, log), CsvStore(tmp_path)
    ended = threading.Event()
    seen: set[tuple[float, ...]] = set()

    def look() -> None:
        while not ended.is_set():
            with suppress(StorageError, Resync):  # during a restore any answer but a mixture is allowed
                volumes = store.log(TRADES, SYMBOL).at().rows(ALL_TIME).column("volume").to_pylist()
                seen.add((len(volumes), *sorted({*volumes})))

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    ends_at = time.monotonic() + PATIENCE_SECONDS
    for turn in count():
        if turn >= TURNS and (seen >= WHOLE or time.monotonic() > ends_at):
            break
        aside = log.rename(tmp_path / f"aside{turn}")
        shutil.copytree(copies[turn % 2], log)
        shutil.rmtree(aside)
        time.sleep(0.005)
    ended.set()
    for reader in readers:
        reader.join()
    assert [each for each in seen if len(each) > 2] == []
    assert seen >= WHOLE
