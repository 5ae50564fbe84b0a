"""Streams through Django: the same rows as all pages together, whatever the options.

Also what is refused, and how they end and break.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec, patch

import numpy as np
import pyarrow as pa
import pytest

from stats.market_data.answers.stream import RowStream
from store.csv import CsvStore
from store.datasets import CORPORATE_ACTIONS, QUOTES, TRADES
from store.exceptions import DataDamaged
from store.instruments import Instrument
from store.log_views.log_view import LogView
from store.protocol import Window
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp, parse_timestamp
from tests.api_client import Api, problem
from tests.chance import SOAK
from tests.installation import shared_installation
from tests.stats.market_data import tapes
from tests.store_settings import IS_OF_FILES
from trades.stores import market_store

pytestmark = pytest.mark.django_db
SYMBOL = "ACME"
ROOT = f"/api/v1/market-data/equities/{SYMBOL}"
# The half hours before and after an opening of New York, so that `hours` cuts through the rows.
HOUR = Window(parse_timestamp("2025-01-02T14:00:00Z"), parse_timestamp("2025-01-02T15:00:00Z"))
RANGE = {"start": format_timestamp(HOUR.start_ns), "end": format_timestamp(HOUR.end_ns)}
DAYS = {"start": "2024-12-30", "end": "2025-01-20"}
# So many that a stream has several pieces, of every size.
ROWS = 23_000
STREAMED = ("ndjson", "csv", "arrow")
SUBJECTS: dict[str, tuple[str, dict[str, str]]] = {
    "trades": ("trades", RANGE),
    "quotes": ("quotes", RANGE),
    "seconds": ("ohlcv", {"resolution": "1s", **RANGE}),
    "minutes": ("ohlcv", {"resolution": "1m", **DAYS}),
    "days": ("ohlcv", {"resolution": "1d", **DAYS}),
    "weeks": ("ohlcv", {"resolution": "1w", **DAYS}),
    "quote bars": ("quotes", {"resolution": "1s", **RANGE}),
    "quote weeks": ("quotes", {"resolution": "1w", **DAYS}),
}
OPTIONS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "plain": ({}, tuple(SUBJECTS)),
    "descending": ({"sort": "desc"}, tuple(SUBJECTS)),
    "fields": ({"fields": "exchange,timestamp"}, ("trades", "quotes", "quote bars")),
    "fields of bars": ({"fields": "close,timestamp,volume"}, ("seconds", "minutes", "days", "weeks")),
    "milliseconds": ({"time": "ms"}, ("trades", "seconds", "days")),
    "nanoseconds": ({"time": "ns"}, ("trades", "quote bars", "weeks")),
    "regular hours": ({"hours": "regular"}, tuple(SUBJECTS)),
    "regular hours descending": ({"hours": "regular", "sort": "desc"}, ("trades", "seconds", "days")),
    "extended hours": ({"hours": "extended"}, ("quotes", "minutes", "days")),
    "splits": ({"adjustment": "split"}, ("minutes", "days", "weeks")),
    "all actions": ({"adjustment": "all"}, ("minutes", "days", "weeks")),
    "cut by UTC": ({"session": "utc"}, ("days", "weeks")),
    "only whole bars": ({"partial": "exclude"}, ("seconds", "weeks")),
}
CELLS = [
    pytest.param(subject, option, format_name, id=f"{subject}, {option}, {format_name}")
    for option, (_, subjects) in OPTIONS.items()
    for subject in (subjects if SOAK or option == "plain" else subjects[::2])
    for format_name in (STREAMED if SOAK or option == "plain" else ("ndjson",))
]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an hour of many rows, three weeks of few, a split and a dividend."""
    if not IS_OF_FILES:
        pytest.skip("is about files of a store")
    path: Path = tmp_path_factory.mktemp("original") / "store"
    chance, store = np.random.default_rng(4), CsvStore(path)
    store.set_instrument(Instrument(SYMBOL, exchange="XNYS"))
    weeks = Window(parse_timestamp("2024-12-30T00:00:00Z"), parse_timestamp("2025-01-18T00:00:00Z"))
    instants = np.sort(
        np.concatenate([tapes.times(chance, weeks, 2_000), tapes.times(chance, HOUR, ROWS - 2_000)])
    )
    tapes.store_rows(store, TRADES, SYMBOL, tapes.trades(chance, instants))
    tapes.store_rows(store, QUOTES, SYMBOL, tapes.quotes(chance, instants))
    actions = [
        {"timestamp": parse_timestamp("2025-01-08T00:00:00Z"), "kind": "split", "ratio": 2.0},
        {"timestamp": parse_timestamp("2025-01-15T00:00:00Z"), "kind": "dividend", "amount": 1.5},
    ]
    rows = pa.RecordBatch.from_pylist(actions, schema=CORPORATE_ACTIONS.schema)
    tapes.store_rows(store, CORPORATE_ACTIONS, SYMBOL, rows)
    return path


