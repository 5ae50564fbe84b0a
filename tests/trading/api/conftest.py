"""A desk, and the caller who owns its account."""

import pytest

from tests.api_client import Api
from tests.trading.calls import CallDesk, trader


@pytest.fixture
def desk(api: Api) -> CallDesk:
    return CallDesk()


@pytest.fixture
def me(desk: CallDesk) -> Api:
    return trader()
