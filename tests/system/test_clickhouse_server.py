"""A server whose market data are in ClickHouse and PostgreSQL: it is chosen by `MARKET_STORE`, and nothing else changes."""

from contextlib import ExitStack
from functools import partial
from urllib.parse import urlencode

import pytest

from store import open_store
from tests.front.front_server import eventually
from tests.store.builders import SECOND
from tests.system.clickhouse import clickhouse
from tests.system.clients import OHLC, Client, clients_of_every_web, trades_body
from tests.system.installation import WEB_ONLY, installed
from tests.system.postgresql import postgresql

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("cluster")]


def rows(*seconds: int) -> bytes:
    return trades_body(
        "AAPL",
        [
            {"timestamp": f"2025-01-02T15:00:{second:02}Z", "price": 100.0 + second, "volume": 1.0}
            for second in seconds
        ],
    )


def volume(client: Client) -> float:
    path = f"{OHLC}?symbol=AAPL&interval=1min&start=2025-01-02T15:00:00Z&end=2025-01-02T15:01:00Z"
    found: float = client.get(path).json()["data"][0]["volume"]
    return found


def is_volume(client: Client, expected: float) -> bool:
    return volume(client) == expected


def test_batches_are_stored_and_bars_follow_them_in_every_process(tmp_path):
    with ExitStack() as stack:
        postgres, hosts = stack.enter_context(postgresql()), stack.enter_context(clickhouse())
        url = f"clickhouse://{hosts}/market?{urlencode({'postgres': postgres})}"
        installation = stack.enter_context(installed(tmp_path, **WEB_ONLY, MARKET_STORE=url, LOAD_SAMPLE="0"))
        clients = stack.enter_context(clients_of_every_web(installation.served, installation.key, each=1))
        for count in range(1, 4):
            answer = clients[0].ingest(rows(count, count + 10))
            assert answer.json()["stored"] == 2, answer.body
            # The process that stored them tells of them at once, the other one soon.
            assert volume(clients[0]) == 2.0 * count
            for client in clients:
                assert eventually(partial(is_volume, client, 2.0 * count))
        assert clients[1].ingest(rows(1, 11)).json()["duplicates"] == 2
        assert not (tmp_path / "data" / "trades").exists()
        assert open_store(url).trades("AAPL").time_ns[-1] % (60 * SECOND) == 13 * SECOND
