"""A migrated database for installations, made once in a run and copied: a process that migrates takes seconds."""

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

from django.conf import settings

NAME = "marketdata.sqlite3"
_MANAGE = settings.BASE_DIR / "manage.py"
_DEVELOPMENT = "marketdata_project.settings.development"
# The processes of one run have one folder: those of xdist inherit the variable.
os.environ.setdefault("TEST_RUN", str(os.getpid()))


def place_database(data_dir: Path) -> None:
    """Put a migrated database without any rows of ours into the data folder of an installation, if it has none."""
    if not (data_dir / NAME).exists():
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(_template(), data_dir / NAME)


def template_remove() -> None:
    """Remove this run's template; what a run that was killed left goes with the folder for temporary files."""
    shutil.rmtree(_folder(), ignore_errors=True)


def _template() -> Path:
    with _alone() as folder:
        if not (folder / NAME).exists():
            new = folder / "data" / NAME
            new.parent.mkdir(exist_ok=True)
            environment = {"DJANGO_SETTINGS_MODULE": _DEVELOPMENT, "DATA_DIR": str(new.parent)}
            command = [sys.executable, str(_MANAGE), "migrate", "--no-input", "--verbosity=0"]
            subprocess.run(command, env={**os.environ, **environment}, check=True)
            with closing(sqlite3.connect(new)) as database, database:
                # It is sealed with a secret of the installation, which makes it when it writes its first record.
                database.execute("DELETE FROM audit_chainends")
            new.rename(folder / NAME)
    return folder / NAME


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"marketdata-migrated-{os.environ['TEST_RUN']}"


@contextmanager
def _alone() -> Iterator[Path]:
    """The folder, while no other process of the run is at it."""
    folder = _folder()
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as file:
        flock(file, LOCK_EX)
        yield folder
