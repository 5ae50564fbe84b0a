"""Forged tokens: whatever is wrong with one, the answer is the same but for the correlation id."""

import time
from collections.abc import Callable
from typing import Any

import jwt as library
import pytest

from ratelimit.credentials import jwt
from ratelimit.credentials.bearer import token_cache
from tests.api_client import Api, answer, problem
from tests.ratelimit.credentials.logins import called, logged_in, person, post

pytestmark = pytest.mark.django_db
OURS = jwt.signing_keys()[0]
Claims = dict[str, Any]


def signed(claims: Claims, key: Any = OURS, algorithm: str = "HS256", **header: Any) -> str:
    return library.encode(claims, key, algorithm=algorithm, headers=header or None)


def tampered(token: str) -> str:
    header, body, signature = token.split(".")
    return f"{header}.{body[:-4]}AAAA.{signature}"


# From a token, its claims and the session's other token.
FORGED: dict[str, Callable[[str, Claims, str], str]] = {
    "alg none": lambda _, claims, __: signed(claims, None, "none"),
    "another header": lambda _, claims, __: signed(claims, kid="../../dev/null"),
    "another key": lambda _, claims, __: signed(claims, b"k" * 32),
    "expired": lambda _, claims, __: signed({**claims, "exp": int(time.time()) - 10}),
    "another audience": lambda _, claims, __: signed({**claims, "aud": "another-api"}),
    "the other of the two": lambda _, __, other: other,
    "tampered": lambda token, _, __: tampered(token),
    "no session": lambda _, claims, __: signed({**claims, "sid": "0" * 32}),
    "too long": lambda _, claims, __: signed({**claims, "more": "A" * 4000}),
    "no token": lambda _, __, ___: "a.b.c",
}


def forged(name: str, kind: str) -> tuple[dict[str, Any], str]:
    """The tokens of a session, and a forged one of that kind."""
    person(scopes=["market:read"])
    tokens = logged_in()
    claims = library.decode(tokens[kind], options={"verify_signature": False})
    assert called(tokens["access"]).status_code == 200
    token_cache.clear()
    return tokens, FORGED[name](tokens[kind], claims, tokens["refresh" if kind == "access" else "access"])


def body_of(response: Any) -> dict[str, Any]:
    found = {name: value for name, value in answer(response).items() if name != "correlation_id"}
    return {**found, "challenge": response["WWW-Authenticate"]}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_access_token_is_401_and_tells_nothing(name):
    _, token = forged(name, "access")
    response = called(token)
    assert problem(response) == (401, "invalid_token")
    assert body_of(response) == body_of(called("unknown"))
    assert len(token_cache) == 0


@pytest.mark.parametrize("name", [name for name in FORGED if name not in ("too long", "no session")])
@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
def test_a_forged_refresh_token_is_401_and_ends_nothing(name, path):
    tokens, token = forged(name, "refresh")
    assert problem(post(path, {"refresh": token})) == (401, "invalid_token")
    assert called(tokens["access"]).status_code == 200
    assert post("/auth/refresh", {"refresh": tokens["refresh"]}).status_code == 200


def test_tokens_of_people_are_accepted_in_no_other_place():
    person(scopes=["market:read"])
    token = logged_in()["access"]
    assert problem(Api(token).get("/api/v1/clock")) == (401, "invalid_api_key")
    asked = Api(None).get("/api/v1/clock", {"access_token": token})
    assert problem(asked) == (401, "not_authenticated")
