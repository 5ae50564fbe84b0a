"""A filled installation per module, for tests that only read, and an empty one per test."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from ratelimit.keys.selectors import key_cache
from ratelimit.limits.limiter import process_limiter
from stats.caching.tiers import process_tiers
from tests.api_client import Api, make_key
from tests.stats.market_data.builders import Market, fill, timestamp
from tests.store_settings import stores_at


def forget() -> None:
    """Drop what processes keep of keys, limits and answers: numbers of keys and names of symbols come again."""
    key_cache.clear()
    process_limiter.cache_clear()
    process_tiers().local.clear()


@pytest.fixture(scope="module")
def market(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Market]:
    """The fortnight of `builders.fill`, stored once for the module; the key is gone with it."""
    path: Path = tmp_path_factory.mktemp("market") / "store"
    block = transaction.atomic()
    # As Django's own test cases mark theirs: strict calls may commit within it.
    block._from_testcase = True  # type: ignore[attr-defined]
    with django_db_blocker.unblock(), override_settings(MARKET_STORES=stores_at(path)), block:
        forget()
        filled = Market(Api(make_key()))
        fill(filled)
        yield filled
        transaction.set_rollback(True)
        forget()


@pytest.fixture
def empty_market(api: Api) -> Market:
    """An installation of the test's own, without data."""
    return Market(api)


@pytest.fixture
def clock() -> Callable[[], str]:
    """The time now, as an answer spells it: with no more digits than it needs."""
    return lambda: timestamp(time.time_ns())[:-1].rstrip("0").rstrip(".") + "Z"
