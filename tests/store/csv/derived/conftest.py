import logging

import pytest

from tests.chance import chosen_seed


@pytest.fixture
def seed() -> int:
    """Return the random seed. A failing test shows it."""
    seed = chosen_seed()
    logging.getLogger(__name__).info("SEED=%d", seed)
    return seed