@pytest.fixture(scope="module")
def shared(django_db_setup: None, django_db_blocker: Any, original: Path) -> Iterator[Api]:
    """A caller before that store, for tests that only read."""
    with shared_installation(django_db_blocker, original) as api:
        yield api


@pytest.fixture
def filled(original: Path, store_path: Path, api: Api) -> Api:
    """A caller before a copy of that store."""
    shutil.copytree(original, store_path)
    return api


def pieces(api: Api, dataset: str, query: dict[str, str], format_name: str = "ndjson") -> list[bytes]:
    response = api.get(f"{ROOT}/{dataset}/stream.{format_name}", query)
    assert response.status_code == 200, response.content
    return list(response.streaming_content)


def pages(api: Api, dataset: str, query: dict[str, str], format_name: str) -> Iterator[bytes]:
    """The bodies of all pages, from link to link."""
    response = api.get(f"{ROOT}/{dataset}.{format_name}", {"limit": "9000", **query})
    while True:
        assert response.status_code == 200, response.content
        yield response.content
        link = re.search(r'<([^>]+)>; rel="next"', response.headers.get("Link", ""))
        if link is None:
            return
        response = api.get(link[1])


def without_names(bodies: Iterator[bytes]) -> bytes:
    """Pages of CSV as one."""
    found = list(bodies)
    return found[0] + b"".join(body.partition(b"\r\n")[2] for body in found[1:])


JOINED: dict[str, Callable[[Iterator[bytes]], Any]] = {
    "ndjson": b"".join,
    "csv": without_names,
    "arrow": lambda bodies: pa.concat_tables([pa.ipc.open_stream(body).read_all() for body in bodies]),
}


@pytest.mark.system
@pytest.mark.parametrize(("subject", "option", "format_name"), CELLS)
def test_a_stream_is_all_pages(shared: Api, subject: str, option: str, format_name: str):
    dataset, query = SUBJECTS[subject]
    query = query | OPTIONS[option][0]
    streamed = b"".join(pieces(shared, dataset, query, format_name))
    walked = JOINED[format_name](pages(shared, dataset, query, format_name))
    if format_name == "arrow":
        table = pa.ipc.open_stream(streamed).read_all()
        assert table.replace_schema_metadata() == walked.replace_schema_metadata()
        assert table.num_rows > 0
    else:
        assert streamed == walked
        assert len(streamed.splitlines()) > (format_name == "csv")


@pytest.mark.parametrize("format_name", STREAMED)
def test_the_first_rows_are_sent_before_later_rows_are_read(filled: Api, monkeypatch, format_name: str):
    reads = create_autospec(LogView.rows, side_effect=LogView.rows)
    monkeypatch.setattr(LogView, "rows", reads)
    response = filled.get(f"{ROOT}/trades/stream.{format_name}", RANGE)
    first = next(response.streaming_content)
    before = reads.call_count
    rest = list(response.streaming_content)
    assert reads.call_count > before
    assert len(first) < len(b"".join(rest)) / 20
    if format_name == "arrow":
        assert pa.ipc.open_stream(first + b"\xff\xff\xff\xff\0\0\0\0").read_all().num_rows == 256
    else:
        assert len(first.splitlines()) == 256 + (format_name == "csv")


