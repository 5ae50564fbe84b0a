"""Every endpoint of a strict class, as the table of access says: without its record nothing is changed."""

import json
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection

from audit.models import AuditRecord
from marketdata_project.access_table import ACCESS
from ratelimit.models import ApiKey
from tests.api_client import make_key, problem
from trades.stores import market_store

KEY = "a key of its own"
# Path, body, status and the refusal of a call whose record fails, of each strict endpoint.
CALLS = {
    ("keys", "POST"): ("/api/v1/keys", {"name": "a", "scopes": ["market:read"]}, 201, "audit_unavailable"),
    ("key", "DELETE"): (f"/api/v1/keys/{KEY}", None, 200, "audit_unavailable"),
    ("key-rotate", "POST"): (f"/api/v1/keys/{KEY}/rotate", {}, 201, "audit_unavailable"),
    # Its change is in the market store, where it stays.
    ("instrument", "PUT"): ("/api/v1/instruments/AAPL", {"name": "Apple"}, 200, "outcome_unknown"),
}


def state():
    """What strict calls change in the database."""
    return list(ApiKey.objects.order_by("pk").values_list("pk", "revoked_at", "expires_at"))


@pytest.fixture
def call(api):
    key_id = ApiKey.objects.get(prefix=make_key().split("_")[1]).pk

    def make(endpoint):
        path, body, _status, _code = CALLS[endpoint]
        content = b"" if body is None else json.dumps(body).encode()
        return api.call(endpoint[1], path.replace(KEY, str(key_id)), content)

    return make


@contextmanager
def without_records():
    def refuse(execute, sql, params, many, context):
        if sql.startswith("INSERT INTO audit_auditrecord"):
            raise OperationalError("disk I/O error")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


def test_every_strict_endpoint_is_tried_here():
    assert {endpoint for endpoint, access in ACCESS.items() if access.is_strict} == CALLS.keys()


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
    assert problem(refused) == (503, CALLS[endpoint][3])
    assert (state(), AuditRecord.objects.count()) == before
    is_told = bool(market_store().declared_instruments(symbol="AAPL"))
    assert is_told is (endpoint == ("instrument", "PUT"))


@pytest.mark.usefixtures("project_redis")
def test_an_instrument_whose_change_cannot_be_recorded_is_not_changed(call):
    def refuse(execute, sql, params, many, context):
        if sql.startswith('UPDATE "audit_chainends"'):
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        assert problem(call(("instrument", "PUT"))) == (503, "audit_unavailable")
    assert not market_store().declared_instruments(symbol="AAPL")
