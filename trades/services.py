"""Services that write batches of rows and corrections to the store."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import pyarrow as pa
from django.conf import settings

from store import exceptions as storage
from store.datasets import TRADES
from store.declarations import Dataset
from store.exceptions import (
    CorrectedRowInvalid,
    CorrectionAmbiguous,
    CorrectionTargetMissing,
    IdConflict,
    NotStored,
    RequestKeyReused,
)
from store.instrument_calendars import calendar_if_known
from store.instruments import REFUSE
from store.protocol import Amendment, Append, Correction, Dedupe, Fill, Receipt
from store.timestamps import DAY_NS
from trades.batches.row_batch import RowBatch
from trades.conditions import CONDITION_MAPS
from trades.conditions.condition_map import (
    CONDITIONS,
    ConditionMap,
    has_conditions,
    rows_with,
    translated_rows,
    unknown_words,
)
from trades.correction_batch import CORRECTIONS_LIMIT, CorrectionBatch
from trades.dated_rows import (
    DATED,
    dated_times,
    is_dated,
)
from trades.exceptions import BatchRefused, ConditionsRefused
from trades.stores import market_store, write_measured
from web.events import EVENT_WRITE
from web.idempotency.exceptions import IdempotencyKeyReused, RequestStillRunning
from web.requests.exceptions import ERRORS_LIMIT, FieldError
from web.requests.work import WorkKind, count_work

_WORDS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Ingested:
    """The result of a batch: its symbol, the store's receipt, and the number of rows with each unknown condition.

    replaces: whether its rows could replace stored ones.
    """

    symbol: str
    receipt: Receipt
    unknown_conditions: Mapping[str, int] = field(default_factory=dict)
    replaces: bool = False


def rows_ingest(
    *,
    dataset: Dataset,
    batch: RowBatch,
    caller: str,
    dedupe: Dedupe = Dedupe.ROWS,
    request_key: str | None = None,
    complete_until_ns: int | None = None,
    conditions: ConditionMap | None = None,
    replaces: bool = False,
) -> Ingested:
    """Store a checked batch durably, all of it or nothing.

    caller: the sender's stable name, the scope of `request_key`. complete_until_ns, replaces: see `Append`. conditions:
    the map of the rows' condition codes; None takes that of the exchange, if it has one. Raises `BatchRefused`,
    `IdempotencyError`s and the store's `StorageError`s. A batch is refused if an id is stored with other values, the
    dataset is not for the symbol, the instrument refuses an unknown condition, or it replaces and has more than
    `CORRECTIONS_LIMIT` rows.
    """
    if replaces:
        _check_replacing(batch)
    refusal = symbol_refusal(dataset=dataset, symbol=batch.symbol)
    if refusal is not None:
        raise refusal
    conditions = conditions_of(dataset=dataset, symbol=batch.symbol, given=conditions)
    rows = dated_rows(
        dataset=dataset, symbol=batch.symbol, rows=translated_rows(dataset, batch.rows, conditions)
    )
    unknown = conditions_check(dataset=dataset, symbol=batch.symbol, rows=rows, conditions=conditions)
    count_work(WorkKind.DATES, len(np.unique(rows.column(0).to_numpy() // DAY_NS)))
    append = Append(
        dataset, batch.symbol, rows, caller, dedupe, request_key, complete_until_ns, replaces=replaces
    )
    try:
        with request_keys_refused():
            receipt = write_measured(dataset, lambda: market_store().append(append))
            return Ingested(batch.symbol, receipt, unknown, replaces)
    except IdConflict as error:
        code, message, column = dataset.conflict
        if dataset.takes_replacements:
            message += ": correct the stored one, or send on_conflict=replace"
        paths = [f"{dataset.name}[{row}]" for row in error.rows[:ERRORS_LIMIT]]
        fields = [FieldError(f"{path}.{column}" if column else path, code, message) for path in paths]
        raise BatchRefused(code, message, fields) from error


def fill_store(
    *, dataset: Dataset, symbol: str, rows: pa.RecordBatch, fill: Fill, caller: str, request_key: str
) -> Receipt:
    """Store what a backfill's source has in a window, durably, all of it or nothing.

    rows: checked, in the dataset's schema, with words as conditions; none if the source has none. caller: the scope of
    `request_key`. A row that is stored, or whose id is, counts as a duplicate. Raises `BatchRefused` if the dataset is
    not for the symbol, `ValueError` for rows outside of the window; `IdempotencyError`s; the store's `StorageError`s.
    """
    refusal = symbol_refusal(dataset=dataset, symbol=symbol)
    if refusal is not None:
        raise refusal
    rows = dated_rows(dataset=dataset, symbol=symbol, rows=rows)
    append = Append(dataset, symbol, rows, caller, request_key=request_key, fill=fill)
    with request_keys_refused():
        return write_measured(dataset, lambda: market_store().append(append))


def _check_replacing(batch: RowBatch) -> None:
    """Raise `BatchRefused` for too many rows: they are compared with stored ones while other batches wait."""
    count = batch.rows.num_rows
    if count > CORRECTIONS_LIMIT:
        message = (
            f"a batch with on_conflict=replace has at most {CORRECTIONS_LIMIT:,} rows; this one has {count:,}"
        )
        raise BatchRefused("too_many_rows", message)


def dated_rows(*, dataset: Dataset, symbol: str, rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows with the times by which they are stored: see `dated_times`. Raises `StorageError`s."""
    if not is_dated(dataset, rows).any():
        return rows
    times = dated_times(dataset, rows, calendar_if_known(market_store().instrument(symbol)))
    return rows.set_column(0, rows.schema.field(0), pa.array(times))


