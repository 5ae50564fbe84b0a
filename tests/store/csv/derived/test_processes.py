"""Builders in processes of their own: killed, concurrent, and beside a store that has seen damage."""

import multiprocessing
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from store.protocol import ALL_TIME
from tests.patience import PATIENCE_SECONDS
from tests.store.builders import DAY, MINUTE, SECOND, SYMBOL, batch, open_log, stored, trade, trades_of
from tests.store.csv.derived.build_process import build_until_killed
from tests.store.csv.derived.derived_log import DerivedLog

pytestmark = pytest.mark.system

CYCLES = 8


@pytest.fixture
def log(tmp_path: Path) -> DerivedLog:
    log = DerivedLog(tmp_path)
    log.append(*(trade(day * DAY + n * SECOND, 1.0 + n) for day in range(4) for n in range(30)))
    return log


def builder(log: DerivedLog, seed: int) -> BaseProcess:
    """A process that builds. It has imported everything before it starts."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([build_until_killed.__module__])
    process = context.Process(target=build_until_killed, args=(log.folder, SYMBOL, seed), daemon=True)
    process.start()
    return process


def same_bars(log: DerivedLog) -> bool:
    found, expected = (
        trades_of(store).at().bars(ALL_TIME, 5 * MINUTE) for store in (log.opened(), log.memory)
    )
    return all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in found.__slots__)


@pytest.mark.system
def test_killed_builders_leave_the_same_answers_and_no_files(log: DerivedLog, seed: int) -> None:
    chooser = random.Random(seed)
    for cycle in range(CYCLES):
        processes = [builder(log, chooser.getrandbits(30)) for _ in range(2)]
        seen = time.monotonic() + PATIENCE_SECONDS
        while not log.files.exists() and time.monotonic() < seen:
            time.sleep(0.001)
        time.sleep(chooser.uniform(0.0, 0.1))
        log.append(*(trade(chooser.randint(-1, 5) * DAY + cycle * SECOND + n) for n in range(5)))
        assert log.is_like_memory()
        for process in processes:
            process.kill()
            process.join()
        assert log.is_like_memory()
        assert same_bars(log)
    log.derive()
    files = {path.name for path in log.files.iterdir()} - {"lock", "manifest.json", "commits.sqlite"}
    assert files == {file for segment in log.segments for file in segment.seals}
    assert log.is_like_memory()
    assert same_bars(log)


def test_a_store_that_has_seen_damage_reads_what_another_process_built_since(log: DerivedLog) -> None:
    log.derive()
    for path in log.files.glob("*.arrow"):
        path.unlink()
    log.store = log.opened()
    assert len(stored(log.store)) == 120
    other = DerivedLog(log.folder)
    other.derive()
    other.store.append(batch(trade(9 * DAY)))
    assert len(stored(log.store)) == 121
    assert open_log(log.store).reader._opened.segments.head.number == 1
