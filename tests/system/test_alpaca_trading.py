"""The unmodified TradingClient of alpaca-py against a running server: each of its public methods, compared with v1."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from typing import Any

import orjson
import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading import models, requests
from alpaca.trading.client import TradingClient

from ratelimit.keys.api_keys import prefix_of
from tests.front.front_server import eventually
from tests.system.installation import Installation
from tests.system.traders import Market, Trader, accounts_open, trader_key, verify

# Both take words in place of enumerations.
ask: Any = requests
told: Any = models

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("trading")]

ACCOUNT, SYMBOL = "ALPACA", "APCA"
GTC: dict[str, Any] = {"symbol": SYMBOL, "time_in_force": "gtc"}
ID = "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"
# What is refused: its arguments and the status.
REFUSED: dict[str, tuple[tuple[Any, ...], int]] = {
    "exercise_options_position": ((SYMBOL,), 405),
    "set_account_configurations": (
        (
            told.AccountConfiguration(
                fractional_trading=True,
                max_margin_multiplier="1",
                no_shorting=True,
                suspend_trade=False,
                trade_confirm_email="none",
                ptp_no_exception_entry=False,
            ),
        ),
        405,
    ),
    "get_corporate_announcements": (
        (
            ask.GetCorporateAnnouncementsRequest(
                ca_types=["dividend"], since=date(2025, 1, 2), until=date(2025, 1, 3)
            ),
        ),
        404,
    ),
    "get_corporate_announcement_by_id": ((ID,), 404),
    "get_option_contracts": ((ask.GetOptionContractsRequest(),), 404),
    "get_option_contract": ((SYMBOL,), 404),
}


class Recorded(TradingClient):
    """The client. called: the names of the methods that were used."""

    called: set[str] = set()

    def close(self) -> None:
        self._session.close()

    def __getattribute__(self, name: str) -> Any:
        if name in METHODS:
            Recorded.called.add(name)
        return super().__getattribute__(name)


METHODS = {
    name
    for name, _ in inspect.getmembers(TradingClient, inspect.isfunction)
    if not name.startswith("_") and name not in {"get", "post", "put", "patch", "delete", "response_wrapper"}
}


@pytest.fixture(scope="module")
def market(traded: Installation) -> Market:
    assert traded.is_complete()
    market = Market(traded, SYMBOL)
    market.print((100, 1_000))
    accounts_open(traded, market, [ACCOUNT])
    return market


@pytest.fixture(scope="module")
def key(traded: Installation, market: Market) -> str:
    return trader_key(traded, ACCOUNT)


@pytest.fixture(scope="module")
def client(traded: Installation, key: str) -> Iterator[Any]:
    with closing(client_of(traded, key)) as client:
        yield client


def client_of(installation: Installation, key: str) -> Any:
    prefix = prefix_of(key)
    secret = key.removeprefix(f"md_{prefix}_")
    return Recorded(prefix, secret, url_override=f"http://127.0.0.1:{installation.port}/api")


@pytest.fixture(scope="module")
def ours(traded: Installation, key: str) -> Iterator[Callable[[str], Any]]:
    with closing(Trader(traded, ACCOUNT, key)) as trader:

        def get(path: str) -> Any:
            reply = trader.call("GET", path)
            assert reply.status == 200, reply.body
            return orjson.loads(reply.body)

        yield get


def printed(market: Market, is_done: Callable[[], bool]) -> bool:
    """Print until something is done. What is printed before an order was known does not fill it."""

    def again() -> bool:
        market.print((100, 1_000))
        return is_done()

    return eventually(again)


def test_orders_positions_and_the_account(
    traded: Installation, market: Market, client: Any, ours: Callable[[str], Any]
) -> None:
    bought = client.submit_order(ask.MarketOrderRequest(**GTC, qty=4, side="buy", client_order_id="m-1"))
    assert printed(market, lambda: client.get_order_by_id(bought.id).status == "filled")
    filled, same = client.get_order_by_client_id("m-1"), ours(f"/orders/{bought.id}")
    assert (float(filled.filled_avg_price), float(filled.filled_qty)) == (same["average_price"], 4)
    with pytest.raises(APIError) as twice:
        client.submit_order(ask.MarketOrderRequest(**GTC, qty=4, side="buy", client_order_id="m-1"))
    assert (twice.value.status_code, twice.value.code) == (422, 40_010_001)

    resting = client.submit_order(ask.LimitOrderRequest(**GTC, qty=2, side="buy", limit_price=90))
    changed = client.replace_order_by_id(resting.id, ask.ReplaceOrderRequest(limit_price=91.5, qty=3))
    assert eventually(lambda: client.get_order_by_id(resting.id).status == "replaced")
    assert (changed.replaces, ours(f"/orders/{changed.id}")["limit_price"]) == (resting.id, 91.5)
    client.cancel_order_by_id(changed.id)
    assert eventually(lambda: client.get_order_by_id(changed.id).status == "canceled")

    legs = {"take_profit": {"limit_price": 120}, "stop_loss": {"stop_price": 80}}
    bracket = client.submit_order(
        ask.LimitOrderRequest(**GTC, qty=1, side="buy", limit_price=95, order_class="bracket", **legs)
    )
    open_orders = client.get_orders(ask.GetOrdersRequest(status="open", nested=True, symbols=[SYMBOL]))
    assert [(order.id, len(order.legs or [])) for order in open_orders] == [(bracket.id, 2)]
    every = client.get_orders(ask.GetOrdersRequest(status="all", direction="asc", after=bought.submitted_at))
    assert [str(order.id) for order in every] == [
        each["id"] for each in ours("/orders?sort=asc&limit=100")["orders"] if each["id"] != str(bought.id)
    ]
    assert {each.id for each in client.cancel_orders()} >= {bracket.id}
    assert eventually(lambda: not client.get_orders())

    (position,), (same,) = client.get_all_positions(), ours(f"/accounts/{ACCOUNT}/positions")["positions"]
    assert (float(position.qty), float(position.avg_entry_price)) == (same["quantity"], same["average_price"])
    assert client.get_open_position(position.asset_id) == client.get_open_position(SYMBOL)
    oco = client.submit_order(ask.LimitOrderRequest(**GTC, qty=4, side="sell", order_class="oco", **legs))
    (stop,) = oco.legs
    moved = client.replace_order_by_id(stop.id, ask.ReplaceOrderRequest(stop_price=85))
    assert eventually(lambda: client.get_order_by_id(stop.id).status == "replaced")
    client.cancel_order_by_id(moved.id)
    assert eventually(lambda: client.get_order_by_id(oco.id).status == "canceled")
    half = client.close_position(SYMBOL, ask.ClosePositionRequest(percentage="50"))
    assert float(half.qty) == 2
    assert printed(market, lambda: float(client.get_open_position(SYMBOL).qty) == 2)
    account, same = client.get_account(), ours(f"/portfolio?account={ACCOUNT}")
    assert (float(account.cash), float(account.equity)) == (same["cash"], same["equity"])
    whole = client.close_position(SYMBOL)
    assert isinstance(whole, told.Order)
    assert printed(market, lambda: not client.get_all_positions())
    client.submit_order(ask.MarketOrderRequest(**GTC, qty=1, side="sell"))
    assert printed(market, lambda: len(client.get_all_positions()) == 1)
    (closing,) = client.close_all_positions(cancel_orders=True)
    assert printed(market, lambda: client.get_order_by_id(closing.order_id).status == "filled")

    fills = [told.TradeActivity(**each) for each in client.get("/account/activities/FILL")]
    assert [each.price for each in fills] == [
        each["price"] for each in ours(f"/executions?account={ACCOUNT}&limit=100")["executions"]
    ]
    history = client.get_portfolio_history(ask.GetPortfolioHistoryRequest(period="1D", timeframe="1H"))
    assert history.equity[-1] == pytest.approx(float(client.get_account().equity))
    verify(traded)


def test_assets_and_hours(traded: Installation, client: Any, ours: Callable[[str], Any]) -> None:
    asset = client.get_asset(SYMBOL)
    pair = Market(traded, "APCA-USD")
    pair.print((100, 1_000))
    listed = client.get_all_assets(ask.GetAssetsRequest(asset_class="crypto", exchange="CRYPTO"))
    assert "APCA/USD" in {each.symbol for each in listed}
    assert client.get_asset(asset.id) == asset
    assert client.get_clock().is_open is ours("/clock?exchange=XNYS")["is_open"]
    days = client.get_calendar(ask.GetCalendarRequest(start=date(2025, 11, 26), end=date(2025, 11, 28)))
    assert [f"{day.open:%H:%M} {day.close:%H:%M}" for day in days] == ["09:30 16:00", "09:30 13:00"]
    assert client.get_account_configurations().no_shorting is False


def test_watchlists(client: Any) -> None:
    made = client.create_watchlist(ask.CreateWatchlistRequest(name="a", symbols=[SYMBOL]))
    assert [each.symbol for each in made.assets] == [SYMBOL]
    assert not client.remove_asset_from_watchlist_by_id(made.id, SYMBOL).assets
    assert client.add_asset_to_watchlist_by_id(made.id, SYMBOL).assets == made.assets
    renamed = client.update_watchlist_by_id(made.id, ask.UpdateWatchlistRequest(name="b"))
    assert client.get_watchlist_by_id(made.id) == renamed
    assert [each.name for each in client.get_watchlists()] == ["b"]
    client.delete_watchlist_by_id(made.id)
    assert client.get_watchlists() == []


@pytest.mark.filterwarnings("ignore:get_corporate_announcement:DeprecationWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_offered_is_an_error_of_the_clients(client: Any, name: str) -> None:
    arguments, status = REFUSED[name]
    with pytest.raises(APIError) as refused:
        getattr(client, name)(*arguments)
    assert (refused.value.status_code, refused.value.code) == (status, status * 100_000)


def test_an_order_that_is_refused_for_its_rate_is_placed_once_by_the_clients_own_retry(
    traded: Installation, market: Market, ours: Callable[[str], Any]
) -> None:
    statuses: list[int] = []
    names: list[str] = []
    with closing(client_of(traded, trader_key(traded, ACCOUNT, trading_rate=1))) as client:
        client._session.hooks["response"] = [lambda reply, **_: statuses.append(reply.status_code)]
        while 429 not in statuses:
            names.append(f"r-{len(names)}")
            order = ask.LimitOrderRequest(**GTC, qty=1, side="buy", limit_price=50, client_order_id=names[-1])
            client.submit_order(order)
        placed = ours("/orders?status=open&limit=100")["orders"]
        assert sorted(each["client_order_id"] for each in placed) == sorted(names)
        client.cancel_orders()


def test_each_public_method_was_called() -> None:
    assert Recorded.called == METHODS
