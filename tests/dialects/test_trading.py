"""Alpaca's trading API over an account of ours: every answer is ours in Alpaca's shape, and every change an event of ours."""

from decimal import Decimal
from typing import Any
from unittest.mock import Mock

import orjson
import pytest

from dialects.alpaca import watchlists
from store.exceptions import DataDamaged
from store.instruments import Instrument
from tests.api_client import Api, make_key
from tests.trading.calls import COIN, CallDesk
from tests.trading.desks import at_ns, coin, prints
from tests.trading.recorded import RecordedAccount
from trades.stores import market_store
from trading.account_store import account_act
from trading.core.configuration import RiskConfig
from trading.core.events import BorrowCharged, DividendPaid, RowRef, Settled, SplitApplied
from trading.core.orders import TimeInForce
from trading.core.terms import TRADABLE, AccountKind, Side
from trading.journal import state_of
from trading.market.views import position_closing_view
from trading.models import Account, OrderRow
from trading.services.accounts import account_create
from web.endpoints import CLOSING

SCOPES = ("market:read", "trading:read", "trading:write", "trading:direct")
ORDER: dict[str, Any] = {"symbol": COIN, "qty": 2.0, "side": "buy", "type": "limit", "limit_price": 99.0,
                         "time_in_force": "gtc"}  # fmt: skip
BRACKET = {
    **ORDER,
    "order_class": "bracket",
    "take_profit": {"limit_price": 110.0},
    "stop_loss": {"stop_price": 90.0},
}
OCO = {
    **{name: BRACKET[name] for name in ("symbol", "type", "time_in_force", "take_profit", "stop_loss")},
    "qty": 4.0,
    "side": "sell",
    "order_class": "oco",
}


@pytest.fixture
def desk(api: Api) -> CallDesk:
    return CallDesk()


def token(found: list[Any]) -> str:
    return f"&page_token={found[-1]['id']}" if found else ""


def hold(desk: CallDesk, *symbols: str) -> None:
    """Hold coins."""
    for symbol in symbols:
        prints(coin(symbol), (0, 100.0, 50))
        desk.order(symbol, Side.BUY, 1, time_in_force=TimeInForce.GTC)
        fill(desk, symbol)


def fill(desk: CallDesk, symbol: str) -> None:
    """Let the orders of a coin be filled."""
    prints(symbol, (desk.events, 100.0, 50))
    desk.print(desk.events, 100.0)


class Caller:
    """A caller with a key of one account."""

    def __init__(self, *scopes: str, accounts: tuple[str, ...] = ("ACC",)) -> None:
        self.api = Api(make_key(scopes=scopes or SCOPES, accounts=list(accounts)))

    def __call__(
        self, method: str, path: str, body: object = None, *, status: int = 200, **headers: str
    ) -> Any:
        content = b"" if body is None else orjson.dumps(body)
        response = self.api.call(method, f"/api/v2{path}", content, **headers)
        assert response.status_code == status, response.content
        return orjson.loads(response.content) if response.content else None


@pytest.fixture
def call(desk: CallDesk) -> Caller:
    return Caller()


def busy_account() -> Account:
    """An account with fills with fees, a short, a split, a dividend, a future's settlements and transfers."""
    found = RecordedAccount(deposit=100_000)
    found.transfer(-2_500, seconds=1)
    equity, future = TRADABLE["equity"], TRADABLE["future"]
    for symbol, side, quantity, terms in (
        ("LONG", "buy", 30, equity),
        ("SHORT", "sell", 20, equity),
        ("FUT", "buy", 2, future),
    ):
        found.fill(
            found.order(symbol, side, quantity, seconds=2, instrument=terms),
            quantity,
            101.5,
            seconds=3,
            fee=1.25,
        )
    action = RowRef(dataset="corporate_actions", symbol="LONG", commit="1-ab", ordinal=0, timestamp_ns=0)
    one = Decimal(1)
    found.record(
        SplitApplied(symbol="LONG", ratio=Decimal(2), effective_ns=at_ns(4), action=action),
        DividendPaid(
            symbol="LONG", amount=Decimal("0.24"), rate=one, effective_ns=at_ns(4), action=action, currency="USD",
            kind="dividend", date=20_244,
        ),
        BorrowCharged(symbol="SHORT", amount=Decimal("0.25"), date="2025-06-05"),
        Settled(symbol="FUT", price=Decimal(99), rate=one, date="2025-06-05"),
        Settled(symbol="FUT", price=Decimal("103.5"), rate=one, date="2025-06-06", is_final=True),
        seconds=5,
    )  # fmt: skip
    sold = found.order("LONG", "sell", 45, seconds=6, instrument=equity)
    for quantity in (20, 25):
        found.fill(sold, quantity, 52.25, seconds=7, fee=0.5)
    return found.row


