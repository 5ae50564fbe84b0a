"""`import FOLDER` reads our own exports back: an empty store gets the rows of the store that wrote them."""

import gzip
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import override_settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stats.market_data.datasets import MARKET_DATASETS
from store.datasets import DATASETS
from store.protocol import ALL_TIME
from store.timestamps import parse_timestamp
from tests.api_client import Api
from tests.jobs.exports.exported import parameters_of, write
from tests.stats.market_data.builders import CALL, EQUITY, FUTURE, SPLIT, UNIVERSE, Market, ingest
from tests.store_settings import stores_at
from tests.trades.imports.command import imported
from trades.imports.formats import opened_file, read_options
from trades.stores import market_store

pytestmark = pytest.mark.django_db
WEEK = {"start": "2024-12-23", "end": "2025-01-04"}
FORMATS = ("csv", "ndjson", "arrow", "parquet")
# What is exported, and the stored dataset that it comes from.
AS_STORED: dict[str, tuple[dict[str, Any], str]] = {
    "trades": ({"dataset": "trades", "symbols": [EQUITY]}, "trades"),
    "quotes": ({"dataset": "quotes", "symbols": [EQUITY]}, "quotes"),
    "quotes of an option": ({"dataset": "quotes", "symbols": [CALL], "class": "options"}, "option_quotes"),
    "stored bars": ({"dataset": "stored-bars", "symbols": [EQUITY]}, "bars"),
    "open interest": ({"dataset": "open-interest", "symbols": [FUTURE], "class": "futures"}, "open_interest"),
    "actions": ({"dataset": "corporate-actions", "symbols": [SPLIT]}, "corporate_actions"),
    "changes": ({"dataset": "changes", "symbols": [UNIVERSE], "class": "universes"}, "universe_changes"),
    "status": ({"dataset": "trading-status", "symbols": [EQUITY]}, "trading_status"),
}
Row = dict[str, Any]


def exported(folder: Path, form: str, **body: Any) -> Path:
    """Write an export of the week; return the folder of its files."""
    write(folder, parameters_of(time.time_ns(), **body, **WEEK, format=form))
    return folder / "files"


def stored(dataset: str, symbol: str) -> list[Row]:
    """Return the stored rows of the week, in an order that does not depend on that of equal times."""
    rows: list[Row] = market_store().log(DATASETS[dataset], symbol).at().rows(ALL_TIME).to_pylist()
    first, end = (parse_timestamp(f"{WEEK[name]}T00:00:00Z") for name in ("start", "end"))
    return sorted((row for row in rows if first <= row["timestamp"] < end), key=str)


@contextmanager
def empty_installation(folder: Path) -> Iterator[None]:
    """Run with an empty store and no notes of imports."""
    with override_settings(MARKET_STORES=stores_at(folder / "empty"), DATA_DIR=folder / "data"):
        yield


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", AS_STORED)
def test_an_export_is_read_back(market: Market, tmp_path: Path, name: str, form: str) -> None:
    body, dataset = AS_STORED[name]
    folder, symbol = exported(tmp_path, form, **body), body["symbols"][0]
    expected = [row for row in stored(dataset, symbol) if row.get("resolution", "1d") == "1d"]
    with empty_installation(tmp_path):
        for path in (each for each in folder.rglob(f"*.{form}")):
            assert read_options(opened_file(path), "auto", dataset=None).vendor.startswith("marketdata ")
        said = imported(folder, yes=False)
        assert stored(dataset, symbol) == expected
    assert len(expected) > 0
    assert "--symbol" not in said


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("resolution", ["1m", "1h", "1d"])
@pytest.mark.parametrize("symbol", [EQUITY, FUTURE])
def test_bars_are_read_back_with_their_resolution(
    market: Market, tmp_path: Path, symbol: str, resolution: str, form: str
) -> None:
    market_class = "equities" if symbol == EQUITY else "futures"
    body = {"dataset": "ohlcv", "symbols": [symbol], "class": market_class, "resolution": resolution}
    folder = exported(tmp_path, form, **body)
    path = f"/api/v1/market-data/{market_class}/{symbol}/ohlcv"
    expected = market.api.get(path, {**WEEK, "resolution": resolution, "limit": 10_000}).json()[
        MARKET_DATASETS["ohlcv"].rows_name
    ]
    with empty_installation(tmp_path):
        imported(folder, yes=False)
        rows = market_store().log(DATASETS["bars"], symbol).at().rows(ALL_TIME).to_pylist()
    assert {row["resolution"] for row in rows} == {resolution}
    names = ("open", "high", "low", "close", "volume", "vwap", "trade_count")
    assert [tuple(row[name] for name in names) for row in rows] == [
        tuple(row[name] for name in names) for row in expected if row["final"]
    ]
    times = [
        row["date"] + "T00:00:00Z" if "date" in row else row["timestamp"] for row in expected if row["final"]
    ]
    assert [row["timestamp"] for row in rows] == list(map(parse_timestamp, times))


