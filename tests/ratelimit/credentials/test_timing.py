"""Whether time tells a key that is unknown from one whose secret is wrong.

No proof: a gross difference would show. The two kinds are asked in turn, so that whatever slows the machine
down slows both, and their medians compared. The time is the processor's, which both would have to wait for
anyway. Others may use the machine while one reading is made, to the disadvantage of the one or of the other;
a difference that is the code's is in the middle one of several readings, too.
"""

import time
from collections.abc import Callable
from statistics import median

import pytest
from django.test import Client
from django.utils import timezone

from ratelimit.credentials.identify import identify
from ratelimit.exceptions import CredentialError
from ratelimit.keys.api_keys import generate
from tests.api_client import make_key
from tests.ratelimit.credentials.logins import login, next_address, person
from tests.received_calls import received

pytestmark = [pytest.mark.django_db, pytest.mark.system, pytest.mark.soak]
WITHIN = 0.10
# Of calls that are mostly the hash; one that is left out would be 100 %.
OF_HASHES = 0.25
READINGS = 9


def reading(first: Callable[[], object], second: Callable[[], object], *, calls: int) -> float:
    """How much more the first costs than the second, as a share of the second; below 0 where it costs less."""
    spent: tuple[list[int], list[int]] = ([], [])
    for turn in range(2 * calls):
        call = (first, second)[turn % 2]
        began = time.process_time_ns()
        call()
        spent[turn % 2].append(time.process_time_ns() - began)
    return median(spent[0]) / median(spent[1]) - 1


def difference_of(first: Callable[[], object], second: Callable[[], object], *, calls: int) -> float:
    """By how much what the two cost differs, in the middle one of several readings."""
    return abs(median(reading(first, second, calls=calls) for _ in range(READINGS)))


def refused(key: str) -> None:
    with pytest.raises(CredentialError):
        identify(received({"x-api-key": key}), now=timezone.now())


@pytest.fixture
def keys() -> tuple[str, str]:
    """A key with the prefix of one that is there and another secret, and one with a prefix that nobody has."""
    real = make_key()
    identify(received({"x-api-key": real}), now=timezone.now())
    prefix = real.split("_")[1]
    return f"md_{prefix}_{'A' * 43}", generate().key


def test_in_process_a_wrong_secret_takes_as_long_as_an_unknown_prefix(keys):
    wrong, unknown = keys

    difference = difference_of(lambda: refused(wrong), lambda: refused(unknown), calls=400)
    assert difference < WITHIN, f"the medians differ by {difference:.1%}"


def test_over_http_a_wrong_secret_takes_as_long_as_an_unknown_prefix(keys, store_path):
    wrong, unknown = keys
    client = Client()

    def ask(key: str) -> None:
        response = client.get("/api/v1/clock", headers={"X-API-Key": key}, REMOTE_ADDR=next_address())
        assert response.status_code == 401

    difference = difference_of(lambda: ask(wrong), lambda: ask(unknown), calls=60)
    assert difference < WITHIN, f"the medians differ by {difference:.1%}"


def test_the_measure_finds_a_difference_that_is_there(keys):
    wrong, unknown = keys

    def twice() -> None:
        refused(unknown)
        refused(unknown)

    assert difference_of(lambda: refused(wrong), twice, calls=100) > WITHIN


@pytest.fixture
def slow_passwords(settings):
    """Hashing as it is outside of tests, whose cost is what would tell."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]


def test_a_wrong_password_takes_as_long_as_an_unknown_name(slow_passwords):
    person(scopes=["market:read"])

    def log_in(name: str) -> None:
        assert login(name, "wrong").status_code == 401

    difference = difference_of(lambda: log_in("ada"), lambda: log_in("eve"), calls=1)
    assert difference < OF_HASHES, f"the medians differ by {difference:.1%}"