class TestOrders:
    def test_an_order_is_placed_replaced_and_cancelled(self, desk, call):
        placed = call("POST", "/orders", ORDER | {"client_order_id": "m-1"})
        assert (placed["status"], placed["qty"], placed["limit_price"]) == ("accepted", "2", "99")
        assert call("GET", "/orders:by_client_order_id?client_order_id=m-1") == placed
        assert call("GET", f"/orders/{placed['id']}") == placed
        replaced = call("PATCH", f"/orders/{placed['id']}", {"limit_price": "98.5", "qty": 3})
        assert (replaced["replaces"], replaced["limit_price"], replaced["qty"]) == (placed["id"], "98.5", "3")
        assert call("GET", f"/orders/{placed['id']}")["status"] == "pending_replace"
        assert call("DELETE", f"/orders/{replaced['id']}", status=204) is None
        desk.print(5, 105.0)
        assert [call("GET", f"/orders/{each['id']}")["status"] for each in (placed, replaced)] == [
            "replaced",
            "canceled",
        ]

    def test_a_client_order_id_is_taken_once(self, desk, call):
        order = ORDER | {"client_order_id": "m-1"}
        call("POST", "/orders", order)
        for again in (order, order | {"qty": 1}):
            refused = call("POST", "/orders", again, status=422)
            assert (refused["code"], refused["reason"]) == (40_010_001, "client_order_id_reused")
        assert desk.open_orders() == 1

    def test_an_idempotency_key_gives_the_first_answer(self, desk, call):
        order, key = ORDER | {"client_order_id": "m-1"}, {"idempotency_key": "k"}
        first = call("POST", "/orders", order, **key)
        assert call("POST", "/orders", order, **key) == first
        assert call("POST", "/orders", ORDER, status=422, **key)["reason"] == "idempotency_key_reused"
        assert call("POST", "/orders", order, status=422)["reason"] == "client_order_id_reused"
        path, change = f"/orders/{first['id']}", {"limit_price": 98}
        assert call("PATCH", path, change, **key) == call("PATCH", path, change, **key)
        assert desk.open_orders() == 1

    def test_an_order_without_a_clients_id_is_found_by_the_id_that_it_shows(self, call):
        first = call("POST", "/orders", ORDER)
        second = call("POST", "/orders", ORDER | {"client_order_id": first["id"]})
        for each in (first, second):
            name = each["client_order_id"]
            assert call("GET", f"/orders:by_client_order_id?client_order_id={name}") == each

    def test_the_id_that_an_order_shows_may_be_part_of_anothers_and_is_taken(self, call):
        shown = call("POST", "/orders", ORDER)["client_order_id"]
        assert (
            call("POST", "/orders", ORDER | {"client_order_id": f"{shown}-2"})["client_order_id"]
            == f"{shown}-2"
        )
        refused = call("POST", "/orders", ORDER | {"client_order_id": shown}, status=422)
        assert (refused["code"], refused["reason"]) == (40_010_001, "client_order_id_reused")

    def test_a_symbol_may_be_an_assets_id(self, call):
        placed = call("POST", "/orders", ORDER)
        assert call("POST", "/orders", ORDER | {"symbol": placed["asset_id"]})["symbol"] == placed["symbol"]
        refused = call("POST", "/orders", ORDER | {"symbol": placed["id"]}, status=422)
        assert refused["errors"][0]["path"] == "symbol"

    def test_an_order_that_has_ended_is_422(self, desk, call):
        path = f"/orders/{call('POST', '/orders', ORDER)['id']}"
        call("DELETE", path, status=204)
        desk.print(5, 105.0)
        for method, body in (("DELETE", None), ("PATCH", {"qty": 3})):
            refused = call(method, path, body, status=422)
            assert (refused["code"], refused["reason"]) == (42_200_000, "order_not_open")

    def test_a_walk_by_time_has_each_order_once(self, call):
        expected = [call("POST", "/orders", BRACKET) for _ in range(2)]
        found, until = [], "2199-01-01"
        while page := call("GET", f"/orders?limit=2&until={until}"):
            found += page
            until = page[-1]["submitted_at"]
        ids = [each["id"] for parent in expected for each in (parent, *parent["legs"])]
        assert [each["id"] for each in reversed(found)] == ids

    def test_a_bracket_has_its_legs_if_they_are_asked_for(self, call):
        placed = call("POST", "/orders", BRACKET)
        assert [leg["type"] for leg in placed["legs"]] == ["limit", "stop"]
        (nested,) = call("GET", "/orders?nested=True")
        assert nested == placed
        flat = call("GET", "/orders?direction=asc")
        assert [each["id"] for each in flat] == [each["id"] for each in (placed, *placed["legs"])]
        assert call("GET", f"/orders/{placed['id']}")["legs"] is None
        assert call("GET", f"/orders/{placed['id']}?nested=true") == placed

    def test_an_oco_closes_a_position_by_one_of_two_orders(self, desk, call):
        desk.buy(4)
        placed = call("POST", "/orders", OCO)
        (stop,) = placed["legs"]
        assert (placed["order_class"], placed["type"], placed["limit_price"]) == ("oco", "limit", "110")
        assert (stop["order_class"], stop["type"], stop["stop_price"]) == ("oco", "stop", "90")
        moved = call("PATCH", f"/orders/{stop['id']}", {"stop_price": 95})
        assert (moved["replaces"], moved["stop_price"], moved["order_class"]) == (stop["id"], "95", "oco")
        call("PATCH", f"/orders/{placed['id']}", {"qty": 3}, status=422)
        (nested,) = call("GET", "/orders?nested=true")
        assert [(leg["id"], leg["status"]) for leg in nested["legs"]] == [
            (stop["id"], "pending_replace"),
            (moved["id"], "accepted"),
        ]
        desk.print(5, 95.0)
        desk.print(6, 95.0)
        assert [call("GET", f"/orders/{each}")["status"] for each in (moved["id"], placed["id"])] == [
            "filled",
            "canceled",
        ]
        assert not desk.state.positions

    def test_a_cancel_of_one_of_an_oco_ends_both(self, desk, call):
        desk.buy(4)
        placed = call("POST", "/orders", OCO)
        call("DELETE", f"/orders/{placed['legs'][0]['id']}", status=204)
        desk.print(5, 100.0)
        assert (desk.open_orders(), call("GET", f"/orders/{placed['id']}")["status"]) == (0, "canceled")

    @pytest.mark.parametrize(
        "change", [{"limit_price": 111.0}, {"type": "market"}, {"take_profit": {"limit_price": 89.0}}]
    )
    def test_an_oco_is_a_limit_and_a_stop_on_two_sides(self, desk, call, change):
        desk.buy(4)
        call("POST", "/orders", OCO | change, status=422)
        assert desk.open_orders() == 0

    def test_a_list_has_the_orders_that_are_asked_for(self, desk, call):
        first, second = (call("POST", "/orders", ORDER | {"qty": qty}) for qty in (1, 2))
        call("DELETE", f"/orders/{first['id']}", status=204)
        desk.print(5, 105.0)
        at = first["submitted_at"].replace("+", "%2B")
        for query, expected in {
            "": [second],
            "?status=open&side=buy&symbols=COIN": [second],
            "?side=sell": [],
            "?symbols=OTHER": [],
            "?status=closed": [first],
            "?status=all": [second, first],
            "?status=all&direction=asc&limit=1": [first],
            f"?status=all&after={at}": [second],
            f"?status=all&until={at}": [],
            "?status=all&after=2025-06-05&until=2025-06-06": [second, first],
        }.items():
            found = call("GET", f"/orders{query}")
            assert [each["id"] for each in found] == [each["id"] for each in expected], query

    @pytest.mark.parametrize("name", ["nobody", "%00", "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"])
    def test_an_order_that_is_not_there_is_404(self, call, name):
        for path in (f"/orders/{name}", f"/orders:by_client_order_id?client_order_id={name}"):
            assert call("GET", path, status=404)["code"] == 40_410_000

    def test_all_orders_are_cancelled(self, desk, call):
        placed = call("POST", "/orders", ORDER)
        cancelled = call("DELETE", "/orders", status=207)
        assert cancelled == [{"id": placed["id"], "status": 200}]

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"type": "trailing_stop"}, "type"),
            ({"trail_percent": 1.0}, "trail_percent"),
            ({"notional": 100.0}, "notional"),
            ({"extended_hours": True}, "extended_hours"),
            ({"time_in_force": "opg"}, "time_in_force"),
            ({"order_class": "oco"}, "order_class"),
            ({"order_class": "bracket", "take_profit": {"limit_price": 110.0}}, "order_class"),
            ({"take_profit": {"limit_price": 110.0}}, "order_class"),
            (
                {"order_class": "oto", "stop_loss": {"stop_price": 90, "limit_price": 89}},
                "stop_loss.limit_price",
            ),
            ({"position_intent": "sell_to_close"}, "position_intent"),
            ({"qty": "2e3"}, "qty"),
            ({"qty": "-1"}, "qty"),
        ],
    )
    def test_what_the_engine_lacks_is_refused(self, desk, call, change, path):
        refused = call("POST", "/orders", ORDER | change, status=422)
        assert [each["path"] for each in refused["errors"]] == [path]
        assert ("must be at least" in refused["message"]) == (change == {"qty": "-1"})
        assert desk.open_orders() == 0

    def test_what_risk_refuses_has_alpacas_code(self, call):
        refused = call("POST", "/orders", ORDER | {"qty": 10**9}, status=403)
        assert (refused["code"], refused["reason"]) == (40_310_000, "risk_refused")

    def test_placing_needs_its_own_scope(self, desk):
        trader = Caller("market:read", "trading:read", "trading:write")
        assert trader("POST", "/orders", ORDER, status=403)["reason"] == "missing_scope"
        assert OrderRow.objects.count() == 0

    def test_the_key_is_of_one_account(self, desk):
        account_create(name="OTHER", kind=AccountKind.CASH, currency="USD", by="test", config=RiskConfig())
        refused = Caller(accounts=("ACC", "OTHER"))("GET", "/account", status=403)
        assert "key of one" in refused["message"]


