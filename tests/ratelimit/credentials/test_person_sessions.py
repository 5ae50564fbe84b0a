"""Logging in, going on and logging out, and how soon a session that is over is over everywhere."""

import os
import subprocess
import sys
from datetime import timedelta

import orjson
import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ratelimit.credentials.bearer import TokenCache, token_cache
from ratelimit.credentials.sessions import session_begin
from ratelimit.exceptions import InvalidToken
from ratelimit.models import AccessProfile, TokenSession
from tests.api_client import answer, problem
from tests.migrated_database import NAME, place_database
from tests.ratelimit.credentials.logins import PASSWORD, called, logged_in, login, person, post

pytestmark = pytest.mark.django_db
INVALID = (401, "invalid_token")
LIMITS = "/api/v1/limits"


def refreshed(tokens):
    return post("/auth/refresh", {"refresh": tokens["refresh"]})


def test_a_person_calls_with_the_token_of_a_login():
    user = person(scopes=["market:read"])
    response = login()
    tokens = answer(response)
    assert (tokens["token_type"], tokens["expires_in"], tokens["refresh_expires_in"]) == (
        "Bearer",
        300,
        86400,
    )
    assert response["Cache-Control"] == "no-store"
    assert called(tokens["access"]).status_code == 200
    known = token_cache.find(tokens["access"], now=timezone.now())
    assert (known.caller.identity, known.caller.credential) == (f"user:{user.pk}", "jwt")


def test_the_token_grants_what_the_profile_grants():
    person(scopes=["audit:read"])
    assert problem(called(logged_in()["access"])) == (403, "missing_scope")


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_a_wrong_login_is_401_and_tells_nothing_of_the_name(name):
    person(scopes=["market:read"])
    response = login(name, "wrong")
    assert problem(response) == (401, "invalid_login")
    assert answer(response)["message"] == "the name or the password is wrong"
    assert response["WWW-Authenticate"].startswith("Api-Key ")


@pytest.mark.parametrize(
    ("flags", "profile"),
    [
        ({}, {}),
        ({"is_active": False}, {"scopes": ["market:read"]}),
        ({"is_active": False, "is_superuser": True}, {}),
        ({"is_staff": True}, {"scopes": ["market:read"], "revoked_at": timezone.now()}),
        ({}, {"scopes": ["market:read"], "expires_at": timezone.now() - timedelta(seconds=1)}),
    ],
    ids=["without a profile", "inactive", "inactive superuser", "revoked", "expired"],
)
def test_a_person_without_grants_cannot_log_in(flags, profile):
    person(flags=flags, **profile)
    assert problem(login()) == (401, "invalid_login")


def test_without_a_profile_their_tier_is_internal_by_token_and_by_session():
    for flags in ({"is_staff": True}, {"is_superuser": True}):
        user = person("-".join(flags), flags=flags)
        browser = Client()
        browser.force_login(user)
        for response in (called(logged_in(user.username)["access"], LIMITS), browser.get(LIMITS)):
            assert answer(response)["tier"] == "internal"


def test_staff_without_a_profile_read_public_data_and_nothing_else():
    person("clerk", flags={"is_staff": True})
    token = logged_in("clerk")["access"]
    paths = ("clock", "cache/stats", "keys", "audit")
    assert [called(token, f"/api/v1/{path}").status_code for path in paths] == [200, 403, 403, 403]


def test_a_profile_of_the_least_tier_holds_for_staff_too():
    person("clerk", flags={"is_staff": True}, scopes=["market:read"], tier="default")
    assert answer(called(logged_in("clerk")["access"], LIMITS))["tier"] == "default"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/auth/token", {"username": "ada"}, 422),
        ("/auth/token", {"username": "ada", "password": "x" * 1025}, 422),
        ("/auth/token", {"username": "ada", "password": "x", "otp": "1"}, 422),
        ("/auth/token", {"username": "a\0da", "password": "x"}, 422),
        ("/auth/token", ["ada"], 422),
        ("/auth/token?password=x", {"username": "ada", "password": "x"}, 400),
        ("/auth/refresh", {"refresh": "x" * 2049}, 422),
        ("/auth/refresh", {"refresh": None}, 422),
        ("/auth/refresh", b"{", 400),
        ("/auth/refresh", {"refresh": "no token"}, 401),
        ("/auth/logout", {"refresh": "no token"}, 401),
    ],
)
def test_bad_bodies_are_problems(path, body, status):
    assert problem(post(path, body))[0] == status


def test_a_refresh_token_that_comes_again_ends_the_whole_session_and_no_other():
    person(scopes=["market:read"])
    other, first = logged_in(), logged_in()
    second = answer(refreshed(first))
    third = answer(refreshed(second))
    token_cache.clear()
    assert called(third["access"]).status_code == 200
    assert problem(refreshed(first)) == INVALID
    token_cache.clear()
    for tokens in (first, second, third):
        assert problem(called(tokens["access"])) == INVALID
        assert problem(refreshed(tokens)) == INVALID
    assert called(other["access"]).status_code == 200
    assert refreshed(other).status_code == 200


