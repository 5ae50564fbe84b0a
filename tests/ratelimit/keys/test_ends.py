"""Whoever ends, or is for signing only, makes nothing that goes on without it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ratelimit.callers import Caller
from ratelimit.exceptions import GrantExceeded
from ratelimit.keys.api_keys import digest
from ratelimit.keys.selectors import caller_of_key, key_cache
from ratelimit.keys.services import (
    CreatedKey,
    key_create,
    key_revoke,
    key_rotate,
)
from ratelimit.models import ApiKey
from tests.api_client import answer, problem
from tests.ratelimit.keys.key_calls import KEYS, NEW, manager, post, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("events")]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = timedelta(days=1)
END = NOW + 10 * DAY
BY: Any = {"actor": "test", "now": NOW}


def made(**terms) -> CreatedKey:
    return key_create(**{"name": "feed", "scopes": ["market:read", "keys:manage"], **BY, **terms})


def caller(created: CreatedKey, **changes) -> Caller:
    known = key_cache.find(digest(created.key))
    assert known is not None
    return replace(caller_of_key(known, now=NOW), **changes)


def test_by_default_a_key_ends_with_its_creator():
    maker = made(expires_at=END, signed_only=True)
    new = made(within=caller(maker)).stored
    assert (new.expires_at, new.signed_only) == (END, True)


@pytest.mark.parametrize(
    ("terms", "named"),
    [
        ({"expires_at": END + timedelta(seconds=1)}, "expires_at"),
        ({"signed_only": False}, "signed_only"),
    ],
)
def test_nothing_is_made_that_outlives_its_maker_or_is_shown_bare_where_that_is_not(terms, named):
    maker = caller(made(expires_at=END, signed_only=True))
    with pytest.raises(GrantExceeded, match=named):
        made(within=maker, **terms)
    assert ApiKey.objects.count() == 1


def test_a_key_that_rotates_itself_lives_no_longer():
    first = made(expires_at=END)
    second = key_rotate(
        key=first.stored, overlap=DAY, actor="x", within=caller(first), now=NOW + 9 * DAY
    ).stored
    assert second.expires_at == END


def test_a_caller_that_expires_creates_no_key_that_rotates_by_itself():
    """The worker would rotate it for ever."""
    maker = caller(made(expires_at=END))
    with pytest.raises(GrantExceeded, match="before_expiry"):
        made(within=maker, before_expiry="rotate", certificate="0" * 64)
    assert ApiKey.objects.count() == 1
    assert made(within=replace(maker, expires_at=None), before_expiry="rotate", expires_at=END)


def test_a_key_that_is_renewed_by_itself_may_still_rotate_itself():
    first = made(expires_at=END, before_expiry="rotate")
    second = key_rotate(key=first.stored, overlap=DAY, within=caller(first), **BY).stored
    assert (second.before_expiry, second.expires_at) == ("rotate", END)


@pytest.mark.parametrize(
    ("terms", "named"), [({}, "expires_at"), ({"expires_at": END, "signed_only": False}, "signed_only")]
)
def test_a_caller_rotates_no_key_beyond_its_expiry_or_signed_only(terms, named):
    maker = caller(made(expires_at=END, signed_only=True))
    other = made(**terms)
    with pytest.raises(GrantExceeded, match=named):
        key_rotate(key=other.stored, overlap=DAY, within=maker, **BY)
    assert ApiKey.objects.get(pk=other.id).digest == other.stored.digest


def test_a_key_that_ends_may_revoke_one_that_does_not():
    maker = caller(made(expires_at=END, signed_only=True))
    assert key_revoke(key=made().stored, within=maker, **BY)


@pytest.mark.usefixtures("project_redis")
def test_over_http_it_is_a_403_that_names_the_field():
    api = manager(expires_at=datetime(2090, 1, 1, tzinfo=UTC))
    late = post(api, body={**NEW, "expires_at": "2090-01-02"})
    assert problem(late) == (403, "grant_exceeded")
    assert "expires_at" in answer(late)["detail"]
    assert answer(post(api))["expires_at"] == "2090-01-01T00:00:00Z"


@pytest.mark.usefixtures("project_redis")
@pytest.mark.parametrize("value", ["1", "TRUE", "yes"])
def test_only_old_is_true_or_false(value):
    key = stored("feed")
    refused = manager().call("DELETE", f"{KEYS}/{key.pk}?only_old={value}")
    assert problem(refused) == (400, "invalid_parameter")
    key.refresh_from_db()
    assert key.revoked_at is None
