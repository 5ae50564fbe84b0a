import logging
import random

import pytest

from tests.chance import chosen_seed
from tests.faults.table import tallied  # noqa: F401 a fixture

logger = logging.getLogger(__name__)


@pytest.fixture
def rng() -> random.Random:
    """Decides all that is left to chance; SEED chooses another course, and is shown when a test fails."""
    seed = chosen_seed()
    logger.warning("SEED=%d", seed)
    return random.Random(seed)
