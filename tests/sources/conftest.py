"""What all tests of sources need: servers of this machine may be asked."""

import pytest

from tests.ops.outbound.test_addresses import LOOPBACK


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings):
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http", "https"), LOOPBACK
