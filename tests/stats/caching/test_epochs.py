import errno
import logging
import threading
from pathlib import Path

import pytest

from stats.caching.epochs import SLOTS, Epochs


def test_an_advance_is_seen_by_another_mapping_at_once(tmp_path: Path):
    one, other = Epochs(tmp_path / "run" / "epochs"), Epochs(tmp_path / "run" / "epochs")
    before = other.current("AAPL")
    one.advance("AAPL")
    assert other.current("AAPL") == one.current("AAPL") == before + 1
    assert one.shared


def test_symbols_of_other_slots_are_left_alone(tmp_path: Path):
    epochs = Epochs(tmp_path / "epochs")
    epochs.advance("AAPL")
    assert epochs.current("MSFT") == 0
    assert sum(epochs._slots) == 1


def test_counters_survive_the_process(tmp_path: Path):
    Epochs(tmp_path / "epochs").advance("AAPL")
    assert Epochs(tmp_path / "epochs").current("AAPL") == 1


def test_a_short_file_is_completed(tmp_path: Path):
    (tmp_path / "epochs").write_bytes(b"\x01")
    Epochs(tmp_path / "epochs").advance("AAPL")
    assert (tmp_path / "epochs").stat().st_size == 8 * SLOTS


def test_the_counter_wraps(tmp_path: Path):
    (tmp_path / "epochs").write_bytes(b"\xff" * 8 * SLOTS)
    epochs = Epochs(tmp_path / "epochs")
    epochs.advance("AAPL")
    assert epochs.current("AAPL") == 0


def test_any_symbol_has_a_counter(tmp_path: Path):
    epochs = Epochs(tmp_path / "epochs")
    for symbol in ("", "Ä", "\udcff", "x" * 10_000):
        before = epochs.current(symbol)
        epochs.advance(symbol)
        assert epochs.current(symbol) != before


def test_no_advance_of_a_thread_is_lost(tmp_path: Path):
    epochs = Epochs(tmp_path / "epochs")

    def work() -> None:
        for _ in range(200):
            epochs.advance("AAPL")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert epochs.current("AAPL") == 1_600


def test_no_advance_of_a_process_is_lost(start_worker, tmp_path: Path):
    workers = [start_worker(), start_worker()]
    for worker in workers:
        worker.ask("epoch", symbol="AAPL")
    for worker in workers:
        worker.tell("advance", symbol="AAPL", times=3_000)
    for worker in workers:
        worker.hear()
    assert [worker.ask("epoch", symbol="AAPL") for worker in workers] == [6_000, 6_000]


def test_on_a_full_disk_they_live_in_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    epochs = Epochs(tmp_path / "epochs")
    epochs.advance("AAPL")
    assert (epochs.shared, epochs.current("AAPL")) == (False, 1)


def test_without_a_usable_folder_they_live_in_the_process(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        epochs = Epochs(tmp_path / "file" / "epochs")
    assert "this process only" in caplog.text
    assert not epochs.shared
    epochs.advance("AAPL")
    assert (epochs.current("AAPL"), epochs.current("MSFT")) == (1, 0)
