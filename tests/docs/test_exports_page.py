"""The page of exports: its programs read a tree."""

import re
import time
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
from django.conf import settings

from tests.api_client import Api, answer, trade
from tests.jobs.exports.exported import parameters_of, write

pytestmark = pytest.mark.django_db
PAGE = (settings.BASE_DIR / "docs" / "exports.md").read_text()
PROGRAMS = dict(
    zip(("duckdb", "polars", "pandas"), re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL), strict=True)
)
# Some look like numbers and booleans.
SYMBOLS = ("007", "1E5", "7203", "AAPL", "BRK.B", "NA", "TRUE")
DATES = ("2025-01-02", "2025-01-03")


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("symbols", [SYMBOLS, ("7203",), ("TRUE",)], ids=["many", "number", "boolean"])
def test_a_program_of_three_lines_reads_a_tree(
    api: Api, tmp_path: Path, name: str, symbols: tuple[str, ...]
) -> None:
    libraries: dict[str, Any] = {"pd": pd, "pl": pl, "pa": pa}
    if name == "duckdb":
        libraries["duckdb"] = pytest.importorskip("duckdb")
    for symbol in symbols:
        rows = [
            trade(symbol=symbol, timestamp=f"{date}T14:30:0{second}Z", volume=10)
            for date in DATES
            for second in range(3)
        ]
        assert answer(api.ingest(*rows))["stored"] == len(rows)
    write(tmp_path, parameters_of(time.time_ns(), dataset="trades", symbols=[*symbols]))
    assert PROGRAMS[name].count("\n") == 3
    names: dict[str, Any] = {**libraries, "folder": tmp_path / "files"}
    exec(PROGRAMS[name], names)
    assert [tuple(row) for row in names["rows"]] == [
        (symbol, date, 30) for symbol in symbols for date in DATES
    ]