class TestPositions:
    def test_a_position_is_that_of_ours(self, desk, call):
        desk.buy(3)
        (position,) = call("GET", "/positions")
        (ours,) = desk.state.positions.values()
        assert (position["symbol"], position["qty"], position["side"]) == (COIN, "3", "long")
        assert float(position["cost_basis"]) == float(ours.cost)
        assert Decimal(position["unrealized_pl"]) == Decimal(position["market_value"]) - ours.cost
        for name in (COIN, position["asset_id"]):
            assert call("GET", f"/positions/{name}") == position
        assert call("GET", "/positions/OTHER", status=404)["code"] == 40_410_000

    @pytest.mark.parametrize(("query", "left"), [("?qty=1", 3), ("?percentage=50", 2), ("", 0)])
    def test_a_position_is_closed_whole_and_in_part(self, desk, call, query, left):
        desk.buy(4)
        order = call("DELETE", f"/positions/{COIN}{query}")
        assert (order["side"], order["type"], float(order["qty"])) == ("sell", "market", 4 - left)
        assert float(call("GET", f"/positions/{COIN}")["qty_available"]) == left
        desk.print(2, 100.0)
        assert sum(position.quantity for position in desk.state.positions.values()) == left

    def test_what_closing_orders_need_is_not_available(self, desk, call):
        desk.buy(4)
        call("POST", "/orders", OCO | {"qty": 3})
        call("POST", "/orders", ORDER)
        assert call("GET", f"/positions/{COIN}")["qty_available"] == "1"

    @pytest.mark.parametrize(
        "query",
        ["qty=5", "qty=0", "qty=1.0000000001", "qty=x", "percentage=101", "qty=1&percentage=50"],
    )
    def test_a_wrong_part_is_refused(self, desk, call, query):
        desk.buy(4)
        call("DELETE", f"/positions/{COIN}?{query}", status=400)
        assert desk.open_orders() == 0

    def test_all_are_closed_and_orders_cancelled(self, desk, call):
        desk.buy(4)
        call("POST", "/orders", ORDER)
        (closing,) = call("DELETE", "/positions?cancel_orders=True", status=207)
        assert (closing["symbol"], closing["body"]["id"]) == (COIN, closing["order_id"])
        desk.print(2, 100.0)
        assert not desk.state.positions
        assert not desk.state.orders

    def test_closing_all_again_keeps_the_orders_that_close(self, desk, call):
        desk.buy(4)
        first = call("DELETE", "/positions?cancel_orders=true", status=207)
        call("POST", "/orders", ORDER)
        events = desk.events
        assert call("DELETE", "/positions?cancel_orders=true", status=207) == first
        assert desk.names()[events:] == ["cancel_requested"]

    def test_all_are_closed_in_one_transaction_but_for_those_that_cannot_be(self, desk, call, monkeypatch):
        hold(desk, "DAMAGED", "GONE", "HELD", "KEPT")
        closing = call("DELETE", "/positions/GONE")
        kept = call("DELETE", "/positions/KEPT")

        def view(market, position, *given, **named):
            if position.symbol == "DAMAGED":
                raise DataDamaged("a commit is damaged")
            if position.symbol == "GONE":
                fill(desk, "GONE")
            return position_closing_view(market, position, *given, **named)

        monkeypatch.setattr("trading.services.orders.position_closing_view", view)
        acts = Mock(wraps=account_act)
        monkeypatch.setattr("trading.services.orders.account_act", acts)
        damaged, held, again = call("DELETE", "/positions", status=207)
        acts.assert_called_once()
        assert call("GET", f"/orders/{closing['id']}")["status"] == "filled"
        assert (damaged["symbol"], damaged["status"], damaged["body"]["code"]) == ("DAMAGED", 503, 50_300_000)
        assert damaged["order_id"] is None
        assert (held["symbol"], held["status"], held["body"]["status"]) == ("HELD", 200, "accepted")
        assert (again["status"], again["order_id"]) == (200, kept["id"])

    def test_closing_all_costs_a_token_for_ten_positions(self, desk, call, monkeypatch):
        hold(desk, "HELD", "KEPT")
        monkeypatch.setattr("dialects.alpaca.positions._POSITIONS_PER_TOKEN", 1)
        charged = []
        monkeypatch.setattr(
            "dialects.alpaca.positions.charge_debt",
            lambda _, access, *, tokens: charged.append((access.kind, tokens)),
        )
        call("DELETE", "/positions", status=207)
        assert charged == [(CLOSING, 2)]


