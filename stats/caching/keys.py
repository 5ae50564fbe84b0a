"""How a finished answer is named: whole, readable, scannable by symbol.

`mktdata:AAPL:ohlcv:end=20&interval=1min&start=10:trades=17-9f3a2c:json`

Every field is percent-encoded, so `:`, `&`, and the glob characters of SCAN occur only where this module
writes them: the pattern of `A` matches neither `AB` nor `A:B` nor `A*`.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

PREFIX = "mktdata"
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")


def escaped(text: str) -> str:
    """`text` percent-encoded but for letters, digits and `_.~-`; two texts never give the same result."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="", errors="surrogatepass")


def scan_pattern(symbol: str) -> str:
    """The SCAN pattern that matches every entry of `symbol` and of no other symbol."""
    return f"{PREFIX}:{escaped(symbol)}:*"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """What one stored representation depends on; `str()` is its key, and two values have two keys.

    `parameters` are (name, value) pairs in any order; None means not given. `version` is the version of
    the queried window, `representation` names format and encoding, with a revision if a format changes.
    """

    symbol: str
    dataset: str
    parameters: tuple[tuple[str, str | int | None], ...] = ()
    version: str
    representation: str

    def __str__(self) -> str:
        given = sorted(
            f"{escaped(name)}={escaped(str(value))}" for name, value in self.parameters if value is not None
        )
        fields = (
            PREFIX,
            escaped(self.symbol),
            escaped(self.dataset),
            "&".join(given),
            quote(self.version, safe="=,", errors="surrogatepass"),
            escaped(self.representation),
        )
        return ":".join(fields)
