"""The page about reading in process: its examples run, and its table has the methods that there are."""

import re
import shutil
from pathlib import Path

import pytest
from django.conf import settings

from store import open_store
from store.csv import CsvStore
from store.instruments import Instrument
from store.reading import Reader

PAGE = (settings.BASE_DIR / "docs" / "reader.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_run_over_the_sample(
    sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(sample_folder, tmp_path / "data")
    CsvStore(tmp_path / "data").set_instrument(Instrument("DEMOA", exchange="XNYS"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/reader.md", "exec"), names)
    assert {"bars", "frame", "trades", "last", "days", "closes"} <= names.keys()
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
    assert methods - {"rows"} <= named
    assert not (named & {"rows"})
