"""Each column of each dataset, with right and wrong values, in each format: one verdict everywhere.

The table says in full what a client is told; formats that cannot say a value are left out of its line.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from marketdata_project.error_codes import ERROR_CODES
from store.datasets import DATASETS
from store.declarations import Column, ColumnForm, ColumnKind, Dataset
from store.resolutions import RESOLUTION_RULE
from tests.chance import SOAK
from tests.trades.formats.bodies import ENCODERS, Row, arrow_column, csv_body, stream_of, used
from trades.batches.row_batch import BatchOptions, RowBatch
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.exceptions import BadRow, BatchRefused
from trades.formats import READERS
from trades.imports.csv_file import CsvFile
from trades.imports.layout import ReadOptions, file_layout
from trades.imports.parse import BlockParser
from web.requests.field_errors import MISSING, NOT_NULL

ROWS = {dataset: SAMPLE_ROWS[dataset.name][0] for dataset in DATASETS.values()}
STATUS = {each.code: each.status for each in ERROR_CODES}
HOW = (
    "unless the instrument has the setting allow_nonpositive_price (manage.py instrument SYMBOL"
    " --allow-nonpositive-price, or PUT /api/v1/instruments/SYMBOL)"
)
TELLING = {"nonpositive_price", "negative_price", "negative_volume", "negative_size", "invalid_symbol"}

JSON = ("json", "ndjson")
TYPED = (*JSON, "msgpack", "msgpack columns")  # have JSON's types
TEXT = (*TYPED, "csv")
NOT_CSV = (*TYPED, "arrow")  # an empty cell is null
ALL = tuple(ENCODERS)

# A value, the formats that can say it, and the code and message of its refusal, or "" if it is right.
Case = tuple[Any, tuple[str, ...], str, str]

YEARS = "years from 1900 to 2200 can be stored"
LEAP = "a leap second is refused, because times here have none: send 23:59:59 or the midnight after it"
NO_TIME = "not an ISO 8601 / RFC 3339 date or time"
FINITE = "must be a finite number of at most 2^53 (9007199254740992)"
COUNT = "must be between 0 and 2^53 (9007199254740992)"
WORD = "must be 1-64 visible ASCII characters without spaces"
SYMBOL = "a symbol is 1-32 of A-Z 0-9 . _ - = ^ : + & with single inner spaces, beginning with a letter, digit or ^"
WORDS = "is 1-64 visible ASCII characters without spaces or semicolons"

TIMES: list[Case] = [
    ("yesterday", ALL, "invalid_timestamp", NO_TIME),
    ("2016-12-31T23:59:60Z", TEXT, "invalid_timestamp", LEAP),
    ("2017-01-01T05:29:60.5+05:30", TEXT, "invalid_timestamp", LEAP),
    ("2024-01-02T09:31:60Z", TEXT, "invalid_timestamp", NO_TIME),
    ("", NOT_CSV, "invalid_timestamp", NO_TIME),
    ("1899-12-31T23:59:59Z", ALL, "timestamp_out_of_range", YEARS),
    ("2201-01-01", ALL, "timestamp_out_of_range", YEARS),
    ("9999-12-31", ALL, "timestamp_out_of_range", YEARS),
    (1.5, TYPED, "invalid_type", "must be a string"),
    (True, TYPED, "invalid_type", "must be a string"),
    (1_735_819_200, JSON, "invalid_type", "must be a string"),
    ({}, TYPED, "invalid_type", "must be a string"),
]
NUMBERS: list[Case] = [
    (1e300, ALL, "out_of_range", FINITE),
    (-1e300, ALL, "out_of_range", FINITE),
    (2**53 + 1, TEXT, "out_of_range", FINITE),
    (10**400, (*JSON, "csv"), "out_of_range", FINITE),
    ("1", TYPED, "invalid_type", "must be a number"),
    ("ten", TEXT, "invalid_type", "must be a number"),
    (True, TEXT, "invalid_type", "must be a number"),
    ([1], TYPED, "invalid_type", "must be a number"),
]
INTEGERS: list[Case] = [
    (0, ALL, "", ""),
    (2**53, ALL, "", ""),
    (-1, ALL, "out_of_range", COUNT),
    (2**53 + 1, ALL, "out_of_range", COUNT),
    (2**63, TEXT, "out_of_range", COUNT),
    (2**64 - 1, TEXT, "out_of_range", COUNT),
    (2**64, (*JSON, "csv"), "out_of_range", COUNT),
    (10**30, (*JSON, "csv"), "out_of_range", COUNT),
    (1.5, ALL, "invalid_type", "must be an integer"),
    ("7", TYPED, "invalid_type", "must be an integer"),
    ("ten", TEXT, "invalid_type", "must be an integer"),
    (True, TEXT, "invalid_type", "must be an integer"),
]
BOOLEANS: list[Case] = [
    (True, ALL, "", ""),
    (False, ALL, "", ""),
    ("tRuE", ("csv",), "", ""),
    ("FALSE", ("csv",), "", ""),
    ("true", TYPED, "invalid_type", "must be true or false"),
    ("yes", TEXT, "invalid_type", "must be true or false"),
    (1, TEXT, "invalid_type", "must be true or false"),
    (0.0, TEXT, "invalid_type", "must be true or false"),
    ([], TYPED, "invalid_type", "must be true or false"),
]
PLAIN: list[Case] = [
    ("XNAS", ALL, "", ""),
    ("x" * 64, ALL, "", ""),
    ("x" * 65, ALL, "invalid_text", WORD),
    ("a b", ALL, "invalid_text", WORD),
    ("caf\u00e9", ALL, "invalid_text", WORD),
    ("\u202e", ALL, "invalid_text", WORD),
    ("\x7f", ALL, "invalid_text", WORD),
    ("", NOT_CSV, "invalid_text", WORD),
]
NO_STRINGS: list[Case] = [
    (5, TYPED, "invalid_type", "must be a string"),
    (1.5, TYPED, "invalid_type", "must be a string"),
    (True, TYPED, "invalid_type", "must be a string"),
    ([], TYPED, "invalid_type", "must be a string"),
    ({}, TYPED, "invalid_type", "must be a string"),
]
IDS: list[Case] = [
    (7, ALL, "", ""),
    (2**53 + 1, TYPED, "out_of_range", COUNT),
    (2**63, TYPED, "out_of_range", COUNT),
    (2**64, JSON, "out_of_range", COUNT),
    (-1, TYPED, "out_of_range", COUNT),
    (1.5, TYPED, "invalid_type", "must be a string or an integer"),
    (True, TYPED, "invalid_type", "must be a string or an integer"),
]
LISTS: list[Case] = [
    ([], ALL, "", ""),
    (["a", "b"], ALL, "", ""),
    (["w"] * 32, ALL, "", ""),
    (["w"] * 33, ALL, "too_many", "has at most 32 words"),
    (["a b"], ALL, "invalid_text", WORDS),
    (["x" * 65], ALL, "invalid_text", WORDS),
    ([""], NOT_CSV, "invalid_text", WORDS),
    (["a;b"], NOT_CSV, "invalid_text", WORDS),
    ([1], TYPED, "invalid_type", "must be a list of strings"),
    ("a", TYPED, "invalid_type", "must be a list of strings"),
]
SYMBOLS: list[Case] = [
    ("../x", ALL, "invalid_symbol", SYMBOL),
    ("A  B", ALL, "invalid_symbol", SYMBOL),
    ("\u0391APL", ALL, "invalid_symbol", SYMBOL),
    ("", NOT_CSV, "invalid_symbol", SYMBOL),
]

CURRENCIES: list[Case] = [
    ("usd", ALL, "invalid_format", "must be three of A-Z, such as USD"),
    ("USDT", ALL, "invalid_format", "must be three of A-Z, such as USD"),
    ("\uff35SD", ALL, "invalid_format", "must be three of A-Z, such as USD"),
    ("", NOT_CSV, "invalid_format", "must be three of A-Z, such as USD"),
]
RESOLUTIONS: list[Case] = [
    (word, ALL, "invalid_choice", f"must be {RESOLUTION_RULE}")
    for word in ("tick", "7", "0m", "24h", "32d", "13M", "1 m")
]
DATES: list[Case] = [
    ("2025-01-02T00:00:01Z", ALL, "invalid_date", "must be a date, or its midnight in UTC"),
]
CASES = {
    (ColumnKind.TIME, ColumnForm.PLAIN): TIMES,
    (ColumnKind.TIME, ColumnForm.DATE): [*TIMES, *DATES],
    (ColumnKind.NUMBER, ColumnForm.PLAIN): NUMBERS,
    (ColumnKind.INTEGER, ColumnForm.PLAIN): INTEGERS,
    (ColumnKind.BOOLEAN, ColumnForm.PLAIN): BOOLEANS,
    (ColumnKind.TEXT, ColumnForm.PLAIN): [*PLAIN, *NO_STRINGS],
    (ColumnKind.TEXT, ColumnForm.ID): [*PLAIN, *IDS],
    (ColumnKind.TEXT, ColumnForm.WORDS): LISTS,
    (ColumnKind.TEXT, ColumnForm.SYMBOL): [*SYMBOLS, *NO_STRINGS],
    (ColumnKind.TEXT, ColumnForm.MEMBER): [*SYMBOLS, *IDS],
    (ColumnKind.TEXT, ColumnForm.CURRENCY): [*CURRENCIES, *NO_STRINGS],
    (ColumnKind.TEXT, ColumnForm.RESOLUTION): [*RESOLUTIONS, *NO_STRINGS],
}


def cases(dataset: Dataset, column: Column, row: Row) -> Iterator[Case]:
    """Those of a column; values that only a rule of whole rows refuses are not among them."""
    is_ruled = any(column.name in rule.columns for rule in dataset.rules)
    yield from (case for case in all_cases(column) if case[2] or not is_ruled)
    if column.name in row:
        yield row[column.name], ALL, "", ""


def all_cases(column: Column) -> Iterator[Case]:
    yield (None, ALL, "null", NOT_NULL) if column.required else (None, ALL, "", "")
    if column.choices:
        yield from NO_STRINGS
        for word in ("other", "a b"):
            yield word, ALL, "invalid_choice", f"must be one of {', '.join(column.choices)}"
        return
    yield from CASES[column.kind, column.form]
    if column.kind is ColumnKind.NUMBER:
        yield from bounds(column)


def bounds(column: Column) -> Iterator[Case]:
    if column.name in {"price", "open", "high", "low", "close", "vwap"}:
        yield -1.0, ALL, "nonpositive_price", f"must be greater than 0 {HOW}"
        yield 0.0, ALL, "nonpositive_price", f"must be greater than 0 {HOW}"
    elif column.name in {"bid", "ask"}:
        yield -5e-324, ALL, "negative_price", f"must be 0 or more {HOW}"
    elif column.lower_bound is None:
        yield -1.0, ALL, "", ""
    elif column.name in {"ratio", "amount"}:
        yield 0.0, ALL, "out_of_range", "must be greater than 0"
    else:
        code = "negative_volume" if column.name == "volume" else "negative_size"
        yield -1.0, ALL, code, "must be 0 or more"
        yield 0.0, ALL, "", ""
        yield 2**53, ALL, "", ""


def read(name: str, dataset: Dataset, rows: list[Row], column: str) -> RowBatch:
    media_type, encode = ENCODERS[name]
    if name == "arrow":
        body = arrow(dataset, rows, column)
    elif name in JSON and isinstance(rows[1].get(column), int):
        # Its encoder knows no longer integers.
        body = encode(dataset, [rows[0], {**rows[1], column: "9"}])
        body = body.replace(b'"9"', json.dumps(rows[1][column]).encode())
    else:
        body = encode(dataset, rows)
    return READERS[media_type](body, BatchOptions(dataset))


def arrow(dataset: Dataset, rows: list[Row], column: str) -> bytes:
    """The rows as a stream; times as texts and integers as floats where a value can only be said so."""
    columns = {name: arrow_column(dataset, name, rows) for name in used(dataset, rows) if name != column}
    values = [row.get(column) for row in rows]
    kind = ColumnKind.TEXT if column == "symbol" else dataset.column(column).kind
    if kind is ColumnKind.TIME:
        columns[column] = pa.array(values, pa.string())
    elif kind is ColumnKind.INTEGER and isinstance(values[-1], float):
        columns[column] = pa.array([values[0] and float(values[0]), values[-1]], pa.float64())
    else:
        columns[column] = arrow_column(dataset, column, rows)
    return stream_of(pa.table(columns))


def every_column() -> Iterator[Any]:
    """One column of each rule; all columns of all datasets with SOAK=1."""
    rules = set()
    for dataset in ROWS:
        for column in (
            *dataset.columns,
            Column("symbol", ColumnKind.TEXT, required=True, form=ColumnForm.SYMBOL),
        ):
            rule = (column.kind, column.form, column.required, column.lower_bound, column.choices)
            if SOAK or rule not in rules:
                yield pytest.param(dataset, column, id=f"{dataset.name}-{column.name}")
            rules.add(rule)


@pytest.mark.parametrize(("dataset", "column"), [*every_column()])
def test_a_value_has_one_verdict_in_every_format(dataset: Dataset, column: Column):
    row = ROWS[dataset]
    for value, formats, code, message in cases(dataset, column, row):
        rows = [row, {**row, column.name: value}]
        for name in formats:
            said = f"{value!r:.40} in {name}"
            if not code:
                assert read(name, dataset, rows, column.name).rows.num_rows == 2, said
                continue
            with pytest.raises(BatchRefused) as refused:
                read(name, dataset, rows, column.name)
            where = f"{dataset.name}[1].{column.name}"
            errors = [(error.path, error.code, error.message) for error in refused.value.errors]
            assert errors == [(where, code, message)], said
            assert refused.value.code == (code if code in TELLING else "validation_failed"), said
            assert STATUS[refused.value.code] == 422, said
            assert str(refused.value) == f"{where}: {message}", said


@pytest.mark.parametrize("name", TYPED[:3])
@pytest.mark.parametrize("dataset", ROWS, ids=lambda dataset: dataset.name)
def test_a_field_that_a_row_lacks_is_required(dataset: Dataset, name: str):
    row = ROWS[dataset]
    for column in (*dataset.columns, Column("symbol", ColumnKind.TEXT, required=True)):
        rows = [row, {key: value for key, value in row.items() if key != column.name}]
        if column.required:
            with pytest.raises(BatchRefused) as refused:
                read(name, dataset, rows, column.name)
            (error,) = refused.value.errors
            assert (error.path, error.code) == (f"{dataset.name}[1].{column.name}", "required")
            assert error.message == MISSING


@pytest.mark.parametrize(("dataset", "column"), [*every_column()])
def test_an_import_says_of_a_cell_what_a_csv_body_says(
    dataset: Dataset, column: Column, settings: Any, store_path: Path, tmp_path: Path
):
    settings.DATA_DIR = tmp_path / "data"
    row, file, reading = ROWS[dataset], tmp_path / "AAPL.csv", ReadOptions(dataset)
    for value, formats, code, message in cases(dataset, column, row):
        if "csv" not in formats or code == "invalid_timestamp" or value == "9999-12-31":
            continue  # an import takes more texts for times, and says which
        file.write_bytes(csv_body(dataset, [row, {**row, column.name: value}]))
        source = CsvFile(file)
        parser = BlockParser(file, file_layout(source.names, reading), reading, symbol=None, skip_bad=False)
        if not code:
            assert sum(block.rows.num_rows for block in parser.blocks(source)) == 2, value
            continue
        with pytest.raises(BadRow) as refused:
            list(parser.blocks(source))
        said = str(refused.value)
        if column.name == "symbol":
            assert said.startswith(f"{file}, line 3, symbol: ")
        else:
            # A cell of a person's file is empty; null is a word of JSON.
            expected = "is empty" if message.startswith("must not be null") else message
            assert said.startswith(f"{file}, line 3, {column.name}: {expected}"), (value, said)
