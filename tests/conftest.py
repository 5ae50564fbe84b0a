"""What most tests share: an empty store, and the API over it."""

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from django.db import connection

from audit.chain.tables import triggers_drop
from ratelimit.keys.selectors import key_cache
from tests.api_client import Api, streams_close, usual_key
from tests.installation import caches_clear
from tests.store_settings import IS_OF_FILES, stores_at
from trading import journal

pytest_plugins = [
    "tests.suite",
    "tests.ratelimit.redis_fixtures",
    "tests.faults.table",
    "tests.hostile.figures",
]

# A store syncs each commit. In memory that is free.
if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 4 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")
_numbers = count()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Before the fixtures end, close streams, and forget what a test that commits left outside of the database."""
    streams_close()
    mark = item.get_closest_marker("django_db")
    if mark and mark.kwargs.get("transaction"):
        journal._states.clear()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """A database that can be emptied after a test: its triggers let no audit record go. Tests of them make them again."""
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        triggers_drop(None, editor)


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder, removed after the test. Its path is never used again, because the program caches by path."""
    path = tmp_path_factory.mktemp(f"test-{next(_numbers)}", numbered=False)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def default_store(settings, tmp_path: Path) -> Path:
    """An empty store, the default one during the test. Returns the folder in which it is, if it is one of files."""
    settings.MARKET_STORES = stores_at(tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def store_path(default_store: Path) -> Path:
    """The folder of an empty store of files, the default one during the test."""
    if not IS_OF_FILES:
        pytest.skip("is about files of a store")
    return default_store


@pytest.fixture
def api(db, default_store: Path) -> Iterator[Api]:
    """A caller with every scope and no limit to speak of, before an empty store and an empty cache."""
    caches_clear()
    yield Api(usual_key())
    key_cache.clear()
