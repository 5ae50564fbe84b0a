"""What the measurements of access share: the request, the parts that are switched off, and how something is replaced."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from typing import Any
from unittest.mock import patch

BARS = "/v1/stats/ohlc"
# Of a day that is over: such an answer is held as long as there is room.
QUERY = "symbol=BENCH&interval=1min&start=2025-01-06T00:00:00Z&end=2025-01-06T01:00:00Z"
DRF, DOOR = "drf", "door"
AUTHENTICATION, THROTTLE, AUDIT = "authentication", "throttle", "audit"
OFF = {
    AUTHENTICATION: (AUTHENTICATION,),
    THROTTLE: (THROTTLE,),
    AUDIT: (AUDIT,),
    "all three": (AUTHENTICATION, THROTTLE, AUDIT),
}

Environ = dict[str, Any]


def environ_with(headers: Mapping[str, str]) -> Callable[[], Environ]:
    """What makes the request for the cached bars, anew each time as Django changes it."""
    template = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": BARS,
        "REQUEST_URI": f"{BARS}?{QUERY}",
        "QUERY_STRING": QUERY,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_X_CORRELATION_ID": "01975c1e-5d4f-7000-8000-000000000000",
        "wsgi.url_scheme": "http",
        **headers,
    }
    return lambda: {**template, "wsgi.input": BytesIO()}


@contextmanager
def replaced(*places: tuple[Any, str, Any]) -> Iterator[None]:
    """Attributes of modules and classes that are something else meanwhile."""
    with ExitStack() as stack:
        for owner, name, value in places:
            stack.enter_context(patch.object(owner, name, value))
        yield
