from collections.abc import Iterator

import pytest

from ratelimit.credentials.bearer import token_cache
from ratelimit.limits.limiter import process_limiter


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """Tokens and buckets of another test's database are not remembered."""
    token_cache.clear()
    process_limiter.cache_clear()
    yield
    token_cache.clear()
