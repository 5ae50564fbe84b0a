"""The symbol that a request names."""

from trades.exceptions import InvalidValue
from trades.symbols import InvalidSymbol, parse_symbol


def named_symbol(text: str) -> str:
    """The symbol in a path or a parameter, in its one spelling. Raises `InvalidValue`."""
    try:
        return parse_symbol(text)
    except InvalidSymbol as error:
        raise InvalidValue(error.code, str(error)) from error
