"""What other apps and the edge may ask of the write side."""

from dataclasses import dataclass

from trades.datasets import Dataset
from trades.exceptions import ERRORS_LIMIT, BatchRefused, FieldError
from trades.row_batch import RowBatch
from trades.storage.exceptions import IdConflict
from trades.storage.instruments import Instrument
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

    caller: the stable name of who sends it, the scope of `request_key`. Raises `BatchRefused` for ids that are
    taken, naming their rows, and the store's `StorageError`s.
    """
    append = Append(dataset, batch.symbol, batch.rows, caller, dedupe=dedupe, request_key=request_key)
    try:
        return Ingested(batch.symbol, market_store().append(append))
    except IdConflict as error:
        code, message, column = dataset.conflict
        places = [f"{dataset.name}[{row}]" for row in error.rows[:ERRORS_LIMIT]]
        fields = [FieldError(f"{place}.{column}" if column else place, code, message) for place in places]
        raise BatchRefused(code, message, fields) from error


def instrument_set(*, symbol: str, bar_policy: str) -> Instrument:
    """Make an instrument what it is from now on; every process follows at its next answer. Raises `StorageError`s."""
    instrument = Instrument(symbol, bar_policy=bar_policy)
    market_store().set_instrument(instrument)
    return instrument


def derived_keeper() -> Upkeep | None:
    """What keeps the market store's derived files current; None for a store that has none."""
    store = market_store()
    return store.keeper() if isinstance(store, MaintainedStore) else None
