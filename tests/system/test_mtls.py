"""mTLS and forwarded addresses through a real nginx with the project's configuration, before a real installation."""

import contextlib
import re
import secrets
import sqlite3
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest

from tests.front.front_server import Reply, eventually, read_reply
from tests.patience import PATIENCE_SECONDS
from tests.ratelimit.credentials.signatures.signing import prefix_of, secret_of, signed
from tests.system.batches import Batch
from tests.system.certificates import Authority, Issued
from tests.system.clients import INGEST, OHLC
from tests.system.installation import UNLIMITED, WEB_ONLY, Installation, installed
from tests.system.nginx import Nginx, answer_of, nginx_before, nginx_program
from tests.system.test_metrics import exported, scraped

pytestmark = pytest.mark.xdist_group("nginx")

BARS = f"{OHLC}?symbol=MTLS"
# Only nginx connects from there.
PROXY, CLIENT, OTHER, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"
SIGNING_SECRET = secrets.token_urlsafe(64)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("clients")


@pytest.fixture(scope="module")
def certificates(authority) -> dict[str, Issued]:
    return {
        "good": authority.issue("good"),
        "of no key": authority.issue("of no key"),
        "of a revoked key": authority.issue("of a revoked key"),
        "listed": authority.issue("listed"),
        "expired": authority.issue("expired", days=(-2, -1)),
        "of the future": authority.issue("of the future", days=(1, 2)),
        "of another authority": Authority("clients").issue("good"),
        "of itself": Authority("good").root,
    }


@pytest.fixture(scope="module")
def installation(tmp_path_factory, certificates) -> Iterator[Installation]:
    nginx_program()
    environment = {
        **WEB_ONLY,
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.production",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "SIGNING_SECRET": SIGNING_SECRET,
        "TRUSTED_PROXIES": PROXY,
        "BEHIND_TLS_PROXY": "1",
        "ADDRESS_RATE": "10",
    }
    with installed(tmp_path_factory.mktemp("mtls"), data_dir=None, **environment) as found:
        # What production prints is kept in a log.
        assert re.search(r"md_\w{8}_", found.served.output.read_text()) is None
        found.new_key(rate=UNLIMITED, certificate=certificates["good"].fingerprint)
        revoked = certificates["of a revoked key"].fingerprint
        found.new_key(rate=UNLIMITED, certificate=revoked, revoked=True)
        for name in ("listed", "expired", "of the future", "of another authority", "of itself"):
            found.new_key(rate=UNLIMITED, certificate=certificates[name].fingerprint)
        yield found


