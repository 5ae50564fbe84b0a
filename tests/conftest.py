"""What several apps' tests share: a store of one's own, the API over it, and a real Redis."""

import gc
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import client as django_client
from hypothesis import core as hypothesis_core
from hypothesis import settings as hypothesis_settings

from audit.chain.tables import triggers_drop
from ratelimit.keys.selectors import key_cache
from ratelimit.limits.shared_limits import take_shared
from tests.api_client import Api, usual_key
from tests.chance import SOAK, chosen_seed
from tests.faults import table
from tests.hostile import figures
from tests.installation import caches_clear
from tests.migrated_database import migrate_once, template_remove
from tests.patience import PATIENCE_SECONDS
from tests.ratelimit.connected_server import connected_server, spare_server_end
from tests.ratelimit.redis_server import RedisServer
from tests.store_settings import IS_OF_FILES, stores_at
from trading.journal import states_forget

_numbers = count()
# A store syncs each commit: a file system in memory, where one has room, makes that free.
IN_MEMORY, ROOM_BYTES = Path("/dev/shm"), 4 * 2**30
if IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM_BYTES:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))

# Machines are shared: how long one example takes says nothing about the code.
hypothesis_settings.register_profile("ci", deadline=None, max_examples=10)
hypothesis_settings.register_profile("soak", deadline=None, max_examples=100)
hypothesis_settings.load_profile("soak" if SOAK else "ci")
vars(hypothesis_core)["global_force_seed"] = chosen_seed()

# Fixtures of a session that start installations or servers; the tests of one xdist group use them.
SHARED_SERVERS = ("cluster_url", "installation", "sampled", "shared", "site", "traded")
_ON_TODAYS_CLICKHOUSE = {"append", "corrections", "duplicates", "reads", "revisions", "spans", "superseding"}
SYSTEM_FOLDERS = {"benchmarks", "browser", "faults", "hostile", "system"}
_HERE = Path(__file__).parent
_WHOLLY_SYSTEM = re.compile(r"^pytestmark = .*\bpytest\.mark\.system\b", re.MULTILINE)
_WHOLLY_SOAK = re.compile(r"^pytestmark = .*\bpytest\.mark\.soak\b", re.MULTILINE)
# Thousands of tests are made before the first runs, and all live to the end.
gc.disable()
# The streamed answers of the test that runs. See `pytest_runtest_teardown`.
_streams: list[Any] = []
_stream_of_client = django_client.closing_iterator_wrapper


def _kept_stream(iterable: Iterable[Any], close: Callable[[], Any]) -> Iterator[Any]:
    stream = _stream_of_client(iterable, close)
    _streams.append(stream)
    return stream


django_client.closing_iterator_wrapper = _kept_stream
_close_old = BaseDatabaseWrapper.close_if_unusable_or_obsolete


def _close_outside_of_transactions(connection: BaseDatabaseWrapper) -> None:
    """Leave the connection with the transaction of a test alone, as Django does with SQLite in memory."""
    if not connection.in_atomic_block:
        _close_old(connection)


