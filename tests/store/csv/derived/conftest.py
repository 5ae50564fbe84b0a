import logging

import pytest

from tests.chance import chosen_seed


@pytest.fixture
def seed() -> int:
    """What decides all that is left to chance; shown when a test fails."""
    seed = chosen_seed()
    logging.getLogger(__name__).info("SEED=%d", seed)
    return seed
