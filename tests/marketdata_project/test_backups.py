"""Backups of an installation's files while it writes, and their restore; `tests/system/test_backup.py` has the commands."""

import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
import pytest

from audit.spooling.collector import exclusive
from marketdata_project import backups
from marketdata_project.backups import (
    DATABASE,
    MANIFEST,
    BackupManifest,
    BackupRefused,
    BackupStopped,
    Places,
    backup_make,
    backup_restore,
)
from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import Instrument
from tests.store.builders import batch, trade

SYMBOLS = ("AAPL", "MSFT")


def places_in(root: Path, *, strategies: Path | None = None) -> Places:
    names = ("rotated_keys", "uploads", "exports")
    folders = {"strategies": strategies or root / "strategies", **{name: root / name for name in names}}
    return Places(root, root / DATABASE, folders)


def append(root: Path, number: int) -> None:
    """Store a trade, and note its commit in the database, as accounts do."""
    symbol = SYMBOLS[number % len(SYMBOLS)]
    receipt = CsvStore(root).append(batch(trade(number * 10**9), symbol=symbol))
    with closing(sqlite3.connect(root / DATABASE)) as database, database:
        database.execute("INSERT INTO named VALUES (?, ?)", (symbol, receipt.commit.number))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """An installation with files of every kind; its own strategies are outside of its folder."""
    root = tmp_path / "data"
    root.mkdir()
    with closing(sqlite3.connect(root / DATABASE)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE named (symbol TEXT, number INTEGER)")
    CsvStore(root).set_instrument(Instrument("AAPL", exchange="XNAS"))
    for number in range(3):
        append(root, number)
    CsvStore(root).derive(TRADES, "AAPL")
    texts = {
        "secret_key": "sealed",
        "STOP": "",
        "audit/spool/1-1.jsonl": "{}\n",
        "audit/turn.lock": "",
        "rotated_keys/a.key": "md_key",
        "uploads/u/x": "rows",
        "exports/e/y": "rows",
        "run/serve.lock": "1",
        "imports/x": "",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "secret_key").chmod(0o600)
    (tmp_path / "own" / "run").mkdir(parents=True)
    (tmp_path / "own" / "run" / "trend.py").write_text("x = 1\n")
    return places_in(root, strategies=tmp_path / "own")


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def damages(root: Path) -> list[str]:
    store = CsvStore(root)
    checks = [store.check(TRADES, symbol) for symbol in store.symbols(TRADES)]
    return [each.message for check in checks for each in check.findings()]


def test_a_restored_installation_has_all_but_what_is_made_anew(places: Places, tmp_path: Path):
    made = backup_make(places, tmp_path / "backup")
    restored = places_in(tmp_path / "restored")
    assert backup_restore(tmp_path / "backup", restored) == made
    left_out = ("run/", "imports/", "audit/turn.lock", "audit/collector.lock", f"{DATABASE}-")
    kept = {name for name in names(places.data) if not name.startswith(left_out) and "/.derived/" not in name}
    assert names(restored.data) == kept | {"strategies/run/trend.py"}
    assert made.files == len(kept) + 1
    for name in kept - {DATABASE}:
        assert (restored.data / name).read_bytes() == (places.data / name).read_bytes(), name
    assert damages(restored.data) == []
    assert CsvStore(restored.data).instrument("AAPL").exchange == "XNAS"
    for name in ("secret_key", "trades/AAPL/commits.jsonl", "audit/spool/1-1.jsonl"):
        assert (restored.data / name).stat().st_mode == (places.data / name).stat().st_mode
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700


def test_own_strategies_return_to_where_the_setting_says(places: Places, tmp_path: Path):
    backup_make(places, tmp_path / "backup")
    restored = places_in(tmp_path / "restored", strategies=tmp_path / "elsewhere")
    backup_restore(tmp_path / "backup", restored)
    assert (tmp_path / "elsewhere" / "run" / "trend.py").read_text() == "x = 1\n"
    assert not (restored.data / "strategies").exists()


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Append trades all the time."""
    ending = threading.Event()

    def work() -> None:
        for number in count(3):
            append(root, number)
            if ending.is_set():
                return

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        try:
            yield
        finally:
            ending.set()
            done.result()


def test_the_copy_has_every_commit_that_its_database_names(places: Places, tmp_path: Path):
    with writing(places.data):
        for number in range(5):
            backup = tmp_path / f"backup{number}"
            backup_make(places, backup)
            assert damages(backup) == []
            with closing(sqlite3.connect(backup / DATABASE)) as database:
                found = database.execute("SELECT symbol, max(number) FROM named GROUP BY symbol").fetchall()
            assert len(found) == len(SYMBOLS)
            for symbol, newest in found:
                assert CsvStore(backup).log(TRADES, symbol).head.number >= newest


def test_rows_that_come_between_the_logs_and_the_rows_are_not_in_the_copy(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    usual = backups._log_files

    def then_more(data_dir: Path) -> Iterator[str]:
        yield from usual(data_dir)
        append(data_dir, 10)
        CsvStore(data_dir).append(batch(trade(), symbol="LATER"))

    monkeypatch.setattr(backups, "_log_files", then_more)
    backup_make(places, tmp_path / "backup")
    copy = CsvStore(tmp_path / "backup")
    assert copy.log(TRADES, "AAPL").head.number == 2
    assert damages(tmp_path / "backup") == []
    append(tmp_path / "backup", 11)
    assert damages(tmp_path / "backup") == []


def test_a_backup_waits_for_the_collector_of_audit_records(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backups, "_COLLECTOR_SECONDS", 0.1)
    with exclusive(places.data / "audit" / "collector.lock"):
        with pytest.raises(BackupStopped, match="Audit records were collected"):
            backup_make(places, tmp_path / "backup")


def test_a_folder_that_cannot_take_a_backup_is_refused(places: Places, tmp_path: Path):
    backup_make(places, tmp_path / "backup")
    (tmp_path / "file").write_text("")
    cases = {
        tmp_path / "backup": "has a backup already",
        tmp_path / "file": "is not empty",
        places.data / "backup": "in a folder that would be copied",
        places.folders["strategies"] / "backup": "in a folder that would be copied",
    }
    for folder, message in cases.items():
        with pytest.raises(BackupRefused, match=message):
            backup_make(places, folder)
    with pytest.raises(BackupRefused, match="no installation to back up"):
        backup_make(places_in(tmp_path / "nothing"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("begun", ["no manifest", "a file less"])
def test_an_unfinished_backup_is_not_restored(places: Places, tmp_path: Path, begun: str):
    backup_make(places, tmp_path / "backup")
    (tmp_path / "backup" / (MANIFEST if begun == "no manifest" else "secret_key")).unlink()
    restored = places_in(tmp_path / "restored")
    message = "it is not a complete backup" if begun == "no manifest" else "copy it again"
    with pytest.raises(BackupRefused, match=message):
        backup_restore(tmp_path / "backup", restored)
    assert not restored.data.exists()


def test_a_backup_that_fails_leaves_no_manifest(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "from", None, "to")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(BackupStopped, match=r"^to: No space left on device\. .*/backup is not complete"):
        backup_make(places, tmp_path / "backup")
    assert not (tmp_path / "backup" / MANIFEST).exists()


def test_a_restore_overwrites_nothing_but_a_secret_key_made_just_now(places: Places, tmp_path: Path):
    backup_make(places, tmp_path / "backup")
    restored = places_in(tmp_path / "restored")
    restored.data.mkdir()
    (restored.data / "secret_key").write_text("of the settings")
    backup_restore(tmp_path / "backup", restored)
    assert (restored.data / "secret_key").read_text() == "sealed"
    with pytest.raises(BackupRefused, match="restored is not empty"):
        backup_restore(tmp_path / "backup", restored)
    elsewhere = places_in(tmp_path / "third", strategies=tmp_path / "own")
    with pytest.raises(BackupRefused, match="own is not empty"):
        backup_restore(tmp_path / "backup", elsewhere)


def link_to_a_file(backup: Path) -> None:
    (backup / "secret_key").unlink()
    (backup / "secret_key").symlink_to("/etc/passwd")


def link_to_a_folder(backup: Path) -> None:
    (backup / "exports" / "etc").symlink_to("/etc")


def link_out_of_the_backup(backup: Path) -> None:
    (backup / "trades" / "MSFT").rename(backup.parent / "outside")
    (backup / "trades" / "MSFT").symlink_to("../../outside")


def text_as_database(backup: Path) -> None:
    (backup / DATABASE).write_text("-- PostgreSQL database dump\n" * 200)


def cut_database(backup: Path) -> None:
    with (backup / DATABASE).open("r+b") as file:
        file.truncate(5_000)


def no_database(backup: Path) -> None:
    (backup / DATABASE).unlink()


def pipe_as_manifest(backup: Path) -> None:
    os.mkfifo(backup / MANIFEST)


def list_as_manifest(backup: Path) -> None:
    (backup / MANIFEST).write_text("[1]")


FORGED = {
    link_to_a_file: "secret_key is a symbolic link",
    link_to_a_folder: "exports/etc is a symbolic link",
    link_out_of_the_backup: "trades/MSFT is a symbolic link",
    text_as_database: "cannot be read: file is not a database",
    cut_database: "malformed|is damaged",
    no_database: f"has no {DATABASE}",
    pipe_as_manifest: "is not a complete backup",
    list_as_manifest: "is not a complete backup",
}


@pytest.mark.parametrize(("forge", "message"), FORGED.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_a_forged_backup_is_not_restored(
    places: Places, tmp_path: Path, forge: Callable[[Path], None], message: str
):
    """Its manifest counts the files as they are now."""
    backup, restored = tmp_path / "backup", places_in(tmp_path / "restored")
    backup_make(places, backup)
    (backup / MANIFEST).unlink()
    forge(backup)
    if not (backup / MANIFEST).exists():
        sizes = backups._sizes(backup)
        manifest = BackupManifest(datetime.now(UTC), len(sizes), sum(sizes.values()))
        (backup / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(BackupRefused, match=message):
        backup_restore(backup, restored)
    assert not restored.data.exists()


def test_no_restored_file_runs_as_its_owner(places: Places, tmp_path: Path):
    backup, restored = tmp_path / "backup", places_in(tmp_path / "restored")
    backup_make(places, backup)
    program = backup / "strategies" / "run" / "trend.py"
    program.chmod(0o6755)
    backup_restore(backup, restored)
    copy = (restored.data / "strategies" / "run" / "trend.py").stat()
    assert (stat.S_IMODE(copy.st_mode), copy.st_mtime_ns) == (0o755, program.stat().st_mtime_ns)
