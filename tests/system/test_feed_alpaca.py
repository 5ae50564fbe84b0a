"""A feed of Alpaca's stream: another installation is the source, with two real processes."""

import json
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import orjson
import pytest

from store.backends import store_at
from store.datasets import TRADES
from store.exceptions import StorageError
from store.protocol import ALL_TIME
from tests.front.front_server import eventually
from tests.migrated_database import place_database
from tests.patience import PROGRAM_SECONDS
from tests.system.clients import Client
from tests.system.installation import SHORT_FEED, Installation
from tests.system.test_fetch_kill import program

pytestmark = pytest.mark.xdist_group("installation")
SYMBOL = "FEDSHARE"


def ingest(client: Client, number: int) -> None:
    trade = {
        "timestamp": datetime.now(UTC).isoformat(),
        "symbol": SYMBOL,
        "price": 100.0 + number,
        "volume": 5,
    }
    trade |= {"exchange": "XNAS", "trade_id": str(number), "conditions": ["@"]}
    reply = client.call(
        "POST",
        "/api/v1/trades/ingest",
        orjson.dumps({"trades": [trade]}),
        {"Content-Type": "application/json"},
    )
    assert reply.status in (200, 201), reply.body


def stored(folder: Path) -> list[int]:
    try:
        rows = store_at(folder).log(TRADES, SYMBOL).at().rows(ALL_TIME)
    except StorageError:
        return []
    return [int(each) for each in rows["trade_id"].to_pylist()]


def test_trades_of_alpacas_stream_are_stored_once_and_in_order(shared: Installation, tmp_path: Path) -> None:
    environment = {
        "SOURCES": json.dumps({"desk": {"kind": "alpaca", "url": f"http://127.0.0.1:{shared.port}/api"}}),
        "SOURCE_KEY_DESK": shared.key,
        "OUTBOUND_SCHEMES": "http,https",
        "OUTBOUND_NETWORKS": "127.0.0.0/8",
        **SHORT_FEED,
    }
    place_database(tmp_path)
    with closing(Client(shared.port, shared.key)) as client:
        body = orjson.dumps({"class": "equity", "exchange": "XNAS", "currency": "USD"})
        client.call("PUT", f"/api/v1/instruments/{SYMBOL}", body, {"Content-Type": "application/json"})
        ingest(client, 1)
        feed = program(tmp_path, "feed", "desk", SYMBOL, **environment)
        try:
            numbers = count(2)

            def are_stored_after_another() -> bool:
                ingest(client, next(numbers))
                return bool(stored(tmp_path))

            assert eventually(are_stored_after_another, seconds=PROGRAM_SECONDS)
            # It stores nothing from before the minute of its start.
            expected = [*range(stored(tmp_path)[0], next(numbers))]
            assert eventually(lambda: stored(tmp_path) == expected, seconds=PROGRAM_SECONDS)
        finally:
            feed.terminate()
            said = feed.communicate(timeout=PROGRAM_SECONDS)[0]
        assert f"{SYMBOL}: live" in said, said
        assert feed.returncode == 0
