"""Lists of an account's orders, executions, transactions, trades and signals."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api_client import Api, make_key, problem
from tests.trading.calls import shown
from tests.trading.desks import at_ns, coin
from tests.trading.recorded import RecordedAccount, engine_lives
from trading.core.events import OrderRejected
from trading.core.orders import OrderTerms
from trading.core.terms import TRADABLE, Side

ORDERS, TRADES, TRANSACTIONS = "/api/v1/orders", "/api/v1/trades", "/api/v1/transactions"
EXECUTIONS = "/api/v1/executions"


@pytest.fixture
def account(api: Api) -> RecordedAccount:
    coin()
    engine_lives(0)
    return RecordedAccount(deposit=10_000)


def test_an_order_is_shown_from_its_acceptance_to_its_end(api: Api, account: RecordedAccount):
    order_id = account.order(
        "COIN", "buy", 3, type="limit", limit_price=99.5, client_order_id="mine", strategy="momentum"
    )
    accepted_by = account.row.number - 1
    account.fill(order_id, 1, 99.5, seconds=1)
    account.fill(order_id, 1, 99, seconds=2)
    account.cancel(order_id, seconds=3)
    found = shown(api, f"{ORDERS}/{order_id}")
    assert found["states"] == {
        "pending_new": "2025-06-05T14:00:00Z",
        "accepted": "2025-06-05T14:00:00Z",
        "working": "2025-06-05T14:00:00Z",
        "partially_filled": "2025-06-05T14:00:01Z",
        "cancelled": "2025-06-05T14:00:03Z",
    }
    assert (found["id"], found["account"], found["client_order_id"]) == (order_id, "ACC", "mine")
    assert (found["type"], found["limit_price"], found["quantity"]) == ("limit", 99.5, 3)
    assert (found["status"], found["filled_quantity"], found["remaining"]) == ("cancelled", 2, 1)
    assert (found["average_price"], found["reason"], found["event"]) == (99.25, "client", accepted_by)
    assert shown(api, ORDERS)["orders"] == [found]


def test_executions_name_the_rows_that_filled(api: Api, account: RecordedAccount):
    order_id = account.order("COIN", "buy", 3)
    account.fill(order_id, 1, 100, seconds=1)
    account.fill(order_id, 2, 101, seconds=2)
    found = shown(api, f"{ORDERS}/{order_id}/executions")
    newest, oldest = found["executions"]
    assert (newest["quantity"], newest["price"], oldest["price"]) == (2, 101, 100)
    assert (newest["order_id"], newest["side"], newest["at"]) == (order_id, "buy", "2025-06-05T14:00:02Z")
    assert newest["print"] == {
        "dataset": "trades",
        "symbol": "COIN",
        "commit": "17-9f3a2c",
        "ordinal": oldest["print"]["ordinal"] + 1,
        "timestamp": "2025-06-05T14:00:02Z",
        "price": 101,
        "volume": 2,
        "known_at": "2025-06-05T14:00:02.25Z",
    }
    page = shown(api, f"{ORDERS}/{order_id}/executions", limit=1, sort="asc")
    assert page["executions"] == [oldest]
    rest = shown(api, f"{ORDERS}/{order_id}/executions", limit=1, sort="asc", cursor=page["next_cursor"])
    assert rest["executions"] == [newest]


def test_executions_of_all_orders_are_one_list(api: Api, account: RecordedAccount):
    first, second = (account.order("COIN", "buy", 3) for _ in range(2))
    account.fill(second, 1, 100, seconds=1)
    account.fill(first, 2, 101, seconds=2)
    account.fill(second, 2, 102, seconds=3)
    found = shown(api, EXECUTIONS)["executions"]
    assert [(each["order_id"], each["price"]) for each in found] == [
        (second, 102),
        (first, 101),
        (second, 100),
    ]
    assert [found[1]] == shown(api, f"{ORDERS}/{first}/executions")["executions"]
    assert shown(api, EXECUTIONS, symbol="OTHER")["executions"] == []
    with CaptureQueriesContext(connection) as three:
        shown(api, EXECUTIONS)
    with CaptureQueriesContext(connection) as one:
        shown(api, EXECUTIONS, limit=1)
    assert len(three) == len(one)


def test_an_order_of_another_is_not_there(api: Api, account: RecordedAccount):
    order_id = account.order("COIN", "buy", 3)
    RecordedAccount("B")
    own = Api(make_key(scopes=("trading:read",), accounts=["B"]))
    for path in (f"{ORDERS}/{order_id}", f"{ORDERS}/{order_id}/executions", f"{ORDERS}/{uuid4()}"):
        assert problem(own.get(path)) == (404, "unknown_order")
    assert problem(api.get(f"{ORDERS}/{order_id}", {"account": "B"})) == (404, "unknown_order")
    assert problem(api.get(f"{ORDERS}/nothing")) == (404, "unknown_order")
    # Who may see several accounts need not name the order's.
    assert shown(api, f"{ORDERS}/{order_id}")["account"] == "ACC"


def test_pages_of_orders_have_each_once_while_others_come(api: Api, account: RecordedAccount):
    ids = [account.order("COIN", "buy", 1) for _ in range(5)]
    page = shown(api, ORDERS, limit=2)
    seen = [each["id"] for each in page["orders"]]
    assert (page["total_estimate"], page["prev_cursor"]) == (5, None)
    account.order("COIN", "buy", 1)
    while page["next_cursor"]:
        page = shown(api, ORDERS, limit=2, cursor=page["next_cursor"])
        seen += [each["id"] for each in page["orders"]]
    assert seen == ids[::-1]
    assert [each["id"] for each in shown(api, ORDERS, limit=2, sort="asc")["orders"]] == ids[:2]
    assert shown(api, "/api/v1/accounts/ACC/orders") == shown(api, ORDERS)


def test_the_default_page_has_fifty(api: Api, account: RecordedAccount):
    for _ in range(51):
        account.order("COIN", "buy", 1)
    assert len(shown(api, ORDERS)["orders"]) == 50


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"symbol": "GOLD"}, {"gold"}),
        ({"symbol": "coin"}, {"filled", "cancelled", "working"}),
        ({"strategy": "momentum"}, {"working"}),
        ({"status": "filled"}, {"filled"}),
        ({"status": "open"}, {"working", "gold"}),
        ({"status": "working", "symbol": "COIN"}, {"working"}),
    ],
)
def test_orders_are_filtered(api: Api, account: RecordedAccount, query: dict[str, str], expected: set[str]):
    coin("GOLD")
    names = {
        account.hold("COIN", "buy", 1, 100): "filled",
        account.order("COIN", "sell", 1): "cancelled",
        account.order("COIN", "buy", 1, strategy="momentum"): "working",
        account.order("GOLD", "buy", 1): "gold",
    }
    account.cancel(list(names)[1])
    found = shown(api, ORDERS, **query)
    assert {names[each["id"]] for each in found["orders"]} == expected
    assert found["total_estimate"] == len(expected)


def test_transactions_add_up_to_the_cash(api: Api, account: RecordedAccount):
    account.trade(5, seconds=10)
    account.transfer(-500, seconds=20)
    found = shown(api, TRANSACTIONS)["transactions"]
    assert [(each["kind"], each["symbol"], each["amount"]) for each in found] == [
        ("transferred", None, -500.0),
        ("executed", "COIN", 105.0),
        ("executed", "COIN", -100.0),
        ("transferred", None, 10000.0),
    ]
    assert [each["balance"] for each in found] == [9505.0, 10005.0, 9900.0, 10000.0]
    assert all(sum(entry["amount"] for entry in each["entries"]) == 0 for each in found)
    assert shown(api, "/api/v1/accounts/ACC/transactions")["transactions"] == found
    assert [each["amount"] for each in shown(api, TRANSACTIONS, kind="executed")["transactions"]] == [
        105.0,
        -100.0,
    ]
    assert len(shown(api, TRANSACTIONS, symbol="COIN")["transactions"]) == 2


def test_a_closed_trade_goes_from_flat_to_flat(api: Api, account: RecordedAccount):
    account.trade(15, seconds=10, strategy="momentum")
    (found,) = shown(api, TRADES)["trades"]
    assert (found["symbol"], found["strategy"], found["direction"]) == ("COIN", "momentum", "LONG")
    assert (found["quantity"], found["entry_price"], found["exit_price"]) == (1, 100, 115)
    assert (found["pnl"], found["pnl_base"], found["currency"]) == (15, 15, "USD")
    assert (found["risk"], found["pnl_r"]) == (10, 1.5)
    assert found["closed_at"] == "2025-06-05T14:00:10Z"


@pytest.mark.parametrize(
    ("query", "gains"),
    [
        ({}, [4, 3, 2, 1]),
        ({"from": "2025-06-05T14:00:20Z"}, [4, 3, 2]),
        ({"from": "2025-06-05T14:00:20Z", "to": "2025-06-05T14:00:40Z"}, [3, 2]),
        ({"to": "2025-06-05T14:00:20Z"}, [1]),
        ({"from": "1749132020"}, [4, 3, 2]),
        ({"strategy": "odd"}, [3, 1]),
        ({"symbol": "GOLD"}, []),
        ({"direction": "SHORT"}, []),
        ({"direction": "LONG", "sort": "asc"}, [1, 2, 3, 4]),
        ({"limit": "2", "offset": "1"}, [3, 2]),
        ({"offset": "4"}, []),
        ({"limit": "2", "offset": "0"}, [4, 3]),
    ],
)
def test_trades_are_filtered(api: Api, account: RecordedAccount, query: dict[str, str], gains: list[int]):
    for gain in (1, 2, 3, 4):
        account.trade(gain, seconds=10 * gain, strategy="odd" if gain % 2 else "even")
    found = shown(api, TRADES, **query)
    assert [each["pnl"] for each in found["trades"]] == gains


def test_a_page_by_offset_goes_on_by_cursor(api: Api, account: RecordedAccount):
    for gain in (1, 2, 3, 4):
        account.trade(gain, seconds=10 * gain)
    page = shown(api, TRADES, limit=1, offset=1)
    after = shown(api, TRADES, limit=1, cursor=page["next_cursor"])
    before = shown(api, TRADES, limit=1, cursor=page["prev_cursor"])
    assert [each["trades"][0]["pnl"] for each in (before, page, after)] == [4, 3, 2]


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("trades", "from=yesterday", (400, "invalid_timestamp")),
        ("trades", "to=1800-01-01", (400, "timestamp_out_of_range")),
        ("trades", "from=2025-01-02&to=2025-01-02", (400, "invalid_range")),
        ("trades", "direction=long", (400, "invalid_parameter")),
        ("trades", "offset=-1", (400, "invalid_parameter")),
        ("trades", "offset=9999999999", (400, "invalid_parameter")),
        ("trades", "offset=1&cursor=x", (400, "conflicting_parameters")),
        ("trades", "limit=0", (400, "invalid_limit")),
        ("trades", "cursor=x", (400, "invalid_cursor")),
        ("orders", "status=open&status=filled", (400, "repeated_parameter")),
        ("orders", "status=done", (400, "invalid_parameter")),
        ("orders", "symbol=A%20%20B", (422, "invalid_symbol")),
        ("orders", "sort=up", (400, "invalid_parameter")),
    ],
)
def test_a_wrong_parameter_is_refused(
    api: Api, account: RecordedAccount, path: str, query: str, code: tuple[int, str]
):
    assert problem(api.get(f"/api/v1/{path}?{query}")) == code


def test_a_cursor_belongs_to_its_filters(api: Api, account: RecordedAccount):
    for _ in range(2):
        account.order("COIN", "buy", 1)
    cursor = shown(api, ORDERS, limit=1)["next_cursor"]
    refused = api.get(ORDERS, {"limit": 1, "cursor": cursor, "symbol": "COIN"})
    assert problem(refused) == (400, "invalid_cursor")


def test_signals_are_the_orders_by_which_strategies_open(api: Api, account: RecordedAccount):
    account.order("COIN", "buy", 1)
    bought = account.order(
        "COIN", "buy", 1, strategy="a", type="limit", limit_price=99, stop_loss=95, take_profit=110
    )
    account.fill(bought, 1, 99)
    account.order("COIN", "sell", 1, strategy="a", reduce_only=True)
    account.order("COIN", "sell", 1, strategy="b", seconds=3)
    short, long = shown(api, "/api/v1/signals")["signals"]
    assert long == {
        "id": bought,
        "order_id": bought,
        "strategy": "a",
        "symbol": "COIN",
        "direction": "LONG",
        "entry": 99,
        "stop": 95,
        "target": 110,
        "at": "2025-06-05T14:00:00Z",
        "quantity": 1,
        "status": "filled",
        "average_price": 99,
        "reason": None,
    }
    assert (short["direction"], short["entry"], short["at"]) == ("SHORT", None, "2025-06-05T14:00:03Z")
    assert shown(api, "/api/v1/signals", strategy="a")["signals"] == [long]
    assert shown(api, "/api/v1/signals", direction="SHORT")["signals"] == [short]


def test_a_signal_that_risk_refused_has_the_reason(api: Api, account: RecordedAccount):
    order = OrderTerms(symbol="COIN", side=Side.BUY, quantity=Decimal(1), strategy="a")
    account.record(
        OrderRejected(
            order_id=str(uuid4()),
            order=order,
            terms=TRADABLE["crypto"],
            submitted_ns=at_ns(0),
            reason="the check running failed: the account is stopped",
        )
    )
    [signal] = shown(api, "/api/v1/signals")["signals"]
    assert (signal["status"], signal["average_price"]) == ("rejected", None)
    assert signal["reason"] == "the check running failed: the account is stopped"


@pytest.mark.django_db(transaction=True)
def test_the_number_of_queries_does_not_grow_with_the_rows(api: Api, account: RecordedAccount):
    paths = [ORDERS, TRADES, TRANSACTIONS, "/api/v1/signals", "/api/v1/portfolio", "/api/v1/status"]
    account.trade(1, seconds=1, strategy="a")
    account.hold("COIN", "buy", 1, 100)
    for path in paths:
        api.get(path)
    first = [_queries(api, path) for path in paths]
    for second in range(2, 10):
        account.trade(1, seconds=second, strategy="a")
        account.hold("COIN", "buy", 1, 100, strategy=str(second))
    assert [_queries(api, path) for path in paths] == first
    # The account, then the rows and their number, or the engine, PostgreSQL's clock, and what the engine has seen.
    assert max(first) == (4 if connection.vendor == "postgresql" else 3)


def _queries(api: Api, path: str) -> int:
    """Return the least queries of some calls: on a busy machine the cached key expires between two."""
    counts = []
    for _ in range(3):
        with CaptureQueriesContext(connection) as queries:
            assert api.get(path).status_code == 200
        counts.append(len(queries))
    return min(counts)
