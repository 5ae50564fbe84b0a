"""What a real nginx with the project's configuration hands on, and how."""

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPSConnection
from ipaddress import ip_network
from pathlib import Path

import orjson
import pytest
from django.http import StreamingHttpResponse

from front.answers import (
    APPLICATION_FAILED,
    BODY_TOO_SLOW,
    HEADERS_TOO_LARGE,
    MALFORMED,
    TARGET_TOO_LONG,
    TOO_MANY_CONNECTIONS,
    Refusal,
)
from marketdata_project.error_shapes import error_body
from marketdata_project.problems import Problem, problem_of
from tests.api_client import DECLARED
from tests.front.front_server import Reply, echo, read_reply, running
from tests.patience import PATIENCE_SECONDS
from tests.system.certificates import Authority
from tests.system.nginx import TEMPLATE, Nginx, nginx_before
from web.problem_body import TITLES, problem_body
from web.requests.exceptions import BodyTooLarge

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
    assert seen["HTTP_UPGRADE"] == "websocket"


@pytest.mark.parametrize("protocol", ["h2c", "h2c, websocket", "websocket, h2c", "TLS/1.0", "websocket2"])
def test_an_upgrade_to_anything_else_is_not(echoed, protocol):
    seen = echoed.ask("GET", "/", None, {"Connection": "Upgrade", "Upgrade": protocol}).json()
    assert not {"HTTP_CONNECTION", "HTTP_UPGRADE"} & set(seen)


def test_a_body_is_handed_on_whole(echoed):
    assert echoed.ask("POST", "/", b"x" * 90_000).json()["body_length"] == 90_000


def test_a_piece_of_an_upload_is_larger_than_other_bodies(echoed):
    piece = bytes(33 * 2**20)
    answers = [echoed.ask("PATCH", f"/api/v1/ingest/batch/{path}", piece) for path in ("a-b", "a-b/x")]
    assert [each.status for each in answers] == [200, 413]


def test_plain_http_leads_to_the_servers_own_name(echoed):
    for host in (b"evil.example", b"127.0.0.1"):
        reply = spoken(echoed, b"GET /docs HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", tls=False)
        assert (reply.status, reply.headers["location"]) == (308, "https://127.0.0.1/docs")


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
    # Bound, so that nobody else takes the port, and never listening.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with before(closed.getsockname()[1], tmp_path) as nginx:
            reply = nginx.ask("GET", "/readyz")
            of_alpaca = nginx.ask("GET", "/api/v1beta3/crypto/us/bars")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["code"] == "server_unavailable"
    assert (of_alpaca.status, of_alpaca.json()["code"]) == (503, 50_300_000)
    assert reply.json()["correlation_id"] == reply.headers["x-correlation-id"]


def spoken(nginx: Nginx, request: bytes, *, tls: bool = True) -> Reply:
    """The answer to these bytes."""
    port = nginx.https_port if tls else nginx.http_port
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as plain:
        if not tls:
            plain.sendall(request)
            return read_reply(plain)
        context = ssl.create_default_context(cafile=nginx.authority)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(request)
            return read_reply(connection)


PATHS = ("/v1/stats/ohlc", "/api/v2/clock", "/api/v2", "/udf/time")
HOST = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
# nginx does not tell which it was.
EITHER_TOO_LARGE = replace(
    HEADERS_TOO_LARGE, message="A header is longer than 16 KiB, or all of them are larger than 64 KiB."
)
# What is sent, over TLS or not, and what the server itself refuses it with. @ is a path.
REFUSED: dict[str, tuple[bytes, bool, Refusal | Problem]] = {
    "no HTTP": (b"GET @ HTTP/1.1\r\n\r\n", True, MALFORMED),
    "another version": (b"GET @ HTTP/3.0\r\nHost: h\r\n\r\n", True, MALFORMED),
    "plain HTTP to TLS": (b"", True, MALFORMED),
    "an unknown coding": (b"POST @" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", True, MALFORMED),
    "a long target": (b"GET @?" + b"a" * 17_000 + HOST + b"\r\n", True, TARGET_TOO_LONG),
    "a long header": (b"GET @" + HOST + b"X-A: " + b"a" * 17_000 + b"\r\n\r\n", True, EITHER_TOO_LARGE),
    "TRACE": (b"TRACE @" + HOST + b"\r\n", True, Problem("method_not_allowed", "the method is not allowed here")),
    "a large body": (
        b"POST @" + HOST + b"Content-Length: 33554433\r\n\r\n", True, problem_of(BodyTooLarge(32 * 2**20)),
    ),
    "what is nginx's own": (b"GET /.proxy/refusal.problem" + HOST + b"\r\n", True, Problem("not_found", "there is nothing here")),
    "a long target, plainly": (b"GET @?" + b"a" * 33_000 + HOST + b"\r\n", False, TARGET_TOO_LONG),
    "a large body, plainly": (
        b"POST @" + HOST + b"Content-Length: 33554433\r\n\r\n", False, problem_of(BodyTooLarge(32 * 2**20)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("request_bytes", "tls", "refusal"), REFUSED.values(), ids=REFUSED)
def test_what_nginx_refuses_has_the_body_of_the_servers_own_refusal(echoed, request_bytes, tls, refusal):
    for path in PATHS if b"@" in request_bytes else ("/",):
        if request_bytes:
            reply = spoken(echoed, request_bytes.replace(b"@", path.encode()), tls=tls)
        else:
            with socket.create_connection(
                ("127.0.0.1", echoed.https_port), timeout=PATIENCE_SECONDS
            ) as plain:
                plain.sendall(b"GET /" + HOST + b"\r\n")
                reply = read_reply(plain)
        problem = problem_body(
            status=int(refusal.status),
            code=refusal.code,
            message=refusal.message,
            correlation_id=reply.headers["x-correlation-id"],
        )
        content_type, body = error_body(problem, path)
        assert (reply.status, reply.headers["content-type"]) == (refusal.status, content_type)
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.json() == orjson.loads(body)


def test_every_problem_of_nginx_is_one_of_the_apis():
    """Those that take half a minute, or a certificate, are not tried: they have the form and words of the others."""
    template = TEMPLATE.read_text().replace("\\'", "'")
    pages = re.findall(r"error_page ([\d ]+)(?:=(\d+))? +/\.proxy/", template)
    rows = re.findall(r"^    (\d+) '(\w+) \[(.+)\] (.+)';$", template, re.MULTILINE)
    assert {status for status, *_ in rows} == {
        each for answered, instead in pages for each in (instead or answered).split()
    }
    for status, code, title, _ in rows:
        assert (int(status), code) in DECLARED
        assert title == TITLES[int(status)]
    messages = {code: message for _, code, _, message in rows}
    for refusal in (MALFORMED, TARGET_TOO_LONG, TOO_MANY_CONNECTIONS, BODY_TOO_SLOW, APPLICATION_FAILED):
        assert messages[refusal.code] == refusal.message
