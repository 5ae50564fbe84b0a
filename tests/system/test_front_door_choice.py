"""Which requests the front door answers itself: only those whose answers this process holds, whole and for JSON."""

from collections.abc import Iterator
from io import BytesIO

import pytest

from marketdata_project.front import DjangoHandler
from marketdata_project.front_door import FrontDoor
from marketdata_project.serve.environ import environ_for
from stats.caching.tiers import process_tiers
from tests.api_client import Api, make_key
from tests.system.batches import Batch
from tests.system.clients import OHLC
from tests.system.test_front_door import FORCES_DJANGO, LEFT, SYMBOL, TAKEN


def environ_of(method: str, query: str, headers: dict[str, str]) -> dict[str, object]:
    """The WSGI environ of a request as a web process makes it."""
    lower = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    environ = environ_for(
        {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": OHLC,
            "raw_path": OHLC.encode(),
            "query_string": f"symbol={SYMBOL}{query}".encode(),
            "root_path": "",
            "headers": [(b"host", b"localhost"), *lower],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
    )
    return {**environ, "wsgi.input": BytesIO()}


@pytest.fixture
def key(api: Api) -> Iterator[str]:
    assert api.ingest(Batch(1, SYMBOL, 300, has_ids=True).body).status_code == 200
    yield make_key()
    process_tiers().local.clear()


def answered(key: str, method: str, query: str, headers: dict[str, str]) -> bool:
    """Whether the front door answers, once Django has answered the same query in this process."""
    DjangoHandler().respond(environ_of("GET", query, {"X-API-Key": key})).close()
    return FrontDoor()(environ_of(method, query, {"X-API-Key": key, **headers})) is not None


@pytest.mark.parametrize("query", TAKEN.values(), ids=TAKEN)
def test_held_answers_are_given(key, query):
    assert answered(key, "GET", query, {})
    assert answered(key, "GET", query, {"If-None-Match": "*"})


@pytest.mark.parametrize(("method", "query", "headers"), LEFT.values(), ids=LEFT)
def test_the_rest_is_left_to_django(key, method, query, headers):
    assert not answered(key, method, query, headers)


@pytest.mark.parametrize("headers", FORCES_DJANGO.values(), ids=FORCES_DJANGO)
def test_what_the_tests_use_to_reach_django_does_so(key, headers):
    assert not answered(key, "GET", "", headers)


def test_an_answer_that_is_not_held_is_left_to_django(key):
    process_tiers().local.clear()
    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is None


def test_a_stale_answer_is_not_given(key, api):
    assert answered(key, "GET", "", {})
    api.ingest(Batch(2, SYMBOL, 1, has_ids=True).body)
    assert FrontDoor()(environ_of("GET", "", {"X-API-Key": key})) is None
