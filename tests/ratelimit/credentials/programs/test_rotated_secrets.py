"""The secret of an OAuth2 client is rotated with an overlap, in which the old one and the new one get tokens."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from ratelimit.credentials.programs.clients import CreatedClient, client_rotate
from ratelimit.exceptions import NotRotatable
from ratelimit.models import OAuthClient
from tests.api_client import problem
from tests.ratelimit.credentials.logins import called
from tests.ratelimit.credentials.programs.test_oauth2 import (
    GRANT,
    by_basic,
    client_of,
    error,
    in_form,
    issued,
    post,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("events")]

HOUR = timedelta(hours=1)
REFUSED = (401, "invalid_client")


def rotated(client: CreatedClient, *, overlap: timedelta = HOUR) -> CreatedClient:
    return client_rotate(client=client.stored, overlap=overlap, now=timezone.now(), actor="command:test")


def is_accepted(client: CreatedClient) -> bool:
    """Whether the secret gets a token, by the header and by the form alike."""
    answers = (post("token", GRANT, by_basic(client)), post("token", {**GRANT, **in_form(client)}))
    statuses = {response.status_code for response in answers}
    assert statuses in ({200}, {401})
    return statuses == {200}


def test_both_secrets_get_tokens_until_the_overlap_ends():
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        old = client_of()
        new = rotated(old)
        clock.shift(3599)
        assert [is_accepted(each) for each in (old, new)] == [True, True]
        token = issued(old)
        clock.shift(1)
        assert [is_accepted(each) for each in (old, new)] == [False, True]
        assert error(post("revoke", {"token": token}, by_basic(old))) == REFUSED
        assert called(token).status_code == 200


def test_without_overlap_the_old_secret_and_the_tokens_end_at_once():
    old = client_of()
    token = issued(old)
    assert called(token).status_code == 200
    new = rotated(old, overlap=timedelta(0))
    assert [is_accepted(each) for each in (old, new)] == [False, True]
    assert problem(called(token)) == (401, "invalid_token")


def test_a_secret_is_not_ended_earlier_than_promised_but_by_a_rotation_without_overlap():
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        first = client_of()
        second = rotated(first)
        with pytest.raises(NotRotatable, match="valid until 2026-11-20T13:00:00Z"):
            rotated(second)
        assert [is_accepted(each) for each in (first, second)] == [True, True]
        third = rotated(second, overlap=timedelta(0))
        assert [is_accepted(each) for each in (first, second, third)] == [False, False, True]
        fourth = rotated(third)
        clock.shift(3600)
        fifth = rotated(fourth)
        assert [is_accepted(each) for each in (third, fourth, fifth)] == [False, True, True]


@pytest.mark.parametrize("wrong", ["", "x", "the hash"])
@pytest.mark.parametrize("overlap", [HOUR, timedelta(0)])
def test_no_other_secret_is_accepted(wrong, overlap):
    new = rotated(client_of(), overlap=overlap)
    guess = new.stored.old_secret if wrong == "the hash" else wrong
    assert not is_accepted(CreatedClient(stored=new.stored, secret=guess))


def test_the_old_secret_of_a_client_is_not_that_of_another():
    old, other = client_of(), client_of(name="other")
    rotated(old)
    rotated(other)
    assert not is_accepted(CreatedClient(stored=other.stored, secret=old.secret))


@pytest.mark.parametrize("change", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now()}])
def test_a_client_that_is_not_valid_is_not_rotated(change):
    client = client_of()
    OAuthClient.objects.update(**change)
    with pytest.raises(NotRotatable, match="create a new one"):
        rotated(client)


def test_grants_and_expiry_stay_and_the_event_has_no_secret(events):
    old = client_of(expires_at=timezone.now() + HOUR)
    before = OAuthClient.objects.get()
    new = rotated(old)
    after = OAuthClient.objects.get()
    same = ("client_id", "scopes", "tier", "expires_at", "revoked_at")
    assert {name: getattr(before, name) for name in same} == {name: getattr(after, name) for name in same}
    told = events[-1]
    assert (told["event"], told["subject"], told["actor"]) == (
        "client.rotated",
        f"client:{after.pk}",
        "command:test",
    )
    assert told["detail"]["change"][1]["old_secret_expires_at"] is not None
    for secret in (old.secret, new.secret, after.client_secret, after.old_secret):
        assert secret
        assert secret not in str(events)