class TestAccount:
    def test_the_account_is_ours(self, desk, call):
        desk.buy(4)
        account, state = call("GET", "/account"), desk.state
        assert float(account["cash"]) == float(state.cash)
        assert float(account["equity"]) == float(state.cash) + 400
        assert (account["long_market_value"], account["short_market_value"]) == ("400", "0")
        assert float(account["buying_power"]) == 2 * (
            float(account["equity"]) - float(account["initial_margin"])
        )
        assert (account["account_number"], account["trading_blocked"]) == ("ACC", False)
        assert call("GET", "/account/configurations")["max_margin_multiplier"] == "2"

    def test_activities_are_fills_fees_and_transfers(self, desk, call):
        desk.buy(4)
        fee, fill, deposit = call("GET", "/account/activities")
        assert (fill["activity_type"], fill["qty"], fill["price"]) == ("FILL", "4", "100.02")
        assert (fill["type"], fill["leaves_qty"], fill["cum_qty"]) == ("fill", "0", "4")
        assert (deposit["activity_type"], deposit["net_amount"]) == ("CSD", "100000")
        assert (fee["activity_type"], fee["symbol"], fee["net_amount"]) == ("FEE", COIN, "-0.40008")
        assert call("GET", "/account/activities/FILL") == [fill]
        assert call("GET", "/account/activities/FEE") == [fee]
        assert call("GET", f"/account/activities?page_token={fill['id']}") == [deposit]
        assert call("GET", f"/account/activities?page_token={fee['id']}&page_size=1") == [fill]
        assert call("GET", "/account/activities?direction=asc&page_size=1") == [deposit]
        assert call("GET", "/account/activities?activity_types=CSW,DIV,JNLC") == []
        assert call("GET", "/account/activities?date=2025-06-04") == []
        for wrong in ("?activity_types=ABC", "/FILL?activity_types=FEE", "?page_token=17::x"):
            call("GET", f"/account/activities{wrong}", status=400)

    @pytest.mark.parametrize("direction", ["asc", "desc"])
    def test_all_activities_add_up_to_the_cash(self, db, direction):
        account = busy_account()
        found: list[Any] = []
        while page := Caller()("GET", f"/account/activities?direction={direction}&page_size=3{token(found)}"):
            found += page
        assert len({each["id"] for each in found}) == len(found)
        assert {each["activity_type"] for each in found} == {"FILL", "FEE", "DIV", "CSD", "CSW", "JNLC"}
        assert sum(Decimal(each["net_amount"]) for each in found) == state_of(account).cash

    @pytest.mark.parametrize("hours", ["continuous", "market_hours"])
    @pytest.mark.parametrize("timeframe", ["1Min", "1D"])
    def test_the_history_has_the_equity(self, desk, call, hours, timeframe):
        desk.buy(4)
        desk.print(90, 200.0)
        query = f"period=1W&timeframe={timeframe}&intraday_reporting={hours}"
        history = call("GET", f"/account/portfolio/history?{query}")
        assert history["equity"][-1] == float(call("GET", "/account")["equity"])
        assert (
            len({len(history[name]) for name in ("timestamp", "equity", "profit_loss", "profit_loss_pct")})
            == 1
        )
        # The money that was paid in is no profit.
        assert history["profit_loss"][-1] == pytest.approx(history["equity"][-1] - 100_000)

    @pytest.mark.parametrize(
        "query",
        ["period=999A", "start=1900-01-01", "date_start=1900-01-01", "start=2025-06-05&end=2199-12-31"],
    )
    def test_a_history_begins_with_the_account(self, desk, call, query):
        history = call("GET", f"/account/portfolio/history?{query}&timeframe=1D")
        assert history["equity"][-1] == history["base_value"] == 100_000

    def test_a_step_has_the_last_recorded_equity(self, desk, call):
        desk.buy(100)
        for seconds, price in ((90, 103.0), (150, 106.0)):
            desk.print(seconds, price)
        query = "start=2025-06-05T14:01:00Z&intraday_reporting=continuous&pnl_reset=no_reset"
        history = call("GET", f"/account/portfolio/history?{query}")
        cash = float(desk.state.cash)
        held = float(desk.state.positions[COIN].quantity)
        # The first one is that of the fill, with its fee and slippage.
        recorded = [99_993.999, *(cash + held * price for price in (103, 106))]
        assert history["equity"] == pytest.approx(recorded)
        assert history["profit_loss"] == pytest.approx([each - recorded[0] for each in recorded])
        assert (history["timeframe"], history["base_value"]) == ("1Min", history["equity"][0])

    @pytest.mark.parametrize(
        ("query", "timeframe"),
        [
            ("", "1D"),
            ("period=1M", "1D"),
            ("period=1W", "15Min"),
            ("period=6D", "1Min"),
            ("period=all", "1Min"),
        ],
    )
    def test_the_usual_timeframe_is_by_the_length_of_the_period(self, desk, call, query, timeframe):
        assert call("GET", f"/account/portfolio/history?{query}")["timeframe"] == timeframe

    @pytest.mark.parametrize(
        "query",
        [
            "period=0D",
            "period=5",
            "start=2025-06-06&end=2025-06-05",
            "start=2025-06-05&end=2025-06-06&period=1D",
            "end=2025-06-05&date_end=2025-06-05",
            "start=2025-06-05&date_start=2025-06-05",
            "timeframe=2D",
            "timeframe=1H&pnl_reset=per_day",
            "timeframe=1H&extended_hours=True",
            "intraday_reporting=extended_hours",
        ],
    )
    def test_a_wrong_history_is_refused(self, desk, call, query):
        call("GET", f"/account/portfolio/history?{query}", status=400)

    @pytest.mark.parametrize(
        "query", ["start=2024-01-02&end=2024-01-05", "start=2199-01-01", "start=2199-01-01&end=2199-02-01"]
    )
    def test_the_history_before_the_account_or_after_now_is_empty(self, desk, call, query):
        assert call("GET", f"/account/portfolio/history?{query}")["equity"] == []


