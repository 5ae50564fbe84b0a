"""The forge table: whatever is wrong with a token, the answer is the same to the byte, but for the correlation id."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt as library
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings
from django.core import signing

from ratelimit.credentials.bearer import token_cache
from ratelimit.credentials.people import jwt
from tests.api_client import Api, answer, problem
from tests.chance import SOAK
from tests.ratelimit.credentials.logins import called, logged_in, person, post

pytestmark = [pytest.mark.django_db, pytest.mark.system]

HEADER = {"alg": "HS256", "typ": "JWT"}
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_PUBLIC = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OURS = jwt.signing_keys()[0]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hs256(payload: Any, key: bytes = OURS, header: Any = None, **named: Any) -> str:
    """A token signed with whatever key, under whatever header, by no library: none would do all of these."""
    header = {**HEADER, **named} if header is None else header
    texts = [
        part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
        for part in (header, payload)
    ]
    signed = ".".join(b64(text) for text in texts)
    return f"{signed}.{b64(hmac.digest(key, signed.encode(), hashlib.sha256))}"


class Good:
    """A token that is good, of one of the two kinds, and its parts."""

    def __init__(self, kind: str) -> None:
        person(scopes=["market:read"])
        tokens = logged_in()
        self.other_kind = "refresh" if kind == "access" else "access"
        self.token, self.other = tokens[kind], tokens[self.other_kind]
        self.access = tokens["access"]
        self.header, self.body, self.signature = self.token.split(".")
        self.claims: dict[str, Any] = library.decode(self.token, options={"verify_signature": False})

    def changed(self, **claims: Any) -> dict[str, Any]:
        """The claims with changes; `...` leaves one out."""
        return {name: value for name, value in {**self.claims, **claims}.items() if value is not ...}


def unsigned(good: Good, alg: str) -> str:
    return f"{b64(json.dumps({**HEADER, 'alg': alg}).encode())}.{good.body}."


def as_admin(good: Good) -> str:
    return b64(json.dumps(good.changed(sub="1", is_superuser=True)).encode())


NOW = int(time.time())
FORGED: dict[str, Callable[[Good], str]] = {
    "alg none": lambda good: unsigned(good, "none"),
    "alg None": lambda good: unsigned(good, "None"),
    "alg nOnE": lambda good: unsigned(good, "nOnE"),
    "alg empty": lambda good: unsigned(good, ""),
    "alg none with our signature": lambda good: unsigned(good, "none") + good.signature,
    "alg none, signed by our key": lambda good: hs256(good.claims, alg="none"),
    "HS256 with an RSA public key": lambda good: hs256(good.claims, RSA_PUBLIC),
    "RS256": lambda good: library.encode(good.claims, RSA_KEY, algorithm="RS256"),
    "RS256 as HS256": lambda good: ".".join(
        [good.header, *library.encode(good.claims, RSA_KEY, algorithm="RS256").split(".")[1:]]
    ),
    "ES256": lambda good: library.encode(good.claims, EC_KEY, algorithm="ES256"),
    "HS384 with our key": lambda good: library.encode(good.claims, OURS * 2, algorithm="HS384"),
    "HS512 with our key": lambda good: library.encode(good.claims, OURS * 2, algorithm="HS512"),
    "header says HS512": lambda good: hs256(good.claims, alg="HS512"),
    "jku": lambda good: hs256(good.claims, jku="https://evil.example/keys"),
    "jwk": lambda good: hs256(good.claims, b"k" * 32, jwk={"kty": "oct", "k": b64(b"k" * 32)}),
    "x5u": lambda good: hs256(good.claims, x5u="https://evil.example/cert"),
    "x5c": lambda good: hs256(good.claims, x5c=["AAAA"]),
    "kid a path": lambda good: hs256(good.claims, b"", kid="../../../../dev/null"),
    "kid SQL": lambda good: hs256(good.claims, b"key", kid="x' UNION SELECT 'key"),
    "kid with our key": lambda good: hs256(good.claims, kid="1"),
    "crit": lambda good: hs256(good.claims, crit=["b64"], b64=False),
    "typ of a signature of something else": lambda good: hs256(good.claims, typ="logout+jwt"),
    "header in another order": lambda good: hs256(good.claims, header={"typ": "JWT", "alg": "HS256"}),
    "header nested deep": lambda good: hs256(good.claims, header=b"[" * 1000),
    "header no JSON": lambda good: hs256(good.claims, header=b"HS256"),
    "expired": lambda good: hs256(good.changed(exp=NOW - 10)),
    "no exp": lambda good: hs256(good.changed(exp=...)),
    "exp a text": lambda good: hs256(good.changed(exp="tomorrow")),
    "exp null": lambda good: hs256(good.changed(exp=None)),
    "exp at the end of time": lambda good: hs256(good.changed(exp=10**300)),
    "exp infinite": lambda good: hs256(good.changed(exp=float("inf"))),
    "not yet valid": lambda good: hs256(good.changed(nbf=NOW + 86_400)),
    "nbf a text": lambda good: hs256(good.changed(nbf="now")),
    "issued in the future": lambda good: hs256(good.changed(iat=NOW + 86_400)),
    "no iat": lambda good: hs256(good.changed(iat=...)),
    "audience of another": lambda good: hs256(good.changed(aud="another-api")),
    "audience ours among others": lambda good: hs256(good.changed(aud=["another-api", jwt.AUDIENCE])),
    "no audience": lambda good: hs256(good.changed(aud=...)),
    "issuer another": lambda good: hs256(good.changed(iss="https://evil.example")),
    "issuers several": lambda good: hs256(good.changed(iss=[settings.TOKEN_ISSUER])),
    "no issuer": lambda good: hs256(good.changed(iss=...)),
    "the other of the two": lambda good: good.other,
    "the other's token_type": lambda good: hs256(good.changed(token_type=good.other_kind)),
    "token_type id": lambda good: hs256(good.changed(token_type="id")),
    "no token_type": lambda good: hs256(good.changed(token_type=...)),
    "an ID token": lambda good: hs256(good.changed(token_type=..., nonce="n", azp="client", name="Ada")),
    "no session": lambda good: hs256(good.changed(sid=...)),
    "a session that never was": lambda good: hs256(good.changed(sid=uuid.uuid4().hex)),
    "any session": lambda good: hs256(good.changed(sid="%")),
    "session a number": lambda good: hs256(good.changed(sid=1)),
    "another's session": lambda good: hs256({**good.changed(), "sub": str(person("eve", scopes=["all"]).pk)}),
    "nobody": lambda good: hs256(good.changed(sub="999999")),
    "sub a number": lambda good: hs256(good.changed(sub=int(good.claims["sub"]))),
    "sub no number": lambda good: hs256(good.changed(sub="1 OR 1=1")),
    "sub huge": lambda good: hs256(good.changed(sub="9" * 30)),
    "no sub": lambda good: hs256(good.changed(sub=...)),
    "no id": lambda good: hs256(good.changed(jti=...)),
    "password another": lambda good: hs256(good.changed(pwd="0" * 64)),
    "password a number": lambda good: hs256(good.changed(pwd=1)),
    "password not ASCII": lambda good: hs256(good.changed(pwd="é")),
    "no password": lambda good: hs256(good.changed(pwd=...)),
    "no time of the login": lambda good: hs256(good.changed(auth_time=...)),
    "time of the login a text": lambda good: hs256(good.changed(auth_time=str(NOW))),
    "time of the login true": lambda good: hs256(good.changed(auth_time=True)),
    "time of the login not a number": lambda good: hs256(good.changed(auth_time=float("nan"))),
    "time of the login huge": lambda good: hs256(good.changed(auth_time=10**300)),
    "payload a list": lambda good: hs256([]),
    "payload no JSON": lambda good: hs256(b"{"),
    "payload nested deep": lambda good: hs256(b"[" * 1000),
    "payload not UTF-8": lambda good: hs256(b"\xff"),
    "SECRET_KEY itself": lambda good: hs256(good.claims, settings.SECRET_KEY.encode()),
    "another installation's key": lambda good: hs256(good.claims, jwt._derived(("another secret",))[0]),
    "an empty key": lambda good: hs256(good.claims, b""),
    "a value signed by Django": lambda good: signing.dumps(good.claims).replace(":", "."),
    "payload exchanged": lambda good: f"{good.header}.{as_admin(good)}.{good.signature}",
    "payload's last character": lambda good: f"{good.header}.{good.body[:-1]}A.{good.signature}",
    "signature's other spelling": lambda good: good.token[:-1] + other_spelling(good.token[-1]),
    "signature cut": lambda good: good.token[:-1],
    "signature of no length that there is": lambda good: good.token[:-2],
    "signature missing": lambda good: f"{good.header}.{good.body}.",
    "signature only": lambda good: f"..{good.signature}",
    "a trailing dot": lambda good: f"{good.token}.",
    "trailing dots": lambda good: f"{good.token}...",
    "a leading dot": lambda good: f".{good.token}",
    "four parts": lambda good: f"{good.token}.{good.signature}",
    "padded": lambda good: f"{good.token}=",
    "twice": lambda good: good.token + good.token,
    "huge": lambda good: f"{good.header}.{'A' * 30_000}.{good.signature}",
    "huge, signed": lambda good: hs256(good.changed(more="A" * 4000)),
    "one character": lambda good: "a",
    "dots": lambda good: "..",
    "JSON serialisation": lambda good: json.dumps({"payload": good.body}).replace(" ", "").replace(",", ""),
    "not ASCII": lambda good: f"{good.token[:-2]}éé",
    "a look-alike": lambda good: good.token.replace("e", "\u0435".encode().decode("latin-1"), 1),
    "an API key": lambda good: "md_abcdefgh_" + "A" * 43,
    "an opaque token": lambda good: "a" * 64,
}  # fmt: skip


def other_spelling(character: str) -> str:
    """The last character of a base64 text with other bits where none count."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(character) ^ 1]


