"""A body of trades is decoded; one that is refused is read again by the declared serializer, which says why."""

from trades.exceptions import ERRORS_LIMIT, BatchRefused, FieldError, MalformedDocument
from trades.field_errors import field_errors
from trades.json_document import read_json
from trades.serializers import TradeBatchSerializer
from trades.trade_batch import NotTyped, TradeBatch, decode_trades

# If every error of a batch is of one of these kinds, the whole answer carries that code.
_TELLING = {"nonpositive_price", "negative_volume", "invalid_symbol", "unknown_field"}
_BATCH_CODES = {"empty_batch", "too_many_rows", "mixed_symbols", "too_many_dates"}


def read_batch(body: bytes, *, ignore_unknown: bool = False) -> TradeBatch:
    """The batch in a JSON body. Raises `MalformedDocument` and `BatchRefused`, which names the wrong fields."""
    try:
        return decode_trades(body, ignore_unknown=ignore_unknown)
    except NotTyped:
        raise refusal_of(body, ignore_unknown=ignore_unknown) from None


def refusal_of(body: bytes, *, ignore_unknown: bool) -> BatchRefused | MalformedDocument:
    """The error that says what is wrong with a body which the typed decoder refused."""
    try:
        document = read_json(body)
    except MalformedDocument as error:
        return error
    serializer = TradeBatchSerializer(data=document, context={"ignore_unknown": ignore_unknown})
    if serializer.is_valid():
        return MalformedDocument("malformed_json", "the body is not JSON that can be read")
    errors = [error for _, error in zip(range(ERRORS_LIMIT), field_errors(serializer.errors), strict=False)]
    return refused(errors)


def refused(errors: list[FieldError]) -> BatchRefused:
    """The refusal of a body with these errors, at least one: its code is the one that tells most."""
    codes = {error.code for error in errors}
    if len(codes) == 1 and codes <= _BATCH_CODES:
        return BatchRefused(errors[0].code, errors[0].message)
    code = codes.pop() if len(codes) == 1 and codes <= _TELLING else "validation_failed"
    first = errors[0]
    others = "more" if len(errors) == ERRORS_LIMIT else f"{len(errors) - 1} more"
    more = f", and {others}" if len(errors) > 1 else ""
    return BatchRefused(code, f"{first.path or 'the body'}: {first.message}{more}", errors)
