"""Rows of several kinds by their cells: asked for even if all options are given, or refused."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError

from tests.trades.imports.command import asked, imported, stored

COLUMNS = "timestamp=timestamp,symbol=sym,price=px,volume=qty"
TIMES = [f"2024-01-02T14:30:0{second}Z" for second in range(3)]


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def written(folder: Path, name: str, values: list[Any], suffix: str = "csv") -> Path:
    """Write three trades at 187, 188 and 189 with one column more."""
    path = folder / f"x.{suffix}"
    columns = {"sym": ["AAPL"] * 3, name: values, "px": [187, 188, 189], "qty": [100, 101, 102]}
    if suffix == "parquet":
        times = pa.array(TIMES).cast(pa.timestamp("us", "UTC"))
        pq.write_table(pa.table({"timestamp": times, **columns}), path)
        return path
    rows = zip(TIMES, *columns.values(), strict=True)
    path.write_text(
        "\n".join([f"timestamp,{','.join(columns)}", *(",".join(map(str, row)) for row in rows), ""])
    )
    return path


def given(**more: Any) -> dict[str, Any]:
    return {"dataset": "trades", "columns": COLUMNS, **more}


KINDS: dict[str, tuple[list[Any], str]] = {
    "kind": (["T", "Q", "T"], "T"),
    "type": (["t", "q", "t"], "t"),
    "RecType": ([1, 2, 1], "1"),
    "msg_type": (["T", "B", "T"], "T"),
    "Record": (["T", "Q", "T"], "T"),
    "status": (["OK", "X", "OK"], "OK"),
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("name", KINDS)
def test_codes_of_kinds_are_asked_for_though_all_options_are_given(tmp_path: Path, name: str, suffix: str):
    values, chosen = KINDS[name]
    path = written(tmp_path, name, values, suffix)
    shown = f"{values[0]}, {values[1]}"
    assert f"doubt: {name} is not read and may tell rows of several kinds apart: {shown}\n" in asked(
        path, **given()
    )
    imported(path, **given(rows=f"{name}={chosen}"), yes=False)
    assert [price for _, price in stored("trades", "price")["AAPL"]] == [187.0, 189.0]


CHANGES: dict[str, tuple[list[Any], str]] = {
    "is_cancelled": (["false", "true", "false"], "false, true"),
    "Cancelled": (["N", "Y", "N"], "N, Y"),
    "cancel": (["", "X", ""], "'', X"),
    "corr": (["00", "08", "01"], "00, 08, 01"),
    "TR_CORR": ([0, 12, 0], "0, 12"),
    "Correction": ([8, 8, 8], "8"),
    "busted": ([0, 1, 0], "0, 1"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_marks_of_cancelled_rows_are_asked_for_though_all_options_are_given(tmp_path: Path, name: str):
    values, shown = CHANGES[name]
    path = written(tmp_path, name, values)
    said = asked(path, **given())
    assert f"doubt: {name} is not read and may mark rows that were cancelled or corrected: {shown}\n" in said
    assert stored("trades") == {}


@pytest.mark.parametrize("values", [[False, True, False], [0.0, 8.0, 0.0], [None, 1, None]])
def test_typed_marks_of_cancelled_rows_are_asked_for(tmp_path: Path, values: list[Any]):
    path = written(tmp_path, "cancelled", values, "parquet")
    assert "cancelled is not read and may mark rows that were cancelled" in asked(path, **given())


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ex", ["T", "Q", "T"]), ("venue", ["T", "Q", "T"]), ("Exchange code", ["T", "Q", "T"]),
        ("type", ["B", "S", "B"]), ("order type", ["L", "M", "L"]), ("type", ["T", "T", "T"]),
        ("kind", ["regular", "block", "regular"]),
        ("is_cancelled", ["false"] * 3), ("corr", ["00"] * 3), ("cancelled", [""] * 3), ("cancel_time", ["5", "6", "7"]),
    ],
)  # fmt: skip
def test_venues_sides_and_marks_that_no_row_has_are_stored_at_once(
    tmp_path: Path, name: str, values: list[Any]
):
    assert "3 stored" in imported(written(tmp_path, name, values), **given(), yes=False)


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (["OK", "X", "CXL"], "look at it with --rows status=OK --preview"),
        (["T", "QUOTE", "X"], "look at it with --rows status=T --preview"),
        (["TRADE", "CANCEL", "D"], "look at it with --rows status=TRADE --preview"),
        (["", "CANCEL", "C"], "give --rows status=… with the values of the rows to read"),
        (["A", "CANCEL", "A"], "give --rows status=… with the values of the rows to read"),
    ],
)
def test_only_values_that_are_certainly_trades_are_suggested(tmp_path: Path, values: list[Any], hint: str):
    path = written(tmp_path, "status", values)
    with pytest.raises(CommandError, match="status tells rows of several kinds apart") as refused:
        imported(path, **given())
    assert str(refused.value).endswith(f"{', '.join(dict.fromkeys(values))}; {hint}")
    assert stored("trades") == {}


def test_quotes_are_suggested_where_quotes_are_wanted(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text(f"timestamp,sym,event,bid,ask\n{TIMES[0]},X,QUOTE,1,2\n{TIMES[1]},X,TRADE,1,\n")
    with pytest.raises(CommandError, match="look at it with --rows event=QUOTE --preview"):
        imported(path, dataset="quotes", columns="timestamp=timestamp,symbol=sym,bid=bid,ask=ask")
