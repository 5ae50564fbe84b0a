"""ccxt's own class for Alpaca, as docs/examples/ccxt_client.py sets it up, against a running server."""

import importlib.util
from typing import Any

import pytest
from django.conf import settings

from tests.front.front_server import eventually
from tests.system.installation import Installation
from tests.system.traders import Market, accounts_open, trader_key

ACCOUNT, SYMBOL, PAIR = "CCXT", "CCX-USD", "CCX/USD"
pytestmark = pytest.mark.xdist_group("trading")
PRINTS = ((100.5, 0.25), (101.0, 1.5), (99.75, 2.0))


@pytest.fixture
def exchange(traded: Installation) -> Any:
    spec = importlib.util.spec_from_file_location(
        "example", settings.BASE_DIR / "docs/examples/ccxt_client.py"
    )
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    # It is no pair: ccxt would stop at it.
    Market(traded, "CCXCOIN")
    market = Market(traded, SYMBOL)
    market.print(*PRINTS)
    accounts_open(traded, market, [ACCOUNT])
    return example.exchange_at(f"http://127.0.0.1:{traded.port}", trader_key(traded, ACCOUNT))


def test_ccxt_reads_bars_and_trades_on_paper(exchange: Any) -> None:
    assert PAIR in exchange.load_markets()
    since = exchange.milliseconds() - 86_400_000
    bars = exchange.fetch_ohlcv(PAIR, "1d", since=since)
    assert sum(bar[5] for bar in bars) == sum(volume for _, volume in PRINTS)
    assert (max(bar[2] for bar in bars), min(bar[3] for bar in bars)) == (101.0, 99.75)
    for step in exchange.timeframes:
        found = exchange.fetch_ohlcv(PAIR, step, since=since)
        # A long step may have begun before.
        assert step in ("3d", "1w", "1M") or sum(bar[5] for bar in found) == sum(
            volume for _, volume in PRINTS
        ), step
    trades = exchange.fetch_trades(PAIR, since=since)
    assert [(trade["price"], trade["amount"]) for trade in trades] == list(PRINTS)
    placed = exchange.create_order(PAIR, "limit", "buy", 2, 50)
    found = exchange.fetch_order(placed["id"])
    assert (found["status"], found["price"], found["amount"], found["symbol"]) == ("open", 50.0, 2.0, PAIR)
    assert [order["id"] for order in exchange.fetch_open_orders(PAIR)] == [placed["id"]]
    exchange.cancel_order(placed["id"])
    assert eventually(lambda: exchange.fetch_order(placed["id"])["status"] == "canceled")
    assert exchange.fetch_balance()["USD"]["total"] > 0
