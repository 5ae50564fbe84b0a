"""Requests that the front door answers or leaves to Django, as clients send them and as a web process takes them."""

from io import BytesIO
from typing import Any

from front.environ import environ_for
from stats.rendering.formats import FORMATS
from tests.api_client import body_of, trade
from tests.system.clients import OHLC

SYMBOL = "FRONTDOOR"
_VARYING = {"Age", "Content-Length", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit"}
FORCES_DJANGO = {
    "cookie": {"Cookie": "theme=dark"},
    "accept": {"Accept": "text/html, */*;q=0.5"},
}
TAKEN = {
    "all": "",
    "5min": "&interval=5min",
    "range": "&start=2025-01-02&end=2025-01-03",
    "page": "&limit=2",
    "as of": "&as_of=2100-01-01",
    "json by format": "&format=json",
    "format in disguise": "&%66ormat=json",
}
ENCODINGS: dict[str, str | None] = {
    "identity": None,
    "gzip, deflate": "gzip",
    "gzip, deflate, br, zstd": "zstd",
}
LEFT: dict[str, tuple[str, str, dict[str, str]]] = {
    "unknown parameter": ("GET", "&intervall=1min", {}),
    "repeated parameter": ("GET", "&symbol=OTHER", {}),
    "empty parameter": ("GET", "&start=", {}),
    "unknown interval": ("GET", "&interval=2min", {}),
    "no data": ("GET", "&start=2001-01-01&end=2001-01-02", {}),
    "forged cursor": ("GET", "&cursor=Zm9yZ2Vk", {}),
    "page for people": ("GET", "&format=api", {}),
    "unknown format": ("GET", "&format=xml", {}),
    "HEAD": ("HEAD", "", {}),
    "POST": ("POST", "", {}),
    "OPTIONS": ("OPTIONS", "", {}),
    "html": ("GET", "", {"Accept": "text/html"}),
    "unknown type": ("GET", "", {"Accept": "image/png"}),
    "another key too": ("GET", "", {"Authorization": "Api-Key md_nonsense"}),
    "malformed key": ("GET", "", {"X-API-Key": "md_nonsense"}),
    "unknown key": ("GET", "", {"X-API-Key": f"md_aaaaaaaa_{'b' * 43}"}),
    "cookie": ("GET", "", {"Cookie": "theme=dark"}),
    "format in disguise": ("GET", "&%66ormat=api", {}),
}


def hour_of(symbol: str) -> bytes:
    """A batch whose bars are enough to be worth compressing."""
    minutes = [f"2025-01-03T15:{minute:02}:00Z" for minute in range(60)]
    return body_of(*(trade(symbol=symbol, timestamp=minute) for minute in minutes))


def tree_targets(symbol: str) -> list[str]:
    """Pages of the market-data tree in every format, and reports, of an equity that has trades on 2 January 2025."""
    tree, minutes = "/api/v1/market-data/equities", "start=2025-01-02&end=2025-01-03&resolution=1m"
    return [
        *(f"{tree}/{symbol}/ohlcv?{minutes}&format={name}" for name in FORMATS),
        f"{tree}/{symbol}/ohlcv.csv?{minutes}&limit=2",
        f"{tree}/{symbol}/trades?start=2025-01-02T14:30:00Z&end=2025-01-02T15:30:00Z",
        f"{tree}/ohlcv?symbols={symbol}&{minutes}",
        f"{tree}/{symbol}/latest",
        f"{tree}/{symbol}/snapshot/",
        f"{tree}/{symbol}/coverage",
        f"{tree}/latest?symbols={symbol}",
    ]


CALENDARS = [
    "/api/v1/calendar?exchange=XNYS",
    "/api/v1/calendar/?exchange=xtks&start=2024-01-01&end=2025-01-01",
]
CLOCKS = [
    "/api/v1/clock",
    "/api/v1/clock?exchange=XNYS",
    "/api/v1/clock?exchange=XNYS&at=2024-11-29T14:30:00Z",
]


def environ_of(method: str, query: str, headers: dict[str, str]) -> dict[str, Any]:
    """The WSGI environ of a request for bars as a web process makes it."""
    return environ_at(method, f"{OHLC}?symbol={SYMBOL}{query}", headers)


def environ_at(method: str, target: str, headers: dict[str, str]) -> dict[str, Any]:
    """The WSGI environ of a request as a web process makes it."""
    path, _, query = target.partition("?")
    lower = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    environ = environ_for(
        {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [*([] if "Host" in headers else [(b"host", b"localhost")]), *lower],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
    )
    return {**environ, "wsgi.input": BytesIO()}


def visible(headers: dict[str, str]) -> dict[str, str]:
    """The headers of an answer without those that differ from one to the next anyway."""
    return {name: value for name, value in headers.items() if name not in _VARYING}
