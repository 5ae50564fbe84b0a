"""Rows that were refused are read again by the declared serializers, which say why."""

from collections.abc import Iterable, Sequence
from typing import Any

from http_requests.exceptions import MalformedDocument
from http_requests.field_errors import field_errors
from refusals.field_error import ERRORS_LIMIT, FieldError
from trades.batches.row_batch import Expected
from trades.batches.serializers import batch_serializer, row_serializer
from trades.exceptions import BatchRefused

# If every error of a batch is of one of these kinds, the whole answer carries that code.
_TELLING = {
    "nonpositive_price", "negative_price", "negative_volume", "negative_size", "invalid_symbol", "unknown_field",
    "missing_side", "inconsistent_bar", "misplaced_bar", "inconsistent_action",
}  # fmt: skip
_BATCH_CODES = {"empty_batch", "too_many_rows", "mixed_symbols", "mixed_resolutions", "too_many_dates"}


def batch_refusal(
    expected: Expected, document: Any, *, unreadable: str, is_document: bool = False
) -> BatchRefused | MalformedDocument:
    """The error that says what is wrong with rows, or with a document of them under their dataset's name.

    unreadable: the code of a body that is wrong in no way that a serializer knows.
    """
    name = expected.dataset.name
    expected = expected.bounded_for(
        _spellings(document.get(name) if isinstance(document, dict) else document)
    )
    serializer = batch_serializer(expected.dataset)(
        data=document if is_document else {name: document}, context=_context(expected)
    )
    if serializer.is_valid():
        return MalformedDocument(unreadable, "the body cannot be read")
    return refused(_first(field_errors(serializer.errors)))


def rows_refusal(
    expected: Expected, rows: Iterable[tuple[int, Any]], *, unreadable: str
) -> BatchRefused | MalformedDocument:
    """The error that says what is wrong with rows, each with its place in the body."""
    errors: list[FieldError] = []
    for place, row in rows:
        serializer = row_serializer(expected.dataset)(data=row, context=_context(expected))
        if not serializer.is_valid():
            errors += field_errors(serializer.errors, f"{expected.dataset.name}[{place}]")
        if len(errors) >= ERRORS_LIMIT:
            break
    return refused(_first(errors)) if errors else MalformedDocument(unreadable, "the body cannot be read")


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


def _first(errors: Iterable[FieldError]) -> list[FieldError]:
    return [error for _, error in zip(range(ERRORS_LIMIT), errors, strict=False)]


def _spellings(rows: Any) -> Iterable[Any]:
    """The symbols that rows name, whatever they are."""
    if not isinstance(rows, list):
        return ()
    return (row.get("symbol") for row in rows if isinstance(row, dict))


def _context(expected: Expected) -> dict[str, Any]:
    return {
        "ignore_unknown": expected.ignore_unknown,
        "given": expected.given,
        "canonical": expected.canonical,
    }