class TestAssets:
    def test_an_asset_is_found_by_symbol_and_id(self, call):
        asset = call("GET", f"/assets/{COIN}")
        assert (asset["symbol"], asset["class"], asset["tradable"]) == (COIN, "crypto", True)
        assert call("GET", f"/assets/{asset['id']}") == asset
        for name in ("OTHER", "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"):
            assert call("GET", f"/assets/{name}", status=404)["code"] == 40_400_000

    @pytest.mark.parametrize(
        ("query", "symbols"),
        [
            ("", ["BTC/USD", "SHARE"]),
            ("?asset_class=us_equity&status=active", ["SHARE"]),
            ("?asset_class=crypto", ["BTC/USD"]),
            ("?exchange=NASDAQ", ["SHARE"]),
            ("?exchange=CRYPTO", ["BTC/USD"]),
            ("?exchange=NYSE", []),
            ("?status=inactive", []),
        ],
    )
    def test_a_list_has_what_is_asked_for(self, call, query, symbols):
        """COIN is no pair, with which clients could do nothing."""
        coin("BTC-USD")
        market_store().set_instrument(Instrument("SHARE", exchange="XNAS", currency="USD"))
        assert [each["symbol"] for each in call("GET", f"/assets{query}")] == symbols

    @pytest.mark.parametrize("query", ["asset_class=us_option", "asset_class=", "exchange=X", "attributes=a"])
    def test_a_wrong_filter_is_refused(self, call, query):
        assert ", ," not in call("GET", f"/assets?{query}", status=400)["message"]


