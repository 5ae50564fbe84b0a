"""The page about reading in process: its examples run, and its table has the methods that there are."""

import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from django.conf import settings

from store import open_store
from store.csv import CsvStore
from store.datasets import QUOTES
from store.instruments import Instrument
from store.protocol import Append
from store.reading import Reader
from store.timestamps import parse_timestamp
from tests.store.builders import NOON
from tests.store.quotes import quote

PAGE = (settings.BASE_DIR / "docs" / "reader.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_run_over_the_sample(
    sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(sample_folder, tmp_path / "data")
    store = CsvStore(tmp_path / "data")
    store.set_instrument(Instrument("DEMOA", exchange="XNYS"))
    quotes = [quote(parse_timestamp("2025-01-08T14:40Z") - NOON, 10.0, 10.1, "XNYS")]
    rows = pa.RecordBatch.from_pylist(quotes, schema=QUOTES.schema)
    store.append(Append(QUOTES, "DEMOA", rows, "key:1"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/reader.md", "exec"), names)
    assert {"bars", "frame", "trades", "last", "days", "closes"} <= names.keys()
    assert len(names["joined"]) > 10  # type: ignore[arg-type]
    assert len(names["days"]) == 2  # type: ignore[arg-type]
    assert len(names["frame"]) > 10  # type: ignore[arg-type]
    assert names["symbol"] in {"DEMOA", "DEMOB", "DEMOC"}


def test_names_on_the_page_exist(sample_folder: Path):
    assert open_store(sample_folder).symbols() == ["DEMOA", "DEMOB", "DEMOC"]
    assert "['DEMOA', 'DEMOB', 'DEMOC']" in PAGE


def test_every_method_is_in_the_table():
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`([a-z_]+)(?:\(|`)", table))
    methods = {name for name in dir(Reader) if not name.startswith("_")}
    assert methods <= named
