"""The folder and the database of 0.2.0, kept in `first_release.tar.xz`; run as a program it makes the file anew.

    .venv/bin/python -m tests.system.first_release

Whoever changes a format or an initial migration makes it anew, until 0.2.0 is released. From then on it stays.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).with_suffix(".tar.xz")
SYMBOL, ACCOUNT = "ACME", "DEMO"
ROWS = (
    ("2025-11-03T14:30:00Z", 10.0, 100.0),
    ("2025-11-03T14:30:30.000000001Z", 10.5, 200.0),
    ("2025-11-04T14:30:00Z", 11.25, 300.0),
)


def kept_into(folder: Path) -> Path:
    """Unpack the installation; return its folder."""
    with tarfile.open(KEPT) as archive:
        archive.extractall(folder, filter="data")
    return folder


def manage(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `manage.py` over a folder."""
    settings = {"DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development"}
    own = {**settings, "DATA_DIR": str(data_dir), "PORT": "0", "LOAD_SAMPLE": "0"}
    command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
    return subprocess.run(
        command, env={**os.environ, **own}, capture_output=True, text=True, timeout=300, check=False
    )


def main() -> None:
    """Make an installation with a few rows, a key and an account, and keep its backup."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir, rows, backup = Path(folder, "data"), Path(folder, "rows.csv"), Path(folder, "backup")
        lines = [f"{time},{SYMBOL},{price},{volume}" for time, price, volume in ROWS]
        rows.write_text("\n".join(["timestamp,symbol,price,volume", *lines, ""]))
        for arguments in (
            ("migrate", "--no-input"),
            ("import", str(rows), "--yes"),
            ("apikey", "create", "desk", "--scope", "market:read"),
            ("account", "create", ACCOUNT, "--deposit", "1000"),
            ("backup", str(backup)),
        ):
            manage(data_dir, *arguments).check_returncode()
        (backup / "backup.json").unlink()
        with tarfile.open(KEPT, "w:xz") as archive:
            archive.add(backup, arcname=".")
    sys.stdout.write(f"{KEPT.name}: {KEPT.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
