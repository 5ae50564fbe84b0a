"""Every endpoint of an audit-first class, as its view declares: without its record nothing is changed."""

import json
from contextlib import contextmanager
from decimal import Decimal

import msgspec
import pytest
from django.db import OperationalError, connection

from audit.models import AuditRecord
from jobs.models import Job
from ratelimit.models import ApiKey
from sources.models import SourceSymbol
from tests.api_client import answer, make_key, problem
from tests.ratelimit.access.urlconf import ACCESS
from tests.trading.calls import COIN, ORDER, CallDesk, post
from trades.stores import market_store
from trading.core.configuration import RiskConfig
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side
from trading.models import Account, EventRow, TargetModel, Watchlist
from trading.services.accounts import preferences_change
from trading.services.rebalancing import model_set

KEY = "a key of its own"
NEW_ORDER = {**ORDER, "client_order_id": "mine"}
THEIR_ORDER = {"symbol": COIN, "side": "buy", "qty": "2", "type": "market", "time_in_force": "gtc"}
LIMITS = {
    name: str(value) if name == "fill" else float(value) if not isinstance(value, int) else value
    for name, value in msgspec.structs.asdict(RiskConfig()).items()
    if name != "unlimited"
}
WEIGHTS = {"weights": [{"symbol": COIN, "weight": 0.25}]}
# Path, body and status of a call of each audit-first endpoint.
CALLS = {
    ("keys", "POST"): ("/api/v1/keys", {"name": "a", "scopes": ["market:read"]}, 201),
    ("key", "DELETE"): (f"/api/v1/keys/{KEY}", None, 200),
    ("key-rotate", "POST"): (f"/api/v1/keys/{KEY}/rotate", {}, 201),
    ("orders", "POST"): ("/api/v1/orders", NEW_ORDER, 201),
    ("account-orders", "POST"): ("/api/v1/accounts/ACC/orders", NEW_ORDER, 201),
    ("order-batch", "POST"): ("/api/v1/orders/batch", {"orders": [NEW_ORDER]}, 202),
    ("order", "PATCH"): ("/api/v1/orders/{order}", {"limit_price": 98}, 201),
    ("trade-preview", "POST"): ("/api/v1/trade/preview", ORDER, 200),
    ("trade-execute", "POST"): ("/api/v1/trade/execute", {"preview_id": "{preview}"}, 201),
    ("trading-start", "POST"): ("/api/v1/trading/start", None, 200),
    ("accounts", "POST"): ("/api/v1/accounts", {"id": "NEW"}, 201),
    ("account", "PATCH"): ("/api/v1/accounts/ACC", {"name": "Momentum"}, 200),
    ("model", "PUT"): ("/api/v1/models/core", WEIGHTS, 200),
    ("model", "DELETE"): ("/api/v1/models/spare", None, 204),
    ("account-rebalance", "POST"): ("/api/v1/accounts/ACC/rebalance", {"cash_buffer": 1}, 202),
    ("account-transfers", "POST"): ("/api/v1/accounts/ACC/transfers", {"amount": 5}, 202),
    ("risk-override", "POST"): (
        "/api/v1/risk/override",
        {"risk_level": 0.1, "until": "2030-01-01", "reason": "earnings"},
        200,
    ),
    ("config-risk", "PUT"): ("/api/v1/config/risk", LIMITS, 200),
    ("alpaca-orders", "POST"): ("/api/v2/orders", THEIR_ORDER, 200),
    ("alpaca-order", "PATCH"): ("/api/v2/orders/{order}", {"limit_price": "98"}, 200),
    ("alpaca-watchlists", "POST"): ("/api/v2/watchlists", {"name": "new", "symbols": []}, 200),
    ("alpaca-watchlist", "PUT"): ("/api/v2/watchlists/{watchlist}", {"name": "new"}, 200),
    ("alpaca-watchlist", "POST"): ("/api/v2/watchlists/{watchlist}", {"symbol": COIN}, 200),
    ("alpaca-watchlist", "DELETE"): ("/api/v2/watchlists/{watchlist}", None, 204),
    ("alpaca-watchlist-asset", "DELETE"): (f"/api/v2/watchlists/{{watchlist}}/{COIN}", None, 200),
    ("feeds", "POST"): ("/api/v1/feeds", {"source": "binance", "name": "ETH/USDT"}, 200),
    ("feed", "DELETE"): ("/api/v1/feeds/SOL-USDT", None, 204),
    ("instrument", "PUT"): ("/api/v1/instruments/AAPL", {"name": "Apple"}, 200),
}


