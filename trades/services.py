"""What other apps and the edge may ask of the write side."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from msgspec import structs

from http_requests.exceptions import ERRORS_LIMIT, FieldError
from trades.batches.row_batch import RowBatch
from trades.datasets import DATASETS
from trades.declarations import Dataset
from trades.exceptions import BatchRefused
from trades.storage.exceptions import IdConflict, UnknownSymbol
from trades.storage.instruments import Instrument, default_instrument
from trades.storage.maintained import MaintainedStore, Upkeep
from trades.storage.protocol import Append, Dedupe, Receipt
from trades.stores import market_store


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch of a symbol."""

    symbol: str
    receipt: Receipt


def rows_ingest(
    *,
    dataset: Dataset,
    batch: RowBatch,
    caller: str,
    dedupe: Dedupe = Dedupe.ROWS,
    request_key: str | None = None,
) -> Ingested:
    """Store a checked batch durably, all of it or nothing.

    caller: the stable name of who sends it, the scope of `request_key`. Raises `BatchRefused` for ids that
    are taken, naming their rows, and for rows that an instrument of this class has not; and the store's
    `StorageError`s.
    """
    refusal = class_refusal(dataset=dataset, symbol=batch.symbol)
    if refusal is not None:
        raise BatchRefused("not_an_option", refusal)
    append = Append(dataset, batch.symbol, batch.rows, caller, dedupe=dedupe, request_key=request_key)
    try:
        return Ingested(batch.symbol, market_store().append(append))
    except IdConflict as error:
        code, message, column = dataset.conflict
        places = [f"{dataset.name}[{row}]" for row in error.rows[:ERRORS_LIMIT]]
        fields = [FieldError(f"{place}.{column}" if column else place, code, message) for place in places]
        raise BatchRefused(code, message, fields) from error


def class_refusal(*, dataset: Dataset, symbol: str) -> str | None:
    """Why an instrument's class has no rows of a dataset: no path would show them; None if it has.

    Raises `StorageError`s.
    """
    only = dataset.instrument_class
    if only is None:
        return None
    found = market_store().instrument(symbol).instrument_class
    if found == only:
        return None
    return (
        f"{dataset.name} are of the class {only}, and {symbol} is of the class {found}: name it as the OCC does, such as"
        f" AAPL250117C00190000, or tell its terms first by PUT /api/v1/instruments/{symbol}"
    )


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
    store = market_store()
    resolved = [
        structs.replace(each, underlying=store.canonical(each.underlying)) if each.underlying else each
        for each in instruments
    ]
    store.set_instruments(resolved)
    return resolved


def instruments_known() -> list[Instrument]:
    """Every instrument that has data or that somebody told about, by symbol. Raises `StorageError`s."""
    store = market_store()
    told = {instrument.symbol: instrument for instrument in store.told_instruments()}
    with_data = {symbol for dataset in DATASETS.values() for symbol in store.symbols(dataset)}
    return [told.get(symbol) or default_instrument(symbol) for symbol in sorted(with_data | set(told))]


def known_instrument(*, symbol: str, as_of_ns: int | None = None) -> Instrument:
    """What an instrument is, or was at an instant, by its symbol or an alias.

    Raises `UnknownSymbol` for one that nobody had told about, and that had no data; and the other
    `StorageError`s.
    """
    store = market_store()
    symbol = store.canonical(symbol)
    if not store.told_instruments(symbol=symbol, as_of_ns=as_of_ns) and not _has_data(symbol, as_of_ns):
        raise UnknownSymbol(symbol)
    return store.instrument(symbol, as_of_ns=as_of_ns)


def derived_keeper() -> Upkeep | None:
    """What keeps the market store's derived files current; None for a store that has none."""
    store = market_store()
    return store.keeper() if isinstance(store, MaintainedStore) else None


def _has_data(symbol: str, as_of_ns: int | None) -> bool:
    """Whether any dataset has, or had, a commit of the symbol."""
    store = market_store()
    for dataset in DATASETS.values():
        with suppress(UnknownSymbol):
            head = store.head(dataset, symbol).number
            if head if as_of_ns is None else store.commit_as_of(dataset, symbol, as_of_ns):
                return True
    return False
