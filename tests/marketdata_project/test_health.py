"""`/healthz` and `/readyz`."""

import itertools
import os
from http import HTTPStatus

import orjson
import pytest
from django.db import OperationalError, connection
from redis.exceptions import TimeoutError as RedisTimeout

from marketdata_project import monitoring
from marketdata_project.monitoring import healthz, readyz
from ops.serve.status import Heartbeat
from ratelimit.fresh_cache import FreshCache
from tests.store_settings import stores_at


class Redis:
    """Stands for the connection; the real one is pinged in test_serve."""

    def __init__(self, error=None):
        self.error = error

    def ping(self):
        if self.error:
            raise self.error


@pytest.fixture
def seconds():
    """The clock of what is kept: each look at it is a second after the one before."""
    return itertools.count()


@pytest.fixture
def installation(settings, tmp_path, monkeypatch, db, seconds):
    settings.RUN_DIR = tmp_path / "run"
    settings.AUDIT_DIR = tmp_path / "audit"
    settings.MARKET_STORES = stores_at(tmp_path)
    Heartbeat(settings.RUN_DIR).beat()
    monkeypatch.setattr(monitoring, "get_redis_connection", lambda _alias: Redis())
    monkeypatch.setattr(monitoring, "readiness", FreshCache(clock=lambda: next(seconds)))
    return tmp_path


def answer(view, request):
    response = view(request)
    return response.status_code, orjson.loads(response.content)


def test_healthz_is_ok_without_asking_anyone(rf):
    assert answer(healthz, rf.get("/healthz")) == (HTTPStatus.OK, {"status": "ok"})


@pytest.mark.usefixtures("installation")
def test_readyz_is_ready(rf):
    assert answer(readyz, rf.get("/readyz")) == (HTTPStatus.OK, {"status": "ready"})


@pytest.mark.usefixtures("installation")
def test_readyz_is_degraded_while_redis_is_away(rf, monkeypatch):
    monkeypatch.setattr(
        monitoring, "get_redis_connection", lambda _alias: Redis(RedisTimeout("/secret/path"))
    )
    expected = {"status": "degraded", "reasons": ["redis: TimeoutError"]}
    assert answer(readyz, rf.get("/readyz")) == (HTTPStatus.OK, expected)


def test_readyz_looks_once_for_all_who_ask_within_a_second(rf, installation, settings, monkeypatch):
    monkeypatch.setattr(monitoring, "readiness", FreshCache(clock=lambda: 0.0))
    assert answer(readyz, rf.get("/readyz"))[0] == HTTPStatus.OK
    settings.MARKET_STORES = stores_at(installation / "gone")
    assert answer(readyz, rf.get("/readyz"))[0] == HTTPStatus.OK
    monkeypatch.setattr(monitoring, "readiness", FreshCache())
    assert answer(readyz, rf.get("/readyz"))[0] == HTTPStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("shift", [-3600, 3600], ids=["silent", "clock set back"])
def test_readyz_is_degraded_while_the_worker_is_silent(rf, installation, shift):
    path = installation / "run" / "worker.heartbeat"
    moment = path.stat().st_mtime + shift
    os.utime(path, (moment, moment))
    expected = {"status": "degraded", "reasons": ["worker: no sign of life for 10 s"]}
    assert answer(readyz, rf.get("/readyz")) == (HTTPStatus.OK, expected)
    path.unlink()
    expected["reasons"] = ["worker: it is not running"]
    assert answer(readyz, rf.get("/readyz")) == (HTTPStatus.OK, expected)


@pytest.mark.usefixtures("installation")
def test_readyz_is_unavailable_without_the_database(rf, monkeypatch):
    def away():
        raise OperationalError("unable to open /secret/path")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        answered = answer(readyz, rf.get("/readyz"))
    expected = {"status": "unavailable", "reasons": ["database: it cannot be read"]}
    assert answered == (HTTPStatus.SERVICE_UNAVAILABLE, expected)


def test_readyz_is_unavailable_without_the_store(rf, installation, settings):
    settings.MARKET_STORES = stores_at(installation / "gone")
    expected = {"status": "unavailable", "reasons": ["store: its folder does not exist"]}
    assert answer(readyz, rf.get("/readyz")) == (HTTPStatus.SERVICE_UNAVAILABLE, expected)


@pytest.mark.usefixtures("installation")
@pytest.mark.parametrize("options", [{"OPTIONS": {}}, {}], ids=["empty", "left out"])
def test_a_store_that_is_no_folder_is_not_looked_for(rf, settings, options):
    settings.MARKET_STORES = {"default": {"BACKEND": "tests.memory_store.MemoryStore", **options}}
    assert answer(readyz, rf.get("/readyz"))[0] == HTTPStatus.OK
