import logging
import os
import random
import time

import pytest

from tests.faults.table import tallied  # noqa: F401 a fixture

logger = logging.getLogger(__name__)


@pytest.fixture
def rng() -> random.Random:
    """Decides all that is left to chance; SEED chooses another course, and is shown when a test fails."""
    seed = int(os.environ.get("SEED") or time.time_ns() % 2**32)
    logger.warning("SEED=%d", seed)
    return random.Random(seed)
