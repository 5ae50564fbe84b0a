"""What instruments are, and what they are called."""

from collections.abc import Sequence
from contextlib import suppress

from msgspec import structs

from store.datasets import DATASETS
from store.exceptions import UnknownSymbol
from store.instruments import Instrument, default_instrument
from trades.stores import market_store


def symbol_canonical(symbol: str) -> str:
    """The symbol that an alias stands for; any other symbol is its own. Raises `StorageError`s."""
    return market_store().canonical(symbol)


def takes_any_price(symbol: str) -> bool:
    """Whether an instrument's prices may be zero or less. Raises `StorageError`s."""
    return market_store().instrument(symbol).allow_nonpositive_price


def instrument_set(*, instrument: Instrument) -> Instrument:
    """Make an instrument what it is from now on; every process follows at its next answer.

    What comes back is what it is then: an underlying that is an alias becomes its symbol. Raises `AliasTaken`
    and the other `StorageError`s.
    """
    return instruments_set(instruments=[instrument])[0]


def instruments_set(*, instruments: Sequence[Instrument]) -> list[Instrument]:
    """The same for many, no two of one symbol: all of them or none."""
    resolved = [instrument_resolved(each) for each in instruments]
    market_store().set_instruments(resolved)
    return resolved


def instrument_resolved(instrument: Instrument) -> Instrument:
    """The instrument as it would be stored: an underlying that is an alias becomes its symbol.

    Raises `StorageError`s.
    """
    if not instrument.underlying:
        return instrument
    return structs.replace(instrument, underlying=market_store().canonical(instrument.underlying))


def instruments_known() -> list[Instrument]:
    """Every instrument that has data or that somebody told about, by symbol. Raises `StorageError`s."""
    store = market_store()
    told = {instrument.symbol: instrument for instrument in store.declared_instruments()}
    with_data = {symbol for dataset in DATASETS.values() for symbol in store.symbols(dataset)}
    return [told.get(symbol) or default_instrument(symbol) for symbol in sorted(with_data | set(told))]


def known_instrument(*, symbol: str, as_of_ns: int | None = None) -> Instrument:
    """What an instrument is, or was at an instant, by its symbol or an alias.

    Raises `UnknownSymbol` for one that nobody had told about, and that had no data; and the other
    `StorageError`s.
    """
    store = market_store()
    symbol = store.canonical(symbol)
    if not store.declared_instruments(symbol=symbol, as_of_ns=as_of_ns) and not _has_data(symbol, as_of_ns):
        raise UnknownSymbol(symbol)
    return store.instrument(symbol, as_of_ns=as_of_ns)


def _has_data(symbol: str, as_of_ns: int | None) -> bool:
    """Whether any dataset has, or had, a commit of the symbol."""
    store = market_store()
    for dataset in DATASETS.values():
        with suppress(UnknownSymbol):
            head = store.head(dataset, symbol).number
            if head if as_of_ns is None else store.commit_as_of(dataset, symbol, as_of_ns):
                return True
    return False
