"""The endpoints of keys, through the whole chain."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem
from tests.ratelimit.keys.key_calls import KEYS, NEW, keys_of, manager, post


@pytest.fixture(autouse=True)
def _redis(project_redis):
    """Buckets that count."""


def test_a_new_key_works_at_once_and_is_shown_once(api):
    response = post(api, body={**NEW, "networks": ["127.0.0.1"], "expires_at": "2030-01-02T03:04:05+02:00"})
    made = answer(response)
    assert (response.status_code, response["Cache-Control"]) == (201, "no-store")
    assert (made["tier"], made["rate"], made["expires_at"]) == ("default", 10, "2030-01-02T01:04:05Z")
    assert Api(made["key"]).ohlc(symbol="AAPL").status_code == 404
    for path in (KEYS, f"{KEYS}/{made['id']}"):
        shown = api.get(path).content.decode()
        assert made["prefix"] in shown
        assert made["key"] not in shown
        assert made["signing_secret"] not in shown


def test_a_key_is_shown_by_its_id_with_its_grants(api):
    made = answer(post(api))
    secrets = {"key", "signing_secret"}
    assert answer(api.get(f"{KEYS}/{made['id']}")) == {
        name: value for name, value in made.items() if name not in secrets
    }


def test_a_revoked_key_is_401_and_stays_in_the_list(api):
    made = answer(post(api))
    path = f"{KEYS}/{made['id']}"
    first = api.call("DELETE", path)
    assert (first.status_code, answer(first)["state"]) == (200, "revoked")
    assert problem(Api(made["key"]).get("/api/v1/stats/ohlc")) == (401, "revoked_api_key")
    assert answer(api.call("DELETE", path))["revoked_at"] == answer(first)["revoked_at"]
    assert "feed" in keys_of(api.get(KEYS))


def test_both_secrets_of_a_rotated_key_work_during_the_overlap(api):
    old = answer(post(api))
    response = post(api, f"{KEYS}/{old['id']}/rotate", {"overlap_seconds": 60})
    new = answer(response)
    assert (response.status_code, new["id"], new["prefix"]) == (201, old["id"], old["prefix"])
    assert [Api(key["key"]).ohlc(symbol="AAPL").status_code for key in (old, new)] == [404, 404]
    assert answer(api.get(f"{KEYS}/{old['id']}"))["overlap_until"] == new["overlap_until"]
    assert problem(post(api, f"{KEYS}/{old['id']}/rotate", {})) == (409, "not_rotatable")


def test_the_default_overlap_is_a_day(api):
    old = answer(post(api))
    now = timezone.now()
    assert api.call("POST", f"{KEYS}/{old['id']}/rotate").status_code == 201
    end = ApiKey.objects.get(pk=old["id"]).overlap_until
    assert end is not None
    assert timedelta(days=1) <= end - now < timedelta(days=1, seconds=5)


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({**NEW, "scope": ["market:read"]}, "scope", "unknown_field"),
        ({"scopes": ["market:read"]}, "name", "required"),
        ({"name": "feed"}, "scopes", "required"),
        ({**NEW, "name": 7}, "name", "invalid_type"),
        ({**NEW, "name": ""}, "name", "invalid_text"),
        ({**NEW, "scopes": []}, "scopes", "empty"),
        ({**NEW, "scopes": ["everything"]}, "scopes[0]", "invalid_choice"),
        ({**NEW, "scopes": ["market:read", "audit:read", "market:read"]}, "scopes[2]", "repeated"),
        ({**NEW, "accounts": ["A", "A"]}, "accounts[1]", "repeated"),
        ({**NEW, "tier": "gold"}, "tier", "invalid_choice"),
        ({**NEW, "rate": True}, "rate", "invalid_type"),
        ({**NEW, "rate": 0}, "rate", "out_of_range"),
        ({**NEW, "expires_at": "tomorrow"}, "expires_at", "invalid_timestamp"),
        ({**NEW, "expires_at": 1893456000}, "expires_at", "invalid_type"),
        ({**NEW, "monthly_quota": 2**63}, "monthly_quota", "out_of_range"),
        ({**NEW, "accounts": [str(number) for number in range(101)]}, "accounts", "too_many"),
        ({**NEW, "name": "a\0b"}, "name", "invalid_text"),
        ([], "", "invalid_type"),
    ],
    ids=str,
)
def test_a_wrong_body_is_422_with_the_fields(api, body, path, code):
    response = post(api, body=body)
    assert problem(response) == (422, "validation_failed")
    assert (path, code) in [(error["path"], error["code"]) for error in answer(response)["errors"]]
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({**NEW, "name": "a\u0007b"}, "name"),
        ({**NEW, "networks": ["10.0.0.1/8"]}, "networks"),
        ({**NEW, "accounts": ["a b"]}, "accounts"),
        ({**NEW, "certificate": "zz"}, "certificate"),
        ({**NEW, "expires_at": "2001-01-01"}, "expires_at"),
    ],
    ids=str,
)
def test_a_value_out_of_bounds_is_422_with_its_field(api, body, path):
    response = post(api, body=body)
    assert problem(response) == (422, "invalid_key_request")
    assert [error["path"] for error in answer(response)["errors"]] == [path]


def test_a_certificate_that_is_taken_stays_taken_when_its_key_is_revoked_or_rotated(api):
    certified = {**NEW, "certificate": "0f" * 32}
    first = answer(post(api, body=certified))
    second = answer(post(api, f"{KEYS}/{first['id']}/rotate", {}))
    assert second["certificate"] == "0f" * 32
    for _ in range(2):
        refused = post(api, body=certified)
        assert problem(refused) == (422, "invalid_key_request")
        assert answer(refused)["message"] == "the certificate belongs to another key; use another"
        api.call("DELETE", f"{KEYS}/{second['id']}")


def test_a_typo_is_answered_with_the_nearest_name(api):
    response = post(api, body={**NEW, "netwoks": []})
    assert "did you mean networks?" in answer(response)["message"]


@pytest.mark.parametrize("seconds", [-1, 30 * 86_400 + 1, "60", None])
def test_an_overlap_out_of_bounds_is_422(api, seconds):
    made = answer(post(api))
    response = post(api, f"{KEYS}/{made['id']}/rotate", {"overlap_seconds": seconds})
    assert problem(response) == (422, "validation_failed")


def test_an_empty_body_is_400(api):
    assert problem(api.call("POST", KEYS)) == (400, "malformed_json")


@pytest.mark.parametrize("reference", ["999", "9" * 30, "abc", "²", "%00"])
def test_an_unknown_key_is_404(api, reference):
    assert problem(api.get(f"{KEYS}/{reference}")) == (404, "unknown_key")


@pytest.mark.parametrize(
    ("grant", "named"),
    [
        ({"scopes": ["all"]}, "scopes"),
        ({"accounts": ["B"]}, "accounts"),
        ({"tier": "internal"}, "rate"),
        ({"daily_quota": 0}, "daily_quota"),
    ],
    ids=str,
)
def test_a_grant_beyond_the_callers_own_is_403(api, grant, named):
    response = post(manager(), body={**NEW, **grant})
    assert problem(response) == (403, "grant_exceeded")
    assert named in answer(response)["message"]
    assert not ApiKey.objects.filter(name="feed").exists()


def test_a_caller_may_grant_what_it_has(api):
    body = {**NEW, "tier": "premium", "scopes": ["keys:manage"], "accounts": ["A"], "rate": 100}
    assert post(manager(), body=body).status_code == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", KEYS),
        ("POST", KEYS),
        ("GET", f"{KEYS}/1"),
        ("DELETE", f"{KEYS}/1"),
        ("POST", f"{KEYS}/1/rotate"),
    ],
)
def test_the_key_endpoints_need_keys_manage(api, method, path):
    reader = Api(make_key(scopes=("market:read", "trading:write", "audit:read")))
    assert problem(reader.call(method, path)) == (403, "missing_scope")
    assert problem(Api(None).call(method, path))[0] == 401
