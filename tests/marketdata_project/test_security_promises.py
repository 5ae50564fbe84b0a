"""What `docs/security.md` promises and no other test is about: flows that are worth an attack, addresses that others choose,
endpoints that nobody knows of, answers of others."""

import ast
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from django.conf import settings
from django.test import Client
from django.urls import resolve

from marketdata_project.versions import VERSIONS
from ratelimit.limits.costs import COST_RULES
from tests.api_client import OF_SCHEMA, Api
from tests.chance import SOAK
from tests.program import OF_PROGRAM, program_nodes
from tests.ratelimit.access.urlconf import ACCESS
from web.endpoints import ANYBODY, CLOSING, READ, TRADING, WRITE

# The supervisor asks its own web processes whether they are ready. Whatever asks another host is in `outbound`.
# The first calls the own server only. ccxt asks the exchanges: its hosts are its own, and only settings
# change them.
ALLOWED_CLIENTS = {
    ("ops/serve/supervisor.py", "http.client"),
    ("sources/exchange_client.py", "ccxt"),
}
ROOM_OF_CLIENTS = ("ops", "outbound")
HTTP_CLIENTS = {
    "aiohttp", "ccxt", "ftplib", "http.client", "httpcore", "httplib2", "httpx", "marketdata_client", "pycurl", "requests", "smtplib", "telnetlib",
    "urllib.request", "urllib3", "websockets.asyncio", "websockets.client", "websockets.connect", "websockets.legacy", "websockets.sync", "xmlrpc.client",
}  # fmt: skip
ELSEWHERE = [
    "http://169.254.169.254/latest/meta-data/", "https://evil.example/x", "//evil.example", "file:///etc/passwd", "ftp://evil.example/a",
    "gopher://127.0.0.1:6379/_FLUSHALL", "\\\\evil.example\\share", "evil.example:80", "http://[::ffff:127.0.0.1]/", "jdbc:evil",
]  # fmt: skip


# API6: flows that are worth an attack


def test_no_flow_that_changes_something_is_without_limits():
    for (view, method), access in ACCESS.items():
        if method in {"GET", "HEAD", "OPTIONS"}:
            assert access.kind == READ, (view, method)
            continue
        assert access.kind in {WRITE, TRADING, CLOSING}, (view, method)
        # A caller whose quota is used up may still cancel, close and stop.
        assert COST_RULES[access.cost].is_metered == (access.kind != CLOSING), (view, method)


def test_flows_of_keys_accounts_and_configuration_leave_a_record_before_their_answer():
    sensitive = [
        name
        for name in ACCESS
        if name[1] != "GET"
        and ACCESS[name].scope in {"keys:manage", "risk:write", "trading:write", "trading:direct"}
    ]
    assert sensitive
    # A heartbeat comes every few seconds, and changes no account.
    assert [name for name in sensitive if not ACCESS[name].audit_class] == [("account-heartbeat", "POST")]


def test_only_the_beginning_and_the_end_of_a_login_and_links_are_for_anybody():
    names = {name for name, _method in ACCESS if ACCESS[name, _method].scope == ANYBODY}
    assert names == {"auth-token", "auth-refresh", "auth-logout", "oauth-token", "oauth-revoke", "download"}


# API7 and API10: addresses that others choose, answers of others


def modules_imported_by(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@OF_PROGRAM
def test_only_one_room_has_a_client_of_other_hosts():
    """`outbound` checks every address and bounds every answer; nothing goes by it."""
    found = {
        (str(path.relative_to(settings.BASE_DIR)), client)
        for path, nodes in program_nodes().items()
        if path.relative_to(settings.BASE_DIR).parts[:2] != ROOM_OF_CLIENTS
        for module in modules_imported_by(nodes)
        for client in HTTP_CLIENTS
        if module == client or module.startswith(f"{client}.")
    }
    assert found == ALLOWED_CLIENTS


CONNECTIONS: list[Any] = []
_watching = False


def _note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        CONNECTIONS.append(arguments[1])
    elif event in {"socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"}:
        CONNECTIONS.append(arguments)


@contextmanager
def connections_watched() -> Iterator[list[Any]]:
    """Whom this process connects to over a network, or looks up; an audit hook stays for ever, so that there is one."""
    global _watching  # noqa: PLW0603
    if not getattr(sys, "_connections_noted", False):
        sys.addaudithook(_note_connection)
        sys._connections_noted = True  # type: ignore[attr-defined]
    CONNECTIONS.clear()
    _watching = True
    yield CONNECTIONS
    _watching = False


def operations() -> list[tuple[str, str, list[str]]]:
    """Method, path and query parameters of all that is served, from its own documents."""
    documents = [orjson.loads(Client().get(f"{each.schema}?format=json").content) for each in VERSIONS]
    return [
        (
            method.upper(),
            path,
            [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"],
        )
        for document in documents
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


@OF_SCHEMA
def test_an_address_in_a_request_is_never_asked(api: Api):
    with connections_watched() as asked:
        for place, (method, path, parameters) in enumerate(operations()):
            # Each operation is asked with some of them, and each of them is in many requests.
            for number, elsewhere in list(enumerate(ELSEWHERE))[0 if SOAK else place % 4 :: 1 if SOAK else 4]:
                target = re.sub(r"\{\w+\}", "AAPL" if number % 2 else "http:%2F%2Fevil.example", path)
                headers = {
                    "Referer": elsewhere,
                    "Origin": elsewhere,
                    "X-Forwarded-Host": elsewhere,
                    "X-Original-URL": elsewhere,
                }
                body = orjson.dumps(
                    {
                        "url": elsewhere,
                        "trades": [{"symbol": elsewhere, "source": elsewhere}],
                        "$ref": elsewhere,
                    }
                )
                query = dict.fromkeys(parameters[number % 3 :: 3], elsewhere)
                target += f"?{urlencode(query)}"
                response = api.call(method, target, b"" if method == "GET" else body, **headers)
                assert response.status_code != 500
    assert asked == []


def test_a_connection_would_be_noticed():
    with connections_watched() as asked, socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        socket.create_connection(address).close()
    assert address in asked


# API9: endpoints that nobody knows of


def test_every_endpoint_is_in_a_document_and_no_document_names_another():
    described = {(resolve(filled(path)).url_name, method) for method, path, _ in operations()}
    # No document has WebSockets, pages, TradingView's datafeed, or what Alpaca's clients expect below v1.
    others = {("live-stream", "GET"), ("import", "GET"), ("import", "POST")}
    assert (
        described
        == {each for each in ACCESS if not each[0].startswith(("udf-", "alpaca-corporate"))} - others
    )


def filled(path: str) -> str:
    """A path with something in place of its parameters."""
    return re.sub(r"\{(\w+)\}", lambda found: "1" if found[1] in {"id", "key_id", "pk"} else "AAPL", path)


# API8: what is left open by mistake


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/api/v1/stats/ohlc", "/admin/", "/healthz"])
def test_methods_of_other_purposes_are_refused(api: Api, method: str, path: str):
    response = api.call(method, path, b"")
    assert response.status_code in {302, 400, 401, 403, 404, 405}
    assert b"X-API-Key" not in response.content


def test_no_other_origin_may_call_unless_it_is_named(api: Api):
    response = Client().get("/api/v1/stats/ohlc", headers={"Origin": "https://evil.example"})
    assert not [name for name in response.headers if name.startswith("Access-Control-")]
