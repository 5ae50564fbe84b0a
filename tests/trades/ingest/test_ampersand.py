"""`M&M` is a symbol: in bodies, paths, queries and the names of the store's files."""

from pathlib import Path
from typing import Any

from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.api_client import answer, trade
from trades.stores import market_store


def test_a_symbol_with_an_ampersand_is_stored_and_read(api: Any, store_path: Path):
    assert answer(api.ingest(trade(symbol="m&m", timestamp="20250102T143000Z")))["symbol"] == "M&M"
    text = b"timestamp,price,volume\n20250102T143001Z,190,1\n"
    assert answer(api.ingest(text, query="symbol=M%26M", content_type="text/csv"))["stored"] == 1
    assert (store_path / "trades" / "M%26M").is_dir()
    assert [*market_store().symbols(TRADES)] == ["M&M"]
    assert market_store().log(TRADES, "M&M").at().rows(ALL_TIME).num_rows == 2
    declared = api.call("PUT", "/api/v1/instruments/M%26M", b'{"class":"equity","exchange":"XNSE"}')
    assert declared.status_code == 200, declared.content
    query = {"start": "20250102", "end": "20250103T000000Z", "session": "utc", "hours": "all"}
    for path in ("M%26M", "M&M"):
        read = answer(api.get(f"/api/v1/market-data/equities/{path}/ohlcv", {"resolution": "1m", **query}))
        assert (read["symbol"], [bar["volume"] for bar in read["bars"]]) == ("M&M", [101])
    assert len(api.bars("M&M", interval="1min", start="20250102T143000Z", end="20250102T143100Z")) == 1
