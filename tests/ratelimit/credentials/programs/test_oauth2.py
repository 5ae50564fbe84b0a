"""OAuth2 as a client library meets it: the client-credentials grant, its errors, revocation, and nothing else."""

import base64
import logging
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from ratelimit.credentials.bearer import TokenCache, token_cache
from ratelimit.credentials.programs.clients import CreatedClient, client_create, client_revoke
from ratelimit.exceptions import InvalidToken
from ratelimit.models import OAuthClient
from tests.api_client import answer, problem
from tests.ratelimit.credentials.logins import called, next_address

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
GRANT = {"grant_type": "client_credentials"}


def client_of(**terms: Any) -> CreatedClient:
    values = {"name": "desk", "tier": "premium", "scopes": ["market:read", "audit:read"], **terms}
    return client_create(now=timezone.now(), actor="command:test", **values)


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{client_id}:{secret}'.encode()).decode()}"}


def by_basic(client: CreatedClient) -> dict[str, str]:
    return basic(client.stored.client_id, client.secret)


def in_form(client: CreatedClient) -> dict[str, str]:
    return {"client_id": client.stored.client_id, "client_secret": client.secret}


def post(path: str, form: Any, headers: Any = None, content_type: str = FORM, query: str = "") -> Any:
    body = form if isinstance(form, str | bytes) else urlencode(form, doseq=True)
    return Client().generic(
        "POST",
        f"/api/v1/oauth/{path}{query}",
        body,
        content_type,
        headers=headers or {},
        REMOTE_ADDR=next_address(),
    )


def issued(client: CreatedClient, **form: str) -> str:
    response = post("token", {**GRANT, **form}, by_basic(client))
    assert response.status_code == 200, response.content
    return str(answer(response)["access_token"])


def error(response: Any) -> tuple[int, str]:
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store"
    return response.status_code, answer(response)["error"]


@pytest.mark.parametrize("way", ["basic", "form"])
def test_a_client_gets_a_token_of_all_its_scopes_and_calls_with_it(way):
    client = client_of()
    form, headers = ({**GRANT, **in_form(client)}, {}) if way == "form" else (GRANT, by_basic(client))
    response = post("token", form, headers)
    body = answer(response)
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert set(body) == {"access_token", "expires_in", "token_type", "scope"}
    assert (body["expires_in"], body["token_type"]) == (3600, "Bearer")
    assert set(body["scope"].split()) == {"market:read", "audit:read"}
    assert called(body["access_token"]).status_code == 200
    caller = token_cache.find(body["access_token"], now=timezone.now()).caller
    assert (caller.identity, caller.credential, caller.tier) == (
        f"client:{client.stored.pk}",
        "oauth2",
        "premium",
    )


def test_a_client_gets_the_scopes_that_it_asks_for_and_no_more():
    client = client_of()
    token = issued(client, scope="audit:read")
    assert problem(called(token)) == (403, "missing_scope")
    assert set(AccessToken.objects.get().scopes) == {"audit:read"}
    assert error(post("token", {**GRANT, "scope": "keys:manage"}, by_basic(client))) == (400, "invalid_scope")
    assert error(post("token", {**GRANT, "scope": "all"}, by_basic(client))) == (400, "invalid_scope")


def test_a_token_loses_a_scope_with_its_client():
    client = client_of()
    token = issued(client)
    OAuthClient.objects.update(scopes=["audit:read"])
    assert problem(called(token)) == (403, "missing_scope")


REFUSED = {
    "no client": (GRANT, {}, (401, "invalid_client")),
    "unknown client": (GRANT, basic("nobody", "secret"), (401, "invalid_client")),
    "NUL in the name": (GRANT, basic("a\0b", "secret"), (401, "invalid_client")),
    "no colon": (GRANT, {"Authorization": "Basic bm9jb2xvbg=="}, (401, "invalid_client")),
    "no base64": (GRANT, {"Authorization": "Basic %%%"}, (401, "invalid_client")),
    "not UTF-8": (GRANT, {"Authorization": "Basic //79"}, (401, "invalid_client")),
    "not ASCII": (GRANT, {"Authorization": "Basic \u00e9"}, (400, "invalid_request")),
    "a key": (GRANT, {"Authorization": "Api-Key md_abcdefgh_x"}, (401, "invalid_client")),
    "no grant type": ({}, None, (400, "invalid_request")),
    "password": ({"grant_type": "password", "username": "a", "password": "b"}, None, (400, "unsupported_grant_type")),
    "authorization code": ({"grant_type": "authorization_code", "code": "x"}, None, (400, "unsupported_grant_type")),
    "refresh": ({"grant_type": "refresh_token", "refresh_token": "x"}, None, (400, "unsupported_grant_type")),
    "implicit": ({"grant_type": "implicit"}, None, (400, "unsupported_grant_type")),
    "device": (
        {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "x"},
        None,
        (400, "unsupported_grant_type"),
    ),
    "repeated": ({"grant_type": ["client_credentials"] * 2}, None, (400, "invalid_request")),
    "NUL": ({**GRANT, "scope": "a\0b"}, None, (400, "invalid_request")),
    "unknown resource": ({**GRANT, "resource": "not a URI"}, None, (400, "invalid_target")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_oauth2_errors(name):
    form, headers, expected = REFUSED[name]
    client = client_of()
    response = post("token", form, by_basic(client) if headers is None else headers)
    assert error(response) == expected
    assert ("WWW-Authenticate" in response) == (expected[0] == 401)
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize("path", ["token", "revoke"])
def test_basic_of_one_client_beside_a_form_of_another_is_an_invalid_request(path):
    one, other = client_of(), client_of(name="other")
    form = {**GRANT, "token": "x"}
    for named in (
        in_form(other),
        in_form(one),
        {"client_id": other.stored.client_id},
        {"client_id": ""},
        {"client_secret": other.secret},
    ):
        assert error(post(path, {**form, **named}, by_basic(one))) == (400, "invalid_request")
    assert not AccessToken.objects.exists()


def test_a_form_may_name_the_client_that_basic_names():
    client = client_of()
    assert issued(client, client_id=client.stored.client_id)


@pytest.mark.parametrize(
    ("body", "content_type", "query"),
    [
        ('{"grant_type": "client_credentials"}', "application/json", ""),
        (urlencode(GRANT), f"{FORM}; charset=latin-1", ""),
        (urlencode(GRANT), f"{FORM}; charset=nonsense", ""),
        ("--x--", "multipart/form-data; boundary=x", ""),
        (urlencode(GRANT), FORM, "?scope=market:read"),
        (urlencode(GRANT), FORM, "?%zz"),
    ],
)
def test_parameters_come_in_a_form_in_the_body(body, content_type, query):
    response = post("token", body, by_basic(client_of()), content_type, query)
    assert error(response) == (400, "invalid_request")


def test_a_wrong_secret_is_refused_as_an_unknown_client_is():
    client = client_of()
    wrong = post("token", GRANT, basic(client.stored.client_id, client.secret + "x"))
    unknown = post("token", GRANT, basic("nobody", "x"))
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
    assert wrong["WWW-Authenticate"] == unknown["WWW-Authenticate"] == 'Basic realm="marketdata"'


@pytest.mark.parametrize("change", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now()}])
def test_a_client_that_was_revoked_or_has_expired_gets_nothing_and_its_tokens_are_refused(change):
    client = client_of()
    token = issued(client)
    OAuthClient.objects.update(**change)
    assert error(post("token", GRANT, by_basic(client))) == (401, "invalid_client")
    assert problem(called(token)) == (401, "invalid_token")


