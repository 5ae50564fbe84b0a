"""What a web process loads, and when."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
import uvicorn
from django.conf import settings

from front import process, warm
from front.application import Front

pytestmark = pytest.mark.system


LARGE = ("QuantLib", "pandas_market_calendars")
LOADING = """
import sys
from pathlib import Path
import django
django.setup()
from store.instruments import Instrument
from trades.stores import market_store
market_store().set_instrument(Instrument("AAPL", exchange="XNYS"))
market_store().set_instrument(Instrument("ELSEWHERE", exchange="XXXX"))
from front.application import DjangoHandler
from front import warm
warm.load_everything(DjangoHandler())
print([name for name in {large} if name in sys.modules])
warm.load_libraries().join()
from calendars import library
print([name for name in {large} if name in sys.modules], library.decade.cache_info().currsize > 0)
"""


@pytest.mark.system
def test_large_libraries_are_loaded_after_the_start_and_not_for_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LOADING.format(large=LARGE)],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.test",
            "DATA_DIR": str(tmp_path),
        },
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["[]", f"{list(LARGE)} True"]


def test_a_library_that_cannot_be_loaded_is_told_of_and_no_more(monkeypatch, caplog):
    def broken():
        raise ImportError("no such library")

    monkeypatch.setattr(warm, "quantlib", broken)
    monkeypatch.setattr(warm, "calendars_load", lambda **_: None)
    monkeypatch.setattr("gc.freeze", lambda: None)
    warm.load_libraries().join()
    assert "no such library" in caplog.text
    assert gc.isenabled()


class Ring:
    """An object that refers to itself: only the garbage collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def thresholds() -> Iterator[None]:
    """No collections by themselves; the collector is as it was afterwards."""
    before = gc.get_threshold()
    gc.set_threshold(0)
    gc.collect()
    yield
    gc.set_threshold(*before)


def young_passes(count: int) -> None:
    for _ in range(count):
        gc.collect(1)


def test_unused_cycles_are_collected_between_requests_after_many_new_objects(thresholds):
    server = process.WebServer(uvicorn.Config("unused", log_config=None))
    tasks = server.server_state.tasks
    ring = Ring()
    unused = weakref.ref(ring)

    def is_kept() -> bool:
        asyncio.run(server.on_tick(1))
        return unused() is not None

    young_passes(warm.DUE_PASSES - 1)
    del ring
    assert is_kept()
    young_passes(1)
    tasks.add(cast("asyncio.Task[None]", "a request that is being answered"))
    assert is_kept()
    tasks.clear()
    tasks.add(cast("asyncio.Task[None]", "a WebSocket that is open"))
    server.front = cast("Front", SimpleNamespace(open_sockets=1))
    assert not is_kept()


def test_a_process_that_is_never_idle_collects_by_itself_but_later(thresholds, monkeypatch):
    monkeypatch.setattr("gc.freeze", lambda: None)
    warm.tune_garbage_collector()
    assert gc.isenabled()
    assert warm.DUE_PASSES < gc.get_threshold()[2] <= 10 * warm.DUE_PASSES


def test_a_web_process_loads_large_libraries_once_and_not_at_once(monkeypatch):
    loaded = []

    def load():
        loaded.append(1)
        return threading.Thread()

    monkeypatch.setattr(process, "load_libraries", load)
    server = process.WebServer(uvicorn.Config("unused", log_config=None))
    server.parent = os.getppid()

    async def ticks(counts):
        for counter in counts:
            await server.on_tick(counter)

    asyncio.run(ticks(range(10)))
    assert loaded == []
    asyncio.run(ticks([10, 11, 10]))
    assert loaded == [1]