def test_a_stream_has_the_rows_of_its_start(filled: Api):
    response = filled.get(f"{ROOT}/trades/stream", RANGE)
    stream = response.streaming_content
    first = next(stream)
    late = tapes.trades(np.random.default_rng(5), np.full(3, HOUR.end_ns - 1), first=10**6)
    tapes.store_rows(market_store(), TRADES, SYMBOL, late)
    whole = first + b"".join(stream)
    now = b"".join(pieces(filled, "trades", RANGE))
    assert len(now.splitlines()) == len(whole.splitlines()) + 3
    assert now.startswith(whole)


def test_the_ndjson_trailer_has_count_and_hash_of_the_lines(shared: Api):
    response = shared.get(f"{ROOT}/trades/stream", {**RANGE, "trailer": "1"})
    body = b"".join(response.streaming_content)
    *lines, last = body.splitlines(keepends=True)
    assert json.loads(last) == {
        "end": True,
        "rows": len(lines),
        "sha256": hashlib.sha256(b"".join(lines)).hexdigest(),
        "commit": response.headers["X-Commit"],
    }
    assert b"".join(lines) == b"".join(pieces(shared, "trades", RANGE))


def test_the_arrow_trailer_has_count_and_hash_of_the_batches(shared: Api):
    response = shared.get(f"{ROOT}/trades/stream.arrow", {**RANGE, "trailer": "1"})
    *before, last = list(response.streaming_content)
    reader = pa.ipc.open_stream(b"".join(before) + last)
    found = [reader.read_next_batch_with_custom_metadata() for _ in range(len(before) + 1)]
    assert sum(len(batch) for batch, _ in found) == pa.ipc.open_stream(b"".join(before)).read_all().num_rows
    said = found[-1].custom_metadata
    assert {name.decode(): text.decode() for name, text in said.items()} == {
        "end": "true",
        "rows": str(sum(len(batch) for batch, _ in found)),
        "sha256": hashlib.sha256(b"".join(before)).hexdigest(),
        "commit": response.headers["X-Commit"],
    }


@pytest.mark.parametrize("format_name", STREAMED)
def test_an_empty_range_is_a_stream_of_no_rows(shared: Api, format_name: str):
    nothing = {"start": "2025-02-01T00:00:00Z", "end": "2025-02-02T00:00:00Z"}
    body = b"".join(pieces(shared, "trades", nothing, format_name))
    if format_name == "arrow":
        assert pa.ipc.open_stream(body).read_all().num_rows == 0
    else:
        assert len(body.splitlines()) == (format_name == "csv")


def test_an_empty_stream_has_a_trailer(shared: Api):
    nothing = {"start": "2025-02-01T00:00:00Z", "end": "2025-02-02T00:00:00Z", "trailer": "1"}
    said = json.loads(b"".join(pieces(shared, "trades", nothing)))
    assert (said["rows"], said["sha256"]) == (0, hashlib.sha256().hexdigest())


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("trades/stream.csv", {**RANGE, "trailer": "1"}, 400, "conflicting_parameters"),
        ("trades/stream", {"start": "2025-01-02T00:00:00Z", "last": "5"}, 400, "unknown_parameter"),
        ("trades/stream", {**RANGE, "limit": "5"}, 400, "unknown_parameter"),
        ("trades/stream", {**RANGE, "cursor": "abc"}, 400, "unknown_parameter"),
        ("ohlcv/stream", {**RANGE, "coverage": "1"}, 400, "unknown_parameter"),
        ("trades/stream", {**RANGE, "fields": "prize"}, 400, "unknown_column"),
        ("trades/stream", {"start": RANGE["end"], "end": RANGE["start"]}, 400, "invalid_range"),
        ("trades/stream.json", RANGE, 406, "not_acceptable"),
        ("trades/stream", {**RANGE, "format": "json"}, 406, "not_acceptable"),
    ],
    ids=[
        "trailer of csv", "last", "limit", "cursor", "coverage", "unknown column", "reversed range",
        "suffix of no stream", "format of no stream",
    ],
)  # fmt: skip
def test_an_invalid_query_is_a_problem(shared: Api, path: str, query: dict[str, str], status: int, code: str):
    assert problem(shared.get(f"{ROOT}/{path}", query)) == (status, code)


