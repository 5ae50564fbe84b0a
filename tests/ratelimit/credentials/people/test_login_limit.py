"""Passwords are guessed slowly, at every door that takes one."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ratelimit.limits.limiter import process_limiter

NAME, PASSWORD = "lovelace", "the analytical engine 1843"
DOORS = {
    "admin": ("/admin/login/", None),
    "browsable API": ("/login/login/", None),
    "token": ("/api/v1/auth/token", "application/json"),
}


@pytest.fixture
def doors(settings, db, project_redis, standing_clock):
    """Two attempts from an address and ten of a name, and no more in time."""
    settings.LOGIN_RATE = 1
    User.objects.create_user(NAME, password=PASSWORD, is_staff=True, is_superuser=True)
    process_limiter.cache_clear()
    yield
    process_limiter.cache_clear()


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
    assert [is_refused(attempt(door)) for door in DOORS] == [False, False, True]


def test_a_name_is_tried_so_often_from_everywhere(doors):
    tries = [is_refused(attempt("token", address=f"192.0.2.{number}")) for number in range(1, 60)]
    assert tries == [False] * 10 + [True] * 49
    assert not is_refused(attempt("token", address="192.0.2.99", name="babbage"))


@pytest.mark.parametrize("door", DOORS)
def test_the_right_password_is_taken(doors, door):
    assert attempt(door, password=PASSWORD).status_code in {200, 302}
    assert "sessionid" in Client().post("/admin/login/", {"username": NAME, "password": PASSWORD}).cookies