setattr(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", _close_outside_of_transactions)  # noqa: B010


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over modules without a test that would run: to make their tests costs half a minute."""
    if collection_path.suffix != ".py":
        return None
    text = collection_path.read_text()
    if not SOAK and _WHOLLY_SOAK.search(text):
        return True
    if config.option.markexpr not in {"system", "not system"}:
        return None
    if config.option.markexpr == "not system":
        return True if _is_in_system_folder(collection_path) or _WHOLLY_SYSTEM.search(text) else None
    # The conformance suite runs over a store of servers, too.
    is_needed = "mark.system" in text or collection_path.name.startswith("test_conformance_")
    return None if is_needed or _is_in_system_folder(collection_path) else True


def _is_in_system_folder(path: Path) -> bool:
    return path.is_relative_to(_HERE) and path.relative_to(_HERE).parts[0] in SYSTEM_FOLDERS


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of whole folders; modules elsewhere mark themselves. Leave out the soak's unless SOAK=1.

    A module's tests stay in one process, so that what they share is made once.
    """
    for item in items:
        if _is_in_system_folder(item.path):
            item.add_marker("system")
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    if not SOAK:
        of_soak = {
            item: None for item in items if item.get_closest_marker("soak") or _is_beyond_conformance(item)
        }
        config.hook.pytest_deselected(items=[*of_soak])
        items[:] = [item for item in items if item not in of_soak]


def _is_beyond_conformance(item: pytest.Item) -> bool:
    """Whether a test runs over a store of servers, and is left to the soak.

    So are those that are not of the conformance suite, and over today's ClickHouse those of modules that add nothing to its SQL.
    """
    store = item.callspec.params.get("store") if hasattr(item, "callspec") else None
    module = item.path.stem
    return (store in {"cluster", "chdb"} and not module.startswith("test_conformance_")) or (
        store == "chdb" and module.removeprefix("test_conformance_") not in _ON_TODAYS_CLICKHOUSE
    )


@pytest.hookimpl(trylast=True, specname="pytest_collection_modifyitems")
def pytest_longest_first(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--no-loadscope-reorder`, order the groups so that none that takes long runs alone at the end.

    First come those that share a server, the largest before, then the modules of few tests.
    """
    if config.getoption("loadscopereorder", True):
        return
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(_group_of(item), []).append(item)

    def rank(name: str) -> tuple[bool, int]:
        group = groups[name]
        shares = not name.endswith(".py") or _is_in_system_folder(group[0].path)
        return (not shares, -len(group) if shares else len(group))

    items[:] = [item for name in sorted(groups, key=rank) for item in groups[name]]


def pytest_collection_finish() -> None:
    """Spare the garbage collector the thousands of collected tests, which live to the end."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Close the streamed answers that the test left unread, before its fixtures end.

    To close one sets a context variable. If the garbage collector does that while a variable is being set, Python 3.11
    crashes (python/cpython#148891). After a test that commits, what it left outside of the database goes: the head
    of its audit log, and the states of its accounts.
    """
    while _streams:
        _streams.pop().close()
    mark = item.get_closest_marker("django_db")
    if "transactional_db" in getattr(item, "fixturenames", ()) or (
        mark is not None and mark.kwargs.get("transaction")
    ):
        (settings.AUDIT_DIR / "head").unlink(missing_ok=True)
        states_forget()


@pytest.hookimpl(trylast=True, specname="pytest_runtest_teardown")
def pytest_end_servers(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """In a process of several, end what a group shares with its last test: an idle installation computes up to a quarter of a second in each.

    Without xdist the tests of a group do not follow one another.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ or (nextitem and _group_of(item) == _group_of(nextitem)):
        return
    for name in SHARED_SERVERS:
        for fixture in item.session._fixturemanager._arg2fixturedefs.get(name, ()):
            if fixture.scope == "session":
                fixture.finish(item._request)  # type: ignore[attr-defined]


def _group_of(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else ""


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix) -> None:
    """Called before the tests' database is made."""
    migrate_once()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """A database that can be emptied after a test: its triggers let no audit record go.

    Tests of them make them again.
    """
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
    """An empty store, the default one during the test; the folder in which it is if it is one of files."""
    path = tmp_path / "store"
    settings.MARKET_STORES = stores_at(path)
    return path


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


@pytest.fixture
def redis_timeout() -> float:
    """After so many seconds a Redis that does not answer is away: where nothing is said of outages, a busy machine is none."""
    return PATIENCE_SECONDS


@pytest.fixture
def project_redis(settings, redis_timeout: float) -> Iterator[RedisServer]:
    """A running server that is the project's Redis during the test."""
    with connected_server(settings, redis_timeout) as server:
        yield server


@pytest.fixture
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing flows into the shared buckets during the test, however long it takes."""
    standing = partial(take_shared, now_us=time.time_ns() // 1000)
    monkeypatch.setattr("ratelimit.limits.limiter.take_shared", standing)


def pytest_sessionfinish() -> None:
    spare_server_end()
    # Of the workers of one run none knows whether it is the last one to need the template: their parent is.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        template_remove()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The seed, and what suites with figures of their own have to report, at the end of a run."""
    terminalreporter.write_line(f"SEED={chosen_seed()}")
    table.report(terminalreporter)
    figures.report(terminalreporter)