def state():
    """What audit-first calls change in the database."""
    keys = list(ApiKey.objects.order_by("pk").values_list("pk", "revoked_at", "expires_at"))
    models = list(TargetModel.objects.values_list("name", "weights"))
    feeds = list(SourceSymbol.objects.values_list("symbol", "is_fed"))
    lists = list(Watchlist.objects.values_list("name", "symbols"))
    return keys, models, feeds, lists, *(kind.objects.count() for kind in (Account, EventRow, Job))


@pytest.fixture
def call(api):
    SourceSymbol.objects.create(symbol="SOL-USDT", source="binance", name="SOL/USDT", is_fed=True)
    key_id = ApiKey.objects.get(prefix=make_key().split("_")[1]).pk
    desk = CallDesk()
    desk.buy()
    for name in ("core", "spare"):
        model_set(account=desk.account, name=name, weights={COIN: Decimal("0.5")})
    preferences_change(account=desk.account, changes={"model": "core"})
    watched = desk.account.watchlists.create(name="old", symbols=[COIN], created_ns=0, changed_ns=0)
    names = {
        "{watchlist}": str(watched.uuid),
        KEY: str(key_id),
        "{order}": desk.order(
            COIN, Side.BUY, 1, time_in_force=TimeInForce.GTC, type=OrderType.LIMIT, limit_price=99
        ),
        "{preview}": answer(post(api, "/trade/preview", ORDER))["preview_id"],
    }

    def make(endpoint):
        path, body, _status = CALLS[endpoint]
        content = "" if body is None else json.dumps(body)
        for name, value in names.items():
            path, content = path.replace(name, value), content.replace(name, value)
        return api.call(endpoint[1], path, content.encode(), if_match="*")

    return make


@contextmanager
def without_records():
    def refuse(execute, sql, params, many, context):
        if sql.startswith("INSERT INTO audit_auditrecord"):
            raise OperationalError("disk I/O error")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


def test_every_audit_first_endpoint_is_tried_here():
    assert {endpoint for endpoint, access in ACCESS.items() if access.audit_first} == CALLS.keys()


@pytest.mark.parametrize("endpoint", CALLS, ids=str)
@pytest.mark.usefixtures("project_redis")
def test_its_change_is_recorded(call, endpoint):
    response = call(endpoint)
    assert response.status_code == CALLS[endpoint][2], response.content
    last = AuditRecord.objects.latest("sequence")
    assert (last.method, last.status) == (endpoint[1], response.status_code)
    assert last.audit_class == ACCESS[endpoint].audit_class
    assert last.correlation_id == response["X-Correlation-ID"]


@pytest.mark.parametrize("endpoint", CALLS, ids=str)
@pytest.mark.usefixtures("project_redis")
def test_without_its_record_it_changes_nothing_in_the_database(call, endpoint):
    before = state(), AuditRecord.objects.count()
    with without_records():
        refused = call(endpoint)
    body = answer(refused)
    # The change of an instrument is in the market store, where it stays.
    stays = endpoint == ("instrument", "PUT")
    code = "outcome_unknown" if stays else "audit_unavailable"
    assert (refused.status_code, body.get("reason", body["code"])) == (503, code)
    assert (state(), AuditRecord.objects.count()) == before
    assert bool(market_store().declared_instruments(symbol="AAPL")) is stays


@pytest.mark.usefixtures("project_redis")
def test_an_instrument_whose_change_cannot_be_recorded_is_not_changed(call):
    def refuse(execute, sql, params, many, context):
        if sql.startswith('UPDATE "audit_chainends"'):
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        assert problem(call(("instrument", "PUT"))) == (503, "audit_unavailable")
    assert not market_store().declared_instruments(symbol="AAPL")
