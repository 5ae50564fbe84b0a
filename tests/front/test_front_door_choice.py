"""Which requests the front door answers itself: valid GETs of pinned contents, by callers that are admitted."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import OperationalError

from front.application import DjangoHandler
from front.door import FrontDoor
from ratelimit.keys.selectors import key_cache
from stats.caching.response_cache import RESPONSE_CACHE
from tests.api_client import Api, make_key
from tests.system.batches import Batch
from tests.system.front_door import (
    CALENDARS,
    CLOCKS,
    ENCODINGS,
    FORCES_DJANGO,
    LEFT,
    SYMBOL,
    TAKEN,
    environ_at,
    environ_of,
    hour_of,
    tree_targets,
    visible,
)
from web.requests.wsgi_variables import BODY_TOO_LARGE


@pytest.fixture
def key(api: Api) -> Iterator[str]:
    assert api.ingest(Batch(1, SYMBOL, 300, has_ids=True).body).status_code == 200
    yield make_key()
    RESPONSE_CACHE.local.clear()


def answered(key: str, method: str, query: str, headers: dict[str, str]) -> bool:
    """Whether the front door answers."""
    return FrontDoor()(environ_of(method, query, {"X-API-Key": key, **headers})) is not None


@pytest.mark.parametrize("query", TAKEN.values(), ids=TAKEN)
def test_valid_calls_are_answered(key, query):
    assert answered(key, "GET", query, {})
    assert answered(key, "GET", query, {"Accept": "application/json, */*;q=0.5"})
    assert answered(key, "GET", query, {"If-None-Match": "*"})


@pytest.mark.parametrize(("method", "query", "headers"), LEFT.values(), ids=LEFT)
def test_the_rest_is_left_to_django(key, method, query, headers):
    assert not answered(key, method, query, headers)


@pytest.mark.parametrize("headers", FORCES_DJANGO.values(), ids=FORCES_DJANGO)
def test_what_the_tests_use_to_reach_django_does_so(key, headers):
    assert not answered(key, "GET", "", headers)


def test_a_request_with_a_body_that_was_too_large_is_left_to_django(key):
    assert answered(key, "GET", "", {})
    environ = environ_of("GET", "", {"X-API-Key": key})
    assert FrontDoor()({**environ, BODY_TOO_LARGE: 16_384}) is None


@pytest.mark.parametrize(("accepted", "used"), ENCODINGS.items())
def test_an_answer_that_is_not_held_is_computed_in_each_encoding(key, api, accepted, used):
    api.ingest(hour_of(SYMBOL))
    headers = {"X-API-Key": key, "Accept-Encoding": accepted, "X-Correlation-ID": "compressed"}
    environ = environ_of("GET", "", headers)
    computed, held, django = (
        FrontDoor()({**environ}),
        FrontDoor()({**environ}),
        DjangoHandler().respond(environ),
    )
    assert computed is not None
    assert held is not None
    assert (computed.headers["X-Cache"], held.headers["X-Cache"]) == ("miss", "hit")
    assert held.headers.get("Content-Encoding") == used
    assert visible(held.headers) == visible(dict(django.items()))
    assert computed.body == held.body == b"".join(django)


@pytest.mark.parametrize("target", [*tree_targets(SYMBOL), *CALENDARS, *CLOCKS])
def test_pages_reports_calendars_and_clocks_are_answered_as_by_django(key, time_machine, target):
    time_machine.move_to(datetime.now(UTC), tick=False)
    headers = {"X-API-Key": key, "Accept-Encoding": "gzip, deflate, br, zstd", "X-Correlation-ID": "tree"}
    environ = environ_at("GET", target, headers)
    computed, held, django = (
        FrontDoor()({**environ}),
        FrontDoor()({**environ}),
        DjangoHandler().respond(environ),
    )
    assert computed is not None
    assert held is not None
    outcomes = ("bypass", "bypass") if target in CLOCKS else ("miss", "hit")
    assert (computed.headers["X-Cache"], held.headers["X-Cache"]) == outcomes
    assert (held.status, visible(held.headers)) == (django.status_code, visible(dict(django.items())))
    assert computed.body == held.body == b"".join(django)


@pytest.mark.parametrize(
    "query", ["exchange=XXXX", "exchange=XNYS&start=2010-01-01&end=2024-01-01", "start=2024-01-01"]
)
def test_a_calendar_that_is_refused_is_left_to_django(key, query):
    assert FrontDoor()(environ_at("GET", f"/api/v1/calendar?{query}", {"X-API-Key": key})) is None


def test_a_write_is_in_the_next_answer(key, api):
    before = FrontDoor()(environ_of("GET", "", {"X-API-Key": key}))
    api.ingest(hour_of(SYMBOL))
    after = FrontDoor()(environ_of("GET", "", {"X-API-Key": key}))
    assert before is not None
    assert after is not None
    assert before.headers["X-Commit"] != after.headers["X-Commit"]
    assert after.headers["X-Cache"] == "miss"


def test_more_parameters_than_django_reads_are_left_to_it(key):
    assert not answered(key, "GET", "&" * 1_001, {})


def test_a_key_that_cannot_be_looked_up_is_left_to_django(key, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise OperationalError("the database is away")

    assert answered(key, "GET", "", {})
    key_cache.clear()
    monkeypatch.setattr("ratelimit.keys.selectors._load", away)
    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is None


@pytest.mark.parametrize(
    ("host", "allowed", "given"),
    [
        ("example.org:8000", ["example.org"], True),
        ("api.example.org", [".example.org"], True),
        ("evil.example", ["*"], True),
        ("evil.example", ["example.org"], False),
        ("evil example", ["*"], False),
        ("", ["*"], False),
    ],
)
def test_a_host_that_is_not_ours_is_left_to_django(key, settings, host, allowed, given):
    assert answered(key, "GET", "", {})
    settings.ALLOWED_HOSTS = allowed
    door = FrontDoor()(environ_of("GET", "", {"X-API-Key": key, "Host": host}))
    django = DjangoHandler().respond(environ_of("GET", "", {"X-API-Key": key, "Host": host}))
    assert (door is not None) is given
    assert django.status_code == (200 if given else 400)


@pytest.mark.parametrize(("allowed", "given"), [(["127.0.0.1"], True), (["example.org"], False)])
def test_a_call_without_a_host_is_for_the_servers_address(key, settings, allowed, given):
    settings.ALLOWED_HOSTS = allowed
    environ = environ_of("GET", "", {"X-API-Key": key})
    del environ["HTTP_HOST"]
    assert (FrontDoor()({**environ}) is not None) is given
    assert DjangoHandler().respond(environ).status_code == (200 if given else 400)


# The connection, what the proxy says of it, and whether that is secure.
SCHEMES: dict[str, tuple[str, dict[str, str], bool]] = {
    "plain": ("http", {}, False),
    "TLS": ("https", {}, True),
    "TLS at the proxy": ("http", {"X-Forwarded-Proto": "https, http"}, True),
    "plain at the proxy": ("https", {"X-Forwarded-Proto": "http"}, False),
}


@pytest.fixture
def production(settings, key):
    """What `settings/production.py` has beyond the others, but for its secret."""
    settings.ALLOWED_HOSTS = ["localhost"]
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    settings.SECURE_HSTS_PRELOAD = True
    return settings


@pytest.mark.parametrize("redirects", [True, False], ids=["redirected", "served"])
@pytest.mark.parametrize("case", SCHEMES.values(), ids=SCHEMES)
def test_production_answers_the_same_either_way(production, key, redirects, case):
    scheme, headers, secure = case
    held = {**environ_of("GET", "", {"X-API-Key": key}), "wsgi.url_scheme": "https"}
    DjangoHandler().respond(held).close()
    production.SECURE_SSL_REDIRECT = redirects
    environ = environ_of("GET", "", {"X-API-Key": key, "X-Correlation-ID": "production", **headers})
    environ["wsgi.url_scheme"] = scheme
    door, django = FrontDoor()({**environ}), DjangoHandler().respond(environ)
    if redirects and not secure:
        assert door is None
        assert django.status_code == 403
        return
    assert door is not None
    assert visible(door.headers) == visible(dict(django.items()))
    assert ("Strict-Transport-Security" in door.headers) is secure
    assert door.headers["X-Content-Type-Options"] == "nosniff"