class TestWatchlists:
    def test_a_watchlist_is_made_changed_and_deleted(self, desk, call):
        coin("OTHER")
        made = call("POST", "/watchlists", {"name": "one", "symbols": ["OTHER", COIN, "other"]})
        assert [each["symbol"] for each in made["assets"]] == ["OTHER", COIN]
        path = f"/watchlists/{made['id']}"
        assert call("GET", path) == made
        assert call("GET", "/watchlists") == [
            {name: value for name, value in made.items() if name != "assets"}
        ]
        assert [each["symbol"] for each in call("DELETE", f"{path}/OTHER")["assets"]] == [COIN]
        refused = call("DELETE", f"{path}/OTHER", status=404)
        assert (refused["reason"], refused["message"]) == ("not_found", "the watchlist has no OTHER")
        added = call("POST", path, {"symbol": "OTHER"})
        assert [each["symbol"] for each in added["assets"]] == [COIN, "OTHER"]
        renamed = call("PUT", path, {"name": "two"})
        assert (renamed["name"], renamed["assets"]) == ("two", added["assets"])
        assert call("PUT", path, {"symbols": []})["assets"] == []
        assert call("DELETE", path, status=204) is None
        assert call("GET", path, status=404)["code"] == 40_410_000

    def test_a_watchlist_is_of_one_account(self, desk, call):
        made = call("POST", "/watchlists", {"name": "one", "symbols": []})
        account_create(name="OTHER", kind=AccountKind.CASH, currency="USD", by="test", config=RiskConfig())
        other = Caller(accounts=("OTHER",))
        assert other("GET", "/watchlists") == []
        for method in ("GET", "DELETE"):
            assert other(method, f"/watchlists/{made['id']}", status=404)["reason"] == "unknown_watchlist"
        Caller("trading:read")("DELETE", f"/watchlists/{made['id']}", status=403)
        assert call("GET", f"/watchlists/{made['id']}") == made

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"name": "one", "symbols": []}, "name"),
            ({"name": "", "symbols": []}, "name"),
            ({"name": "x" * 65, "symbols": []}, "name"),
            ({"symbols": []}, "name"),
            ({"name": "two", "symbols": ["NONE"]}, "symbols[0]"),
            ({"name": "two", "symbols": ["FUT"]}, "symbols[0]"),
            ({"name": "two", "symbols": [COIN] * 201}, "symbols"),
            ({"name": "two", "other": 1}, "other"),
        ],
    )
    def test_a_wrong_watchlist_is_refused(self, desk, call, body, path):
        market_store().set_instrument(Instrument("FUT", instrument_class="future", multiplier=1.0))
        call("POST", "/watchlists", {"name": "one", "symbols": [COIN]})
        refused = call("POST", "/watchlists", body, status=422)
        assert [each["path"] for each in refused["errors"]] == [path]
        assert len(call("GET", "/watchlists")) == 1

    def test_watchlists_are_bounded(self, desk, call, monkeypatch):
        monkeypatch.setattr(watchlists, "MOST_WATCHLISTS", 1)
        monkeypatch.setattr(watchlists, "MOST_SYMBOLS", 1)
        made = call("POST", "/watchlists", {"name": "one", "symbols": [COIN]})
        coin("OTHER")
        call("POST", f"/watchlists/{made['id']}", {"symbol": "OTHER"}, status=422)
        call("POST", "/watchlists", {"name": "two", "symbols": []}, status=422)
        assert call("GET", f"/watchlists/{made['id']}") == made