def conditions_of(*, dataset: Dataset, symbol: str, given: ConditionMap | None) -> ConditionMap | None:
    """Return the map of rows' condition codes: the one given, else that of the instrument's exchange, if there is one.

    Raises `StorageError`s.
    """
    if given is not None or dataset is not TRADES or not settings.EXCHANGE_CONDITIONS:
        return given
    name = settings.EXCHANGE_CONDITIONS.get(market_store().instrument(symbol).exchange or "")
    return None if name is None else CONDITION_MAPS[name]


def conditions_check(
    *, dataset: Dataset, symbol: str, rows: pa.RecordBatch, conditions: ConditionMap | None
) -> Mapping[str, int]:
    """Return the number of rows with each condition word that neither the map nor the bar policy knows.

    rows: with words. Raises `ConditionsRefused` if there are any and the instrument refuses them.
    """
    if not has_conditions(rows):
        return {}
    instrument = market_store().instrument(symbol)
    unknown = unknown_words(dataset, rows, instrument.policy, conditions)
    if unknown and instrument.unknown_conditions == REFUSE:
        code, message = "unknown_condition", f"no meaning is known of {', '.join([*unknown][:_WORDS_SHOWN])}"
        wrong = rows_with(rows, unknown)
        paths = [f"{dataset.name}[{row}].{CONDITIONS}" for row in wrong[:ERRORS_LIMIT]]
        refused = ConditionsRefused(code, message, [FieldError(path, code, message) for path in paths])
        refused.rows = wrong
        raise refused
    return unknown


@contextmanager
def request_keys_refused() -> Iterator[None]:
    """Translate the store's refusals of a request key to `IdempotencyError`s."""
    try:
        yield
    except RequestKeyReused as error:
        raise IdempotencyKeyReused from error
    except storage.RequestInProgress as error:
        raise RequestStillRunning from error


def symbol_refusal(*, dataset: Dataset, symbol: str) -> BatchRefused | None:
    """Return why this dataset is not for the symbol, or None if it is. Raises `StorageError`s."""
    required_class = dataset.instrument_class
    if required_class is None:
        return None
    actual_class = market_store().instrument(symbol).instrument_class
    if actual_class == required_class:
        return None
    return BatchRefused(
        "not_an_option",
        f"{dataset.name} are of the class {required_class}, and {symbol} is of the class {actual_class}: name it as the OCC does,"
        f" such as AAPL250117C00190000, or declare its terms first by PUT /api/v1/instruments/{symbol}",
    )


def rows_correct(
    *,
    dataset: Dataset,
    batch: CorrectionBatch,
    caller: str,
    request_key: str | None = None,
) -> Ingested:
    """Apply checked corrections durably, all of them or none.

    caller: the sender's stable name, the scope of `request_key`. Raises `BatchRefused` for corrections that match no row,
    match several different ones, or break a rule; `IdempotencyError`s; the store's `StorageError`s.
    """
    count_work(WorkKind.DATES, len({each.timestamp_ns // DAY_NS for each in batch.corrections}))
    corrections = _dated_corrections(dataset, batch)
    amendment = Amendment(dataset, batch.symbol, corrections, caller, request_key)
    try:
        with request_keys_refused():
            receipt = write_measured(dataset, partial(market_store().correct, amendment))
            _tell_correction(dataset, batch.symbol, receipt)
            return Ingested(batch.symbol, receipt)
    except (CorrectionTargetMissing, CorrectionAmbiguous, CorrectedRowInvalid) as error:
        fields = [
            FieldError(
                f"corrections[{index}]{_field_at_fault(dataset, batch, index, error)}", error.code, str(error)
            )
            for index in error.rows[:ERRORS_LIMIT]
        ]
        refused = BatchRefused(error.code, str(error), fields)
        refused.rows = error.rows
        raise refused from error


def _tell_correction(dataset: Dataset, symbol: str, receipt: Receipt) -> None:
    """Write the event of stored corrections, once for their commit, which is no transaction of the database.

    A call that gets no answer, because the event could not be written, is repeated with its key and writes it then.
    """
    if not receipt.stored:
        return
    data = {"symbol": symbol, "dataset": dataset.name, "stored": receipt.stored}
    EVENT_WRITE.get()(
        kind="correction",
        subject=f"symbol:{symbol}",
        symbol=symbol,
        data={**data, "commit": receipt.commit.token},
        now=datetime.now(UTC),
        uuid=uuid5(NAMESPACE_OID, f"{dataset.name}/{symbol}/{receipt.commit.hash}"),
    )


def _dated_corrections(dataset: Dataset, batch: CorrectionBatch) -> tuple[Correction, ...]:
    """Return the corrections with the times by which the rows of their dates are stored."""
    if dataset not in DATED:
        return batch.corrections
    named = [{"timestamp": each.timestamp_ns, **each.named} for each in batch.corrections]
    fields = [dataset.schema.field(name) for name in ("timestamp", *dataset.series_columns)]
    rows = pa.RecordBatch.from_pylist(named, schema=pa.schema(fields))
    times = dated_rows(dataset=dataset, symbol=batch.symbol, rows=rows).column(0).to_pylist()
    return tuple(
        replace(each, timestamp_ns=time_ns) for each, time_ns in zip(batch.corrections, times, strict=True)
    )


def _field_at_fault(dataset: Dataset, batch: CorrectionBatch, index: int, error: NotStored) -> str:
    """Return the path of the field that names the row: its id, or else its event time; "" for a broken rule."""
    if isinstance(error, CorrectedRowInvalid):
        return ""
    row_id = dataset.id_columns[-1]
    return ".timestamp" if batch.corrections[index].named.get(row_id) is None else f".{row_id}"
