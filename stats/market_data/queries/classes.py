"""The tree as data: which class of instruments has which datasets."""

from dataclasses import dataclass

from store.datasets import OPTION_QUOTES, QUOTES
from store.declarations import Dataset


@dataclass(frozen=True, slots=True, eq=False)
class MarketClass:
    """A branch of the tree.

    path: its name in a URL. instrument_class: what its instruments are told to be; "" for anything. datasets: what it has, by
    the name in a URL; streamed: those that also come as a stream. quotes: the dataset that its quotes are in.
    """

    path: str
    instrument_class: str
    datasets: tuple[str, ...]
    streamed: tuple[str, ...]
    quotes: Dataset = QUOTES


_BARS_AND_TICKS = ("ohlcv", "quotes", "trades")
_BARS_TICKS_AND_REVISIONS = (*_BARS_AND_TICKS, "revisions")

MARKET_CLASSES = {
    market_class.path: market_class
    for market_class in (
        MarketClass("equities", "equity", _BARS_TICKS_AND_REVISIONS, _BARS_AND_TICKS),
        MarketClass("futures", "future", (*_BARS_TICKS_AND_REVISIONS, "open-interest"), _BARS_AND_TICKS),
        MarketClass(
            "options",
            "option",
            ("greeks", "implied-volatility", "quotes", "open-interest", "revisions"),
            ("quotes",),
            quotes=OPTION_QUOTES,
        ),
        MarketClass("crypto", "crypto", _BARS_TICKS_AND_REVISIONS, _BARS_AND_TICKS),
    )
}


def class_of(instrument_class: str) -> MarketClass:
    """The branch that instruments of a class are in."""
    return next(
        market_class
        for market_class in MARKET_CLASSES.values()
        if market_class.instrument_class == instrument_class
    )
