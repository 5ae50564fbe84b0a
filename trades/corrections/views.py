"""The endpoint of corrections."""

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from http_requests.parameters import single_parameters
from http_requests.parsers import JSONBytesParser, take_body
from idempotency.answers import REPLAYED, idempotency_key, key_scope
from trades.corrections.batch import (
    SEED_CORRECTIONS,
    CorrectionAnswerSerializer,
    CorrectionBatchSerializer,
    read_corrections,
)
from trades.corrections.services import trades_correct
from trades.services.instruments import symbol_canonical, takes_any_price

_PARAMETERS = [
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        location=OpenApiParameter.HEADER,
        description="1-255 visible ASCII characters. The same key and corrections give the first answer again.",
    ),
]
_BODY = OpenApiExample(
    "A cancel and a correction of AAPL",
    value={"symbol": "AAPL", "corrections": SEED_CORRECTIONS},
    request_only=True,
)
_ANSWER = OpenApiExample(
    "Both applied",
    value={"symbol": "AAPL", "received": 2, "stored": 2, "duplicates": 0, "duplicate_rows": [], "commit": 2},
    response_only=True,
    status_codes=["200"],
)


class CorrectionsViewSet(GenericViewSet):  # type: ignore[type-arg]  # no model stands behind it
    """Cancels and corrections of stored trades."""

    serializer_class = CorrectionBatchSerializer
    parser_classes = [JSONBytesParser]

    @extend_schema(
        operation_id="trades_correct",
        summary="Cancel or correct stored trades",
        parameters=_PARAMETERS,
        responses={200: CorrectionAnswerSerializer},
        examples=[_BODY, _ANSWER],
    )
    def correct(self, request: Request) -> Response:
        """Cancel or correct stored trades of one symbol, durably and all of it, or nothing.

        A trade is named by its event time and `trade_id`, or by its event time, `price` and `volume`; all
        that is given must fit, and a correction sees those before it. Of equal trades the last one is meant;
        if they differ it is 422 `correction_ambiguous`. A correction that had been applied is a duplicate.
        Bars follow at once; `as_of` an earlier instant still gives what was known then, and a cancelled trade
        that is sent again does not come back. **To repeat a request safely where trades are equal, send an
        `Idempotency-Key`.**
        """
        single_parameters(request.GET, ("format",))
        request_key = idempotency_key(request)
        batch = read_corrections(
            take_body(request),
            canonical=symbol_canonical,
            takes_any_price=takes_any_price,
        )
        corrected = trades_correct(batch=batch, caller=key_scope(request), request_key=request_key)
        headers = {"X-Commit": f"trades={corrected.receipt.commit.token}"}
        if corrected.receipt.replayed:
            headers.update(REPLAYED)
        return Response(CorrectionAnswerSerializer(corrected).data, headers=headers)
