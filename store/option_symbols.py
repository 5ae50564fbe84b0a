"""Symbols of listed options as the Options Clearing Corporation writes them: `AAPL250117C00150000`.

Root, expiry as yymmdd, C or P, and the strike in thousandths with eight digits. Padded, the root is filled up
with blanks to six characters, 21 in all; compact, which is the canonical spelling here, it is not.
"""

import re
from dataclasses import dataclass
from datetime import date

PADDED_LENGTH = 21
_ROOT_LENGTH = 6
_CENTURY = 2000
_MILLS = 1000
_SYMBOL = re.compile(
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
    found = _SYMBOL.fullmatch(text)
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
