"""Reading a running installation: pages, rows, streams, frames; by both clients and with every kind of credential."""

import asyncio
import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from marketdata_client import AsyncClient, Client, InvalidRequest, NotFound, Signer
from tests.system.installation import Installation

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("client")]

COUNT = 2_500
HOUR = {"start": "2025-01-02T14:30:00Z", "end": "2025-01-02T15:30:00Z"}
SYMBOLS = ["READA", "READB"]


def trade(symbol: str, number: int) -> dict[str, object]:
    return {
        "timestamp": f"2025-01-02T14:{30 + number // 100:02d}:{number % 100 // 2:02d}.{number:06d}001Z",
        "symbol": symbol,
        "price": 100 + number / 100,
        "volume": 1 + number % 7,
        "trade_id": f"t{number}",
        "conditions": ["odd_lot"] if number % 2 else None,
    }


@pytest.fixture(scope="module", autouse=True)
def _stored(url: str, key: str) -> None:
    with Client(url, key) as client:
        for symbol in SYMBOLS:
            rows = [trade(symbol, number) for number in range(COUNT)]
            client.post("/api/v1/trades/ingest", {"trades": rows}, idempotency_key=f"reading-{symbol}")


def test_rows_are_the_same_by_pages_by_streams_and_one_by_one(client: Client):
    rows = list(client.rows("trades", "READA", limit=1000, **HOUR))
    assert len(rows) == COUNT
    assert len({row["trade_id"] for row in rows}) == COUNT
    whole = client.trades("READA", **HOUR)
    assert whole.rows() == rows
    assert whole.commit.startswith("trades=1-")
    pages = list(client.pages("trades", "READA", limit=1000, **HOUR))
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert [row for page in pages for row in page.rows()] == rows
    assert [row for table in client.stream("trades", "READA") for row in table.rows()] == rows
    assert client.trades("READA", last=3).rows() == rows[-3:]
    assert client.trades("READA", last=3, sort="desc").rows() == rows[:-4:-1]
    assert list(client.rows("trades", "READA", last=3, sort="desc")) == rows[:-4:-1]
    assert len(client.bars("READA", "1m", last=3, sort="desc")) == 3


def test_both_clients_read_the_same(url: str, key: str, client: Client):
    async def everything() -> list[object]:
        async with AsyncClient(url, key) as other:
            return [
                (await other.bars("READA", "5m", **HOUR)).rows(),
                (await other.trades(SYMBOLS, last=2)).rows(),
                [row async for row in other.rows("trades", "READB", last=5)],
                [table.rows() async for table in other.pages("trades", "READB", limit=2000, **HOUR)],
                sum([len(table) async for table in other.stream("trades", "READB")]),
                await other.latest(SYMBOLS),
                await other.snapshot(["READA"]),
                (await other.get("/api/v1/limits")).keys(),
                len(await other.quotes("READA", **HOUR)),
                (await other.page("ohlcv", "READA", **HOUR, resolution="1h")).rows(),
            ]

    assert asyncio.run(everything()) == [
        client.bars("READA", "5m", **HOUR).rows(),
        client.trades(SYMBOLS, last=2).rows(),
        list(client.rows("trades", "READB", last=5)),
        [table.rows() for table in client.pages("trades", "READB", limit=2000, **HOUR)],
        COUNT,
        client.latest(SYMBOLS),
        client.snapshot(["READA"]),
        client.get("/api/v1/limits").keys(),
        0,
        client.page("ohlcv", "READA", **HOUR, resolution="1h").rows(),
    ]


def test_frames_have_the_same_values(client: Client):
    table = client.bars("READA", "1m", **HOUR)
    close = [row["close"] for row in table.rows()]
    starts = [pd.Timestamp(row["timestamp"]) for row in table.rows()]
    arrays, frame, polar, arrow = table.numpy(), table.pandas(), table.polars(), table.arrow()
    assert list(arrays) == list(frame) == polar.columns == arrow.column_names == table.names
    assert arrays["timestamp"].dtype == np.dtype("datetime64[ns]")
    assert arrays["close"].tolist() == frame["close"].tolist() == polar["close"].to_list() == close
    assert frame["timestamp"].tolist() == starts
    assert str(frame["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert polar["timestamp"].dtype == pl.Datetime("ns", "UTC")
    assert polar["timestamp"].cast(pl.Int64).to_list() == [start.value for start in starts]
    assert arrow.column("timestamp").cast("int64").to_pylist() == [start.value for start in starts]
    assert str(arrow.schema.field("timestamp").type) == "timestamp[ns, tz=UTC]"


def test_nothing_in_a_range_is_an_empty_table(client: Client):
    empty = client.trades("READA", start=dt.date(2024, 1, 2), end=dt.datetime(2024, 1, 3, tzinfo=dt.UTC))
    assert len(empty) == 0
    assert empty.rows() == []
    assert len(empty.pandas()) == len(empty.polars()) == 0
    assert empty.commit.startswith("trades=")
    bar = client.page("ohlcv", "READA", last=1, resolution="1m")
    assert len(bar) == 1
    assert bar.numpy()["trade_count"].dtype == "int64"


def test_a_row_comes_back_as_it_was_sent(client: Client):
    sent, row = trade("READA", COUNT - 1), client.trades("READA", last=1).rows()[0]
    assert {name: row[name] for name in sent if name != "symbol"} == {
        name: value for name, value in sent.items() if name != "symbol"
    }


def test_errors_have_what_the_problem_says(client: Client):
    with pytest.raises(NotFound) as missing:
        client.trades("NEVERSENT", last=1)
    assert missing.value.code == "unknown_symbol"
    assert missing.value.correlation_id
    with pytest.raises(InvalidRequest) as wrong:
        client.trades("READA", strat="2025-01-02")
    assert wrong.value.code == "unknown_parameter"
    with pytest.raises(InvalidRequest) as fields:
        client.post("/api/v1/trades/ingest", {"trades": [{"symbol": "READA"}]})
    assert {error.code for error in fields.value.errors} == {"required"}


def test_an_instrument_is_declared(client: Client):
    declared = {"class": "future", "exchange": "XCME"}
    assert client.put("/api/v1/instruments/PUTH26", declared).items() >= declared.items()
    assert client.get("/api/v1/instruments/PUTH26").items() >= declared.items()
    with pytest.raises(InvalidRequest) as wrong:
        client.put("/api/v1/instruments/PUTH26", {"exchange": "nasdaq"})
    assert [error.path for error in wrong.value.errors] == ["exchange"]


def test_a_signed_client_reads_and_writes(url: str, client: Client):
    made = client.post("/api/v1/keys", {"name": "signs", "scopes": ["market:read", "market:write"]})
    signer = Signer(made["prefix"], made["signing_secret"])
    with Client(url, credential=signer) as signed:
        assert signed.trades("READA", last=2).rows() == client.trades("READA", last=2).rows()
        again = {"trades": [trade("READA", 0)]}
        assert signed.post("/api/v1/trades/ingest", again, idempotency_key="signed")["duplicates"] == 1
        assert len(signed.trades("READA", **HOUR)) == COUNT


def test_more_rows_than_allowed_are_refused(url: str, key: str):
    with Client(url, key, max_rows=100) as client, pytest.raises(Exception, match="more than 100 rows"):
        client.trades("READA")


def test_an_installation_of_another_name(installation: Installation, key: str):
    with Client(f"http://localhost:{installation.port}/", key) as client:
        assert len(client.trades("READA", last=1)) == 1
