"""The symbol that a request names."""

from store.symbols import InvalidSymbol, parse_symbol
from trades.exceptions import InvalidValue


def named_symbol(text: str) -> str:
    """The symbol in a path or a parameter, in its one spelling. Raises `InvalidValue`."""
    try:
        return parse_symbol(text)
    except InvalidSymbol as error:
        raise InvalidValue(error.code, str(error)) from error
