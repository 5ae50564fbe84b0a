"""Of what a request presents: which credential it is, that it is one, and from where it may be shown."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from ratelimit.access.scopes import SCOPES
from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_stored, identify
from ratelimit.credentials.people import caller_of_person
from ratelimit.exceptions import (
    AmbiguousCredentials,
    CredentialError,
    InvalidApiKey,
    InvalidAuthorization,
    InvalidToken,
    NetworkNotAllowed,
    SignatureRequired,
)
from ratelimit.keys.api_keys import generate
from ratelimit.keys.selectors import key_cache, last_used
from ratelimit.models import ApiKey
from tests.api_client import Api, make_key, problem
from tests.ratelimit.credentials.logins import logged_in, person
from tests.received_calls import received
from web.requests.received import ReceivedCall

pytestmark = pytest.mark.django_db
CLOCK = "/api/v1/clock"


def with_headers(address: str = "192.0.2.1", **headers: str) -> ReceivedCall:
    return received({name.replace("_", "-"): value for name, value in headers.items()}, address=address)


def found(**headers: str):
    identity = identify(with_headers(**headers), now=timezone.now())
    return None if identity is None else identity.caller


def test_a_call_without_a_credential_has_no_caller():
    assert found() is None
    assert found(accept="*/*") is None
    assert found(x_ssl_client_verify="NONE") is None
    assert found(x_ssl_client_verify="") is None


@pytest.mark.parametrize(
    "form", ["Api-Key {}", "api-key {}", "API-KEY  {}", " Api-Key {} ", "\tApi-Key {}\t"]
)
def test_a_key_in_authorization_makes_its_caller(form):
    key = make_key()
    caller = found(authorization=form.format(key))
    assert caller.identity == f"key:{ApiKey.objects.get().pk}"


def test_the_same_key_in_both_headers_is_one_credential():
    key = make_key()
    assert found(authorization=f"Api-Key {key}", x_api_key=key) == found(x_api_key=key)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Api-Key",
        "md_abcdefgh_secret",
        "Bearer a b",
        "Bearer\ta",
        "Bearer a\nX-API-Key: b",
        "B\u0435arer abc",
        "Bearer: abc",
    ],
)
def test_an_authorization_that_is_not_one_known_scheme_with_one_credential_is_refused(header):
    with pytest.raises(InvalidAuthorization) as raised:
        found(authorization=header)
    assert (
        str(raised.value) == "Authorization must be one of: Api-Key <key>, Basic <key:secret>, Bearer <token>"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Api-Key a,Api-Key b"},
        {"authorization": "Api-Key a,Bearer b"},
        {"authorization": "Bearer a, Bearer a"},
        {"authorization": ","},
        {"authorization": "Bearer a", "x_api_key": "b"},
        {"authorization": "Bearer a", "signature": "s", "signature_input": "s"},
        {"x_api_key": "b", "signature_input": "s"},
        {"x_api_key": "b", "signature": "s"},
        {"x_api_key": "b", "x_ssl_client_verify": "SUCCESS"},
        {"authorization": "Bearer a", "x_ssl_client_verify": "FAILED:expired"},
        {"signature": "s", "x_ssl_client_verify": "SUCCESS"},
    ],
)
def test_several_credentials_are_refused(headers):
    with pytest.raises(AmbiguousCredentials):
        found(**headers)


def test_two_keys_are_ambiguous_also_if_both_are_good():
    one, other = make_key(), make_key()
    for headers in (
        {"authorization": f"Api-Key {one}", "x_api_key": other},
        {"x_api_key": f"{one},{other}"},
        {"x_api_key": f"{one}, {one}"},
    ):
        assert problem(Api(None).get(CLOCK, **headers)) == (401, "ambiguous_credentials")


def test_a_key_takes_precedence_over_a_session(client):
    client.force_login(person(scopes=["market:read"]))
    assert client.get(CLOCK).status_code == 200
    assert problem(client.get(CLOCK, headers={"X-API-Key": generate().key})) == (401, "invalid_api_key")
    key = make_key(scopes=("audit:read",))
    assert problem(client.get(CLOCK, headers={"X-API-Key": key})) == (403, "missing_scope")


def noted(monkeypatch) -> list[int]:
    """The keys whose use is noted from now on."""
    keys: list[int] = []
    monkeypatch.setattr(last_used, "note", lambda key_id, at: keys.append(key_id))
    return keys


def test_a_key_that_is_refused_bare_was_not_used(monkeypatch):
    keys, key = noted(monkeypatch), make_key()
    found(x_api_key=key)
    stored = ApiKey.objects.get()
    assert keys == [stored.pk]
    key_cache.clear()
    ApiKey.objects.update(signed_only=True)
    with pytest.raises(SignatureRequired):
        found(x_api_key=key)
    assert keys == [stored.pk]


@pytest.mark.parametrize("key", ["", "md_x", generate().key], ids=["empty", "short", "unknown"])
def test_unknown_and_malformed_keys_are_refused(key):
    with pytest.raises(InvalidApiKey):
        found(x_api_key=key)


@pytest.mark.parametrize("headers", [{"signature": "sig=:AAAA:"}, {"x_ssl_client_verify": "FAILED:revoked"}])
def test_a_signature_and_a_certificate_that_are_wrong_are_refused(headers):
    with pytest.raises(CredentialError):
        found(**headers)


def test_a_key_for_signing_is_refused_as_it_is_and_a_revoked_one_as_revoked():
    key = make_key()
    ApiKey.objects.update(signed_only=True)
    with pytest.raises(SignatureRequired):
        found(x_api_key=key)
    assert problem(Api(key).get(CLOCK)) == (401, "signature_required")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("2001:db8::1", True),
        ("::1", False),
        ("", False),
        ("x", False),
    ],
)
def test_a_key_is_valid_from_its_networks_only(address, allowed):
    key = make_key()
    ApiKey.objects.update(networks=["10.1.0.0/16", "2001:db8::/32"])
    call = with_headers(address, x_api_key=key)
    if allowed:
        identity = identify(call, now=timezone.now())
        assert identity is not None
        assert identity.caller.networks == (ip_network("10.1.0.0/16"), ip_network("2001:db8::/32"))
    else:
        with pytest.raises(NetworkNotAllowed):
            identify(call, now=timezone.now())


def test_networks_hold_for_keys_tokens_and_sessions_over_http(client):
    key = make_key()
    ApiKey.objects.update(networks=["192.0.2.0/24"])
    user = person(scopes=["market:read"], networks=["192.0.2.0/24"])
    refused = (403, "network_not_allowed")
    assert problem(Api(key).get(CLOCK)) == refused
    token = {"Authorization": f"Bearer {logged_in()['access']}"}
    assert problem(client.get(CLOCK, headers=token)) == refused
    assert client.get(CLOCK, headers=token, REMOTE_ADDR="192.0.2.7").status_code == 200
    client.force_login(user)
    assert problem(client.get(CLOCK)) == refused
    assert client.get(CLOCK, REMOTE_ADDR="192.0.2.7").status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"authorization": ""}, "invalid_credentials"),
        ({"authorization": "Basic YTpi"}, "invalid_api_key"),
        ({"authorization": "Bearer a,Bearer b"}, "ambiguous_credentials"),
        ({"authorization": "Bearer a", "x_api_key": "b"}, "ambiguous_credentials"),
        ({"authorization": "Bearer a"}, "invalid_token"),
        ({"authorization": "Api-Key a"}, "invalid_api_key"),
        ({}, "not_authenticated"),
    ],
)
def test_each_refusal_is_a_401_that_lists_the_schemes(headers, code):
    response = Api(None).get(CLOCK, **headers)
    assert problem(response) == (401, code)
    schemes = [challenge.split()[0] for challenge in response["WWW-Authenticate"].split(", ")]
    assert schemes == ["Api-Key", "Bearer", "Signature"]


def test_a_token_in_authorization_is_looked_up_as_a_token():
    with pytest.raises(InvalidToken):
        found(authorization=f"Bearer {make_key()}")


NOW = timezone.now()
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("flags", "profile", "scopes"),
    [
        ({}, {}, None),
        ({}, {"scopes": ["audit:read"]}, {"audit:read"}),
        ({"is_staff": True}, {}, {"market:read"}),
        ({"is_staff": True}, {"scopes": ["audit:read"]}, {"audit:read"}),
        ({"is_staff": True}, {"scopes": ["audit:read"], "revoked_at": NOW - SECOND}, None),
        ({}, {"scopes": ["audit:read"], "expires_at": NOW}, None),
        ({}, {"scopes": ["audit:read"], "expires_at": NOW + SECOND}, {"audit:read"}),
        ({"is_superuser": True, "is_active": False}, {}, None),
    ],
)
def test_a_person_has_the_scopes_of_the_profile(flags, profile, scopes):
    caller = caller_of_person(person(flags=flags, **profile), credential="session", now=NOW)
    assert (None if caller is None else caller.scopes) == scopes


def made(*args: Any, **named: Any) -> Caller:
    caller = caller_of_person(*args, **named)
    assert caller is not None
    return caller


def test_a_superuser_may_everything_whatever_a_profile_says():
    user = person(flags={"is_superuser": True}, scopes=[], revoked_at=NOW)
    caller = made(user, credential="session", now=NOW)
    assert caller.scopes == set(SCOPES)
    assert caller.owns("any")
    assert (caller.sensitivity, caller.identity) == ("confidential", f"user:{user.pk}")


def test_staff_without_a_profile_see_public_data_and_own_nothing():
    caller = made(person(flags={"is_staff": True}), credential="session", now=NOW)
    assert (caller.sensitivity, caller.accounts, caller.networks) == ("public", frozenset(), ())


def test_a_profile_has_limits_and_accounts_of_its_own():
    user = person(scopes=["trading:read"], tier="default", rate=3, accounts=["a1"], daily_quota=0)
    caller = made(user, credential="jwt", now=NOW)
    assert (caller.tier, caller.rate, caller.daily_quota, caller.credential) == ("default", 3, None, "jwt")
    assert caller.owns("a1")
    assert not caller.owns("a2")


def test_an_anonymous_session_has_no_caller():
    assert caller_of_person(AnonymousUser(), credential="session", now=NOW) is None
    assert caller_of_person(User(is_active=True), credential="session", now=NOW) is None


@pytest.mark.django_db
def test_people_and_keys_are_known_as_they_are_stored() -> None:
    now = timezone.now()
    user = User.objects.create(username="ada", is_superuser=True)
    make_key(scopes=("market:read",))
    key = ApiKey.objects.get()
    found = [caller_stored(identity, now=now) for identity in (f"user:{user.pk}", f"key:{key.pk}")]
    assert [each.scopes for each in found] == [frozenset(SCOPES), {"market:read"}]
    User.objects.update(is_active=False)
    ApiKey.objects.update(revoked_at=now)
    for identity in (f"user:{user.pk}", f"key:{key.pk}", "user:0", "key:0", "schedule:x"):
        with pytest.raises(CredentialError):
            caller_stored(identity, now=now)
