"""The files of an export have the rows of the dataset's pages, in every format."""

import io
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rest_framework.exceptions import ValidationError

from jobs.exports.files import ROW_GROUP_ROWS
from stats.exceptions import NoData, WrongClass
from stats.market_data.datasets import MARKET_DATASETS
from stats.rendering.column_texts import COLUMN_TEXTS
from store.exceptions import UnknownSymbol
from store.timestamps import format_timestamp
from tests.api_client import Api, answer
from tests.jobs.exports.exported import contents, manifest_of, parameters_of, parquet_table, write
from tests.stats.market_data.builders import CALL, EQUITY, FUTURE, SPLIT, UNIVERSE, Market
from trades.exceptions import InvalidValue
from web.requests.exceptions import InvalidParameter

pytestmark = pytest.mark.django_db
WEEK = {"start": "2024-12-23", "end": "2025-01-04"}
# A page of greeks has at most an hour.
HOUR = {"start": "2024-12-24T17:30:00Z", "end": "2024-12-24T18:30:00Z"}
SUBJECTS: dict[str, dict[str, Any]] = {
    "trades": {"dataset": "trades", "symbols": [EQUITY]},
    "quotes": {"dataset": "quotes", "symbols": [EQUITY]},
    "minutes": {"dataset": "ohlcv", "symbols": [EQUITY], "resolution": "1m"},
    "days": {"dataset": "ohlcv", "symbols": [EQUITY], "resolution": "1d", "adjustment": "split"},
    "futures": {"dataset": "trades", "symbols": [FUTURE], "class": "futures"},
    "actions": {"dataset": "corporate-actions", "symbols": [SPLIT]},
    "greeks": {"dataset": "greeks", "symbols": [CALL], "class": "options", **HOUR},
}  # fmt: skip


def rows_of_api(market: Market, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the dataset's stream, or of a page if it has no stream."""
    query = {name: value for name, value in body.items() if name not in {"dataset", "symbols", "class"}}
    if "fields" in query:
        query["fields"] = ",".join(query["fields"])
    path = f"/api/v1/market-data/{body.get('class', 'equities')}/{body['symbols'][0]}/{body['dataset']}"
    if MARKET_DATASETS[body["dataset"]].has_stream:
        response = market.api.get(f"{path}/stream", {**WEEK, **query, "format": "arrow"})
        content = response.getvalue()
    else:
        response = market.api.get(path, {**WEEK, **query, "limit": 10_000, "format": "arrow"})
        content = response.content
    assert response.status_code == 200
    found: list[dict[str, Any]] = pa.ipc.open_stream(content).read_all().to_pylist()
    return found


@pytest.mark.parametrize("name", SUBJECTS)
def test_parquet_has_the_rows_of_the_api(market: Market, tmp_path: Path, name: str) -> None:
    body = SUBJECTS[name]
    parameters = parameters_of(time.time_ns(), **{**WEEK, **body}, format="parquet")
    result = write(tmp_path, parameters)
    manifest = manifest_of(tmp_path)
    expected = rows_of_api(market, body)
    assert parquet_table(tmp_path, manifest).to_pylist() == expected
    assert result["rows"] == manifest["rows"] == len(expected) > 0
    assert result["files"] == len(manifest["files"]) + 1 == len(contents(tmp_path))
    assert result["bytes"] == sum(map(len, contents(tmp_path).values()))


@pytest.mark.parametrize("name", ["trades", "minutes"])
def test_other_formats_are_those_of_streams(market: Market, tmp_path: Path, name: str) -> None:
    body = SUBJECTS[name]
    path = f"/api/v1/market-data/equities/{EQUITY}/{body['dataset']}/stream"
    query = {"resolution": body["resolution"]} if "resolution" in body else {}
    for form in ("csv", "ndjson", "arrow"):
        write(tmp_path / form, parameters_of(time.time_ns(), **body, **WEEK, format=form))
        written = contents(tmp_path / form)[f"{body['dataset']}/{EQUITY}.{form}"]
        streamed = market.api.get(path, {**query, **WEEK, "format": form}).getvalue()
        if form == "arrow":
            tables = [pa.ipc.open_stream(io.BytesIO(each)).read_all() for each in (written, streamed)]
            assert tables[0].equals(tables[1])
        else:
            assert written == streamed


def test_parquet_is_partitioned_by_symbol_and_date(market: Market, tmp_path: Path) -> None:
    write(tmp_path, parameters_of(time.time_ns(), **SUBJECTS["trades"], **WEEK, format="parquet"))
    table = pq.read_table(tmp_path / "files" / "trades", partitioning="hive")
    assert set(table["symbol"].to_pylist()) == {EQUITY}
    instants = table["timestamp"].cast(pa.int64()).to_pylist()
    assert [str(each) for each in table["date"].to_pylist()] == [
        format_timestamp(each)[:10] for each in instants
    ]
    file = pq.ParquetFile(next((tmp_path / "files").rglob("*.parquet")))
    column = file.metadata.row_group(0).column(0)
    assert (column.compression, column.is_stats_set) == ("ZSTD", True)
    assert file.schema_arrow.field("price").metadata[b"description"].startswith(b"Price")


def test_every_column_is_described() -> None:
    names = {column.name for dataset in MARKET_DATASETS.values() for column in dataset.columns}
    assert names - COLUMN_TEXTS.keys() == set()


def test_a_universe_is_its_known_members(market: Market, tmp_path: Path) -> None:
    body = {"dataset": "ohlcv", "symbols": [f"@{UNIVERSE}"], "resolution": "1d", **WEEK}
    parameters = parameters_of(time.time_ns(), **body)
    assert parameters["symbols"]
    assert not any(name.startswith("@") for name in parameters["symbols"])
    write(tmp_path, parameters)
    assert [*manifest_of(tmp_path)["commits"]] == parameters["symbols"]


def test_a_symbol_without_rows_has_no_parquet_file_and_an_empty_csv(market: Market, tmp_path: Path) -> None:
    before = {"start": "2020-01-02", "end": "2020-01-03"}
    for form, files in (("parquet", 0), ("csv", 1)):
        write(tmp_path / form, parameters_of(time.time_ns(), **SUBJECTS["trades"], **before, format=form))
        assert [each["rows"] for each in manifest_of(tmp_path / form)["files"]] == [0] * files


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"dataset": "bars"}, ValidationError),
        ({"dataset": "members"}, ValidationError),
        ({"format": "xlsx"}, ValidationError),
        ({"symbols": []}, ValidationError),
        ({"sort": "desc"}, ValidationError),
        ({"callback": 1}, ValidationError),
        ({"class": "options"}, ValidationError),
        ({"resolution": "1m"}, ValidationError),
        ({"end": "2020-01-01"}, InvalidParameter),
        ({"fields": ["timestamp", "bid"]}, InvalidParameter),
        ({"symbols": [EQUITY, EQUITY]}, InvalidParameter),
        ({"symbols": [EQUITY, f"@{UNIVERSE}"]}, InvalidParameter),
        ({"symbols": ["../x"]}, InvalidValue),
        ({"symbols": ["NOWHERE"]}, UnknownSymbol),
        ({"symbols": [FUTURE]}, WrongClass),
        ({"symbols": [f"@{UNIVERSE}"], "start": "1990-01-01", "end": "1990-01-02"}, NoData),
    ],
    ids=str,
)
def test_what_cannot_be_exported_is_refused_at_once(
    market: Market, changes: dict[str, Any], error: type[Exception]
) -> None:  # fmt: skip
    with pytest.raises(error):
        parameters_of(time.time_ns(), **{**SUBJECTS["trades"], **WEEK, **changes})


