"""The page about following commits: its program follows a store that is written to, and restored."""

import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from store.csv import CsvStore
from store.walk import PIECE_ROWS
from tests.store.builders import amendment, batch, cancel, stored, trade

PAGE = (settings.BASE_DIR / "docs" / "following.md").read_text()
(PROGRAM,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_program_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    writer = CsvStore("data")
    writer.append(batch(trade(1), trade(2)))
    names: dict[str, Any] = {}
    exec(compile(PROGRAM, "docs/following.md", "exec"), names)
    shutil.copytree("data", "backup")
    writer.correct(amendment(cancel(1, price=100.0, volume=1.0)))
    writer.append(batch(trade(3), symbol="MSFT"))
    names["follow"]()
    names["follow"]()
    agree(names["rows"], writer, "AAPL", "MSFT")
    assert pickle.loads(Path("positions").read_bytes()).keys() == {"AAPL"}
    shutil.rmtree("data")
    shutil.copytree("backup", "data")
    names["follow"]()
    assert not names["rows"]
    names["follow"]()
    agree(names["rows"], CsvStore("data"), "AAPL")


def agree(rows: Any, store: CsvStore, *symbols: str) -> None:
    assert sorted(rows) == sorted(symbols)
    for symbol in symbols:
        assert [rows[symbol][name] for name in sorted(rows[symbol])] == stored(store, symbol=symbol)


def test_the_page_says_how_large_a_piece_is():
    assert PAGE.count(f"at most {PIECE_ROWS:,} ") == 2
