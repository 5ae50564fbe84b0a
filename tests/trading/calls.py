"""Calls to the endpoints that change accounts, of a desk with a coin that costs 100."""

import time
from typing import Any

import orjson

from tests.api_client import Api, answer, make_key
from tests.trading.desks import TradingDesk, coin, prints
from trading.core.configuration import RiskConfig
from trading.core.orders import TimeInForce
from trading.core.terms import AccountKind, Side
from trading.models import EventRow, Lease, OrderRow
from trading.services.accounts import account_create

COIN = "COIN"
ORDER: dict[str, Any] = {
    "symbol": COIN,
    "side": "buy",
    "quantity": 2,
    "type": "limit",
    "limit_price": 99,
    "time_in_force": "gtc",
}
_HOUR_NS = 3_600 * 10**9


class CallDesk(TradingDesk):
    """A desk of which clients ask over HTTP. The coin was printed at 100 a second ago, and the engine lives."""

    def __init__(self, **options: Any) -> None:
        coin(COIN)
        prints(COIN, (0, 100.0, 50))
        super().__init__(**options)
        self.keep_alive()

    def keep_alive(self) -> None:
        """Let the engine's lease outlast the test."""
        Lease.objects.update(leased_until_ns=time.time_ns() + _HOUR_NS)

    def away(self) -> None:
        """Let the engine be away."""
        Lease.objects.update(leased_until_ns=0)

    def print(self, seconds: float, price: float, volume: float = 50) -> None:
        """Store a print, and let the engine see it."""
        prints(COIN, (seconds, price, volume))
        # A round tells the clock of the one before.
        self.run()
        self.run()
        self.keep_alive()

    def buy(self, quantity: Any = 1) -> str:
        """Hold the coin. Return the order's id."""
        order_id = self.order(COIN, Side.BUY, quantity, time_in_force=TimeInForce.GTC)
        self.print(1, 100.0)
        assert self.state.positions
        return order_id

    @property
    def events(self) -> int:
        return self.account.number

    def names(self) -> list[str]:
        return list(
            EventRow.objects.filter(account=self.account).order_by("number").values_list("name", flat=True)
        )

    def open_orders(self) -> int:
        return OrderRow.objects.filter(account=self.account, state="accepted").count()


def post(api: Api, path: str, body: object = None, method: str = "POST", **headers: str) -> Any:
    content = b"" if body is None else orjson.dumps(body)
    return api.call(method, f"/api/v1{path}", content, **headers)


def trader(*scopes: str, **terms: Any) -> Api:
    """A caller with scopes of trading, who owns the account ACC."""
    wanted = scopes or ("trading:read", "trading:write")
    return Api(make_key(scopes=wanted, **{"accounts": ["ACC"], **terms}))


def shown(api: Api, path: str, **params: Any) -> Any:
    """Return the answer to a read of an account's data."""
    response = api.get(path, params)
    assert response.status_code == 200, response.content
    assert response["Cache-Control"] == "no-store"
    return answer(response)


def other_account() -> None:
    """Open the account OTHER, without money."""
    account_create(name="OTHER", kind=AccountKind.CASH, currency="USD", by="test", config=RiskConfig())