def test_a_token_is_good_for_an_hour_and_no_longer_than_its_client():
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        long = client_of()
        short = client_of(expires_at=timezone.now() + timedelta(minutes=30))
        tokens = issued(long), issued(short)
        clock.shift(1799)
        assert [called(token).status_code for token in tokens] == [200, 200]
        clock.shift(1)
        assert [called(token).status_code for token in tokens] == [200, 401]
        clock.shift(1800)
        assert [called(token).status_code for token in tokens] == [401, 401]
        clock.shift(1)
        issued(long)
        assert AccessToken.objects.filter(application=long.stored).count() == 1


def test_neither_tokens_nor_secrets_are_stored_or_logged(caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("oauthlib", "oauth2_provider"):
        assert not logging.getLogger(f"{name}.deeper").isEnabledFor(logging.DEBUG)
    client = client_of()
    token = issued(client)
    assert post("token", GRANT, basic(client.stored.client_id, "wrong")).status_code == 401
    assert post("revoke", {"token": "x" * 30}, by_basic(client)).status_code == 200
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = ""
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += repr(cursor.fetchall())
    assert client.stored.client_id in rows
    for secret in (token, client.secret):
        assert secret not in rows
        assert secret not in caplog.text
        assert secret not in repr(client)
    assert not RefreshToken.objects.exists()


def test_a_token_given_back_is_refused_at_once_here_and_within_a_second_elsewhere():
    client, moment = client_of(), [0.0]
    token, other = issued(client), TokenCache(clock=lambda: moment[0])
    assert called(token).status_code == 200
    other.find(token, now=timezone.now())
    response = post("revoke", {"token": token}, by_basic(client))
    assert (response.status_code, response.content, response["Cache-Control"]) == (200, b"", "no-store")
    assert problem(called(token)) == (401, "invalid_token")
    moment[0] = 0.91
    with pytest.raises(InvalidToken):
        other.find(token, now=timezone.now())


def test_a_client_revokes_its_own_tokens_only_and_learns_nothing_of_others():
    client, other = client_of(), client_of(name="other")
    token = issued(client)
    assert post("revoke", {"token": token}, by_basic(other)).status_code == 200
    assert post("revoke", {"token": "unknown"}, by_basic(other)).status_code == 200
    token_cache.clear()
    assert called(token).status_code == 200
    assert error(post("revoke", {"token": token})) == (401, "invalid_client")
    assert error(post("revoke", {}, by_basic(client))) == (400, "invalid_request")
    assert called(token).status_code == 200


def test_a_client_that_is_revoked_takes_its_tokens_along_once():
    client = client_of()
    token = issued(client)
    assert called(token).status_code == 200
    first = client_revoke(client=client.stored, now=timezone.now(), actor="command:test")
    second = client_revoke(client=client.stored, now=timezone.now(), actor="command:test")
    assert first.revoked_at == second.revoked_at
    assert problem(called(token)) == (401, "invalid_token")
    assert not AccessToken.objects.exists()


def test_networks_hold_for_programs_too():
    token = issued(client_of(networks=["192.0.2.0/24"]))
    assert problem(called(token)) == (403, "network_not_allowed")


def test_no_view_of_the_libraries_is_mounted():
    """Neither an authorization endpoint nor pages of clients and tokens: only what is declared here."""
    modules: set[str] = set()
    waiting: list[Any] = [get_resolver()]
    for resolver in waiting:
        for pattern in resolver.url_patterns:
            if hasattr(pattern, "url_patterns"):
                waiting.append(pattern)
            else:
                view = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
                modules.add((view or pattern.callback).__module__)
    assert not [name for name in modules if name.startswith(("oauth2_provider", "rest_framework_simplejwt"))]
    assert "ratelimit.credentials.programs.views" in modules
