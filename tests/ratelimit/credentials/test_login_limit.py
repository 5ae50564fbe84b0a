"""Passwords are guessed slowly, at every door that takes one."""

from threading import BoundedSemaphore
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ratelimit.credentials import logins
from ratelimit.credentials.logins import WINDOW_SECONDS, process_login_attempts
from ratelimit.limits.limiter import process_limiter
from ratelimit.models import KnownAddress

NAME, PASSWORD = "lovelace", "the analytical engine 1843"
DOORS = {
    "page": ("/login", None),
    "token": ("/api/v1/auth/token", "application/json"),
}


@pytest.fixture
def doors(settings, db, project_redis, standing_clock):
    """Two attempts from an address, and no more in time."""
    settings.LOGIN_RATE = 1
    User.objects.create_user(NAME, password=PASSWORD, is_staff=True, is_superuser=True)
    process_limiter.cache_clear()
    yield
    process_limiter.cache_clear()


@pytest.fixture
def clock(doors, settings, monkeypatch) -> SimpleNamespace:
    """Three failures in a window. The clock stands until a test sets it."""
    settings.LOGIN_RATE, settings.LOGIN_FREE_FAILURES = 1_000_000, 3
    process_login_attempts.cache_clear()
    clock = SimpleNamespace(now=10 * WINDOW_SECONDS + 1.0)
    monkeypatch.setattr(logins, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


def attempt(door: str, *, name: str = NAME, password: str = "wrong", address: str = "192.0.2.1"):
    path, content_type = DOORS[door]
    given: dict[str, Any] = {"content_type": content_type} if content_type else {}
    return Client(REMOTE_ADDR=address).post(path, {"username": name, "password": password}, **given)


def is_refused(response) -> bool:
    if response.status_code != 429:
        return False
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "rate_limited"
    assert int(response["Retry-After"]) >= 1
    return True


@pytest.mark.parametrize("door", DOORS)
def test_an_address_tries_so_often_and_not_more(doors, door):
    assert [is_refused(attempt(door)) for _ in range(4)] == [False, False, True, True]
    assert is_refused(attempt(door, password=PASSWORD))
    assert is_refused(attempt(door, name="babbage"))
    assert not is_refused(attempt(door, address="192.0.2.2"))


@pytest.mark.parametrize(
    ("near", "elsewhere"),
    [
        ([f"2001:db8:0:1:{number:x}::7" for number in range(1, 51)], "2001:db8:0:2::7"),
        (["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"] * 2, "::ffff:192.0.2.2"),
    ],
    ids=["of one /64", "IPv4 within IPv6"],
)
def test_the_many_addresses_of_one_client_are_one(doors, near, elsewhere):
    tries = [is_refused(attempt("token", name=f"n{number}", address=a)) for number, a in enumerate(near)]
    assert tries == [False] * 2 + [True] * (len(near) - 2)
    assert not is_refused(attempt("token", address=elsewhere))


def test_all_doors_are_one(doors):
    assert [is_refused(attempt(door)) for door in [*DOORS, "page"]] == [False, False, True]


@pytest.mark.parametrize("door", DOORS)
def test_the_right_password_is_taken(doors, door):
    assert attempt(door, password=PASSWORD).status_code in {200, 302}
    assert "sessionid" in Client().post("/login", {"username": NAME, "password": PASSWORD}).cookies


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", [NAME, "nobody of this name"])
def test_failures_with_a_name_make_everybody_elsewhere_wait(clock, door, name):
    tries = [is_refused(attempt(door, name=name, address=f"192.0.2.{number}")) for number in range(1, 6)]
    assert tries == [False] * 3 + [True] * 2
    assert is_refused(attempt(door, name=name, address="192.0.2.99", password=PASSWORD))
    assert not is_refused(attempt(door, name="babbage", address="192.0.2.99"))


@pytest.mark.parametrize("door", DOORS)
def test_failures_from_an_address_make_it_wait(clock, door):
    assert [is_refused(attempt(door, name=f"n{number}")) for number in range(4)] == [False] * 3 + [True]
    assert not is_refused(attempt(door, name="n0", address="192.0.2.2"))


def test_after_retry_after_as_many_attempts_are_made_again(clock):
    for _ in range(3):
        assert attempt("token").json()["code"] == "invalid_login"
    assert attempt("token")["Retry-After"] == str(WINDOW_SECONDS - 1)
    clock.now += WINDOW_SECONDS - 2
    refused = attempt("token", password=PASSWORD)
    assert is_refused(refused)
    assert refused["Retry-After"] == "1"
    clock.now += 1
    assert [is_refused(attempt("token")) for _ in range(4)] == [False] * 3 + [True]


def test_a_login_takes_the_failures_back(clock):
    for _ in range(3):
        assert [attempt("token").status_code for _ in range(2)] == [401] * 2
        assert attempt("token", password=PASSWORD).status_code == 200


def test_many_strangers_get_few_attempts_and_the_owner_is_let_in_at_home(clock):
    """An hour of guessing: 16 addresses try one name, again and again."""
    assert attempt("token", password=PASSWORD, address="2001:db8::1").status_code == 200
    made = 0
    for second in range(0, 3600, 100):
        clock.now = 10 * WINDOW_SECONDS + second
        made += sum(not is_refused(attempt("token", address=f"192.0.2.{each}")) for each in range(16))
        assert attempt("token", password=PASSWORD, address="2001:db8::1").status_code == 200
    assert made == 3 * 3600 // WINDOW_SECONDS


def test_strangers_elsewhere_do_not_keep_the_owner_out_at_home(clock):
    home = "2001:db8:0:1::7"
    assert attempt("token", password=PASSWORD, address=home).status_code == 200
    for number in range(20):
        attempt("token", address=f"192.0.2.{number}")
        attempt("token", name=f"n{number}", address=home)
    assert is_refused(attempt("token", password=PASSWORD, address="192.0.2.99"))
    assert is_refused(attempt("token", name="babbage", address=home))
    for number in range(10):
        address = f"2001:db8:0:1::{number}"
        assert attempt("token", password=PASSWORD, address=address).status_code == 200


def test_at_a_known_address_failures_wait_too_and_other_names_have_no_part_in_it(clock, settings):
    settings.LOGIN_RATE = 1
    User.objects.create_user("babbage", password=PASSWORD)
    for name in (NAME, "babbage"):
        assert attempt("token", name=name, password=PASSWORD).status_code in {200, 401}
    assert [is_refused(attempt("token")) for _ in range(5)] == [False] * 2 + [True] * 3
    assert not is_refused(attempt("token", name="babbage", password=PASSWORD))


@pytest.fixture
def places():
    """Strangers take all places of unknown addresses, and one of their passwords is being checked."""
    for _ in range(logins.PLACES):
        logins._places[False].acquire()
    yield
    for _ in range(logins.PLACES):
        logins._places[False].release()


def test_strangers_take_no_place_of_known_addresses(clock, places):
    KnownAddress.objects.create(user=User.objects.get(), address="192.0.2.77", last_login_at=timezone.now())
    assert attempt("token", password=PASSWORD).status_code == 503
    assert attempt("token", password=PASSWORD, address="192.0.2.77").status_code == 200


def test_one_password_is_checked_at_a_time(clock, monkeypatch):
    monkeypatch.setattr(logins, "LONGEST_WAIT_SECONDS", 0)
    with logins._checking:
        assert attempt("token", password=PASSWORD).status_code == 503
    assert attempt("token", password=PASSWORD).status_code == 200


@pytest.mark.parametrize("door", DOORS)
def test_an_attempt_that_gets_no_place_is_503_and_no_failure(clock, door, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(logins, "_places", {False: BoundedSemaphore(0)})
        for _ in range(5):
            busy = attempt(door, password=PASSWORD)
            assert (busy.status_code, busy.json()["code"], busy["Retry-After"]) == (503, "server_busy", "1")
    assert attempt(door, password=PASSWORD).status_code in {200, 302}


def test_an_attempt_is_taken_back_in_its_own_window(clock, monkeypatch):
    def full(*, blocking: bool) -> bool:
        clock.now = 11 * WINDOW_SECONDS + 1.0
        return False

    with monkeypatch.context() as patched:
        patched.setitem(logins._places, False, SimpleNamespace(acquire=full))
        for _ in range(3):
            clock.now = 11 * WINDOW_SECONDS - 1.0
            assert attempt("token").status_code == 503
    assert [is_refused(attempt("token")) for _ in range(4)] == [False] * 3 + [True]


def test_a_person_without_grants_is_no_exception(clock):
    User.objects.create_user("babbage", password=PASSWORD)
    tries = [attempt("token", name="babbage", password=PASSWORD).json()["code"] for _ in range(5)]
    assert tries == ["invalid_login"] * 5
    User.objects.filter(username="babbage").update(is_active=False)
    tries = [is_refused(attempt("token", name="babbage", password=PASSWORD)) for _ in range(4)]
    assert tries == [False] * 3 + [True]


def test_without_redis_each_process_gives_its_share(clock, project_redis, settings):
    settings.WORKERS, settings.LOGIN_FREE_FAILURES = 2, 6
    project_redis.kill()
    tries = [is_refused(attempt("token", address=f"192.0.2.{number}")) for number in range(1, 6)]
    assert tries == [False] * 3 + [True] * 2
    assert attempt("token", password=PASSWORD, name="babbage", address="192.0.2.99").status_code == 401
    KnownAddress.objects.create(user=User.objects.get(), address="192.0.2.77", last_login_at=timezone.now())
    assert attempt("token", password=PASSWORD, address="192.0.2.77").status_code == 200
