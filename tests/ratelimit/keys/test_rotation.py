"""Making, rotating and revoking keys, and what is told of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ratelimit.callers import Caller
from ratelimit.exceptions import (
    ExpiredApiKey,
    GrantExceeded,
    InvalidApiKey,
    NotRotatable,
    RevokedApiKey,
)
from ratelimit.keys.api_keys import signing_secret
from ratelimit.keys.selectors import key_document
from ratelimit.keys.services import CreatedKey, key_create, key_revoke, key_rotate
from ratelimit.models import ApiKey
from tests.ratelimit import key_events
from tests.ratelimit.keys.key_callers import caller_by

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("events")]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GRANTS = {
    "name": "feed",
    "tier": "premium",
    "rate": 50,
    "trading_rate": 2,
    "daily_quota": 0,
    "monthly_quota": 9,
    "scopes": ["market:read", "trading:read"],
    "accounts": ["A"],
    "sensitivity": "confidential",
    "networks": ["10.0.0.0/8"],
    "signed_only": True,
    "before_expiry": "rotate",
}
BY: Any = {"actor": "key:1", "now": NOW}


def made(**changes) -> CreatedKey:
    return key_create(**{"name": "feed", "scopes": ["market:read"], **BY, **changes})


def rotated(created: CreatedKey, *, overlap=HOUR, now=NOW, **changes) -> CreatedKey:
    return key_rotate(key=created.stored, overlap=overlap, now=now, actor="key:1", **changes)


def after(change: Callable[..., object], created: CreatedKey, **arguments) -> None:
    change(key=ApiKey.objects.get(pk=created.id), **BY, **arguments)


def refusal(created: CreatedKey, now: datetime) -> type[Exception] | None:
    try:
        caller_by(created.key, now=now)
    except (ExpiredApiKey, RevokedApiKey) as error:
        return type(error)
    return None


def test_a_key_is_stored_with_all_that_it_grants():
    created = made(**GRANTS)
    stored = ApiKey.objects.get()
    assert {name: getattr(stored, name) for name in GRANTS} == GRANTS
    assert (stored.created_at, stored.old_digest, stored.last_used_at) == (NOW, None, None)
    assert created.signing_secret == signing_secret(stored.digest)


def test_the_secrets_of_a_new_key_are_in_no_repr_and_no_document_but_the_one_that_is_shown():
    created = made()
    shown = created.document(now=NOW)
    assert (shown["key"], shown["signing_secret"]) == (created.key, created.signing_secret)
    for text in (repr(created), str(key_document(created.stored, now=NOW))):
        assert created.key.split("_")[2] not in text
        assert created.signing_secret not in text
        assert created.stored.digest not in text


def test_a_rotated_key_keeps_its_id_prefix_and_grants_and_lives_as_long_again():
    old = made(**GRANTS, certificate="0f" * 32, expires_at=NOW + 30 * DAY)
    new = rotated(old, now=NOW + 20 * DAY)
    stored = ApiKey.objects.get()
    assert {name: getattr(stored, name) for name in GRANTS} == GRANTS
    assert (stored.pk, stored.prefix, stored.certificate) == (old.id, old.prefix, "0f" * 32)
    assert (stored.expires_at, stored.overlap_until) == (NOW + 50 * DAY, NOW + 20 * DAY + HOUR)
    assert new.key != old.key
    assert new.signing_secret != old.signing_secret


def test_a_key_without_expiry_has_none_after_its_rotation():
    assert rotated(made()).stored.expires_at is None


@pytest.mark.parametrize(
    ("expires_in", "overlap", "holds", "fails"),
    [
        (None, HOUR, timedelta(minutes=59), HOUR),
        (None, 30 * DAY, 30 * DAY - HOUR, 30 * DAY),
        (timedelta(minutes=5), HOUR, timedelta(minutes=4), timedelta(minutes=5)),
    ],
)
def test_the_old_secret_holds_for_the_overlap_and_never_beyond_the_keys_expiry(
    expires_in, overlap, holds, fails
):
    old = made(expires_at=None if expires_in is None else NOW + expires_in)
    new = rotated(old, overlap=overlap)
    assert (refusal(old, NOW + holds), refusal(old, NOW + fails)) == (None, ExpiredApiKey)
    assert refusal(new, NOW) is None


def test_without_overlap_the_old_secret_ends_at_once():
    old = made()
    assert refusal(old, NOW) is None
    rotated(old, overlap=timedelta(0))
    assert refusal(old, NOW) is ExpiredApiKey


def test_revoking_a_key_ends_both_secrets():
    old = made()
    new = rotated(old)
    assert [caller_by(each.key, now=NOW).identity for each in (old, new)] == [f"key:{old.id}"] * 2
    after(key_revoke, new)
    assert [refusal(each, NOW) for each in (old, new)] == [RevokedApiKey] * 2


def test_the_old_secret_is_ended_early_once(events):
    old = made()
    new = rotated(old)
    events.clear()
    assert [key_revoke(key=new.stored, only_old=True, **BY) for _ in range(2)] == [True, False]
    assert [refusal(each, NOW) for each in (old, new)] == [ExpiredApiKey, None]
    assert [told["event"] for told in events] == ["key.overlap_ended"]
    assert not key_revoke(key=made(name="never rotated").stored, only_old=True, **BY)


def test_an_older_secret_is_unknown():
    first = made()
    second = rotated(first, overlap=timedelta(0))
    rotated(second, overlap=timedelta(0))
    with pytest.raises(InvalidApiKey):
        caller_by(first.key, now=NOW)


def test_the_secret_of_an_ended_overlap_rotates_nothing():
    """A process that does not know of the end yet takes it for a second."""
    old = made(scopes=["keys:manage"], sensitivity="confidential")
    by_old = caller_by(old.key, now=NOW)
    new = rotated(old, overlap=timedelta(0))
    with pytest.raises(NotRotatable, match="newest secret"):
        rotated(new, within=by_old)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (rotated, "end the overlap, or wait until 2026-01-02T04:04:05Z"),
        (lambda created: rotated(created, overlap=timedelta(0)), "newest secret"),
        (lambda created: after(key_revoke, created), "was revoked"),
        (lambda created: ApiKey.objects.filter(pk=created.id).update(expires_at=NOW), "has expired"),
    ],
)
def test_an_invalid_key_is_not_rotated(before, message):
    created = made()
    before(created)
    row = ApiKey.objects.values().get()
    with pytest.raises(NotRotatable, match=message):
        rotated(created)
    assert ApiKey.objects.values().get() == row


def test_a_key_is_rotated_again_after_the_overlap_or_its_early_end():
    second = rotated(made())
    after(key_revoke, second, only_old=True)
    third = rotated(second)
    assert refusal(rotated(third, now=NOW + HOUR), NOW + HOUR) is None


def lesser() -> Caller:
    return Caller(identity="key:7", name="x", tier="default", rate=10, scopes=frozenset({"keys:manage"}))


@pytest.mark.parametrize(
    "change",
    [
        lambda _: made(within=lesser()),
        lambda created: rotated(created, within=lesser()),
        lambda created: key_revoke(key=created.stored, within=lesser(), **BY),
    ],
)
def test_a_caller_cannot_create_rotate_or_revoke_a_key_with_more_grants(change, events):
    created = made()
    events.clear()
    with pytest.raises(GrantExceeded):
        change(created)
    stored = ApiKey.objects.get()
    assert (stored.digest, stored.revoked_at, events) == (created.stored.digest, None, [])


def test_each_change_is_recorded_once_without_secrets(events):
    first = made(correlation_id="c1")
    second = rotated(first, correlation_id="c2")
    for _ in range(2):
        key_revoke(key=second.stored, correlation_id="c3", **BY)
    assert [(told["event"], told["subject"], told["correlation_id"]) for told in events] == [
        ("key.created", f"key:{first.id}", "c1"),
        ("key.rotated", f"key:{first.id}", "c2"),
        ("key.revoked", f"key:{first.id}", "c3"),
    ]
    assert {(told["actor"], told["at"], told["audit_class"]) for told in events} == {("key:1", NOW, "keys")}
    before, after = events[1]["detail"]["change"]
    assert (before["overlap_until"], after["overlap_until"]) == (None, "2026-01-02T04:04:05Z")
    for created in (first, second):
        for secret in (created.key.split("_")[2], created.signing_secret, created.stored.digest):
            assert secret not in str(events)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: made(name="other"),
        rotated,
        lambda created: key_revoke(key=created.stored, **BY),
    ],
)
def test_a_change_without_its_record_is_rolled_back(change, monkeypatch):
    created = made()
    monkeypatch.setattr("ratelimit.events.event_record", key_events.refuse)
    with pytest.raises(RuntimeError):
        change(created)
    stored = ApiKey.objects.get()
    assert (stored.digest, stored.revoked_at) == (created.stored.digest, None)
