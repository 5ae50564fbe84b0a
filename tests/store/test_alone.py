"""What `pip install .` installs needs nothing else of the project."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.system

PROJECT = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())
PACKAGES = {name.partition(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
LIBRARIES = set(PROJECT["project"]["dependencies"])

USED = """
import importlib, importlib.metadata, pkgutil, sys, time

others = set(importlib.metadata.packages_distributions()) - {known}

class Others:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in others:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Others())
import pyarrow as pa
import store
for module in pkgutil.walk_packages(store.__path__, "store."):
    if module.name != "store.reading.frames":
        importlib.import_module(module.name)

from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Append
row = dict.fromkeys(TRADES.schema.names) | dict(timestamp=time.time_ns(), price=2.0, volume=3.0)
rows = pa.RecordBatch.from_pylist([row], schema=TRADES.schema)
CsvStore("data").append(Append(TRADES, "AAPL", rows, "me"))
print(store.open_store("data").bars("AAPL").notional.tolist())
"""


def used(folder: Path, libraries: set[str]) -> subprocess.CompletedProcess[str]:
    """Every module of the store imported, a trade stored and read, with those libraries alone."""
    for package in PACKAGES:
        shutil.copytree(settings.BASE_DIR / package, folder / package)
    code = USED.format(known=PACKAGES | libraries)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_store_works_with_what_it_declares(tmp_path: Path):
    done = used(tmp_path, LIBRARIES)
    assert (done.stdout, done.stderr) == ("[6.0]\n", "")


@pytest.mark.parametrize("missing", sorted(LIBRARIES))
def test_everything_that_it_declares_is_needed(tmp_path: Path, missing: str):
    assert missing in used(tmp_path, LIBRARIES - {missing}).stderr
