"""A call as it was received. Authentication, cost and audit record are functions of this one value."""

import codecs
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

_HEADER = "HTTP_"
_BARE_HEADERS = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}
# Characters that a path may hold unencoded (RFC 3986, 3.3).
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"
# Characters that Django leaves unquoted where it quotes bytes of a path that are no UTF-8.
_REQUOTED_SAFE = "/#%[]=:;$&()+,!?*@'~"
# The WSGI variable that caches the value.
_KEPT = "marketdata.received_call"


class ReceivedCall(NamedTuple):
    """A call as it was received, made once before anything is changed.

    `path` is decoded, as the URLconf resolves it. `target` (the path) and `query` are percent-encoded, as sent.
    Header names are in lower case. `address` and `scheme` are the client's own where a trusted proxy states them.
    """

    method: str
    scheme: str
    host: str
    path: str
    target: str
    query: str
    address: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        """Without headers and query, which may hold secrets."""
        return f"ReceivedCall({self.method} {self.path} from {self.address})"


class DjangoRequest(Protocol):
    """The part of Django's request that `call_of` reads."""

    META: dict[str, Any]
    path_info: str


def call_in(environ: MutableMapping[str, Any]) -> ReceivedCall:
    """The call in a WSGI environ, which must be unchanged and have a trusted proxy's headers applied.

    The value is cached in the environ. `REQUEST_URI`, if the server sets it, is the target as it was sent;
    without it the path is encoded again, as UTF-8.
    """
    kept: ReceivedCall | None = environ.get(_KEPT)
    if kept is None:
        kept = environ[_KEPT] = _received(environ, _decoded(environ["PATH_INFO"]))
    return kept


def call_of(request: DjangoRequest) -> ReceivedCall:
    """The call of Django's request: the cached value, or else one made of what Django parsed."""
    environ = request.META
    kept: ReceivedCall | None = environ.get(_KEPT)
    if kept is None:
        kept = environ[_KEPT] = _received(environ, request.path_info)
    return kept


def _received(environ: Mapping[str, Any], path: str) -> ReceivedCall:
    target: str = environ.get("REQUEST_URI") or quote(path, safe=_PATH_CHARACTERS)
    return ReceivedCall(
        environ["REQUEST_METHOD"],
        environ["wsgi.url_scheme"],
        environ.get("HTTP_HOST", ""),
        path,
        target.partition("?")[0],
        environ.get("QUERY_STRING", ""),
        environ.get("REMOTE_ADDR", ""),
        _headers(environ),
    )


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    found = {_header(name): value for name, value in environ.items() if name.startswith(_HEADER)}
    for name, header in _BARE_HEADERS.items():
        if environ.get(name):
            found[header] = environ[name]
    return found


@lru_cache(maxsize=512)
def _header(name: str) -> str:
    return name.removeprefix(_HEADER).replace("_", "-").lower()


def _decoded(path: str) -> str:
    """Decode a PEP 3333 path (one character a byte) as UTF-8. Other bytes are quoted, as Django does."""
    if path.isascii():
        return path or "/"
    return path.encode("latin-1").decode("utf-8", _REQUOTE)


def _requoted(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 the codec calls it with nothing else
    return quote(error.object[error.start : error.end], safe=_REQUOTED_SAFE), error.end


_REQUOTE = "marketdata_requote"
codecs.register_error(_REQUOTE, _requoted)


# What changes nothing (RFC 9110, 9.2.1), of the methods that are answered here.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
