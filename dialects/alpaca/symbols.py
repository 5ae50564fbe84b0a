"""Symbols as Alpaca's clients write them, and the zones of their days."""

from trades.instruments.services import is_known, requested_symbol, symbol_canonical
from trades.stores import market_store

# The time zones of days, by the path of a class.
ZONES = {"equities": "America/New_York", "options": "America/New_York", "crypto": "UTC"}
# The lengths of currency codes at the end of a pair, such as USD and USDT.
_CODE_LENGTHS = (3, 4)


def label_of(symbol: str, market_class: str) -> str:
    """Return a symbol as clients write it: pairs of crypto have a slash."""
    return symbol.replace("-", "/", 1) if market_class == "crypto" else symbol


def asset_symbol(text: str) -> str:
    """Return the canonical symbol that a client's text names, and of an unknown symbol the text's own: see `pair_of`.

    Raises InvalidValue, and the errors of the store.
    """
    return pair_of(symbol_canonical(requested_symbol(text)))


def pair_of(symbol: str) -> str:
    """Return the pair of crypto that a symbol without a slash names: `BTC-USD` for `BTCUSD`.

    Any other symbol is returned unchanged, and so is one that is an instrument itself. Raises the errors of the store.
    """
    if "-" in symbol:
        return symbol
    for length in _CODE_LENGTHS:
        # Crypto is always declared: for any other name the store has an equity, at the cost of a lookup in memory.
        pair = market_store().instrument(f"{symbol[:-length]}-{symbol[-length:]}")
        if pair.instrument_class == "crypto" and not is_known(symbol):
            return pair.symbol
    return symbol


def pairs_of(symbols: tuple[str, ...], market_class: str) -> tuple[str, ...]:
    """Return the distinct symbols that are meant by symbols of a class, given by its path: see `pair_of`."""
    return tuple(dict.fromkeys(map(pair_of, symbols))) if market_class == "crypto" else symbols
