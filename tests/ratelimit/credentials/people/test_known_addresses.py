"""The addresses from which people have logged in."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from ratelimit.credentials.people.known_addresses import (
    KNOWN_FOR,
    MOST_OF_A_PERSON,
    REFRESHED,
    address_is_known,
    address_note,
    known_addresses_delete_old,
)
from ratelimit.models import KnownAddress
from tests.ratelimit.credentials.logins import person

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
HOME, ELSEWHERE = "198.51.100.1", "2001:db8:0:1::/64"


@pytest.fixture
def ada() -> User:
    ada = person("ada")
    address_note(ada, HOME, now=NOW)
    return ada


def test_an_address_is_known_to_the_person_who_logged_in_from_it(ada):
    person("eve")
    assert address_is_known("ada", HOME, now=NOW)
    assert not address_is_known("ada", ELSEWHERE, now=NOW)
    assert not address_is_known("eve", HOME, now=NOW)
    assert not address_is_known("nobody", HOME, now=NOW)


def test_it_is_known_for_thirty_days_after_the_last_login(ada):
    last = NOW + KNOWN_FOR - timedelta(microseconds=1)
    assert address_is_known("ada", HOME, now=last)
    assert not address_is_known("ada", HOME, now=NOW + KNOWN_FOR)
    assert known_addresses_delete_old(now=last) == 0
    address_note(ada, HOME, now=last)
    assert address_is_known("ada", HOME, now=NOW + KNOWN_FOR)
    assert known_addresses_delete_old(now=last + KNOWN_FOR) == 1


def test_most_logins_write_nothing(ada, django_assert_num_queries):
    with django_assert_num_queries(1):
        address_note(ada, HOME, now=NOW + REFRESHED - timedelta(microseconds=1))


def test_the_newest_addresses_of_a_person_are_kept(ada):
    eve = person("eve")
    address_note(eve, HOME, now=NOW)
    for number in range(MOST_OF_A_PERSON):
        address_note(ada, f"192.0.2.{number}", now=NOW + timedelta(seconds=number))
    assert not address_is_known("ada", HOME, now=NOW)
    assert address_is_known("ada", "192.0.2.0", now=NOW)
    assert KnownAddress.objects.filter(user=ada).count() == MOST_OF_A_PERSON
    assert address_is_known("eve", HOME, now=NOW)
