from datetime import UTC, datetime, timedelta

import pytest

from ratelimit.callers import Caller
from ratelimit.exceptions import (
    ExpiredApiKey,
    InvalidApiKey,
    RevokedApiKey,
    UnknownKey,
)
from ratelimit.keys.api_keys import generate
from ratelimit.keys.selectors import CachedKey, KeyCache, key_cache, key_list, key_named
from ratelimit.keys.services import CreatedKey, key_create, key_revoke
from ratelimit.models import ApiKey
from tests.ratelimit.keys.key_callers import caller_by

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def made_key(**changes) -> CreatedKey:
    values = {"name": "feed", "tier": "premium", "scopes": ["market:read"], "now": NOW, "actor": "test"}
    return key_create(**{**values, **changes})


def bearer(key: str) -> Caller:
    return caller_by(key, now=NOW)


def found(cache: KeyCache, key: ApiKey) -> CachedKey:
    known = cache.find(key.digest)
    assert known is not None
    return known


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_only_the_digest_of_a_key_is_stored():
    created = made_key()
    stored = ApiKey.objects.values().get()
    assert created.key not in str(stored)
    assert created.key.split("_")[2] not in str(stored)
    assert (stored["prefix"], stored["created_at"]) == (created.prefix, NOW)


def test_a_key_stands_for_its_caller():
    created = made_key(scopes=["all"])
    caller = bearer(created.key)
    assert (caller.identity, caller.rate, caller.tier) == (f"key:{created.id}", 100, "premium")
    assert "audit:read" in caller.scopes


def test_a_rate_of_its_own_overrides_the_tier():
    assert bearer(made_key(rate=7).key).rate == 7


def test_an_unknown_key_is_refused_and_takes_no_memory():
    for _ in range(20):
        with pytest.raises(InvalidApiKey):
            caller_by(generate().key, now=NOW)
    assert len(key_cache) == 0


def test_a_key_is_valid_until_its_expiry():
    created = made_key(expires_at=NOW + timedelta(seconds=10))
    assert caller_by(created.key, now=NOW + timedelta(seconds=9.999)).identity == f"key:{created.id}"
    with pytest.raises(ExpiredApiKey):
        caller_by(created.key, now=NOW + timedelta(seconds=10))


def test_a_revocation_is_seen_here_at_once_and_is_kept_as_first_made():
    created = made_key()
    assert caller_by(created.key, now=NOW).identity == f"key:{created.id}"
    assert key_revoke(key=created.stored, now=NOW, actor="test")
    with pytest.raises(RevokedApiKey):
        caller_by(created.key, now=NOW)
    assert not key_revoke(key=created.stored, now=NOW + timedelta(days=1), actor="test")
    assert key_named(created.prefix).revoked_at == NOW


def test_a_revocation_elsewhere_is_seen_within_a_second():
    clock = Clock()
    cache = KeyCache(clock=clock)
    created = made_key()
    key = ApiKey.objects.get()
    assert found(cache, key).revoked_at is None
    ApiKey.objects.update(revoked_at=NOW)
    clock.now += 0.5
    assert found(cache, key).revoked_at is None
    clock.now += 0.5
    assert found(cache, key).revoked_at == NOW
    assert created.id == key.pk


def test_the_cache_is_bounded_and_drops_the_least_recently_used():
    clock = Clock()
    cache = KeyCache(capacity=2, clock=clock)
    for name in "abc":
        made_key(name=name)
    digests = list(key_list().values_list("digest", flat=True))
    first = cache.find(digests[0])
    cache.find(digests[1])
    clock.now += 1
    first = cache.find(digests[0])
    cache.find(digests[2])
    assert len(cache) == 2
    assert cache.find(digests[0]) is first


def test_a_key_is_named_by_id_and_by_prefix():
    created = made_key()
    for reference in (str(created.id), created.prefix, f"md_{created.prefix}"):
        assert key_named(reference).pk == created.id


@pytest.mark.parametrize("reference", ["0", "9" * 30, "zzzzzzzz", "", "²"])
def test_an_unknown_reference_is_refused(reference):
    made_key()
    with pytest.raises(UnknownKey):
        key_named(reference)


def test_an_ambiguous_prefix_is_refused():
    made_key()
    made_key()
    ApiKey.objects.update(prefix="samesame")
    with pytest.raises(UnknownKey):
        key_named("samesame")
