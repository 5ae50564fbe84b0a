"""A symbol's one spelling."""

import re

from store.option_symbols import PADDED_LENGTH, parse_option_symbol

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