HOSTILE = (
    "NA",
    "null",
    "007",
    "7",
    "=x",
    "'=x",
    "''",
    '"',
    "a,b",
    "a;b",
    "1e5",
    "-1",
    "@F",
    "nan",
    "true",
    "2024-01-02",
)
NUMBERS = (9007199254740992.0, 1e-8, 0.30000000000000004, 12345678.9, 187.15, 1.0, 5e-324, 123456789012345.6)


@st.composite
def trade_rows(draw: st.DrawFn) -> list[Row]:
    words = st.one_of(st.none(), st.sampled_from(HOSTILE))
    return [
        {
            "time_ns": 1735000000_000000000 + number * draw(st.sampled_from([0, 1, 999_999_937])),
            "price": draw(st.sampled_from(NUMBERS)),
            "volume": draw(st.sampled_from(NUMBERS)),
            "trade_id": f"{draw(st.sampled_from(HOSTILE))}{number}" if draw(st.booleans()) else None,
            "sequence": draw(st.sampled_from([None, 0, 2**53])),
            "exchange": draw(words),
            "conditions": draw(st.sampled_from([None, ["odd_lot"], ["odd_lot", "=x"], ["'=x"], ["@", "F"]])),
            "buyer_is_maker": draw(st.sampled_from([None, True, False])),
        }
        for number in range(draw(st.integers(1, 6)))
    ]


@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(trade_rows(), st.sampled_from(("BTC:USD", "BRK.B", "A=B", "CON", "X-Y_Z")), st.sampled_from(FORMATS))
def test_hostile_texts_and_numbers_are_read_back(api: Api, rows: list[Row], symbol: str, form: str) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        with override_settings(MARKET_STORES=stores_at(folder / "first")):
            ingest(api, "trades", symbol, rows)
            expected = stored("trades", symbol)
            files = exported(folder, form, dataset="trades", symbols=[symbol])
        with empty_installation(folder):
            imported(files, yes=False)
            assert market_store().symbols(DATASETS["trades"]) == [symbol]
            assert stored("trades", symbol) == expected


def test_single_files_are_read_back_by_their_names(market: Market, tmp_path: Path) -> None:
    """Downloads have the export's path as their name; a file may also be compressed, or moved."""
    folder = exported(tmp_path, "csv", dataset="trades", symbols=[EQUITY])
    alone, expected = tmp_path / "alone", stored("trades", EQUITY)
    alone.mkdir()
    shutil.copy(folder / f"trades/{EQUITY}.csv", alone / "trades_BTC%3AUSD.csv")
    (alone / "ETH%3AUSD.csv.gz").write_bytes(gzip.compress((folder / f"trades/{EQUITY}.csv").read_bytes()))
    with empty_installation(tmp_path):
        imported(alone, yes=False)
        assert market_store().symbols(DATASETS["trades"]) == ["BTC:USD", "ETH:USD"]
        assert stored("trades", "BTC:USD") == stored("trades", "ETH:USD") == expected


def test_adjusted_bars_are_refused(market: Market, tmp_path: Path) -> None:
    folder = exported(tmp_path, "csv", dataset="ohlcv", symbols=[EQUITY], resolution="1d", adjustment="split")
    with empty_installation(tmp_path), pytest.raises(CommandError, match="export them without adjustment"):
        imported(folder, yes=False)


def test_files_of_folders_are_found_and_hidden_ones_left_out(tmp_path: Path, store_path: Path) -> None:
    lines = "timestamp,price,volume\n2024-01-02T09:31:00Z,10.5,100\n"
    for name in ("a/b/AAPL.csv", "a/.cache/MSFT.csv", ".trash/IBM.csv"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(lines)
    with empty_installation(tmp_path):
        imported(tmp_path / "in")
        assert market_store().symbols(DATASETS["trades"]) == ["AAPL"]


@pytest.mark.parametrize("form", FORMATS)
def test_bars_without_a_volume_are_read_back(api: Api, tmp_path: Path, form: str) -> None:
    prices = {"open": 1.0, "high": 3.0, "low": 0.5, "close": 2.0, "volume": None}
    ingest(api, "bars", "VIX", [{"time_ns": 1735000020_000000000, "resolution": "1m", **prices}])
    folder = exported(tmp_path, form, dataset="ohlcv", symbols=["VIX"], resolution="1m")
    expected = stored("bars", "VIX")
    with empty_installation(tmp_path):
        imported(folder, yes=False)
        assert stored("bars", "VIX") == expected
    assert [row["volume"] for row in expected] == [None]
