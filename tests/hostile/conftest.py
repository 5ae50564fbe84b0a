import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratelimit.access.scopes import ALL_SCOPES
from tests.chance import SOAK, chosen_seed
from tests.front.front_server import eventually
from tests.group_servers import until_group_ends
from tests.hostile import callers, failing_views, stock
from tests.hostile.figures import Told, teller
from tests.hostile.gauge import Gauge
from tests.hostile.operations import Operation, operations_of, served_document, valid_call
from tests.hostile.wire import SECRETS, Wire
from tests.system.installation import FAILING_PAGE, Installation, installed

logger = logging.getLogger(__name__)
SECRET = "outside the store"
MODEST_MIB = 50.0


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put the folder's tests into the system suite."""
    item.add_marker("system")


@pytest.fixture(scope="session")
def seed() -> int:
    """What decides all that is left to chance; shown when a test fails."""
    return chosen_seed()


@pytest.fixture
def rng(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """The chance of one test, whichever others run."""
    logger.warning("SEED=%d", seed)
    return random.Random(f"{seed} {request.node.path.name} {request.node.name}")


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Told:
    """Takes a subject and what was measured of it, for the report at the end of the run."""
    return teller(request.node)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """One web process over a store with a little of everything."""
    return until_group_ends(stocked(tmp_path_factory.mktemp("hostile")))


@contextmanager
def stocked(folder: Path) -> Iterator[Installation]:
    """An installation in a folder. At the end it still stands, and nothing has left its folder."""
    (folder / "x.csv").write_text(SECRET)
    with installed(
        folder,
        WORKERS="1",
        STORE_MEMORY_MIB="16",
        ANSWERS_MEMORY_MIB="4",
        **FAILING_PAGE,
        # Calls have their own keys.
        UDF_KEY="nokeyyet",
    ) as installation:
        before = outside(folder)
        (web,) = installation.webs()
        assert eventually(Gauge([web]).have_loaded_libraries)
        SECRETS.update(secrets_of(installation))
        callers.stock_database(installation)
        with Wired(installation) as wire:
            for method, path, body in stock.requests():
                reply = wire.ask(method, path, {"Content-Type": "application/json"}, body)
                assert reply.status == 200, reply.body
        yield installation
        assert installation.webs() == [web]
        assert outside(folder) == before
        assert (folder / "x.csv").read_text() == SECRET
        said = installation.served.output.read_text()
        failures = said.split("Traceback")[1:]
        assert [text for text in failures if failing_views.SECRET not in text] == []
        assert "was ended by signal" not in said
        assert [secret for secret in SECRETS - {installation.key.encode()} if secret.decode() in said] == []


class Wired(Wire):
    """A connection with a key of every scope and no limit to speak of."""

    def __init__(self, installation: Installation) -> None:
        key = callers.key_with(installation, ALL_SCOPES)
        SECRETS.add(key.encode())
        super().__init__(installation.port, key)

    def __enter__(self) -> "Wired":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def outside(folder: Path) -> set[Path]:
    """All paths around the installation's data."""
    return {path for path in folder.rglob("*") if folder / "data" not in path.parents}


def secrets_of(installation: Installation) -> set[bytes]:
    """What no answer may hold: the key made first, and what signs and seals."""
    return {installation.key.encode(), (installation.served.data_dir / "secret_key").read_bytes().strip()}


@pytest.fixture(scope="session")
def keys(installation: Installation) -> dict[str, str]:
    """A key of every grant: with each scope alone, with all and with none."""
    made = {grant: callers.key_with(installation, grant) for grant in callers.GRANTS}
    SECRETS.update(key.encode() for key in made.values())
    return made


@pytest.fixture
def wire(installation: Installation) -> Iterator[Wire]:
    with Wired(installation) as wire:
        yield wire


@pytest.fixture
def gauge(installation: Installation) -> Gauge:
    return Gauge(installation.webs())


@pytest.fixture(scope="session")
def operations(installation: Installation) -> list[Operation]:
    """Everything that the installation serves, taken from its own OpenAPI document."""
    with Wired(installation) as wire:
        return operations_of(served_document(wire))


@pytest.fixture(scope="session")
def warm(installation: Installation, operations: list[Operation]) -> None:
    """Every operation has been in use, and the response cache is full."""
    chance = random.Random(0)
    with Wired(installation) as wire:
        for method, path, body in stock.bulk():
            assert wire.ask(method, path, {"Content-Type": "text/csv"}, body).status == 200
        for operation in 3 * operations:
            valid_call(operation, chance).sent(wire)


@pytest.fixture(scope="module")
def resident_before(installation: Installation, request: pytest.FixtureRequest) -> float:
    """The server's memory in MiB when the module's tests begin."""
    if SOAK:
        request.getfixturevalue("warm")
    return Gauge(installation.webs()).resident_mib()


@pytest.fixture
def modest(
    resident_before: float, gauge: Gauge, told: Told, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Whatever the tests of a module send in the soak, the server's memory hardly grows by it."""
    yield
    grown = gauge.resident_mib() - resident_before
    told(f"8 memory after {request.node.name}", f"{grown:+.1f} MiB")
    assert not SOAK or grown < MODEST_MIB
