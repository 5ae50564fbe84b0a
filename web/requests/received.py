"""A request as it was received: one value from which authentication, cost and audit record are computed."""

import codecs
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from web.requests.wsgi_variables import RECEIVED_CALL

_HEADER = "HTTP_"
_BARE_HEADERS = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}
# Characters that a path may contain without percent-encoding (RFC 3986, 3.3).
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"
# The argument `safe` with which Django percent-encodes those bytes of a path that are not UTF-8.
_REQUOTED_SAFE = "/#%[]=:;$&()+,!?*@'~"


class ReceivedCall(NamedTuple):
    """A request as it was received. `call_in` makes it once per request.

    `path` is decoded, as the URLconf resolves it. `target` (the path) and `query` are percent-encoded, as they were
    sent. Header names are in lower case. Behind a trusted proxy `address` and `scheme` are the client's, not the
    proxy's.
    """

    method: str
    scheme: str
    host: str
    path: str
    target: str
    query: str
    address: str
    headers: Mapping[str, str]

    @property
    def url(self) -> str:
        """The URL as it was sent."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{self.host}{self.target}{query}"

    def __repr__(self) -> str:
        """Return a text without headers and query, because they may hold secrets."""
        return f"ReceivedCall({self.method} {self.path} from {self.address})"


def call_in(environ: MutableMapping[str, Any]) -> ReceivedCall:
    """Return the call in a WSGI environ (Django's META), and cache it there.

    Before the first call, apply a trusted proxy's headers to the environ, and change nothing else in it. `target` is
    the path in `REQUEST_URI` if the server sets that; otherwise it is the decoded path, percent-encoded again.
    """
    cached: ReceivedCall | None = environ.get(RECEIVED_CALL)
    if cached is not None:
        return cached
    path = _decoded(environ["PATH_INFO"])
    target: str = environ.get("REQUEST_URI") or quote(path, safe=_PATH_CHARACTERS)
    call = environ[RECEIVED_CALL] = ReceivedCall(
        environ["REQUEST_METHOD"],
        environ["wsgi.url_scheme"],
        environ.get("HTTP_HOST", ""),
        path,
        target.partition("?")[0],
        environ.get("QUERY_STRING", ""),
        environ.get("REMOTE_ADDR", ""),
        _headers(environ),
    )
    return call


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    headers = {_header(name): value for name, value in environ.items() if name.startswith(_HEADER)}
    for name, header in _BARE_HEADERS.items():
        if environ.get(name):
            headers[header] = environ[name]
    return headers


@lru_cache(maxsize=512)
def _header(name: str) -> str:
    return name.removeprefix(_HEADER).replace("_", "-").lower()


def _decoded(path: str) -> str:
    """Decode a PEP 3333 path (one character per byte) as UTF-8.

    Bytes that are not UTF-8 are percent-encoded, as in Django. A path that Django's test client has already decoded is
    returned unchanged.
    """
    if path.isascii():
        return path or "/"
    try:
        return path.encode("latin-1").decode("utf-8", _REQUOTE)
    except UnicodeEncodeError:
        return path


def _requoted(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 the codec calls it with nothing else
    return quote(error.object[error.start : error.end], safe=_REQUOTED_SAFE), error.end


_REQUOTE = "marketdata_requote"
codecs.register_error(_REQUOTE, _requoted)


# The safe methods (RFC 9110, 9.2.1) that the API supports.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