@pytest.fixture
def good() -> Good:
    return Good("access")


def body_of(response: Any) -> dict[str, Any]:
    found = {name: value for name, value in answer(response).items() if name != "correlation_id"}
    return {**found, "challenge": response["WWW-Authenticate"]}


def test_the_table_begins_with_tokens_that_are_good(good):
    assert called(good.access).status_code == 200
    token_cache.clear()
    assert called(hs256(good.claims)).status_code == 200


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_access_token_is_401_and_tells_nothing(good, name):
    expected = called("unknown")
    response = called(FORGED[name](good))
    assert problem(response) == (401, "invalid_token")
    assert body_of(response) == body_of(expected)
    assert len(token_cache) == 0


@pytest.mark.parametrize("name", [name for name in FORGED if "huge" not in name][:: 1 if SOAK else 3])
def test_a_forged_refresh_token_is_401_and_ends_nothing(name):
    good = Good("refresh")
    response = post("/auth/refresh", {"refresh": FORGED[name](good)})
    assert problem(response) == (401, "invalid_token")
    assert called(good.access).status_code == 200
    assert post("/auth/refresh", {"refresh": good.token}).status_code == 200


def test_an_access_token_ends_nothing(good):
    assert problem(post("/auth/logout", {"refresh": good.access})) == (401, "invalid_token")
    assert called(good.access).status_code == 200


def test_tokens_of_people_are_accepted_in_no_other_place(good):
    assert problem(Api(good.access).get("/api/v1/clock")) == (401, "invalid_api_key")
    assert problem(Api(None).get("/api/v1/clock", {"access_token": good.access})) == (
        401,
        "not_authenticated",
    )
    scheme = {"authorization": f"Api-Key {good.access}"}
    assert problem(Api(None).get("/api/v1/clock", **scheme)) == (401, "invalid_api_key")