@pytest.mark.system
@pytest.mark.soak
def test_of_twenty_that_refresh_at_once_one_is_served_and_the_session_is_over(tmp_path):
    place_database(tmp_path)
    database = f"sqlite:///{tmp_path}/{NAME}"
    process = subprocess.run(
        [sys.executable, "-m", "tests.ratelimit.credentials.refresh_race"],
        env={**os.environ, "DATABASE_URL": database},
        capture_output=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr.decode()
    found = orjson.loads(process.stdout)
    assert sorted(found["statuses"]) == [200] + [401] * 19
    assert found["living"] == 0


def test_logging_out_ends_the_session_at_once_here_and_may_be_repeated():
    person(scopes=["market:read"])
    tokens = logged_in()
    assert called(tokens["access"]).status_code == 200
    for _ in range(2):
        response = post("/auth/logout", {"refresh": tokens["refresh"]})
        assert (response.status_code, response.content) == (204, b"")
        assert problem(called(tokens["access"])) == INVALID
    assert problem(refreshed(tokens)) == INVALID


def deactivated(user):
    User.objects.filter(pk=user.pk).update(is_active=False)


def password_changed(user):
    user.set_password("another")
    user.save()


def logged_out(user):
    TokenSession.objects.filter(identity=f"user:{user.pk}").update(ended_at=timezone.now())


def profile_revoked(user):
    AccessProfile.objects.filter(user=user).update(revoked_at=timezone.now())


def profile_expired(user):
    AccessProfile.objects.filter(user=user).update(expires_at=timezone.now())


def deleted(user):
    user.delete()


@pytest.mark.parametrize(
    "end", [deactivated, password_changed, logged_out, profile_revoked, profile_expired, deleted]
)
def test_other_processes_refuse_an_ended_session_within_a_second(end):
    user = person(scopes=["market:read"])
    tokens, moment = logged_in(), [0.0]
    other = TokenCache(clock=lambda: moment[0])
    known = other.find(tokens["access"], now=timezone.now())
    end(user)
    moment[0] = 0.89
    assert other.find(tokens["access"], now=timezone.now()) is known
    moment[0] = 0.91
    with pytest.raises(InvalidToken):
        other.find(tokens["access"], now=timezone.now())
    assert len(other) == 0
    assert problem(refreshed(tokens)) == INVALID


def test_a_change_of_the_profile_is_seen_within_a_second():
    person(scopes=["market:read"])
    tokens, moment = logged_in(), [0.0]
    cache = TokenCache(clock=lambda: moment[0])
    assert cache.find(tokens["access"], now=timezone.now()).caller.scopes == {"market:read"}
    AccessProfile.objects.update(scopes=["audit:read"])
    moment[0] = 0.9
    assert cache.find(tokens["access"], now=timezone.now()).caller.scopes == {"audit:read"}


def test_a_cached_access_token_is_valid_for_five_minutes():
    person(scopes=["market:read"])
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        tokens = logged_in()
        clock.shift(301)
        assert called(tokens["access"]).status_code == 200
        clock.shift(2)
        assert problem(called(tokens["access"])) == INVALID
        token_cache.clear()
        assert problem(called(tokens["access"])) == INVALID
        assert refreshed(tokens).status_code == 200


def test_a_refresh_token_is_valid_for_a_day():
    person(scopes=["market:read"])
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        tokens = logged_in()
        clock.shift(timedelta(days=1, seconds=3))
        assert problem(refreshed(tokens)) == INVALID


def test_a_session_that_is_renewed_every_day_is_over_thirty_days_after_its_login():
    person(scopes=["market:read"])
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        tokens = logged_in()
        for _ in range(30):
            clock.shift(timedelta(hours=23, minutes=59))
            tokens = answer(refreshed(tokens))
        clock.shift(timedelta(minutes=29, seconds=59))
        tokens = answer(refreshed(tokens))
        clock.shift(timedelta(seconds=1))
        assert problem(refreshed(tokens)) == INVALID
        token_cache.clear()
        assert problem(called(tokens["access"])) == INVALID
        assert called(logged_in()["access"]).status_code == 200


def test_a_secret_key_that_was_replaced_is_good_while_it_is_a_fallback(settings):
    person(scopes=["market:read"])
    tokens = logged_in()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the next one", [settings.SECRET_KEY]
    token_cache.clear()
    assert called(tokens["access"]).status_code == 200
    new = answer(refreshed(tokens))
    settings.SECRET_KEY_FALLBACKS = []
    token_cache.clear()
    assert problem(called(tokens["access"])) == INVALID
    assert called(new["access"]).status_code == 200


def test_no_token_and_no_password_is_stored():
    person(scopes=["market:read"])
    tokens = answer(refreshed(logged_in()))
    stored = repr(list(TokenSession.objects.values()))
    for secret in (PASSWORD, *tokens["access"].split("."), *tokens["refresh"].split(".")):
        assert secret not in stored


def test_the_repr_of_tokens_has_no_secrets():
    user = person(scopes=["market:read"])
    pair = session_begin(username=user.username, password=PASSWORD, request=None, now=timezone.now())
    assert pair.access not in repr(pair)
    assert pair.refresh not in repr(pair)