def test_a_stream_without_a_range_has_all_rows(shared: Api):
    assert len(b"".join(pieces(shared, "trades", {})).splitlines()) == ROWS


def test_a_stream_of_bars_without_a_resolution_is_of_minutes(shared: Api):
    minutes = pieces(shared, "ohlcv", {**DAYS, "resolution": "1m"})
    assert len(b"".join(minutes).splitlines()) > 1_000
    assert pieces(shared, "ohlcv", DAYS) == minutes
    quotes = pieces(shared, "quotes", {**RANGE, "resolution": "tick"})
    assert pieces(shared, "quotes", RANGE) == quotes


def test_streams_reach_farther_than_pages(shared: Api):
    query = {"start": "1901-01-01", "end": "2100-01-01"}
    assert problem(shared.get(f"{ROOT}/trades", query)) == (400, "range_too_large")
    assert len(b"".join(pieces(shared, "trades", query)).splitlines()) == ROWS
    seconds = b"".join(pieces(shared, "ohlcv", {**query, "resolution": "1s"}))
    assert sum(json.loads(line)["trade_count"] for line in seconds.splitlines()) == ROWS


def test_the_refusal_of_a_long_page_names_the_stream(shared: Api):
    response = shared.get(f"{ROOT}/trades", {"start": "1901-01-01"})
    assert "…/trades/stream" in json.loads(response.content)["message"]


def test_damage_before_the_first_row_is_a_problem(filled: Api, monkeypatch):
    damage_after(monkeypatch, reads=0)
    response = filled.get(f"{ROOT}/trades/stream", RANGE)
    assert problem(response) == (503, "data_damaged")


@pytest.mark.parametrize("format_name", STREAMED)
def test_damage_after_the_first_rows_leaves_the_stream_incomplete(filled: Api, monkeypatch, format_name: str):
    whole = b"".join(pieces(filled, "trades", RANGE, format_name))
    damage_after(monkeypatch, reads=2)
    response = filled.get(f"{ROOT}/trades/stream.{format_name}", {**RANGE})
    first = next(response.streaming_content)
    assert whole.startswith(first)
    with pytest.raises(DataDamaged):
        list(response.streaming_content)


def damage_after(monkeypatch, *, reads: int) -> None:
    """Have all reads of rows but the first ones meet damage."""
    rows, count = LogView.rows, iter(range(10**6))

    def damaged(*args: Any, **named: Any) -> pa.Table:
        if next(count) >= reads:
            raise DataDamaged("bytes are not those that were written")
        return rows(*args, **named)

    monkeypatch.setattr(LogView, "rows", damaged)


def test_a_closed_response_frees_its_rows(filled: Api):
    with patch.object(RowStream, "close", autospec=True, side_effect=RowStream.close) as close:
        response = filled.get(f"{ROOT}/trades/stream", RANGE)
        stream = iter(response.streaming_content)
        next(stream)
        response.close()
    assert close.called
    assert len(list(stream)) <= 1


def test_a_gap_of_years_is_skipped(filled: Api):
    far = tapes.trades(np.random.default_rng(6), HOUR.start_ns - np.arange(5)[::-1] * 400 * DAY_NS)
    store = market_store()
    tapes.store_rows(store, TRADES, "SPARSE", far)
    query = {"start": "2000-01-01", "resolution": "1s"}
    response = filled.get("/api/v1/market-data/equities/SPARSE/ohlcv/stream", query)
    lines = [json.loads(line)["timestamp"] for line in b"".join(response.streaming_content).splitlines()]
    assert [parse_timestamp(line) for line in lines] == [
        time_ns // SECOND_NS * SECOND_NS for time_ns in far.column("timestamp").to_pylist()
    ]
