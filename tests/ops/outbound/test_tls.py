"""Over TLS the address is the checked one, and all names stay that of the URL."""

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ops.outbound.destination import Destination, Limits
from ops.outbound.exceptions import DestinationUnavailable
from tests.ops.outbound.test_addresses import LOOPBACK

ONCE = Limits(connect=1, read=1, total=5, attempts=1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A file with a key and a certificate of `source.test` that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "source.test")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("source.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path: Path = tmp_path_factory.mktemp("tls") / "source.pem"
    path.write_bytes(text + signed.public_bytes(pem))
    return path


class TlsServer:
    """Answers one call. names: the one in TLS, and that of the `Host` header."""

    def __init__(self, certificate: Path) -> None:
        self.names: list[str] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        try:
            with self._context.wrap_socket(self._socket.accept()[0], server_side=True) as call:
                head = call.recv(65_536).decode()
                self.names.append(head.partition("Host: ")[2].partition("\r\n")[0])
                call.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
        except OSError:
            return

    def close(self) -> None:
        self._thread.join(2)
        self._socket.close()


@pytest.fixture
def server(certificate, monkeypatch, settings):
    settings.OUTBOUND_NETWORKS = LOOPBACK
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: resolve("127.0.0.1" if host.endswith(".test") else host, *rest, **more),
    )
    settings.OUTBOUND_CA_FILE = str(certificate)
    server = TlsServer(certificate)
    yield server
    server.close()


def test_the_names_in_tls_and_in_the_request_are_those_of_the_url(server):
    with Destination("tls", f"https://source.test:{server.port}", limits=ONCE).stream("/") as answer:
        assert b"".join(answer.pieces) == b"yes"
    assert server.names == ["source.test", f"source.test:{server.port}"]


def test_a_certificate_of_another_name_is_refused(server):
    with pytest.raises(DestinationUnavailable, match="ConnectError"):
        with Destination("tls", f"https://other.test:{server.port}", limits=ONCE).stream("/"):
            pass


def test_a_certificate_that_nobody_vouches_for_is_refused(server, settings):
    settings.OUTBOUND_CA_FILE = ""
    with pytest.raises(DestinationUnavailable, match="ConnectError"):
        with Destination("tls", f"https://source.test:{server.port}", limits=ONCE).stream("/"):
            pass
