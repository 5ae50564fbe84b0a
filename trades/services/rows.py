"""Batches of rows, into the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from http_requests.exceptions import ERRORS_LIMIT, FieldError
from idempotency.exceptions import IdempotencyKeyReused, RequestStillRunning
from store import exceptions as storage
from store.declarations import Dataset
from store.exceptions import IdConflict, RequestKeyReused
from store.protocol import Append, Dedupe, Receipt
from trades.batches.row_batch import RowBatch
from trades.exceptions import BatchRefused
from trades.store_writes import counted
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
    are taken, naming their rows, and for rows that an instrument of this class has not; `IdempotencyError`s;
    and the store's `StorageError`s.
    """
    refusal = class_refusal(dataset=dataset, symbol=batch.symbol)
    if refusal is not None:
        raise BatchRefused("not_an_option", refusal)
    append = Append(dataset, batch.symbol, batch.rows, caller, dedupe=dedupe, request_key=request_key)
    try:
        with request_keys_refused():
            return Ingested(batch.symbol, counted(dataset, lambda: market_store().append(append)))
    except IdConflict as error:
        code, message, column = dataset.conflict
        places = [f"{dataset.name}[{row}]" for row in error.rows[:ERRORS_LIMIT]]
        fields = [FieldError(f"{place}.{column}" if column else place, code, message) for place in places]
        raise BatchRefused(code, message, fields) from error


@contextmanager
def request_keys_refused() -> Iterator[None]:
    """Refuse a request's key as every endpoint does, where the store refuses it. Raises `IdempotencyError`s."""
    try:
        yield
    except RequestKeyReused as error:
        raise IdempotencyKeyReused from error
    except storage.RequestInProgress as error:
        raise RequestStillRunning from error


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
        f"{dataset.name} are of the class {only}, and {symbol} is of the class {found}: name it as the OCC does,"
        f" such as AAPL250117C00190000, or tell its terms first by PUT /api/v1/instruments/{symbol}"
    )
