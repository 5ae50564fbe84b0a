"""A symbol's one spelling."""

import re
from dataclasses import dataclass
from datetime import date

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
    """What a symbol says of its contract.

    root: 1-6 of A-Z 0-9, a letter among them; of an adjusted contract it is not the underlying's symbol.
    expiry: in the years 2000-2099. right: call or put. strike_mills: the strike price in thousandths, above
    zero.
    """

    root: str
    expiry: date
    right: str
    strike_mills: int

    @property
    def strike(self) -> float:
        """The strike price, the float nearest to it."""
        return self.strike_mills / _MILLS

    @property
    def compact(self) -> str:
        """The canonical symbol, 16-21 characters."""
        return f"{self.root}{self._tail}"

    @property
    def padded(self) -> str:
        """The symbol in 21 characters."""
        return f"{self.root:{_ROOT_LENGTH}}{self._tail}"

    @property
    def _tail(self) -> str:
        return f"{self.expiry:%y%m%d}{self.right[0].upper()}{self.strike_mills:08d}"


def parse_option_symbol(text: str) -> OptionSymbol | None:
    """What an upper-case symbol, compact or padded, says; None for others, as with a date that is none."""
    found = _OPTION_SYMBOL.fullmatch(text)
    if found is None:
        return None
    root, blanks, year, month, day, right, mills = found.groups()
    if (blanks and len(text) != PADDED_LENGTH) or not int(mills):
        return None
    try:
        expiry = date(_CENTURY + int(year), int(month), int(day))
    except ValueError:
        return None
    return OptionSymbol(root, expiry, _RIGHTS[right], int(mills))


_SYMBOL = re.compile(r"(?=.{1,32}\Z)[A-Z0-9^][A-Z0-9._\-=^:+]*(?: [A-Z0-9._\-=^:+]+)*")
NO_SYMBOL = (
    "a symbol is 1-32 of A-Z 0-9 . _ - = ^ : + with single inner spaces, beginning with a letter, digit or ^"
)


class InvalidSymbol(ValueError):
    """The text cannot name an instrument. The caller must correct it."""

    code = "invalid_symbol"


def parse_symbol(text: str) -> str:
    """Upper case, `/` taken as `-`: `brk.b` is `BRK.B`, `BTC/USD` is `BTC-USD`; a padded OCC symbol compact.

    Raises `InvalidSymbol` unless the result is 1-32 of `A-Z 0-9 . _ - = ^ : +` with single inner spaces,
    beginning with a letter, a digit or `^`. Only ASCII letters are raised, so that look-alikes are refused.
    """
    # Programs may give anything: what is no text is no symbol either.
    symbol = text.upper().replace("/", "-") if isinstance(text, str) and text.isascii() else ""
    if len(symbol) == PADDED_LENGTH and " " in symbol and (option := parse_option_symbol(symbol)):
        return option.compact
    if not _SYMBOL.fullmatch(symbol):
        raise InvalidSymbol(NO_SYMBOL)
    return symbol
