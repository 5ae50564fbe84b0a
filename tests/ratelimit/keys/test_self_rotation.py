"""A key rotates itself without a scope, and gains nothing by it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.test import Client
from django.utils import timezone

from audit.models import AuditRecord
from ratelimit.keys.services import key_rotate
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem
from tests.ratelimit.credentials.signatures.signing import prefix_of, secret_of, signed
from tests.ratelimit.keys.key_calls import KEYS, post, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project_redis")]

END = datetime(2090, 1, 1, tzinfo=UTC)


def reader(**terms: Any) -> tuple[str, ApiKey]:
    """A key without any scope of keys, cleared for public data, and its row."""
    granted: Any = {"scopes": ("market:read",), "sensitivity": "public", "accounts": [], **terms}
    key = make_key(**granted)
    return key, ApiKey.objects.get(prefix=prefix_of(key))


def rotated(key: str, row: ApiKey, **headers: str) -> Any:
    return post(Api(key), f"{KEYS}/{row.pk}/rotate", {"overlap_seconds": 60}, **headers)


def test_a_rotated_key_has_the_same_grants_owner_and_end():
    key, row = reader(networks=["127.0.0.0/8"], expires_at=END, owner="key:99", before_expiry="rotate")
    response = rotated(key, row)
    made = answer(response)
    assert (response.status_code, made["id"]) == (201, row.pk)
    new = ApiKey.objects.get()
    columns = ("name", "tier", "rate", "scopes", "accounts", "sensitivity", "networks", "expires_at", "owner")
    assert {name: getattr(new, name) for name in columns} == {name: getattr(row, name) for name in columns}
    assert [Api(each).get("/api/v1/limits").status_code for each in (key, made["key"])] == [200, 200]
    record = AuditRecord.objects.get(event="key.rotated")
    assert (record.caller, record.subject) == (f"key:{row.pk}", f"key:{row.pk}")


def test_a_key_keeps_the_length_of_its_first_life():
    """Rotations by others give it as long a life as it had at first."""
    now = timezone.now()
    key, row = reader(expires_at=now + timedelta(days=100))
    answer(rotated(key, row))
    later = now + timedelta(days=10)
    again = key_rotate(key=ApiKey.objects.get(), overlap=timedelta(0), now=later, actor="worker").stored
    assert again.expires_at is not None
    assert abs(again.expires_at - later - timedelta(days=100)) < timedelta(minutes=1)


def test_neither_secret_rotates_during_the_overlap(api):
    key, row = reader()
    new = answer(rotated(key, row))["key"]
    assert [problem(rotated(each, row)) for each in (key, new)] == [(409, "not_rotatable")] * 2
    assert api.call("DELETE", f"{KEYS}/{row.pk}?only_old=true").status_code == 200
    assert problem(rotated(key, row)) == (401, "expired_api_key")
    assert rotated(new, row).status_code == 201


def test_a_key_does_nothing_else_without_a_scope():
    key, row = reader()
    other = stored("other")
    for method, path in [
        ("POST", f"{other.pk}/rotate"),
        ("POST", f"{other.pk + 100}/rotate"),
        ("POST", f"0{row.pk}/rotate"),
        ("DELETE", f"{row.pk}"),
        ("GET", f"{row.pk}"),
    ]:
        assert problem(Api(key).call(method, f"{KEYS}/{path}")) == (403, "missing_scope")
    assert ApiKey.objects.count() == 2


def test_a_token_of_a_key_does_not_become_a_key():
    key, row = reader()
    login = Api(None).call("POST", "/api/v1/auth/token", orjson.dumps({"key": key}))
    token = f"Bearer {answer(login)['access']}"
    refused = Api(None).call("POST", f"{KEYS}/{row.pk}/rotate", authorization=token)
    assert problem(refused) == (403, "missing_scope")
    assert ApiKey.objects.count() == 1


def test_a_key_for_signing_only_rotates_itself_by_a_signature():
    key, row = reader(signed_only=True)
    assert problem(rotated(key, row)) == (401, "signature_required")
    path, body = f"{KEYS}/{row.pk}/rotate", b"{}"
    headers = signed(
        "POST",
        f"http://testserver{path}",
        key_id=prefix_of(key),
        secret=secret_of(key),
        body=body,
        headers={"Content-Type": "application/json", "Host": "testserver"},
    )
    made = answer(Client().post(path, body, "application/json", headers=headers))
    assert (made["id"], made["signed_only"]) == (row.pk, True)
    assert problem(Api(made["key"]).get("/api/v1/limits")) == (401, "signature_required")


def test_a_stolen_key_that_rotated_itself_is_revoked_by_its_id(api):
    key, row = reader()
    thief = answer(post(Api(key), f"{KEYS}/{row.pk}/rotate", {"overlap_seconds": 0}))
    assert problem(Api(key).get("/api/v1/limits")) == (401, "expired_api_key")
    assert api.call("DELETE", f"{KEYS}/{row.pk}").status_code == 200
    assert problem(Api(thief["key"]).get("/api/v1/limits")) == (401, "revoked_api_key")
