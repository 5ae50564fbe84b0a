"""The addresses from which people have logged in."""

from datetime import UTC, datetime, timedelta

import pytest

from ratelimit.credentials.logins import KNOWN_FOR, _is_known, known_addresses_delete_old
from ratelimit.models import KnownAddress
from tests.ratelimit.credentials.logins import person

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
HOME, ELSEWHERE = "198.51.100.1", "2001:db8:0:1::/64"


@pytest.fixture(autouse=True)
def home():
    KnownAddress.objects.create(user=person("ada"), address=HOME, last_login_at=NOW)


def test_an_address_is_known_to_the_person_who_logged_in_from_it():
    person("eve")
    assert _is_known("ada", HOME, now=NOW)
    assert not _is_known("ada", ELSEWHERE, now=NOW)
    assert not _is_known("eve", HOME, now=NOW)
    assert not _is_known("nobody", HOME, now=NOW)


def test_it_is_known_for_thirty_days_after_the_last_login():
    last = NOW + KNOWN_FOR - timedelta(microseconds=1)
    assert _is_known("ada", HOME, now=last)
    assert not _is_known("ada", HOME, now=NOW + KNOWN_FOR)
    assert known_addresses_delete_old(now=last) == 0
    assert known_addresses_delete_old(now=NOW + KNOWN_FOR) == 1
