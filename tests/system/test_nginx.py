"""What a real nginx with the project's configuration hands on, and how."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPSConnection
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.http import StreamingHttpResponse

from tests.marketdata_project.front_server import echo, running
from tests.patience import PATIENCE_SECONDS
from tests.system.certificates import Authority
from tests.system.nginx import Nginx, nginx_before

pytestmark = pytest.mark.xdist_group("nginx")

SAID = {
    "X-Forwarded-For": "198.51.100.1",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    "X-Real-IP": "198.51.100.1",
    "Forwarded": "for=198.51.100.1",
    "X-SSL-Client-Verify": "SUCCESS",
    "X-SSL-Client-Cert": "forged",
    "X_SSL_Client_Verify": "SUCCESS",
    "Proxy-Connection": "x",
}


@contextlib.contextmanager
def before(port: int, folder: Path) -> Iterator[Nginx]:
    """nginx before that port."""
    servers, clients = Authority("servers"), Authority("clients")
    server = servers.issue("server", address="127.0.0.1")
    files = {
        "server.pem": server.pem,
        "server.key": server.key_pem,
        "clients_ca.pem": clients.root.pem,
        "clients.crl": clients.list_of([]),
        "servers_ca.pem": servers.root.pem,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with nginx_before(port, folder, authority=folder / "servers_ca.pem") as nginx:
        yield nginx


@pytest.fixture
def echoed(tmp_path, settings) -> Iterator[Nginx]:
    """nginx before a front that answers with what arrived."""
    settings.TRUSTED_PROXIES, settings.BEHIND_TLS_PROXY = (ip_network("127.0.0.1"),), True
    with running(echo) as port, before(port, tmp_path) as nginx:
        yield nginx


def test_what_a_client_says_of_itself_is_overwritten(echoed):
    seen = echoed.ask("GET", "/", None, SAID, source="127.0.0.9").json()
    assert seen["REMOTE_ADDR"] == "127.0.0.9"
    assert seen["wsgi.url_scheme"] == seen["HTTP_X_FORWARDED_PROTO"] == "https"
    assert seen["HTTP_X_SSL_CLIENT_VERIFY"] == "NONE"
    assert seen["HTTP_HOST"] == f"127.0.0.1:{echoed.https_port}"
    spoofable = {name for name in seen if "FORWARDED" in name or "SSL" in name or "REAL" in name}
    assert spoofable == {"HTTP_X_FORWARDED_PROTO", "HTTP_X_SSL_CLIENT_VERIFY"}


@pytest.mark.parametrize(
    "target", ["/a%20b/%C3%A9?x=%20&y", "/a//b/./c", "/a/%2e%2e/x?a?b", "/v1/%74rades", "/?"]
)
def test_the_target_is_handed_on_as_it_was_sent(echoed, target):
    seen = echoed.ask("GET", target).json()
    assert seen["REQUEST_URI"] == target.removesuffix("?")


def test_connections_to_the_server_are_kept(tmp_path):
    with running(echo) as port, before(port, tmp_path) as nginx:
        seen = [nginx.ask("GET", "/").json() for _ in range(5)]
    # Five connections of clients are one of the proxy: the port is its own where nobody is trusted.
    assert len({each["REMOTE_PORT"] for each in seen}) == 1
    assert not any("HTTP_CONNECTION" in each for each in seen)


@pytest.mark.parametrize("protocol", ["websocket", "WebSocket"])
def test_an_upgrade_to_a_websocket_is_handed_on(echoed, protocol):
    headers = {"Connection": "keep-alive, Upgrade", "Upgrade": protocol}
    seen = echoed.ask("GET", "/", None, headers).json()
    assert (seen["HTTP_CONNECTION"], seen["HTTP_UPGRADE"]) == ("upgrade", "websocket")


@pytest.mark.parametrize("protocol", ["h2c", "h2c, websocket", "websocket, h2c", "TLS/1.0", "websocket2"])
def test_an_upgrade_to_anything_else_is_not(echoed, protocol):
    seen = echoed.ask("GET", "/", None, {"Connection": "Upgrade", "Upgrade": protocol}).json()
    assert not {"HTTP_CONNECTION", "HTTP_UPGRADE"} & set(seen)


def test_a_body_is_handed_on_whole(echoed):
    assert echoed.ask("POST", "/", b"x" * 90_000).json()["body_length"] == 90_000


def test_a_stream_arrives_piece_by_piece(tmp_path):
    taken = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"first"
        assert taken.wait(PATIENCE_SECONDS)
        yield b"second"

    with (
        running(lambda _environ: StreamingHttpResponse(pieces())) as port,
        before(port, tmp_path) as nginx,
        contextlib.closing(nginx.connection()) as connection,
    ):
        assert isinstance(connection, HTTPSConnection)
        connection.request("GET", "/")
        response = connection.getresponse()
        # The second piece is made only after the first has come through.
        assert response.read(5) == b"first"
        taken.set()
        assert response.read() == b"second"


def test_a_server_that_is_away_is_said_to_be(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with before(port, tmp_path) as nginx:
        reply = nginx.ask("GET", "/readyz")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["code"] == "server_unavailable"
    assert reply.json()["correlation_id"] == reply.headers["x-correlation-id"]
