"""Used nonces: in the database, once, until nobody can use them any more."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from ratelimit.credentials import signed_requests
from ratelimit.credentials.signed_requests import KEPT_LONGER, nonce_use, nonces_delete_expired
from ratelimit.exceptions import NonceUsed
from ratelimit.models import UsedNonce

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def use(nonce: str, *, identity: str = "key:1", at: datetime = NOW) -> None:
    nonce_use(identity=identity, nonce=nonce, useless_at=at)


@pytest.mark.django_db
def test_a_nonce_is_used_once():
    use("a")
    with pytest.raises(NonceUsed):
        use("a")
    use("b")
    use("a", identity="key:2")
    assert UsedNonce.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_nonce_is_not_used_inside_a_transaction():
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        use("a")
    assert not UsedNonce.objects.exists()


@pytest.mark.django_db
def test_nonces_are_forgotten_an_hour_after_they_are_of_use():
    use("old")
    use("new", at=NOW + timedelta(seconds=1))
    assert nonces_delete_expired(now=NOW + KEPT_LONGER) == 0
    assert nonces_delete_expired(now=NOW + KEPT_LONGER + timedelta(milliseconds=1)) == 1
    assert [row.nonce for row in UsedNonce.objects.all()] == ["new"]
    # A clock that is ahead by less than an hour forgets nothing that still counts.
    assert nonces_delete_expired(now=NOW + timedelta(minutes=59)) == 0


@pytest.mark.django_db
def test_many_are_forgotten_in_lots(monkeypatch):
    monkeypatch.setattr(signed_requests, "MOST_AT_ONCE", 4)
    for number in range(10):
        use(str(number))
    later = NOW + timedelta(days=1)
    assert [nonces_delete_expired(now=later) for _ in range(4)] == [4, 4, 2, 0]
