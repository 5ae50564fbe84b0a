"""The errors of refused batches."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from store.datasets import DATASETS
from store.declarations import Dataset
from trades.batches.row_batch import BatchOptions
from trades.batches.serializers import batch_serializer
from trades.batches.validation import RowError
from trades.exceptions import BatchRefused
from web.requests.exceptions import ERRORS_LIMIT, FieldError, MalformedDocument
from web.requests.field_errors import field_errors

_DECLARED = DATASETS.values()
# If all errors of a batch share one of these codes, the answer carries it instead of `validation_failed`.
_SPECIFIC_CODES = (
    {"invalid_symbol", "unknown_field"}
    | {
        column.lower_bound.code
        for dataset in _DECLARED
        for column in dataset.columns
        if column.lower_bound is not None
    }
    | {rule.code for dataset in _DECLARED for rule in dataset.rules}
) - {"out_of_range"}
_BATCH_CODES = {"empty_batch", "too_many_rows", "mixed_symbols", "mixed_resolutions", "too_many_dates"}


def document_refusal(
    options: BatchOptions, document: Any, *, unreadable: str, is_document: bool = False, epoch: bool = False
) -> BatchRefused | MalformedDocument:
    """Return the error of rows, or of a whole document, that the typed decoder refused.

    unreadable: the error code if no wrong field is found. epoch: times may also be nanoseconds since the epoch.
    """
    serializer = batch_serializer(options.dataset)(
        data=document if is_document else {options.dataset.name: document},
        context={"options": options, "ignore_unknown": options.ignore_unknown, "epoch": epoch},
    )
    if serializer.is_valid():
        return MalformedDocument(unreadable, "the body cannot be read")
    return refusal_of(list(islice(field_errors(serializer.errors), ERRORS_LIMIT)))


def rows_refusal(dataset: Dataset, found: Iterable[RowError]) -> BatchRefused:
    """Return the refusal of a batch with these row errors."""
    return refusal_of(
        [
            FieldError(
                f"{dataset.name}[{each.row}]" + (f".{each.column}" if each.column else ""),
                each.code,
                each.message,
            )
            for each in found
        ]
    )


def refusal_of(errors: Sequence[FieldError]) -> BatchRefused:
    """Return the refusal of a batch with these errors, at least one; its code is the most specific one that fits all."""
    codes = {error.code for error in errors}
    if len(codes) == 1 and codes <= _BATCH_CODES:
        return BatchRefused(errors[0].code, errors[0].message)
    code = codes.pop() if len(codes) == 1 and codes <= _SPECIFIC_CODES else "validation_failed"
    first = errors[0]
    others = "more" if len(errors) == ERRORS_LIMIT else f"{len(errors) - 1} more"
    more = f", and {others}" if len(errors) > 1 else ""
    return BatchRefused(code, f"{first.path or 'the body'}: {first.message}{more}", errors)