@pytest.mark.parametrize("symbol", ["BRK.B", "A=B", "CON", "A:B&C", "^GSPC", "AUX.X", "A B"])
def test_any_symbol_is_a_safe_path(api: Api, tmp_path: Path, symbol: str) -> None:
    row = {"symbol": symbol, "timestamp": "2025-01-02T14:30:00Z", "price": 1.5, "volume": 1}
    assert answer(api.ingest(row))["stored"] == 1
    for form in ("parquet", "csv"):
        write(tmp_path / form, parameters_of(time.time_ns(), dataset="trades", symbols=[symbol], format=form))
    assert pq.read_table(tmp_path / "parquet" / "files" / "trades", partitioning="hive")[
        "symbol"
    ].to_pylist() == [symbol]
    files = [each["path"].removeprefix("trades/") for each in manifest_of(tmp_path / "csv")["files"]]
    assert len(files) == 1
    assert not any(letter in files[0] for letter in '/\\:*?"<>| &^')
    assert not files[0].startswith(("CON.", "AUX.", "."))


def test_row_groups_are_full_but_for_the_last_one(api: Api, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("jobs.exports.files.ROW_GROUP_ROWS", 10)
    monkeypatch.setattr("jobs.exports.files.READ_ROWS", 7)
    rows = [
        {"symbol": "AAPL", "timestamp": f"2025-01-02T14:30:{second:02}Z", "price": 1.5, "volume": second}
        for second in range(34)
    ]
    assert answer(api.ingest(*rows))["stored"] == 34
    write(tmp_path, parameters_of(time.time_ns(), dataset="trades", symbols=["AAPL"]))
    file = pq.ParquetFile(next((tmp_path / "files").rglob("*.parquet")))
    counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert counts == [10, 10, 10, 4]
    assert file.read()["volume"].to_pylist() == [*range(34)]
    assert ROW_GROUP_ROWS == 1 << 17
