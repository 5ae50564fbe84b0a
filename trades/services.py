"""What other apps and the edge may ask of the write side."""

from dataclasses import dataclass

from trades.datasets import TRADES
from trades.exceptions import ERRORS_LIMIT, BatchRefused, FieldError
from trades.storage.exceptions import TradeIdConflict
from trades.storage.instruments import Instrument
from trades.storage.protocol import Append, Dedupe, Keeper, Receipt
from trades.stores import market_store
from trades.trade_batch import TradeBatch


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch of a symbol."""

    symbol: str
    receipt: Receipt


def trades_ingest(
    *, batch: TradeBatch, caller: str, dedupe: Dedupe = Dedupe.ROWS, request_key: str | None = None
) -> Ingested:
    """Store a checked batch durably, all of it or nothing.

    caller: the stable name of who sends it, the scope of `request_key`. Raises `BatchRefused` for ids that are
    taken, naming their rows, and the store's `StorageError`s.
    """
    append = Append(TRADES, batch.symbol, batch.rows, caller, dedupe=dedupe, request_key=request_key)
    try:
        return Ingested(batch.symbol, market_store().append(append))
    except TradeIdConflict as error:
        fields = [
            FieldError(f"trades[{row}].trade_id", error.code, str(error)) for row in error.rows[:ERRORS_LIMIT]
        ]
        raise BatchRefused(error.code, str(error), fields) from error


def instrument_set(*, symbol: str, bar_policy: str) -> Instrument:
    """Make an instrument what it is from now on; every process follows at its next answer. Raises `StorageError`s."""
    instrument = Instrument(symbol, bar_policy=bar_policy)
    market_store().set_instrument(instrument)
    return instrument


def derived_keeper() -> Keeper | None:
    """What keeps the market store's derived files current; None for a store that has none."""
    make = getattr(market_store(), "keeper", None)
    return make() if make else None
