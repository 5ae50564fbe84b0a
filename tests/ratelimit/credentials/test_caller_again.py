"""A caller that is looked up again: as its credential is stored now, whatever the caches say."""

from dataclasses import replace

import pytest
from django.utils import timezone

from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_now, identify
from ratelimit.exceptions import InvalidApiKey, InvalidToken, NetworkNotAllowed, RevokedApiKey
from ratelimit.models import AccessProfile, ApiKey
from tests.api_client import make_key
from tests.ratelimit.access.programs import token_of_a_program
from tests.ratelimit.credentials.logins import logged_in, person
from tests.received_calls import received

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


def test_a_session_is_read_at_each_request_anyway():
    caller = Caller("user:1", "ada", "internal", 1, frozenset(), credential="session")
    assert again(caller, {}) is caller
