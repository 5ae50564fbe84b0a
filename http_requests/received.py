"""A call as it was received: the one value that identity, cost and record of a call are functions of."""

import codecs
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

_HEADER = "HTTP_"
_BARE_HEADERS = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}
# Characters that a path has as they are (RFC 3986, 3.3).
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"
# What Django leaves as it is where it quotes the bytes of a path that are no UTF-8.
_REQUOTED_SAFE = "/#%[]=:;$&()+,!?*@'~"
# The WSGI variable that keeps the value for whoever asks next.
_KEPT = "marketdata.received_call"


class ReceivedCall(NamedTuple):
    """A call as it was received; made once, before any of it is changed.

    `path` is decoded, as the URLconf resolves it; `target` is the path as it was sent, percent-encoded, and so
    is `query`. `headers` have lower-case names. `address` and `scheme` are the client's own where a trusted
    proxy tells them.
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
        """Headers and query may hold secrets, and are not shown."""
        return f"ReceivedCall({self.method} {self.path} from {self.address})"


class DjangoRequest(Protocol):
    """What is needed of Django's request."""

    META: dict[str, Any]
    path_info: str


def call_in(environ: MutableMapping[str, Any]) -> ReceivedCall:
    """The call of a WSGI environ that nobody has changed yet; it is kept there.

    Where proxies are in front the environ is one to be believed already. `REQUEST_URI`, where the server gives
    it, is the target as it was sent; without it the path is encoded again, as UTF-8.
    """
    kept: ReceivedCall | None = environ.get(_KEPT)
    if kept is None:
        kept = environ[_KEPT] = _received(environ, _decoded(environ["PATH_INFO"]))
    return kept


def call_of(request: DjangoRequest) -> ReceivedCall:
    """The call that Django's request is of: the one that was kept, else as Django reads it."""
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
    """A path of PEP 3333, whose characters are bytes, as UTF-8; bytes that are none are quoted, as Django does."""
    if path.isascii():
        return path or "/"
    return path.encode("latin-1").decode("utf-8", _REQUOTE)


def _requoted(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 the codec calls it with nothing else
    return quote(error.object[error.start : error.end], safe=_REQUOTED_SAFE), error.end


_REQUOTE = "marketdata_requote"
codecs.register_error(_REQUOTE, _requoted)
