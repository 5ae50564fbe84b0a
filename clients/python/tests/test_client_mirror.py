"""Mirrors made by the client: the logs of a running installation, followed, and told when they cannot be."""

from pathlib import Path

import pytest
from client_server import document, reply

from marketdata_client import Client, Forbidden, NotAuthenticated, Retries
from store import open_store
from store.copies import CopyCut, MirrorInUse
from tests.system.installation import UNLIMITED, Installation

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("client")]

SYMBOL = "CLMIR"
HASH = 64 * "0"


def rows(first: int, last: int) -> list[dict[str, object]]:
    return [
        {"timestamp": f"2025-01-02T14:30:{second:02}Z", "symbol": SYMBOL, "price": 10 + second, "volume": 1}
        for second in range(first, last)
    ]


def test_a_mirror_follows_the_server(installation: Installation, url: str, client: Client, tmp_path: Path):
    client.ingest("trades", rows(0, 3))
    key = installation.new_key(rate=UNLIMITED, tier="internal", scopes=("market:copy",))
    with Client(url, key) as copier:
        states = copier.mirror(tmp_path / "mirror", [SYMBOL])
        assert next(states).is_current
        client.ingest("trades", rows(3, 5))
        assert next(each for each in states if each.head.number == 2).is_current
        with pytest.raises(MirrorInUse):
            list(copier.mirror(tmp_path / "mirror", [SYMBOL], follow=False))
        states.close()
        # A process of the server may show the commit before for a moment.
        *_, last = copier.mirror(tmp_path / "mirror", [SYMBOL], follow=False)
        assert last.head.number == 2
    found = open_store(tmp_path / "mirror").bars(
        SYMBOL, "2025-01-02T14:30:00Z", "2025-01-02T14:31:00Z", "1min"
    )
    assert found.volume.tolist() == [5.0]


def test_a_key_without_the_scope_is_refused(
    client: Client, tmp_path: Path, installation: Installation, url: str
):
    with (
        Client(url, installation.new_key(rate=UNLIMITED, scopes=("market:read",))) as reader,
        pytest.raises(Forbidden),
    ):
        next(reader.mirror(tmp_path / "mirror", [SYMBOL]))


def test_a_copy_that_breaks_off_is_asked_for_again(scripted, tmp_path: Path):
    log = {"dataset": "trades", "symbol": SYMBOL, "number": 1, "hash": HASH[:-1] + "1"}
    states = {"seen": "a", "logs": [{**log, "committed_at": "2025-01-02T14:30:00Z"}], "declarations": []}
    cut = b'{"kind":"log","dataset":"trades"'
    refused = document({"code": "invalid_api_key"}, 401)
    server = scripted(document(states), reply(cut), document(states), reply(cut), refused)
    with Client(server.url, "md_x", retries=Retries(first_pause=0.01)) as client:
        with pytest.raises(NotAuthenticated):
            next(client.mirror(tmp_path / "mirror", [SYMBOL]))
        assert len(server.received) == 5
    server = scripted(document(states), reply(cut))
    with Client(server.url, "md_x") as client, pytest.raises(CopyCut):
        next(client.mirror(tmp_path / "other", [SYMBOL], follow=False))
