import logging
import random

import pytest

from tests.chance import chosen_seed

logger = logging.getLogger(__name__)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put the folder's tests into the system suite."""
    item.add_marker("system")


@pytest.fixture
def rng() -> random.Random:
    """Decides all that is left to chance; SEED chooses another course, and is shown when a test fails."""
    seed = chosen_seed()
    logger.warning("SEED=%d", seed)
    return random.Random(seed)
