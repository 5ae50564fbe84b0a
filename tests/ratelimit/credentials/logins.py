"""People and how they log in, as a client meets it."""

from itertools import count
from typing import Any, cast

import orjson
from django.contrib.auth.models import User
from django.test import Client

from ratelimit.models import AccessProfile
from tests.api_client import answer

PASSWORD = "correct horse battery staple"
# Whoever is not authenticated is limited by address; each call comes from elsewhere.
_ADDRESSES = count(1)


def person(name: str = "ada", *, flags: dict[str, bool] | None = None, **profile: Any) -> User:
    """A person with a password; with an access profile if anything is said of one."""
    user = User.objects.create_user(name, password=PASSWORD, **cast("Any", flags or {}))
    if profile:
        AccessProfile.objects.create(user=user, **{"tier": "internal", **profile})
    return user


def next_address() -> str:
    number = next(_ADDRESSES)
    return f"10.9.{number >> 8 & 255}.{number & 255}"


def post(path: str, body: Any, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Client().post(
        f"/api/v1{path}", raw, content_type="application/json", headers=headers, REMOTE_ADDR=next_address()
    )


def login(name: str = "ada", password: str = PASSWORD) -> Any:
    return post("/auth/token", {"username": name, "password": password})


def logged_in(name: str = "ada") -> dict[str, Any]:
    """The tokens of a new session."""
    response = login(name)
    assert response.status_code == 200, response.content
    tokens: dict[str, Any] = answer(response)
    return tokens


def called(token: str, path: str = "/api/v1/clock", **headers: str) -> Any:
    return Client().get(path, headers={"Authorization": f"Bearer {token}", **headers})
