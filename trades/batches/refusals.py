"""The error of a batch that is refused."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from http_requests.exceptions import ERRORS_LIMIT, FieldError, MalformedDocument
from http_requests.field_errors import field_errors
from store.datasets import DATASETS
from store.declarations import Dataset
from trades.batches.row_batch import Expected
from trades.batches.serializers import batch_serializer
from trades.batches.validation import Finding
from trades.exceptions import BatchRefused

_DECLARED = DATASETS.values()
# If every error of a batch is of one of these kinds, the whole answer carries that code.
_TELLING = (
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


def batch_refusal(
    expected: Expected, document: Any, *, unreadable: str, is_document: bool = False, epoch: bool = False
) -> BatchRefused | MalformedDocument:
    """The error that says what is wrong with rows, or with a document of them under their dataset's name.

    unreadable: the code of a body in which nothing is wrong that can be named. epoch: times may also be
    nanoseconds since the Unix epoch.
    """
    serializer = batch_serializer(expected.dataset)(
        data=document if is_document else {expected.dataset.name: document},
        context={"expected": expected, "ignore_unknown": expected.ignore_unknown, "epoch": epoch},
    )
    if serializer.is_valid():
        return MalformedDocument(unreadable, "the body cannot be read")
    return refused(list(islice(field_errors(serializer.errors), ERRORS_LIMIT)))


def rows_refusal(dataset: Dataset, found: Iterable[Finding]) -> BatchRefused:
    """The error that says what is wrong with rows."""
    return refused(
        [
            FieldError(
                f"{dataset.name}[{each.row}]" + (f".{each.column}" if each.column else ""),
                each.code,
                each.message,
            )
            for each in found
        ]
    )


def refused(errors: Sequence[FieldError]) -> BatchRefused:
    """The refusal of a batch for these errors, at least one: its code is the one that tells most."""
    codes = {error.code for error in errors}
    if len(codes) == 1 and codes <= _BATCH_CODES:
        return BatchRefused(errors[0].code, errors[0].message)
    code = codes.pop() if len(codes) == 1 and codes <= _TELLING else "validation_failed"
    first = errors[0]
    others = "more" if len(errors) == ERRORS_LIMIT else f"{len(errors) - 1} more"
    more = f", and {others}" if len(errors) > 1 else ""
    return BatchRefused(code, f"{first.path or 'the body'}: {first.message}{more}", errors)
