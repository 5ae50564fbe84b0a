"""The table of instruments is brought up to date by one at a time, and is right for whoever waited."""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from store.instruments import Instrument
from trades.instruments import catalogue
from trades.instruments.services import instruments_all
from trades.models import InstrumentEntry
from trades.stores import market_store

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store_path")]
THREADS = 4


@pytest.fixture(autouse=True)
def run_dir(settings, tmp_path: Path) -> Path:
    settings.RUN_DIR = tmp_path / "run"
    return tmp_path / "run"


class Refreshing:
    """Threads that look at the table, and what each of them found there."""

    def __init__(self, count: int) -> None:
        self.found: list[list[str]] = []
        self._at_once = threading.Barrier(count)
        self.threads = [threading.Thread(target=self._look) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _look(self) -> None:
        try:
            self._at_once.wait()
            catalogue.catalogue_refresh()
            self.found.append(list(InstrumentEntry.objects.values_list("symbol", flat=True)))
        finally:
            connection.close()

    def joined(self) -> list[list[str]]:
        for thread in self.threads:
            thread.join()
        return self.found


@pytest.fixture
def loads(monkeypatch) -> list[int]:
    """One item for each time that all instruments are loaded, which takes a while."""
    times: list[int] = []
    load = instruments_all

    def slow() -> list[Instrument]:
        times.append(1)
        time.sleep(0.1)
        return load()

    monkeypatch.setattr(catalogue, "instruments_all", slow)
    return times


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """As another process at work holds it."""
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_of_many_at_once_one_loads_the_instruments_and_all_find_them(loads: list[int]):
    for declared in (["A"], ["A", "B", "C"]):
        loads.clear()
        market_store().set_instruments([Instrument(symbol) for symbol in declared])
        assert Refreshing(THREADS).joined() == [declared] * THREADS
        assert loads == [1]


def test_who_waited_for_another_process_looks_again(run_dir: Path, loads: list[int]):
    market_store().set_instruments([Instrument("A")])
    with locked(run_dir / "catalogue.lock"):
        refreshing = Refreshing(2)
        refreshing.threads[0].join(0.2)
        assert (refreshing.found, loads) == ([], [])
        market_store().set_instruments([Instrument("B")])
    assert refreshing.joined() == [["A", "B"]] * 2
    assert loads == [1]


def test_without_a_folder_for_the_lock_the_table_is_right_all_the_same(run_dir: Path):
    run_dir.write_text("no folder")
    market_store().set_instruments([Instrument("A")])
    assert set(map(tuple, Refreshing(1).joined())) == {("A",)}


def test_nobody_waits_for_ever_for_a_process_that_was_stopped(run_dir: Path, monkeypatch):
    monkeypatch.setattr(catalogue, "_PATIENCE_SECONDS", 0.01)
    market_store().set_instruments([Instrument("A")])
    with locked(run_dir / "catalogue.lock"):
        assert Refreshing(1).joined() == [["A"]]
