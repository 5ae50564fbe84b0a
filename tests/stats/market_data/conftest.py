"""A filled installation per module, for tests that only read, and an empty one per test."""

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from tests.api_client import Api
from tests.installation import shared_installation
from tests.stats.market_data.builders import Market, fill, timestamp


@pytest.fixture(scope="module")
def market(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Market]:
    """The fortnight of `builders.fill`, stored once for the module; the key is gone with it."""
    path = tmp_path_factory.mktemp("market") / "store"
    with shared_installation(django_db_blocker, path) as api:
        filled = Market(api)
        fill(filled)
        yield filled


@pytest.fixture(scope="module")
def oracle(market: Market) -> Any:
    """The oracle's rows of a subject by session and hours, computed once."""
    return cache(lambda subject, session, hours: subject.expected(market, session, hours))


@pytest.fixture
def empty_market(api: Api) -> Market:
    """An installation of the test's own, without data."""
    return Market(api)


@pytest.fixture
def clock() -> Callable[[], str]:
    """The time now, as an answer spells it: with no more digits than it needs."""
    return lambda: timestamp(time.time_ns())[:-1].rstrip("0").rstrip(".") + "Z"