@pytest.fixture(scope="module")
def nginx(installation, authority, certificates, tmp_path_factory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    servers = Authority("servers")
    server = servers.issue("server", address=PROXY)
    (folder / "server.pem").write_bytes(server.pem)
    (folder / "server.key").write_bytes(server.key_pem)
    (folder / "clients_ca.pem").write_bytes(authority.root.pem)
    (folder / "clients.crl").write_bytes(authority.list_of([certificates["listed"]]))
    (folder / "servers_ca.pem").write_bytes(servers.root.pem)
    with nginx_before(installation.port, folder, authority=folder / "servers_ca.pem") as found:
        batch = Batch(1, "MTLS", 3, has_ids=True).body
        json = {"X-API-Key": installation.key, "Content-Type": "application/json"}
        assert found.ask("POST", INGEST, batch, json).status == 200
        yield found


@pytest.fixture
def files(certificates, tmp_path) -> dict[str, Path]:
    return {name: issued.written(tmp_path / f"{name}.pem") for name, issued in certificates.items()}


def recorded(installation: Installation, correlation: str) -> sqlite3.Row:
    """The audit record of the request with that correlation id."""
    assert eventually(lambda: installation.audited(correlation))
    (row,) = installation.audited(correlation)
    return row


def key_with(installation: Installation, fingerprint: str) -> str:
    with installation._database() as database:
        query = "SELECT id FROM ratelimit_apikey WHERE certificate = ?"
        return f"key:{database.execute(query, [fingerprint]).fetchone()[0]}"


def directly(installation: Installation, headers: dict[str, str], *, source: str = CLIENT) -> Reply:
    """One answer of the server itself, to a client that goes around the proxy."""
    connection = HTTPConnection(
        "127.0.0.1", installation.port, timeout=PATIENCE_SECONDS, source_address=(source, 0)
    )
    return answer_of(connection, "GET", BARS, None, {"Host": "localhost", **headers})


def code_of(reply: Reply) -> str:
    assert reply.headers["content-type"] == "application/problem+json", reply
    problem = reply.json()
    assert problem["correlation_id"] == reply.headers["x-correlation-id"]
    assert reply.status == problem["status"]
    return str(problem["code"])


def test_a_good_certificate_is_its_key(nginx, installation, certificates, files):
    reply = nginx.ask("GET", BARS, None, {"X-Correlation-ID": "mtls-good"}, certificate=files["good"])
    assert reply.status == 200, reply.body
    row = recorded(installation, "mtls-good")
    assert (row["caller"], row["status"]) == (key_with(installation, certificates["good"].fingerprint), 200)


@pytest.mark.parametrize("name", ["listed", "expired", "of the future", "of another authority", "of itself"])
def test_a_certificate_that_is_not_good_is_refused_by_the_proxy(nginx, installation, files, name):
    headers = {"X-Correlation-ID": "mtls-bad", "X-API-Key": installation.key}
    reply = nginx.ask("GET", BARS, None, headers, certificate=files[name])
    assert (reply.status, code_of(reply)) == (401, "invalid_certificate")
    assert "www-authenticate" in reply.headers
    assert not installation.audited("mtls-bad")


@pytest.mark.parametrize(
    ("name", "code"), [("of no key", "invalid_certificate"), ("of a revoked key", "revoked_api_key")]
)
def test_a_good_certificate_without_a_good_key_is_refused(nginx, files, name, code):
    reply = nginx.ask("GET", BARS, certificate=files[name])
    assert (reply.status, code_of(reply)) == (401, code)


def answers_in_the_event_loop(installation: Installation) -> float:
    found = exported(scraped(installation))["marketdata_event_loop_answers_total"]
    return sum(value for _, value in found)


def test_an_equal_get_with_a_key_is_answered_in_the_event_loop(nginx, installation):
    """nginx tells of every client whether it has a certificate."""
    headers = {"X-API-Key": installation.key}
    before = answers_in_the_event_loop(installation)

    def is_answered_in_the_loop() -> bool:
        assert nginx.ask("GET", BARS, None, headers).status == 200
        return answers_in_the_event_loop(installation) > before

    assert eventually(is_answered_in_the_loop)


def test_a_key_works_without_a_certificate(nginx, installation):
    assert nginx.ask("GET", BARS, None, {"X-API-Key": installation.key}).status == 200
    assert code_of(nginx.ask("GET", BARS)) == "not_authenticated"


def test_a_certificate_and_a_key_are_one_too_many(nginx, installation, files):
    reply = nginx.ask("GET", BARS, None, {"X-API-Key": installation.key}, certificate=files["good"])
    assert code_of(reply) == "ambiguous_credentials"


def spoofed(certificate: Issued) -> dict[str, str]:
    return {
        "X-SSL-Client-Verify": "SUCCESS",
        "X-SSL-Client-Cert": quote(certificate.pem.decode(), safe=""),
        "X-Forwarded-Proto": "https",
    }


def test_a_certificate_that_only_a_header_speaks_of_counts_nothing(nginx, installation, certificates):
    headers = spoofed(certificates["good"])
    through = nginx.ask("GET", BARS, None, headers)
    assert code_of(through) == "not_authenticated"
    with_underscores = {name.replace("-", "_"): value for name, value in headers.items()}
    assert code_of(nginx.ask("GET", BARS, None, with_underscores)) == "not_authenticated"
    # Around the proxy: not even the scheme is believed, and plain HTTP is refused.
    assert code_of(directly(installation, headers)) == "https_required"
    # What the proxy says counts: from its address the very same headers do.
    assert directly(installation, headers, source=PROXY).status == 200


def test_the_address_is_the_clients_whatever_it_says(nginx, installation):
    said = ["198.51.100.7", "127.0.0.1", f"{CLIENT}, 127.0.0.1", "unknown", "::1"]
    for number, forwarded in enumerate(said):
        forwarding = {"X-Forwarded-For": forwarded, "X-Real-IP": forwarded, "Forwarded": f"for={forwarded}"}
        headers = {"X-API-Key": installation.key, "X-Correlation-ID": f"mtls-address-{number}", **forwarding}
        assert nginx.ask("GET", BARS, None, headers, source=OTHER).status == 200
    addresses = [recorded(installation, f"mtls-address-{number}")["address"] for number in range(len(said))]
    assert addresses == [OTHER] * len(said)


def test_the_bucket_of_an_address_is_the_clients_whatever_it_says(nginx):
    with contextlib.closing(nginx.connection(source=STRANGER)) as connection:
        for number in range(500):
            connection.request("GET", BARS, headers={"X-Forwarded-For": f"198.51.100.{number % 256}"})
            response = connection.getresponse()
            response.read()
            if response.status == 429:
                break
            assert response.status == 401
    assert response.status == 429
    pretends = {"X-Forwarded-For": STRANGER}
    assert code_of(nginx.ask("GET", BARS, None, pretends, source=OTHER)) == "not_authenticated"


def test_a_network_of_a_key_is_that_of_the_client(nginx, installation):
    key = installation.new_key(rate=UNLIMITED, networks=orjson.dumps([f"{CLIENT}/32"]).decode())
    headers = {"X-API-Key": key, "X-Forwarded-For": CLIENT}
    assert nginx.ask("GET", BARS, None, headers, source=CLIENT).status == 200
    assert code_of(nginx.ask("GET", BARS, None, headers, source=OTHER)) == "network_not_allowed"


def test_a_signature_over_what_was_sent_to_the_proxy_holds(nginx, installation, settings):
    settings.SIGNING_SECRET = SIGNING_SECRET
    key, path = installation.key, f"/api{BARS}&interval=1%6Din"
    url = f"https://127.0.0.1:{nginx.https_port}{path}"
    headers = signed("GET", url, key_id=prefix_of(key), secret=secret_of(key))
    assert nginx.ask("GET", path, None, headers).status == 200
    assert code_of(nginx.ask("GET", path, None, headers)) == "nonce_used"
    plain = signed("GET", url.replace("https", "http"), key_id=prefix_of(key), secret=secret_of(key))
    assert code_of(nginx.ask("GET", path, None, plain)) == "invalid_signature"


def test_over_plain_http_pages_are_redirected_and_calls_refused_and_nobody_tells_a_version(
    nginx, installation
):
    connection = HTTPConnection("127.0.0.1", nginx.http_port, timeout=PATIENCE_SECONDS)
    page = answer_of(connection, "GET", "/docs")
    assert (page.status, page.headers["location"]) == (308, "https://127.0.0.1/docs")
    for path in (BARS, "/ws/v1/stream"):
        key = installation.new_key()
        call = answer_of(connection, "GET", path, None, {"X-API-Key": key})
        assert code_of(call) == "https_required", path
        exposed = f"the API key md_{prefix_of(key)} came over plain HTTP from 127.0.0.1 and is exposed"
        assert eventually(partial(is_said, installation, exposed)), path
    assert {page.headers["server"], call.headers["server"]} == {"nginx"}
    assert nginx.ask("GET", BARS).headers["server"] == "nginx"


def is_said(installation, text: str) -> bool:
    return text in installation.served.output.read_text()


def test_hsts_is_the_servers(nginx, installation):
    reply = nginx.ask("GET", BARS, None, {"X-API-Key": installation.key})
    assert "max-age=" in reply.headers["strict-transport-security"]


def raw(nginx: Nginx, request: bytes) -> Reply:
    """One answer over TLS to bytes as they are."""
    with contextlib.closing(nginx.connection()) as connection:
        connection.connect()
        connection.sock.sendall(request)
        return read_reply(connection.sock)


def test_what_the_proxy_refuses_is_a_problem(nginx, installation):
    large = {"Content-Length": str(33 * 2**20), "X-API-Key": installation.key}
    assert code_of(nginx.ask("POST", INGEST, b"", large)) == "body_too_large"
    assert code_of(nginx.ask("GET", BARS, None, {"X-Long": "x" * 20_000})) == "headers_too_large"
    assert code_of(nginx.ask("GET", f"{BARS}&x={'x' * 20_000}")) == "target_too_long"
    assert code_of(raw(nginx, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")) == "malformed_request"
    assert code_of(raw(nginx, b"nonsense nonsense\r\n\r\n")) == "malformed_request"
    assert nginx.ask("GET", "/.proxy/refusal.problem").status == 404
    assert [code_of(nginx.ask("GET", path)) for path in ("/metrics", "/metrics/")] == ["not_found"] * 2
    assert [nginx.ask("GET", path).status for path in ("/%6detrics", "//metrics", "/x/../metrics")] == [
        404
    ] * 3
    context_free = HTTPConnection("127.0.0.1", nginx.https_port, timeout=PATIENCE_SECONDS)
    assert code_of(answer_of(context_free, "GET", BARS)) == "malformed_request"


def test_an_upload_up_to_the_limit_reaches_the_server(nginx, installation):
    headers = {"X-API-Key": installation.key, "Content-Type": "text/csv"}
    reply = nginx.ask("POST", INGEST, b" " * (32 * 2**20), headers)
    assert code_of(reply) == "malformed_csv"
