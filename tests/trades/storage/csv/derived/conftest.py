import logging
import os
import time

import pytest


@pytest.fixture
def seed() -> int:
    """What decides all that is left to chance: another one in each run, or SEED. Shown when a test fails."""
    seed = int(os.environ.get("SEED") or time.time_ns() % 2**32)
    logging.getLogger(__name__).info("SEED=%d", seed)
    return seed
