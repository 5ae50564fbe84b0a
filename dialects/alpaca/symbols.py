"""Symbols as Alpaca's clients write them, and the zones of their days."""

# The time zones of days, by the path of a class.
ZONES = {"equities": "America/New_York", "options": "America/New_York", "crypto": "UTC"}


def label_of(symbol: str, market_class: str) -> str:
    """Return a symbol as clients write it: pairs of crypto have a slash."""
    return symbol.replace("-", "/", 1) if market_class == "crypto" else symbol
