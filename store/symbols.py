"""Symbols: their canonical spelling, and the symbols of listed options.

The Options Clearing Corporation writes an option as `AAPL250117C00150000`: root, expiry as yymmdd, C or P,
and the strike in thousandths with eight digits. In the padded form the root is filled with blanks to six
characters, so the symbol has 21. The compact form without blanks is canonical here.
"""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from urllib.parse import quote

PADDED_LENGTH = 21
_ROOT_LENGTH = 6
_CENTURY = 2000
_MILLS = 1000
_OPTION_SYMBOL = re.compile(
    r"(?=[0-9]{0,5}[A-Z])([A-Z0-9]{1,6})( {0,5})([0-9]{2})([0-9]{2})([0-9]{2})([CP])([0-9]{8})"
)
_RIGHTS = {"C": "call", "P": "put"}


@dataclass(frozen=True, slots=True)
class OptionSymbol:
    """The parts of an option symbol.

    root: 1-6 of A-Z 0-9 with at least one letter; for an adjusted contract it is not the underlying's
    symbol. expiry: in 2000-2099. right: call or put. strike_mills: the strike in thousandths, above zero.
    """

    root: str
    expiry: date
    right: str
    strike_mills: int

    @property
    def strike(self) -> float:
        """The strike price as the nearest float."""
        return self.strike_mills / _MILLS

    @property
    def compact(self) -> str:
        """The canonical symbol, 16-21 characters."""
        return f"{self.root}{self._tail}"

    @property
    def padded(self) -> str:
        """The symbol with a padded root, 21 characters."""
        return f"{self.root:{_ROOT_LENGTH}}{self._tail}"

    @property
    def _tail(self) -> str:
        return f"{self.expiry:%y%m%d}{self.right[0].upper()}{self.strike_mills:08d}"


def parse_option_symbol(text: str) -> OptionSymbol | None:
    """Return the contract of an upper-case symbol, compact or padded; None for any other text."""
    match = _OPTION_SYMBOL.fullmatch(text)
    if match is None:
        return None
    root, blanks, year, month, day, right, mills = match.groups()
    if (blanks and len(text) != PADDED_LENGTH) or not int(mills):
        return None
    try:
        expiry = date(_CENTURY + int(year), int(month), int(day))
    except ValueError:
        return None
    return OptionSymbol(root, expiry, _RIGHTS[right], int(mills))


_SYMBOL = re.compile(r"(?=.{1,32}\Z)[A-Z0-9^][A-Z0-9._\-=^:+&]*(?: [A-Z0-9._\-=^:+&]+)*")
NO_SYMBOL = "a symbol is 1-32 of A-Z 0-9 . _ - = ^ : + & with single inner spaces, beginning with a letter, digit or ^"


class InvalidSymbol(ValueError):
    """The text cannot be a symbol. The caller must correct it."""

    code = "invalid_symbol"


def parse_symbol(text: str) -> str:
    """Return the canonical spelling: `brk.b` is `BRK.B`, `BTC/USD` is `BTC-USD`; OCC symbols are compact.

    Raises `InvalidSymbol` unless the result is 1-32 of `A-Z 0-9 . _ - = ^ : + &` with single inner spaces,
    beginning with a letter, a digit or `^`. Only ASCII is accepted, so look-alike letters are refused.
    """
    # Programs may pass any object.
    symbol = text.upper().replace("/", "-") if isinstance(text, str) and text.isascii() else ""
    if len(symbol) == PADDED_LENGTH and " " in symbol and (option := parse_option_symbol(symbol)):
        return option.compact
    if not _SYMBOL.fullmatch(symbol):
        raise InvalidSymbol(NO_SYMBOL)
    return symbol


def is_symbol(text: str) -> bool:
    """Return whether a text is a valid symbol."""
    try:
        parse_symbol(text)
    except InvalidSymbol:
        return False
    return True


_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\.|\Z)")


@lru_cache(maxsize=4_096)
def folder_name(symbol: str) -> str:
    """Return the name of a symbol's folder or file, which every file system allows. Escapes are those of URLs."""
    name = quote(symbol, safe="-_.=")
    if _RESERVED.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return f"{name[:-1]}%2E" if name.endswith(".") else name
