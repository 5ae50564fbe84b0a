"""A real nginx with the project's template, in a folder of its own, on free ports of 127.0.0.1."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from string import Template

import pytest
from django.conf import settings

from tests.front.front_server import Reply, eventually
from tests.patience import PATIENCE_SECONDS

TEMPLATE = settings.BASE_DIR / "deploy" / "nginx" / "marketdata.conf"
VARIABLES = ("SERVER_NAME", "HTTP_LISTEN", "HTTPS_LISTEN", "UPSTREAM", "TLS_DIR")
_ATTEMPTS = 5
_MAIN = Template("""
$user
daemon off;
worker_processes 1;
pid $folder/nginx.pid;
error_log $folder/error.log info;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    include $folder/marketdata.conf;
}
""")


@dataclass(frozen=True)
class Nginx:
    folder: Path
    http_port: int
    https_port: int
    authority: Path
    """The certificate that its own is to be checked with."""

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        certificate: Path | None = None,
        source: str = "127.0.0.1",
    ) -> Reply:
        """One answer over TLS, on a connection of its own from the address `source`."""
        return answer_of(self.connection(certificate, source=source), method, path, body, headers)

    def connection(self, certificate: Path | None = None, *, source: str = "127.0.0.1") -> HTTPSConnection:
        """A connection over TLS from the address `source`."""
        context = ssl.create_default_context(cafile=self.authority)
        if certificate is not None:
            context.load_cert_chain(certificate)
        return HTTPSConnection(
            "127.0.0.1",
            self.https_port,
            timeout=PATIENCE_SECONDS,
            context=context,
            source_address=(source, 0),
        )

    @property
    def log(self) -> str:
        return (self.folder / "error.log").read_text()


def answer_of(
    connection: HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Reply:
    """One answer; the connection is closed after it."""
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Reply(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )


def nginx_program() -> str:
    """The program; without it the test is skipped."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)("there is no nginx")
    return found


@contextlib.contextmanager
def nginx_before(port: int, folder: Path, *, authority: Path) -> Iterator[Nginx]:
    """nginx before the server on that port; the files of TLS_DIR are in `folder`."""
    program = nginx_program()
    for _ in range(_ATTEMPTS):
        http_port, https_port = free_ports(2)
        nginx = Nginx(folder, http_port, https_port, authority)
        process = started(program, nginx, port)
        assert eventually(lambda at=nginx.https_port, it=process: accepts(at) or it.poll() is not None)  # type: ignore[misc]
        # Otherwise somebody else was quicker to take one of the ports.
        if process.poll() is None or "Address already in use" not in nginx.log:
            break
    try:
        assert process.poll() is None, nginx.log
        yield nginx
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def started(program: str, nginx: Nginx, port: int) -> subprocess.Popen[bytes]:
    """It with the project's template, before the server on that port."""
    folder = nginx.folder
    values = (
        "127.0.0.1",
        f"127.0.0.1:{nginx.http_port}",
        f"127.0.0.1:{nginx.https_port}",
        f"127.0.0.1:{port}",
        str(folder),
    )
    text = TEMPLATE.read_text()
    for name, value in zip(VARIABLES, values, strict=True):
        text = text.replace(f"${{{name}}}", value)
    (folder / "marketdata.conf").write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_MAIN.substitute(folder=folder, user=user))
    arguments = ["-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    return subprocess.Popen([program, *map(str, arguments)], stdin=subprocess.DEVNULL)


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
