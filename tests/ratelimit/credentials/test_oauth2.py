"""OAuth2 as a client library meets it: the client-credentials grant, its errors, and revocation."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.utils import timezone

from ratelimit.credentials.bearer import TokenCache, token_cache
from ratelimit.exceptions import InvalidToken
from ratelimit.keys.selectors import key_cache
from ratelimit.keys.services import key_revoke, key_rotate
from ratelimit.models import ApiKey, TokenSession
from tests.api_client import Api, answer, problem
from tests.ratelimit.access.programs import FORM, GRANT, Program, oauth, program, token_of
from tests.ratelimit.credentials.logins import called

pytestmark = pytest.mark.django_db
SCOPES = ("market:read", "audit:read")
BY: Any = {"actor": "command:test"}


def desk(**terms: Any) -> Program:
    return program(**{"scopes": SCOPES, **terms})


def error(response: Any) -> tuple[int, str]:
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store"
    assert ("WWW-Authenticate" in response) == (response.status_code == 401)
    return response.status_code, answer(response)["error"]


@pytest.mark.parametrize("way", ["basic", "form"])
def test_a_client_gets_a_token_of_all_its_scopes_and_calls_with_it(way):
    client = desk()
    form, headers = ({**GRANT, **client.form}, {}) if way == "form" else (GRANT, client.basic)
    response = oauth("token", form, headers)
    body = answer(response)
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert set(body) == {"access_token", "expires_in", "token_type", "scope"}
    assert (body["expires_in"], body["token_type"]) == (3600, "Bearer")
    assert set(body["scope"].split()) == set(SCOPES)
    assert called(body["access_token"]).status_code == 200
    caller = token_cache.find(body["access_token"], now=timezone.now()).caller
    assert (caller.identity, caller.credential) == (f"key:{client.key.pk}", "oauth2")


def test_a_client_gets_the_scopes_that_it_asks_for_and_no_more():
    client = desk()
    assert problem(called(token_of(client, scope="audit:read"))) == (403, "missing_scope")
    for scope in ("keys:manage", "all", "market:read keys:manage", " "):
        assert error(oauth("token", {**GRANT, "scope": scope}, client.basic)) == (400, "invalid_scope")


def test_a_token_loses_a_scope_with_its_key():
    token = token_of(desk())
    ApiKey.objects.update(scopes=["audit:read"])
    assert problem(called(token)) == (403, "missing_scope")


REFUSED = {
    "no client": (GRANT, {}, (401, "invalid_client")),
    "unknown client": (GRANT, Program("nobody", "secret").basic, (401, "invalid_client")),
    "NUL in the name": (GRANT, Program("a\0b", "md_oauth2cl_" + "0" * 64).basic, (401, "invalid_client")),
    "no base64": (GRANT, {"Authorization": "Basic %%%"}, (401, "invalid_client")),
    "not UTF-8": (GRANT, {"Authorization": "Basic //79"}, (401, "invalid_client")),
    "not ASCII": (GRANT, {"Authorization": "Basic \u00e9"}, (400, "invalid_request")),
    "a key": (GRANT, {"Authorization": "Api-Key md_abcdefgh_x"}, (401, "invalid_client")),
    "no grant type": ({}, None, (400, "invalid_request")),
    "password": ({"grant_type": "password", "username": "a"}, None, (400, "unsupported_grant_type")),
    "refresh": ({"grant_type": "refresh_token", "refresh_token": "x"}, None, (400, "unsupported_grant_type")),
    "repeated": ({"grant_type": ["client_credentials"] * 2}, None, (400, "invalid_request")),
    "NUL": ({**GRANT, "scope": "a\0b"}, None, (400, "invalid_request")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_oauth2_errors(name):
    form, headers, expected = REFUSED[name]
    client = desk()
    assert error(oauth("token", form, client.basic if headers is None else headers)) == expected
    assert not TokenSession.objects.exists()


@pytest.mark.parametrize("path", ["token", "revoke"])
def test_a_request_authenticates_one_client_in_one_way(path):
    one, other = desk(), desk()
    form = {**GRANT, "token": "x"}
    for named in (other.form, one.form, {"client_id": other.client_id}, {"client_secret": one.secret}):
        assert error(oauth(path, {**form, **named}, one.basic)) == (400, "invalid_request")
    assert oauth(path, {**form, "client_id": one.client_id}, one.basic).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type", "query"),
    [
        ('{"grant_type": "client_credentials"}', "application/json", ""),
        (urlencode(GRANT), f"{FORM}; charset=latin-1", ""),
        ("--x--", "multipart/form-data; boundary=x", ""),
        (urlencode(GRANT), FORM, "?scope=market:read"),
    ],
)
def test_parameters_come_in_a_form_in_the_body(body, content_type, query):
    response = oauth("token", body, desk().basic, content_type, query)
    assert error(response) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["token", "revoke"])
def test_options_name_the_form(path):
    response = Api(None).call("OPTIONS", f"/api/v1/oauth/{path}")
    assert answer(response)["parses"] == [FORM]


def test_wrong_secrets_are_refused_as_an_unknown_client_is():
    client, other = desk(), desk()
    unknown = oauth("token", GRANT, Program("nobody", client.secret).basic)
    for secret in (client.secret + "x", other.secret, client.key.digest, ""):
        wrong = oauth("token", GRANT, Program(client.client_id, secret).basic)
        assert error(wrong) == (401, "invalid_client")
        assert (wrong.content, wrong["WWW-Authenticate"]) == (unknown.content, 'Basic realm="marketdata"')


@pytest.mark.parametrize(
    "change", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now()}, {"signed_only": True}]
)
def test_a_key_that_may_not_be_sent_gets_nothing_and_its_tokens_are_refused(change):
    client = desk()
    token = token_of(client)
    ApiKey.objects.update(**change)
    key_cache.clear()
    assert error(oauth("token", GRANT, client.basic)) == (401, "invalid_client")
    assert problem(called(token)) == (401, "invalid_token")


def test_a_token_is_valid_for_an_hour_and_no_longer_than_its_key():
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        tokens = token_of(desk()), token_of(desk(expires_at=timezone.now() + timedelta(minutes=30)))
        for seconds, statuses in ((1799, [200, 200]), (1, [200, 401]), (1799, [200, 401]), (3, [401, 401])):
            clock.shift(seconds)
            token_cache.clear()
            assert [called(token).status_code for token in tokens] == statuses


def test_the_client_id_stays_and_both_secrets_are_accepted_until_the_overlap_ends():
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        old = desk()
        created = key_rotate(key=old.key, overlap=timedelta(hours=1), now=timezone.now(), **BY)
        new = Program(old.client_id, created.key)
        clock.shift(3599)
        assert [oauth("token", GRANT, each.basic).status_code for each in (old, new)] == [200, 200]
        clock.shift(1)
        assert [oauth("token", GRANT, each.basic).status_code for each in (old, new)] == [401, 200]


def test_a_revoked_token_is_refused_at_once_here_and_within_a_second_elsewhere():
    client, moment = desk(), [0.0]
    token, other = token_of(client), TokenCache(clock=lambda: moment[0])
    assert called(token).status_code == 200
    other.find(token, now=timezone.now())
    response = oauth("revoke", {"token": token}, client.basic)
    assert (response.status_code, response.content, response["Cache-Control"]) == (200, b"", "no-store")
    assert problem(called(token)) == (401, "invalid_token")
    moment[0] = 0.91
    with pytest.raises(InvalidToken):
        other.find(token, now=timezone.now())


def test_a_client_revokes_its_own_tokens_only_and_learns_nothing_of_others():
    client, other = desk(), desk()
    token = token_of(client)
    assert oauth("revoke", {"token": token}, other.basic).status_code == 200
    assert oauth("revoke", {"token": "unknown"}, other.basic).status_code == 200
    token_cache.clear()
    assert called(token).status_code == 200
    assert error(oauth("revoke", {"token": token})) == (401, "invalid_client")
    assert error(oauth("revoke", {}, client.basic)) == (400, "invalid_request")
    rotated = key_rotate(key=client.key, overlap=timedelta(hours=1), now=timezone.now(), **BY)
    assert oauth("revoke", {"token": token}, Program(client.client_id, rotated.key).basic).status_code == 200
    assert problem(called(token)) == (401, "invalid_token")


def test_a_key_that_is_revoked_takes_its_tokens_along():
    client = desk()
    token = token_of(client)
    key_revoke(key=client.key, now=timezone.now(), **BY)
    token_cache.clear()
    assert problem(called(token)) == (401, "invalid_token")


@pytest.mark.parametrize("path", ["token", "revoke"])
def test_a_client_of_another_network_is_refused(path):
    client = desk(networks=["192.0.2.0/24"])
    assert error(oauth(path, {**GRANT, "token": "x"}, client.basic)) == (401, "invalid_client")
    assert not TokenSession.objects.exists()


def test_each_call_is_charged_to_its_key(project_redis, standing_clock):
    client, other = desk(rate=1), desk(rate=1)
    assert oauth("token", GRANT, client.basic).status_code == 200
    assert oauth("revoke", {"token": "x"}, client.basic).status_code == 200
    for path in ("token", "revoke"):
        assert problem(oauth(path, {**GRANT, "token": "x"}, client.basic)) == (429, "rate_limited")
    assert TokenSession.objects.count() == 1
    assert oauth("token", GRANT, other.basic).status_code == 200


def test_a_token_is_not_renewed_and_has_its_keys_networks():
    # Programs of the tests call from there, and `called` from elsewhere.
    token = token_of(desk(networks=["10.0.0.0/8"]))
    assert problem(called(token)) == (403, "network_not_allowed")
    assert TokenSession.objects.get().refresh_id == ""
