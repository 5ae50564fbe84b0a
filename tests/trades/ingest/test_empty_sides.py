"""A side of a quote with price 0 and size 0 is no side: every way in stores its price as null."""

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from store.datasets import DATASETS, OPTION_QUOTES, QUOTES
from store.declarations import Dataset
from store.protocol import ALL_TIME, Append, Fill, Window
from store.timestamps import DAY_NS, parse_timestamp
from tests.api_client import Api, answer, problem
from tests.trades.formats.bodies import ENCODERS
from tests.trades.imports.files import imported
from trades.services import fill_store
from trades.stores import market_store

SYMBOLS = {QUOTES: "AAPL", OPTION_QUOTES: "AAPL250117C00150000"}
# Sent: bid, bid_size, ask, ask_size; and the stored prices.
SIDES = [
    ((0, 0, 1.5, 3), (None, 1.5)),
    ((1.25, 2, 0, 0), (1.25, None)),
    ((0, 5, 1.5, 3), (0.0, 1.5)),
    ((0, None, 1.5, 3), (0.0, 1.5)),
    ((1.25, 0, 1.5, 0), (1.25, 1.5)),
]
EXPECTED = [prices for _, prices in SIDES]
START_NS = parse_timestamp("2025-01-02")


def rows_of(dataset: Dataset) -> list[dict[str, Any]]:
    names = ("bid", "bid_size", "ask", "ask_size")
    return [
        {"timestamp": f"2025-01-02T14:30:0{n}Z", "symbol": SYMBOLS[dataset], **dict(zip(names, sent, strict=True))}
        for n, (sent, _) in enumerate(SIDES)
    ]  # fmt: skip


def batch_of(dataset: Dataset) -> pa.RecordBatch:
    rows = [{**row, "timestamp": parse_timestamp(row["timestamp"])} for row in rows_of(dataset)]
    return pa.RecordBatch.from_pylist(rows, schema=dataset.schema)


def stored(dataset: Dataset) -> list[tuple[float | None, float | None]]:
    rows = market_store().log(dataset, SYMBOLS[dataset]).at().rows(ALL_TIME).to_pylist()
    return [(row["bid"], row["ask"]) for row in rows]


@pytest.mark.parametrize("dataset", SYMBOLS, ids=lambda dataset: dataset.name)
@pytest.mark.parametrize("name", ENCODERS)
def test_a_body_of_any_format(api: Api, dataset: Dataset, name: str):
    media_type, encode = ENCODERS[name]
    path = f"/api/v1/{dataset.name.replace('_', '-')}/ingest"
    response = api.ingest(encode(dataset, rows_of(dataset)), path=path, content_type=media_type)
    assert answer(response)["stored"] == len(SIDES)
    assert stored(dataset) == EXPECTED


@pytest.mark.parametrize("dataset", SYMBOLS, ids=lambda dataset: dataset.name)
@pytest.mark.parametrize("ending", ["csv", "ndjson", "parquet", "arrow"])
def test_a_file_of_any_format(store_path: Path, tmp_path: Path, dataset: Dataset, ending: str):
    path, rows = tmp_path / f"quotes.{ending}", rows_of(dataset)
    if ending == "csv":
        path.write_bytes(ENCODERS["csv"][1](dataset, rows))
    elif ending == "ndjson":
        path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    elif ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        feather.write_feather(pa.Table.from_pylist(rows), path, compression="uncompressed")
    assert imported(path, dataset=dataset).stored == len(SIDES)
    assert stored(dataset) == EXPECTED


@pytest.mark.usefixtures("default_store")
def test_the_store_itself_and_a_backfill():
    market_store().append(Append(QUOTES, SYMBOLS[QUOTES], batch_of(QUOTES), "test"))
    assert stored(QUOTES) == EXPECTED
    fill = Fill(Window(START_NS, START_NS + DAY_NS), "test")
    rows, symbol = batch_of(OPTION_QUOTES), SYMBOLS[OPTION_QUOTES]
    fill_store(dataset=OPTION_QUOTES, symbol=symbol, rows=rows, fill=fill, caller="jobs", request_key="a")
    assert stored(OPTION_QUOTES) == EXPECTED


def test_a_quote_without_a_side_is_refused(api: Api):
    row = {**rows_of(QUOTES)[0], "ask": 0, "ask_size": 0}
    body = orjson.dumps({"quotes": [row]})
    assert problem(api.ingest(body, path="/api/v1/quotes/ingest")) == (422, "missing_side")


def test_a_side_that_is_none_crosses_nothing_and_makes_no_middle(api: Api):
    api.ingest(orjson.dumps({"quotes": rows_of(QUOTES)[1:2]}), path="/api/v1/quotes/ingest")
    path = "/api/v1/market-data/equities/AAPL/quotes"
    [quote] = answer(api.get(path, {"last": "1"}))["quotes"]
    assert (quote["state"], quote["bid"], quote["ask"]) == ("one_sided", 1.25, None)
    [bar] = answer(api.get(path, {"last": "1", "resolution": "1m"}))["quotes"]
    assert (bar["bid_close"], bar["ask_close"]) == (1.25, None)


def test_only_quotes_have_sides():
    assert [dataset for dataset in DATASETS.values() if dataset.has_sides] == [*SYMBOLS]
