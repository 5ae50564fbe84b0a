"""An installation that the tests of a module share: filled once, then only read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import transaction
from django.test import override_settings

from ratelimit.keys.selectors import key_cache
from ratelimit.limits.limiter import process_limiter
from stats.caching.response_cache import RESPONSE_CACHE
from tests.api_client import Api, make_key
from tests.store_settings import stores_at


def caches_clear() -> None:
    """Clear the process's caches of keys, limits and answers: other tests had the same key numbers and symbols."""
    key_cache.clear()
    process_limiter.cache_clear()
    RESPONSE_CACHE.local.clear()


@contextmanager
def shared_installation(django_db_blocker: Any, path: Path) -> Iterator[Api]:
    """An API with a key of every scope over an empty store; its database rows are rolled back at the end.

    For fixtures with `scope="module"`, which ask for `django_db_setup` and `django_db_blocker`. The tests of such
    a fixture are marked `django_db`.
    """
    block = transaction.atomic()
    # As Django's own test cases mark theirs: strict calls may commit within it.
    block._from_testcase = True  # type: ignore[attr-defined]
    with django_db_blocker.unblock(), override_settings(MARKET_STORES=stores_at(path)), block:
        caches_clear()
        yield Api(make_key())
        transaction.set_rollback(True)
        caches_clear()
