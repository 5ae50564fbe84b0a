"""Derived files as a subject of faults: how they are made, and how they are spoiled."""

import random
import shutil
from contextlib import suppress
from pathlib import Path

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import StorageError
from tests.store.builders import SYMBOL

GARBAGE = (b"", b"\0" * 5000, b"ARROW1\0\0" + b"\xff" * 300, b'{"commit":1}\n' * 9)


def derived_folder(root: Path) -> Path:
    return root / TRADES.name / SYMBOL / ".derived"


def derive(store: CsvStore, root: Path) -> bool:
    """Have the derived files made, where the store has any to make.

    A store that says it does and makes none fails.
    """
    if not hasattr(store, "derive"):
        return False
    store.derive(TRADES, SYMBOL)
    assert any(path.stat().st_size for path in derived_files(root)), "derived, and nothing was made"
    return True


def derive_if_possible(store: CsvStore) -> None:
    """The same while others delete and spoil what is made: it may come to nothing."""
    if hasattr(store, "derive"):
        with suppress(StorageError):
            store.derive(TRADES, SYMBOL)


def derived_files(root: Path) -> list[Path]:
    return sorted(path for path in derived_folder(root).rglob("*") if path.is_file())


def replace_one(root: Path, rng: random.Random) -> None:
    """Put something else in a file's place, as one who renames: whoever has it open keeps what was there."""
    folder = derived_folder(root)
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        path = rng.choice(derived_files(root) or [folder / "manifest"])
        spoiled = folder.parent / ".spoiled"
        spoiled.write_bytes(_spoiled(path, rng))
        spoiled.replace(path)


def spoil_one(root: Path, rng: random.Random) -> None:
    """Change a file in place. Not for one that a process has mapped."""
    folder = derived_folder(root)
    folder.mkdir(exist_ok=True)
    path = rng.choice(derived_files(root) or [folder / "manifest"])
    path.write_bytes(_spoiled(path, rng))


def delete(root: Path, rng: random.Random) -> None:
    """All of it, or one file."""
    files = derived_files(root)
    if files and rng.random() < 0.5:
        rng.choice(files).unlink(missing_ok=True)
    else:
        shutil.rmtree(derived_folder(root), ignore_errors=True)


def _spoiled(path: Path, rng: random.Random) -> bytes:
    """Return garbage, a part of the file, or another file. Of a segment's file no bit is flipped: nothing tells a read."""
    data = bytearray(path.read_bytes()) if path.exists() else bytearray()
    if not data or rng.random() < 0.2:
        return rng.choice(GARBAGE)
    if rng.random() < 0.4:
        return bytes(data[: rng.randrange(len(data))])
    if path.suffix in (".arrow", ".rollups"):
        return rng.choice([each for each in path.parent.iterdir() if each != path] or [path]).read_bytes()
    for _ in range(rng.choice([1, 1, 8])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)
