"""A caller that is looked up again: as its credential is stored now, whatever the caches say."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from ratelimit.callers import Caller
from ratelimit.credentials import authentication
from ratelimit.credentials.authentication import may_still_call
from ratelimit.credentials.browser_login import caller_of_cookies
from ratelimit.credentials.identify import caller_now, identify
from ratelimit.credentials.jwt import ACCESS_LIFETIME
from ratelimit.exceptions import ExpiredApiKey, InvalidApiKey, InvalidToken, NetworkNotAllowed, RevokedApiKey
from ratelimit.keys.services import key_revoke, key_rotate
from ratelimit.limits.services import ChargedCall
from ratelimit.models import AccessProfile, ApiKey
from tests.api_client import make_key
from tests.ratelimit.access.programs import token_of_a_program
from tests.ratelimit.credentials.logins import PASSWORD, logged_in, person, post
from tests.ratelimit.credentials.signatures.signing import arrived, headers_for
from tests.received_calls import received
from web.endpoints import Access
from web.requests.received import ReceivedCall
from web.requests.wsgi_variables import CHARGED_CALL, RECEIVED_CALL

pytestmark = pytest.mark.django_db


def identified(headers: dict[str, str]) -> Caller:
    found = identify(received(headers), now=timezone.now())
    assert found is not None
    return found.caller


def again(caller: Caller, headers: dict[str, str]) -> Caller:
    return caller_now(caller, received(headers), now=timezone.now())


class TestKeys:
    @pytest.fixture
    def headers(self) -> dict[str, str]:
        return {"x-api-key": make_key()}

    def test_one_that_is_as_before_is_the_same_caller(self, headers):
        caller = identified(headers)
        assert again(caller, headers) == caller
        signed = replace(caller, credential="signature")
        assert again(signed, headers) == signed

    def test_a_revoked_one_is_refused_although_it_is_cached(self, headers):
        caller = identified(headers)
        ApiKey.objects.update(revoked_at=timezone.now())
        assert identified(headers) == caller
        with pytest.raises(RevokedApiKey):
            again(caller, headers)

    def test_so_is_one_that_is_gone_or_may_not_call_from_here(self, headers):
        caller = identified(headers)
        ApiKey.objects.update(networks=["198.51.100.0/24"])
        with pytest.raises(NetworkNotAllowed):
            again(caller, headers)
        ApiKey.objects.all().delete()
        with pytest.raises(InvalidApiKey):
            again(caller, headers)


@pytest.mark.parametrize("is_signed", [False, True])
def test_what_an_old_secret_began_ends_with_it(is_signed: bool):
    old = make_key()
    stored = ApiKey.objects.get()
    new = key_rotate(key=stored, overlap=timedelta(hours=1), now=timezone.now(), actor="test").key

    def call_by(key: str) -> ReceivedCall:
        headers = headers_for(key, method="GET", body=None) if is_signed else {"x-api-key": key}
        return arrived(headers, method="GET", body=b"").call

    calls = [(call, identify(call, now=timezone.now())) for call in map(call_by, (old, new))]
    callers = [(call, found.caller) for call, found in calls if found is not None]
    assert [caller_now(caller, call, now=timezone.now()) for call, caller in callers] == [
        caller for _, caller in callers
    ]
    key_revoke(key=stored, only_old=True, now=timezone.now(), actor="test")
    with pytest.raises(ExpiredApiKey):
        caller_now(callers[0][1], callers[0][0], now=timezone.now())
    assert caller_now(callers[1][1], callers[1][0], now=timezone.now()) == callers[1][1]


def test_a_persons_token_ends_with_the_profile():
    person("ada", scopes=("market:read",))
    headers = {"authorization": f"Bearer {logged_in('ada')['access']}"}
    caller = identified(headers)
    assert again(caller, headers) == caller
    AccessProfile.objects.update(revoked_at=timezone.now())
    assert identified(headers) == caller
    with pytest.raises(InvalidToken):
        again(caller, headers)


def test_a_programs_token_ends_with_its_key():
    headers = {name.lower(): value for name, value in token_of_a_program(scopes=("market:read",)).items()}
    caller = identified(headers)
    assert again(caller, headers) == caller
    ApiKey.objects.update(revoked_at=timezone.now())
    with pytest.raises(InvalidToken):
        again(caller, headers)


def test_a_token_may_have_expired_but_its_session_must_be_open():
    person("ada", scopes=("market:read",))
    with time_machine.travel(timezone.now() - 2 * ACCESS_LIFETIME, tick=False):
        tokens = logged_in("ada")
        headers = {"authorization": f"Bearer {tokens['access']}"}
        caller = identified(headers)
    assert again(caller, headers) == caller
    assert post("/auth/logout", {"refresh": tokens["refresh"]}).status_code == 204
    with pytest.raises(InvalidToken):
        again(caller, headers)


@pytest.mark.parametrize("end", [Client.logout, lambda _: AccessProfile.objects.all().delete()])
def test_the_session_of_a_browser_is_read_again_for_what_goes_on(end: Callable[[Client], object]):
    person("ada", scopes=("market:read",))
    browser = Client()
    assert browser.login(username="ada", password=PASSWORD)
    headers = {"cookie": f"{settings.SESSION_COOKIE_NAME}={browser.cookies['sessionid'].value}"}
    caller = caller_of_cookies(headers["cookie"], now=timezone.now())
    assert caller is not None
    charged = ChargedCall(caller, Access("market:read"), 1)
    environ = {RECEIVED_CALL: received(headers), CHARGED_CALL: charged}
    assert may_still_call(environ)
    end(browser)
    assert not may_still_call(environ)


def may_after_narrowing(headers: dict[str, str], access: Access) -> bool:
    charged = ChargedCall(identified(headers), access, 1)
    ApiKey.objects.update(scopes=["market:read"])
    return may_still_call({RECEIVED_CALL: received(headers), CHARGED_CALL: charged})


def test_a_call_may_go_on_while_its_scope_is_granted():
    headers = {"x-api-key": make_key(scopes=("market:read", "market:write"))}
    assert may_after_narrowing(headers, Access("market:read"))
    assert not may_after_narrowing(headers, Access("market:write"))


@pytest.mark.parametrize("charged", [{}, {CHARGED_CALL: ChargedCall(None, Access("market:read"), 1)}])
def test_what_no_caller_was_charged_for_goes_on(charged: dict[str, Any]):
    """Pages and their files are streams, too."""
    assert may_still_call({RECEIVED_CALL: received(), **charged})


def test_without_the_database_the_last_answer_counts(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(authentication, "caller_now", fail)
    assert may_after_narrowing({"x-api-key": make_key(scopes=("market:read",))}, Access("market:read"))
