"""The folder and database of 0.2.0 are read, backed up and restored; those of another version are refused with a sentence."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from store import open_store
from tests.migrated_database import NAME, place_database
from tests.system.first_release import ACCOUNT, ROWS, SYMBOL, kept_into, manage

WHAT_TO_DO = "Run the version that wrote it, or begin with an empty folder and database (docs/versions.md).\n"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return kept_into(tmp_path / "kept")


def prices(folder: Path) -> list[float]:
    return [float(price) for price in open_store(folder).trades(SYMBOL).price]


def ran(folder: Path, *arguments: str) -> str:
    ended = manage(folder, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def refused(folder: Path, *arguments: str) -> str:
    ended = manage(folder, *arguments)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return ended.stderr


def schema(database: Path) -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(database)) as connection:
        return set(connection.execute("SELECT type, name, sql FROM sqlite_master"))


def test_the_folder_is_backed_up_refused_in_a_later_format_and_restored(kept: Path, tmp_path: Path) -> None:
    backup, restored = tmp_path / "backup", tmp_path / "restored"
    ran(kept, "backup", str(backup))
    (kept / "format.json").write_text('{"format":1000}\n')
    sentence = (
        f"{kept} was written by another version: its format is 1000, and this version reads 1. {WHAT_TO_DO}"
    )
    for command in (["serve"], ["store", "verify"], ["backup", str(tmp_path / "other")]):
        assert refused(kept, *command) == sentence
    ran(restored, "restore", str(backup))
    assert prices(restored) == [price for _, price, _ in ROWS]
    assert ACCOUNT in ran(restored, "account", "verify", ACCOUNT)


def test_a_database_of_another_version_is_refused(kept: Path) -> None:
    with closing(sqlite3.connect(kept / NAME)) as database, database:
        database.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('trading', '0999_later', '2027-01-01')"
        )
    sentence = (
        "The database was written by another version: it has the migration trading.0999_later, which this version"
        f" lacks. {WHAT_TO_DO}"
    )
    for command in (["serve"], ["migrate"], ["trading_engine"]):
        assert refused(kept, *command) == sentence


def test_the_database_has_the_schema_of_a_new_one_after_a_migration(kept: Path, tmp_path: Path) -> None:
    ran(kept, "migrate", "--no-input")
    place_database(tmp_path / "new")
    assert schema(kept / NAME) == schema(tmp_path / "new" / NAME), (
        "not released yet: make it anew by .venv/bin/python -m tests.system.first_release"
    )
