import logging

import pytest

from tests.chance import chosen_seed
from tests.group_servers import group_of, until_group_ends
from tests.hostile.figures import Told, teller
from tests.system.installation import Installation, installed

logger = logging.getLogger(__name__)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put the folder's tests into the system suite."""
    item.add_marker("system")


@pytest.fixture(scope="session")
def seed() -> int:
    """What decides all that is left to chance; shown when a test fails."""
    return chosen_seed()


@pytest.fixture(autouse=True)
def _seed_in_the_log(seed: int) -> None:
    logger.info("SEED=%d", seed)


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Installation:
    """An installation that several modules use, each with symbols and keys of its own.

    Its tests share the xdist group `installation`, so that only one is started.
    """
    return until_group_ends(installed(tmp_path_factory.mktemp("shared")))


@pytest.fixture(scope="session")
def live(tmp_path_factory) -> Installation:
    """An installation for the tests of live streams; they share the xdist group `live`."""
    return until_group_ends(installed(tmp_path_factory.mktemp("live")))


@pytest.fixture(scope="session")
def traded(tmp_path_factory) -> Installation:
    """An installation whose processes are killed while accounts trade; its tests share the xdist group `trading`."""
    return until_group_ends(installed(tmp_path_factory.mktemp("traded")))


@pytest.fixture(scope="session")
def sampled(tmp_path_factory) -> Installation:
    """An installation as `make run` starts it, with the sample; its tests share the xdist group `sample`."""
    return until_group_ends(installed(tmp_path_factory.mktemp("sampled"), LOAD_SAMPLE="1"))


@pytest.fixture
def installation(request: pytest.FixtureRequest) -> Installation:
    """The shared installation, whole again after whatever an earlier test did to it.

    The group `live` has one of its own: where one process runs both groups, the first one's has ended with it.
    """
    found: Installation = request.getfixturevalue("live" if group_of(request.node) == "live" else "shared")
    assert found.is_complete(), found.state()
    return found


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Told:
    """Takes a subject and what was measured of it, for the report at the end of the run."""
    return teller(request.node)
