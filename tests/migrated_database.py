"""A migrated database, made once in a run and copied: to migrate costs more than all else at a first start.

The first process that needs one migrates: for its tests, or for an installation.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.commands.migrate import Command
from django.db import connection

NAME = "marketdata.sqlite3"
_OF_TESTS = "tests.sqlite3"
_MANAGE = settings.BASE_DIR / "manage.py"
_DEVELOPMENT = "marketdata_project.settings.development"


def place_database(data_dir: Path) -> None:
    """Put a migrated database without any rows of ours into the data folder of an installation, if it has none."""
    if not (data_dir / NAME).exists():
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(_template(), data_dir / NAME)


def template_remove() -> None:
    """Remove this run's template; what a run that was killed left goes with the folder for temporary files."""
    shutil.rmtree(_folder(), ignore_errors=True)


def migrate_once() -> None:
    """Have the next `migrate` of this process, which makes the tests' database in memory, copy one of this run."""
    usual = Command.handle

    def handle(command: Command, *arguments: Any, **options: Any) -> None:
        setattr(Command, "handle", usual)  # noqa: B010 mypy forbids to assign to a method
        connection.ensure_connection()
        with _alone() as folder:
            if (folder / _OF_TESTS).exists():
                with closing(sqlite3.connect(folder / _OF_TESTS)) as database:
                    database.backup(connection.connection)
                return
            usual(command, *arguments, **options)
            with closing(sqlite3.connect(folder / "new")) as database:
                connection.connection.backup(database)
            (folder / "new").rename(folder / _OF_TESTS)

    if connection.vendor == "sqlite":
        setattr(Command, "handle", handle)  # noqa: B010


def _template() -> Path:
    with _alone() as folder:
        if not (folder / NAME).exists():
            new = folder / "data" / NAME
            new.parent.mkdir(exist_ok=True)
            if (folder / _OF_TESTS).exists():
                shutil.copy(folder / _OF_TESTS, new)
            else:
                environment = {"DJANGO_SETTINGS_MODULE": _DEVELOPMENT, "DATA_DIR": str(new.parent)}
                command = [sys.executable, str(_MANAGE), "migrate", "--no-input", "--verbosity=0"]
                subprocess.run(command, env={**os.environ, **environment}, check=True)
            with closing(sqlite3.connect(new)) as database, database:
                # It is sealed with a secret of the installation, which makes it when it writes its first record.
                database.execute("DELETE FROM audit_chainends")
            new.rename(folder / NAME)
    return folder / NAME


def _folder() -> Path:
    """The same for all processes of one run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    return Path(tempfile.gettempdir()) / f"marketdata-migrated-{run}"


@contextmanager
def _alone() -> Iterator[Path]:
    """The folder, while no other process of the run is at it."""
    folder = _folder()
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as file:
        flock(file, LOCK_EX)
        yield folder
