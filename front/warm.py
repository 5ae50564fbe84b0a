"""Warms up the supervisor before it forks, and a web process before it serves: loads modules, tunes the garbage collector."""

import gc
import logging
import time
from importlib import import_module
from io import BytesIO
from threading import Thread
from typing import Any

import msgspec
from django.urls import get_resolver

from front.application import DjangoHandler
from ops.serve.memory import tune_malloc
from stats.options.european import quantlib
from stats.sessions.services import calendars_load
from trades.batches.row_batch import BatchOptions
from trades.batches.sample_rows import SEED_TRADES
from trades.formats import JSON, READERS
from trades.stores import market_store

# The collector passes over its youngest objects after 2,000 new ones, and after 50 such passes over the next older ones.
# The third number is the passes over those after which it makes a full collection by itself.
_THRESHOLDS = (2_000, 50, 500)
# A full collection is due after so many of those passes: 10 million new objects, or 180,000 requests through Django.
DUE_PASSES = 100

# What takes long to import, of what the supervisor's children need.
_CHILDREN = (
    "marketdata_project.management.commands.worker",
    "trading.management.commands.trading_engine",
    "trades.management.commands.sample",
    "jobs.management.commands.job_worker",
    "front.process",
    "trading.engine.engine",
    "trading.strategies.processes",
    "pandas_market_calendars",
    "QuantLib",
)

logger = logging.getLogger(__name__)


def load_before_forks() -> None:
    """Import what the children need.

    No collection of theirs looks at these objects (`gc.freeze`): it would write to them, and so copy their memory.
    """
    gc.disable()
    tune_malloc()
    _ = get_resolver().url_patterns
    for module in _CHILDREN:
        import_module(module)
    gc.freeze()
    gc.enable()


def load_everything(handler: DjangoHandler) -> None:
    """Import the URLconf, decode a batch and answer two requests, so that no client waits for imports."""
    _ = get_resolver().url_patterns
    READERS[JSON](msgspec.json.encode({"trades": SEED_TRADES}), BatchOptions())
    for _attempt in range(2):
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/healthz",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
        }
        handler.respond(environ).close()


def load_libraries() -> Thread:
    """Load in a thread what only some requests need: trading calendars, and what a fork has already, QuantLib and a decoder.

    A request that needs them earlier waits. Loading never holds the interpreter lock much longer than 0.1 s.
    """
    thread = Thread(target=_load_libraries, name="libraries", daemon=True)
    thread.start()
    return thread


def _load_libraries() -> None:
    # A collection meanwhile would hold requests up for up to 0.07 s, and find nothing.
    gc.disable()
    try:
        calendars_load(instruments=market_store().declared_instruments(), now_ns=time.time_ns())
        quantlib()
    except Exception:
        logger.exception("Calendars or QuantLib could not be loaded; requests that need them will try again")
    # Exempts the new objects from collection, as `tune_garbage_collector` does after start-up.
    gc.freeze()
    gc.enable()


def tune_garbage_collector() -> None:
    """Make collections amid requests short, because they cause the slowest answers.

    The collector skips the objects that exist now, because they are never freed. It makes a full collection by itself
    only if `collect_if_due` is not called for long, because the process is never idle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def collect_if_due() -> None:
    """Make a full collection if there were many new objects since the last one.

    Call it while no request is being answered: a collection takes up to 0.2 s once the caches are full.
    """
    if gc.get_count()[2] >= DUE_PASSES:
        gc.collect()
