"""The front door knows callers of every kind as Django does: the same answers, charges and refusals."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from front.application import DjangoHandler
from front.door import FrontDoor
from ratelimit.credentials.bearer import token_cache
from stats.caching.response_cache import RESPONSE_CACHE
from stats.ohlc.views import OhlcViewSet
from tests.api_client import Api, answer, make_key
from tests.ratelimit.access.programs import token_of_a_program
from tests.ratelimit.credentials.logins import logged_in, person
from tests.system.batches import Batch
from tests.system.front_door import SYMBOL, environ_of, visible
from web.endpoints import ANY_CALLER, ANYBODY, Access

Headers = dict[str, str]


def token_of_a_person() -> Headers:
    person(scopes=["market:read"], sensitivity="internal")
    return {"Authorization": f"Bearer {logged_in()['access']}"}


def certificate() -> Headers:
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "feed")]),
    )
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=9_000))
        .sign(key, SHA256())
    )
    make_key(certificate=made.fingerprint(SHA256()).hex())
    shown = quote(made.public_bytes(Encoding.PEM).decode())
    return {"X-SSL-Client-Verify": "SUCCESS", "X-SSL-Client-Cert": shown}


WAYS: dict[str, Callable[[], Headers]] = {
    "X-API-Key": lambda: {"X-API-Key": make_key(scopes=("market:read",), sensitivity="public")},
    "Authorization": lambda: {"Authorization": f"Api-Key {make_key()}"},
    "both headers": lambda: {"X-API-Key": (key := make_key()), "Authorization": f"Api-Key {key}"},
    "a key of our network": lambda: {"X-API-Key": make_key(networks=["127.0.0.0/8"])},
    "a key with quotas": lambda: {"X-API-Key": make_key(daily_quota=100, monthly_quota=1_000)},
    "a person's token": token_of_a_person,
    "a program's token": lambda: token_of_a_program(scopes=["market:read"]),
    "a certificate": certificate,
}
REFUSED: dict[str, tuple[Callable[[], Headers], int, str]] = {
    "nobody": (dict, 401, "not_authenticated"),
    "a key of another network": (
        lambda: {"X-API-Key": make_key(networks=["192.0.2.0/24"])}, 403, "network_not_allowed",
    ),
    "a key for signing": (lambda: {"X-API-Key": make_key(signed_only=True)}, 401, "signature_required"),
    "two kinds": (
        lambda: {"X-API-Key": make_key(), **token_of_a_person()}, 401, "ambiguous_credentials",
    ),
    "a forged token": (
        lambda: {"Authorization": f"{token_of_a_person()['Authorization']}x"}, 401, "invalid_token",
    ),
    "another scope": (lambda: {"X-API-Key": make_key(scopes=("audit:read",))}, 403, "missing_scope"),
    "a certificate that was not verified": (
        lambda: {**certificate(), "X-SSL-Client-Verify": "FAILED:expired"}, 401, "invalid_certificate",
    ),
}  # fmt: skip


@pytest.fixture
def bars(api: Api) -> Iterator[None]:
    """Bars that this process holds, and nobody's token."""
    token_cache.clear()
    assert api.ingest(Batch(1, SYMBOL, 300, has_ids=True).body).status_code == 200
    yield
    token_cache.clear()
    RESPONSE_CACHE.local.clear()


def held(headers: Headers, query: str = "") -> dict[str, Any]:
    """A request for bars that this process holds."""
    DjangoHandler().respond(environ_of("GET", query, {"X-API-Key": make_key()})).close()
    return environ_of("GET", query, {**headers, "X-Correlation-ID": "callers"})


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_callers_of_every_kind_get_djangos_answer(bars, project_redis, way):
    environ = held(way())
    door, django = FrontDoor()({**environ}), DjangoHandler().respond(environ)
    assert door is not None
    assert (door.status, visible(door.headers)) == (200, visible(dict(django.items())))
    assert django.status_code == 200
    assert door.body == b"".join(django)


@pytest.mark.parametrize(("way", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_whom_django_refuses_the_front_door_leaves_to_it(bars, project_redis, way, status, code):
    environ = held(way())
    assert FrontDoor()({**environ}) is None
    django = DjangoHandler().respond(environ)
    assert (django.status_code, answer(django)["code"]) == (status, code)


def left(headers: Any) -> list[tuple[str, int]]:
    return [(name, int(count)) for name, count in re.findall(r'"(day|month)";r=(\d+)', headers["RateLimit"])]


def test_a_page_costs_the_same_either_way(bars, project_redis):
    environ = held({"X-API-Key": make_key(daily_quota=100, monthly_quota=1_000)}, "&limit=2500")
    door, django = FrontDoor()({**environ}), DjangoHandler().respond(environ)
    assert door is not None
    assert left(door.headers) == [("day", 97), ("month", 997)]
    assert left(django.headers) == [("day", 94), ("month", 994)]


def test_a_quota_that_is_used_up_is_djangos_to_tell(bars, project_redis):
    environ = held({"X-API-Key": make_key(daily_quota=1)})
    assert FrontDoor()({**environ}) is not None
    assert FrontDoor()({**environ}) is None
    assert answer(DjangoHandler().respond(environ))["code"] == "quota_exceeded"


DECLARED: dict[str, tuple[dict[str, Access], bool]] = {
    "as it is": ({"list": Access("market:read")}, True),
    "for any caller": ({"list": Access(ANY_CALLER)}, True),
    "for another scope": ({"list": Access("trading:read")}, False),
    "for who is cleared": ({"list": Access("market:read", sensitivity="confidential")}, False),
    "recorded before the answer": ({"list": Access("market:read", audit_class="config")}, False),
    "of another method": ({"create": Access("market:read")}, False),
    "without it": ({}, False),
}


@pytest.mark.parametrize(("declared", "given"), DECLARED.values(), ids=DECLARED)
def test_the_view_s_access_decides_at_the_front_door_too(bars, monkeypatch, declared, given):
    environ = held({"X-API-Key": make_key(scopes=("market:read",), sensitivity="internal")})
    monkeypatch.setattr(OhlcViewSet, "access", declared)
    assert (FrontDoor()({**environ}) is not None) is given


def test_nobody_is_left_to_django_even_where_anybody_may(bars, monkeypatch):
    environ = held({})
    monkeypatch.setattr(OhlcViewSet, "access", {"list": Access(ANYBODY)})
    assert FrontDoor()({**environ}) is None
