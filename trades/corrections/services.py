"""Corrections and cancels of stored trades: the service."""

from http_requests.exceptions import ERRORS_LIMIT, FieldError
from store.datasets import TRADES
from store.exceptions import CorrectionAmbiguous, CorrectionTargetMissing
from store.protocol import Amendment
from trades.corrections.batch import CorrectionBatch
from trades.exceptions import BatchRefused
from trades.services.rows import Ingested, request_keys_refused
from trades.store_writes import counted
from trades.stores import market_store


def trades_correct(*, batch: CorrectionBatch, caller: str, request_key: str | None = None) -> Ingested:
    """Apply checked corrections durably, all of them or nothing.

    caller: the stable name of who sends them, the scope of `request_key`. Raises `BatchRefused` for
    corrections that name no trade, or several that differ, by their places; `IdempotencyError`s; and the store's
    `StorageError`s.
    """
    amendment = Amendment(TRADES, batch.symbol, batch.corrections, caller, request_key)
    try:
        with request_keys_refused():
            return Ingested(batch.symbol, counted(TRADES, lambda: market_store().correct(amendment)))
    except (CorrectionTargetMissing, CorrectionAmbiguous) as error:
        fields = [
            FieldError(f"corrections[{place}]{_named_by(batch, place)}", error.code, str(error))
            for place in error.rows[:ERRORS_LIMIT]
        ]
        raise BatchRefused(error.code, str(error), fields) from error


def _named_by(batch: CorrectionBatch, place: int) -> str:
    """The field that names the trade: its id, or the event time that stands beside price and volume."""
    return ".timestamp" if batch.corrections[place].trade_id is None else ".trade_id"
