"""What `pip install .` installs needs nothing else of the project."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.system

PROJECT = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())
PACKAGES = {name.partition(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
LIBRARIES = set(PROJECT["project"]["dependencies"])
# A store of servers, and what else needs its drivers.
DRIVERS = set(PROJECT["project"]["optional-dependencies"]["clickhouse"])
NEEDS_DRIVERS = ("store.clickhouse", "store.connections")

ONLY = """
import importlib, pkgutil, sys, time

class Others:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {others}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Others())
"""
USED = """
import pyarrow as pa
import calendars, store
for package in (calendars, store):
    for module in pkgutil.walk_packages(package.__path__, f"{{package.__name__}}."):
        if not module.name.startswith({skipped}):
            importlib.import_module(module.name)

from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import Append
row = dict.fromkeys(TRADES.schema.names) | dict(timestamp=time.time_ns(), price=2.0, volume=3.0)
opening = row | dict(timestamp=1_735_828_200_000_000_000, price=4.0)  # 2025-01-02, 9:30 in New York
rows = pa.RecordBatch.from_pylist([row, opening], schema=TRADES.schema)
stored = CsvStore({data!r})
stored.append(Append(TRADES, "AAPL", rows, "me"))
stored.set_instrument(Instrument("AAPL", exchange="XNAS"))
reader = store.open_store({data!r})
print(reader.bars("AAPL").notional.tolist(), reader.bars("AAPL", end="2025-01-03", interval="1d").open.tolist())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pip installs."""
    source = tmp_path_factory.mktemp("source")
    shutil.copy(settings.BASE_DIR / "pyproject.toml", source)
    version = PROJECT["tool"]["setuptools"]["dynamic"]["version"]["file"]
    (source / version).parent.mkdir(parents=True)
    shutil.copy(settings.BASE_DIR / version, source / version)
    for package in PACKAGES:
        shutil.copytree(settings.BASE_DIR / package, source / package)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", f"--wheel-dir={source}"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, source], check=True, capture_output=True)
    (wheel,) = source.glob("*.whl")
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def required_by(libraries: set[str]) -> set[str]:
    """Return the libraries and what they require themselves, by their names as distributions."""
    found: set[str] = set()
    pending = [canonical(name.partition("[")[0]) for name in libraries]
    pending += [
        f"{canonical(name)}-{extra[:-1]}"
        for name, _, extra in (each.partition("[") for each in libraries)
        if extra
    ]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            needed = [each for each in metadata.requires(name) or [] if "extra ==" not in each]
            pending += [canonical(re.split(r"[ ;<>=!~\[(]", each, maxsplit=1)[0]) for each in needed]
    return found


def canonical(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def run(
    installed: Path, code: str, libraries: set[str], **values: object
) -> subprocess.CompletedProcess[str]:
    """Run code that finds only the libraries, what they require, and the package."""
    known = required_by(libraries)
    others = {
        module
        for module, names in metadata.packages_distributions().items()
        if known.isdisjoint(map(canonical, names)) and module not in PACKAGES
    }
    code = code.format(others=sorted(others), **values)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=installed, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("libraries", "skipped"),
    [(LIBRARIES, NEEDS_DRIVERS), (LIBRARIES | DRIVERS, ())],
    ids=["files", "servers"],
)
def test_the_store_works_with_what_it_declares(
    installed: Path, tmp_path: Path, libraries: set[str], skipped: tuple[str, ...]
):
    """Every module imported, a trade stored, bars read by the minute and by the session."""
    done = run(installed, ONLY + USED, libraries, skipped=skipped, data=str(tmp_path / "data"))
    assert (done.stdout, done.stderr) == ("[12.0, 6.0] [4.0]\n", "")


def test_a_store_of_servers_says_which_extra_it_needs(installed: Path):
    opened = "from store import open_store; open_store('clickhouse://host/database')"
    done = run(installed, ONLY + opened, LIBRARIES)
    assert done.stderr.splitlines()[-1] == (
        "store.backends.NoSuchStore: a store of servers needs the module psycopg:"
        " install marketdata-store with the extra clickhouse"
    )


def test_everything_that_it_declares_is_imported():
    sources = [path.read_text() for name in PACKAGES for path in (settings.BASE_DIR / name).rglob("*.py")]
    pattern = re.compile(r"^ *(?:import|from) (\w+)|\bimport_module\(\"(\w+)", re.MULTILINE)
    imported = {name for text in sources for names in pattern.findall(text) for name in names}
    assert {name.partition("[")[0].replace("-", "_") for name in LIBRARIES | DRIVERS} - imported == set()
