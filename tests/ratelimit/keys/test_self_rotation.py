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


def test_the_successor_has_the_same_grants_owner_and_end():
    key, row = reader(networks=["127.0.0.0/8"], expires_at=END, owner="key:99", before_expiry="rotate")
    response = rotated(key, row)
    made = answer(response)
    assert (response.status_code, made["replaces"]) == (201, row.pk)
    new = ApiKey.objects.get(pk=made["id"])
    columns = ("name", "tier", "rate", "scopes", "accounts", "sensitivity", "networks", "expires_at", "owner")
    assert {name: getattr(new, name) for name in columns} == {name: getattr(row, name) for name in columns}
    assert [Api(each).get("/api/v1/limits").status_code for each in (key, made["key"])] == [200, 200]
    record = AuditRecord.objects.get(event="key.rotated")
    assert (record.caller, record.subject) == (f"key:{row.pk}", f"key:{row.pk}")


def test_the_chain_keeps_the_length_of_life_of_its_first_key():
    """What others make of a successor lives as long as the key did at first."""
    key, row = reader(expires_at=timezone.now() + timedelta(days=90))
    ApiKey.objects.filter(pk=row.pk).update(created_at=row.created_at - timedelta(days=10))
    made = ApiKey.objects.get(pk=answer(rotated(key, row))["id"])
    assert made.expires_at == row.expires_at
    now = timezone.now()
    again = key_rotate(key=made, overlap=timedelta(0), now=now, actor="worker").stored
    assert again.expires_at is not None
    assert abs(again.expires_at - now - timedelta(days=100)) < timedelta(minutes=1)


def test_only_the_newest_key_of_a_chain_rotates_itself():
    key, row = reader()
    successor = answer(rotated(key, row))
    assert problem(rotated(key, row)) == (409, "not_rotatable")
    assert problem(post(Api(key), f"{KEYS}/{successor['id']}/rotate", {})) == (403, "missing_scope")
    assert post(Api(successor["key"]), f"{KEYS}/{successor['id']}/rotate", {}).status_code == 201


def test_a_chain_grows_by_so_many_keys_a_day(monkeypatch):
    monkeypatch.setattr("ratelimit.keys.services.MOST_ROTATIONS_A_DAY", 2)
    key, row = reader()
    for _ in range(2):
        made = answer(rotated(key, row))
        key, row = made["key"], ApiKey.objects.get(pk=made["id"])
    assert problem(rotated(key, row)) == (409, "not_rotatable")
    ApiKey.objects.filter(pk=row.pk).update(created_at=row.created_at - timedelta(days=1))
    assert rotated(key, row).status_code == 201


def test_an_answer_that_was_lost_is_given_again():
    key, row = reader()
    first, again = (rotated(key, row, idempotency_key="k1") for _ in range(2))
    assert answer(first) == answer(again)
    assert ApiKey.objects.count() == 2


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
    assert (made["replaces"], made["signed_only"]) == (row.pk, True)
    assert problem(Api(made["key"]).get("/api/v1/limits")) == (401, "signature_required")


def test_a_stolen_key_that_rotated_itself_is_revoked_with_its_successors_in_one_call(api):
    key, row = reader()
    thief = answer(post(Api(key), f"{KEYS}/{row.pk}/rotate", {"overlap_seconds": 0}))
    assert problem(Api(key).get("/api/v1/limits")) == (401, "revoked_api_key")
    assert api.call("DELETE", f"{KEYS}/{row.pk}?successors=true").status_code == 200
    assert problem(Api(thief["key"]).get("/api/v1/limits")) == (401, "revoked_api_key")
