"""Tokens for a key: they have its grants and end with it."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from ratelimit.credentials.bearer import token_cache
from ratelimit.credentials.browser_login import sessions_delete_expired
from ratelimit.keys.selectors import key_cache
from ratelimit.keys.services import key_revoke, key_rotate
from ratelimit.models import ApiKey, TokenSession
from tests.api_client import answer, make_key, problem
from tests.ratelimit.credentials.logins import called, person, post

pytestmark = pytest.mark.django_db


def login_by(key: str) -> Any:
    return post("/auth/token", {"key": key})


def revoke(prefix: str) -> None:
    ApiKey.objects.filter(prefix=prefix).update(revoked_at=timezone.now())
    token_cache.clear()
    key_cache.clear()


def test_a_key_gets_tokens_with_its_identity_and_its_grants():
    key = make_key(scopes=("market:read",))
    tokens = answer(login_by(key))
    assert tokens["expires_in"] == 300
    caller = token_cache.find(tokens["access"], now=timezone.now()).caller
    assert (caller.identity, caller.credential) == (f"key:{ApiKey.objects.get().pk}", "jwt")
    assert called(tokens["access"]).status_code == 200
    assert problem(called(tokens["access"], "/api/v1/audit")) == (403, "missing_scope")


def test_a_revoked_key_ends_its_tokens():
    key = make_key()
    tokens = answer(login_by(key))
    revoke(key.split("_")[1])
    assert problem(called(tokens["access"])) == (401, "invalid_token")
    assert problem(post("/auth/refresh", {"refresh": tokens["refresh"]})) == (401, "invalid_token")
    assert problem(login_by(key)) == (401, "revoked_api_key")


def test_what_an_old_secret_began_ends_with_its_overlap():
    old = make_key()
    stored = ApiKey.objects.get()
    pages, tokens = browser(old), answer(login_by(old))
    new = key_rotate(key=stored, overlap=timedelta(hours=1), now=timezone.now(), actor="test").key
    newer = answer(login_by(new))
    tokens = answer(post("/auth/refresh", {"refresh": tokens["refresh"]}))
    assert [called(each["access"]).status_code for each in (tokens, newer)] == [200, 200]
    key_revoke(key=stored, only_old=True, now=timezone.now(), actor="test")
    token_cache.clear()
    assert [called(each["access"]).status_code for each in (tokens, newer)] == [401, 200]
    assert problem(post("/auth/refresh", {"refresh": tokens["refresh"]})) == (401, "invalid_token")
    assert pages.get("/api/v1/clock").status_code == 401


def test_a_login_is_charged_to_its_key(project_redis, standing_clock):
    key, other = make_key(rate=1), make_key(rate=1)
    assert [login_by(key).status_code for _ in range(4)] == [200, 200, 429, 429]
    assert TokenSession.objects.count() == 2
    refused = login_by(key)
    assert problem(refused) == (429, "rate_limited")
    assert int(refused["Retry-After"]) >= 1
    assert login_by(other).status_code == 200


def test_sessions_are_deleted_in_batches(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("ratelimit.credentials.browser_login.MOST_AT_ONCE", 2)
    for _ in range(5):
        browser(make_key())
    # For each table: three batches, each after a look whether there are more, and a last look.
    with django_assert_num_queries(14):
        sessions_delete_expired(now=timezone.now() + timedelta(days=60))
    assert (Session.objects.count(), TokenSession.objects.count()) == (0, 0)


def test_sessions_are_deleted_after_their_time():
    browser(make_key())
    Session.objects.update(expire_date=timezone.now())
    TokenSession.objects.update(expires_at=timezone.now() - timedelta(days=1, seconds=3))
    browser(make_key())
    sessions_delete_expired(now=timezone.now())
    assert (Session.objects.count(), TokenSession.objects.count()) == (1, 1)


@pytest.mark.parametrize("text", ["", "md_nothing", "md_12345678_" + "x" * 43, "…"])
def test_an_unknown_key_is_401_or_a_field_error(text):
    response = login_by(text)
    assert response.status_code == (401 if text else 422)


def test_a_key_for_signing_only_gets_no_tokens():
    assert problem(login_by(make_key(signed_only=True))) == (401, "signature_required")


def test_a_key_of_another_network_gets_no_tokens():
    assert problem(login_by(make_key(networks=["192.0.2.0/24"]))) == (403, "network_not_allowed")


def test_a_refresh_token_keeps_its_keys_networks():
    tokens = answer(login_by(make_key(networks=["10.0.0.0/8"])))
    refresh = {"refresh": tokens["refresh"]}
    elsewhere = Client(REMOTE_ADDR="192.0.2.7").post(
        "/api/v1/auth/refresh", refresh, content_type="application/json"
    )
    assert problem(elsewhere) == (403, "network_not_allowed")
    # Whoever tried it elsewhere ends no session.
    assert post("/auth/refresh", refresh).status_code == 200


def test_an_expired_key_gets_no_tokens():
    key = make_key(expires_at=timezone.now() + timedelta(hours=1))
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    key_cache.clear()
    assert problem(login_by(key)) == (401, "expired_api_key")


def test_a_persons_id_is_not_a_keys():
    """The token of the person 1 must not be taken for one of the key 1."""
    user, key = person(scopes=["audit:read"]), make_key(scopes=("market:read",))
    tokens = answer(login_by(key))
    ApiKey.objects.all().delete()
    assert user.pk
    token_cache.clear()
    key_cache.clear()
    assert problem(called(tokens["access"])) == (401, "invalid_token")


# Browsers


def browser(key: str) -> Client:
    client = Client(enforce_csrf_checks=True)
    response = client.post(
        "/api/v1/auth/token", {"key": key}, content_type="application/json", headers={"X-Refresh": "cookie"}
    )
    assert response.status_code == 200, response.content
    assert response.json()["refresh"] == ""
    return client


def with_cookie(client: Client, path: str) -> Any:
    return client.post(f"/api/v1/auth/{path}", headers={"X-Refresh": "cookie"})


def test_a_browser_has_the_refresh_token_in_a_strict_cookie():
    cookie = browser(make_key()).cookies["refresh"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/api/v1/auth")


def test_the_cookie_ends_when_the_browser_is_closed():
    client = browser(make_key())
    with_cookie(client, "refresh")
    cookies = [client.cookies[name] for name in ("refresh", "sessionid")]
    assert [(cookie["max-age"], cookie["expires"]) for cookie in cookies] == [("", "")] * 2


def test_a_browser_renews_and_opens_pages():
    client = browser(make_key(scopes=("market:read",)))
    renewed = with_cookie(client, "refresh")
    assert renewed.status_code == 200
    assert renewed.json()["refresh"] == ""
    assert called(renewed.json()["access"]).status_code == 200
    assert client.get("/api/v1/clock").status_code == 200


def test_the_cookie_counts_only_with_the_header():
    client = browser(make_key())
    assert client.post("/api/v1/auth/refresh", {}, content_type="application/json").status_code == 422
    assert with_cookie(Client(), "refresh").status_code == 401


@pytest.mark.parametrize("path", ["/api/v1/auth/logout", "/logout"])
def test_logging_out_anywhere_ends_the_tokens_and_the_pages(path):
    client = browser(make_key())
    access = with_cookie(client, "refresh").json()["access"]
    client.handler.enforce_csrf_checks = False
    assert client.post(path, headers={"X-Refresh": "cookie"}).status_code in {200, 204, 302}
    token_cache.clear()
    assert problem(called(access)) == (401, "invalid_token")
    assert with_cookie(client, "refresh").status_code == 401
    assert client.get("/api/v1/clock").status_code == 401


def test_logging_out_works_after_the_token_is_no_longer_valid():
    client = browser(make_key())
    client.cookies["refresh"] = "x.y.z"
    assert with_cookie(client, "logout").status_code == 204
    assert client.get("/api/v1/clock").status_code == 401


def test_a_revoked_key_opens_no_page():
    key = make_key()
    client = browser(key)
    revoke(key.split("_")[1])
    assert client.get("/api/v1/clock").status_code == 401


def test_posting_with_a_keys_session_needs_the_csrf_token():
    client = browser(make_key())
    assert client.post("/api/v1/cache/invalidate", {"symbol": "AAPL"}).status_code == 403


def test_a_new_login_ends_the_one_before():
    client = browser(make_key())
    first = with_cookie(client, "refresh").json()["access"]
    other = make_key()
    client.post(
        "/api/v1/auth/token", {"key": other}, content_type="application/json", headers={"X-Refresh": "cookie"}
    )
    token_cache.clear()
    assert problem(called(first)) == (401, "invalid_token")


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["password", "username"]),
        ({"username": "ada"}, ["password"]),
        ({"key": "md_x", "password": "x"}, ["key"]),
    ],
)
def test_what_is_missing_or_too_much_is_named(body, paths):
    response = post("/auth/token", body)
    assert response.status_code == 422
    assert sorted(error["path"] for error in response.json()["errors"]) == paths
