"""Requests for contents, which the event loop may answer again, and requests that it leaves to Django."""

from stats.rendering.formats import FORMATS

SYMBOL = "HELDREADS"
# No answer to a request with a cookie is remembered.
FORCES_DJANGO = {"Cookie": "theme=dark"}
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
