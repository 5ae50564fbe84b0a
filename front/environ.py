"""Types of ASGI's callables, and the WSGI environ (PEP 3333) of an ASGI scope."""

import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


# Bytes. A longer Cookie header with escapes is dropped: CPython before 3.11.10 and 3.12.6 parses it in quadratic time.
_LONGEST_ESCAPED_COOKIES = 4096
# The most entries in the cache of header names. Names come from clients, so the cache must be bounded.
_MOST_NAMES = 512
_names: dict[bytes, str] = {}
_HTTP_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
# The key of a scope's function that gets the environ and the answer of a request that may come again.
REMEMBER = "marketdata.remember"
# The key of a scope's function that ends the connection at once, whatever is unsent.
ABORT = "marketdata.abort"
_SERVER = {
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def environ_for(scope: Scope) -> dict[str, Any]:
    """Return the environ of a request, or of the GET that opened a WebSocket, without `wsgi.input`.

    Transfer-Encoding is left out, too: Django gets a decoded body.
    """
    raw_path: bytes = scope["raw_path"]
    server = scope.get("server") or ("localhost", None)
    client = scope.get("client") or ("", 0)
    target = raw_path + b"?" + scope["query_string"] if scope["query_string"] else raw_path
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.get("method", "GET"),
        "SCRIPT_NAME": "",
        "PATH_INFO": (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode("latin-1"),
        # The request target as it was sent, which signatures cover. Not in PEP 3333.
        "REQUEST_URI": target.decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or ""),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.url_scheme": _HTTP_SCHEMES[scope["scheme"]],
        "wsgi.errors": sys.stderr,
        **_SERVER,
    }
    _add_headers(environ, scope["headers"])
    cookies = environ.get("HTTP_COOKIE", "")
    if len(cookies) > _LONGEST_ESCAPED_COOKIES and "\\" in cookies:
        del environ["HTTP_COOKIE"]
    return environ


def _add_headers(environ: dict[str, Any], headers: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        key = _names.get(name)
        if key is None:
            key = _environ_name(name)
        if not key:
            continue
        text = value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
        environ[key] = text


def _environ_name(name: bytes) -> str:
    """Return the WSGI variable of a header; '' for a header that is dropped.

    A name with an underscore is dropped: `X_Api_Key` would become the variable of `X-Api-Key`, which a proxy
    in front may have removed.
    """
    if b"_" in name or name == b"transfer-encoding":
        key = ""
    elif name in {b"content-type", b"content-length"}:
        key = name.decode("latin-1").upper().replace("-", "_")
    else:
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    if len(_names) < _MOST_NAMES and len(name) <= 64:
        _names[name] = key
    return key
