"""Trading: an order, what the account holds, a backtest with its bar."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_server import document, reply

from marketdata_client import AsyncClient, Client, InvalidRequest
from tests.front.front_server import eventually
from tests.system.installation import Installation
from tests.system.traders import Market, accounts_open, trader_key

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("client")]
ACCOUNT = "CLIENT"


@pytest.fixture(scope="module")
def market(installation: Installation) -> Market:
    market = Market(installation, "COIN")
    market.print((100, 1_000))
    accounts_open(installation, market, [ACCOUNT])
    return market


@pytest.fixture
def trader(installation: Installation, market: Market, url: str) -> Iterator[Client]:
    with Client(url, trader_key(installation, ACCOUNT)) as trader:
        yield trader


def test_an_order_is_filled_and_held(trader: Client, market: Market):
    placed = trader.order(
        "COIN", "buy", 2, time_in_force="gtc", limit_price=101, type="limit", account=ACCOUNT
    )
    assert (placed["symbol"], placed["side"], placed["quantity"]) == ("COIN", "buy", 2)

    def held() -> Any:
        market.print((100, 1_000))
        return trader.portfolio()["positions"]

    assert eventually(held)
    [position] = trader.portfolio(account=ACCOUNT)["positions"]
    assert (position["symbol"], position["quantity"]) == ("COIN", 2)


def test_an_accounts_rows_are_exported(trader: Client, tmp_path: Path):
    placed = trader.order("COIN", "buy", 1, type="limit", limit_price=50, client_order_id="exported")
    manifest = trader.export_account(ACCOUNT, "orders", tmp_path, format="ndjson")
    assert (manifest["table"], manifest["account"]) == ("orders", ACCOUNT)
    lines = (tmp_path / "orders.ndjson").read_text().splitlines()
    assert json.loads(lines[-1])["id"] == placed["id"]


def test_an_order_is_placed_once_and_cancelled(trader: Client):
    terms: dict[str, Any] = {
        "type": "limit",
        "limit_price": 60,
        "time_in_force": "gtc",
        "client_order_id": "mine-1",
    }
    first, again = (trader.order("COIN", "buy", 1, **terms) for _ in range(2))
    assert first["id"] == again["id"]
    assert trader.cancel(first["id"])["id"] == first["id"]


def test_a_batch_answers_for_each_order_and_is_cancelled(trader: Client):
    order = {
        "symbol": "COIN",
        "side": "buy",
        "quantity": 1,
        "type": "limit",
        "limit_price": 60,
        "time_in_force": "gtc",
    }
    orders = [order | {"client_order_id": "batch-1"}, order | {"symbol": "NOPE"}]
    placed = trader.orders_batch(orders, account=ACCOUNT)
    assert [each["status"] for each in placed["items"]] == ["accepted", "refused"]
    assert trader.cancel_batch([placed["items"][0]["order_id"]])["accepted"] == 1


def test_a_backtest_shows_a_bar_and_returns_its_result(trader: Client, capsys):
    result = trader.backtest("crossover", ["COIN"], parameters={"fast": 2, "slow": 3})
    assert result["inputs"]["symbols"] == ["COIN"]
    assert "trades" in result["performance"]
    assert "succeeded" in capsys.readouterr().out
    with pytest.raises(InvalidRequest) as refused:
        trader.backtest("crossover", ["NOPE"])
    assert [(each.path, each.code) for each in refused.value.errors] == [("symbols", "unknown_symbol")]


def test_a_call_whose_answer_was_lost_is_sent_again_with_its_key(scripted):
    server = scripted(reply(b"{}", 503), document({"id": "o-1"}, 201))

    async def place() -> dict[str, Any]:
        async with AsyncClient(server.url, "md_x") as client:
            return await client.order("COIN", "sell", 1.5, account="A B", stop_loss=None)

    assert asyncio.run(place()) == {"id": "o-1"}
    sent = [request.decode().partition("\r\n\r\n") for request in server.received]
    assert [json.loads(body) for _, _, body in sent] == [
        {"symbol": "COIN", "side": "sell", "quantity": 1.5}
    ] * 2
    first, second = (head for head, _, _ in sent)
    assert first.startswith("POST /api/v1/orders?account=A%20B ")
    [key] = {
        line
        for line in (first + "\r\n" + second).splitlines()
        if line.lower().startswith("idempotency-key: ")
    }
    assert all(key in head for head in (first, second))


def test_symbols_of_a_backtest_are_a_list():
    with Client("http://127.0.0.1:1", "md_x") as client, pytest.raises(TypeError):
        client.backtest("crossover", "COIN", on_progress=print)
