"""The error of a refused batch."""

from collections.abc import Sequence

from store.datasets import DATASETS
from trades.exceptions import BatchRefused
from web.requests.exceptions import ERRORS_LIMIT, FieldError

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
