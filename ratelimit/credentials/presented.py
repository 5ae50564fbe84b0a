"""What a request presents of who makes it, free of any framework."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

_PREFIX = "HTTP_"
_BARE = ("CONTENT_TYPE", "CONTENT_LENGTH")
# Signs that may stand in a path as they are (RFC 3986, 3.3).
_PATH_SIGNS = "/:@!$&'()*+,;=~"


class Presented(NamedTuple):
    """What a request presents, and what a signature of it may cover.

    path and query are as they were sent, percent-encoded; headers have lower-case names. `address` is the
    client's own, behind trusted proxies. `body` gives the whole body, and may be asked more than once.
    """

    method: str
    scheme: str
    host: str
    path: str
    query: str
    address: str
    headers: Mapping[str, str]
    body: Callable[[], bytes]


def presented_in(environ: Mapping[str, Any], *, body: Callable[[], bytes] = bytes) -> Presented:
    """What a WSGI request presents. `REQUEST_URI`, where the server gives it, is the target as it was sent.

    Without it the path is put together again from PATH_INFO as Django reads it, in UTF-8.
    """
    target = environ.get("REQUEST_URI") or quote(environ["PATH_INFO"], safe=_PATH_SIGNS)
    return Presented(
        method=environ["REQUEST_METHOD"],
        scheme=environ["wsgi.url_scheme"],
        host=environ.get("HTTP_HOST", ""),
        path=target.partition("?")[0],
        query=environ.get("QUERY_STRING", ""),
        address=environ.get("REMOTE_ADDR", ""),
        headers=EnvironHeaders(environ),
        body=body,
    )


class EnvironHeaders(Mapping[str, str]):
    """The headers in a WSGI environ by their lower-case names.

    Looked up when asked for, since most never are.
    """

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value: str = self._environ[_environ_name(name)]
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """As of any mapping, without its exception in between: absent headers are the rule."""
        return self._environ.get(_environ_name(name), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _environ_name(name) in self._environ

    def __iter__(self) -> Iterator[str]:
        for name, value in self._environ.items():
            if name.startswith(_PREFIX) or (name in _BARE and value):
                yield name.removeprefix(_PREFIX).replace("_", "-").lower()

    def __len__(self) -> int:
        return sum(1 for _ in self)


@lru_cache(maxsize=256)
def _environ_name(name: str) -> str:
    upper = name.upper().replace("-", "_")
    return upper if upper in _BARE else _PREFIX + upper
