"""What the client's tests share: a running installation, and a server that says what a test wants."""

from collections.abc import Callable, Iterator

import pytest
from client_server import ScriptedServer

from marketdata_client import Client
from tests.group_servers import end_servers, until_group_ends
from tests.system.installation import UNLIMITED, Installation, installed


def pytest_sessionfinish() -> None:
    """End the servers of a run of these tests alone, which does not load the plugin `tests.suite`."""
    end_servers()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Started once: its tests share the xdist group `client`."""
    return until_group_ends(installed(tmp_path_factory.mktemp("client")))


@pytest.fixture(scope="session")
def url(installation: Installation) -> str:
    return f"http://127.0.0.1:{installation.port}"


@pytest.fixture(scope="session")
def key(installation: Installation) -> str:
    return installation.new_key(rate=UNLIMITED, tier="internal")


@pytest.fixture
def client(url: str, key: str) -> Iterator[Client]:
    with Client(url, key) as client:
        yield client


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """Makes servers that send given bytes, one item for each connection."""
    servers: list[ScriptedServer] = []

    def make(*answers: bytes | list[bytes], forever: bytes = b"") -> ScriptedServer:
        servers.append(ScriptedServer(answers, forever=forever))
        return servers[-1]

    yield make
    for server in servers:
        server.close()
