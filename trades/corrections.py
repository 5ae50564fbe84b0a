"""The endpoint of corrections and cancels of stored trades."""

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from http_requests.parameters import single_parameters
from http_requests.parsers import JSONBytesParser, take_body
from http_requests.work import WorkKind, count_work
from http_requests.wsgi_variables import BODY_DECODED
from idempotency.answers import REPLAYED, idempotency_key, key_scope
from store.datasets import TRADES
from trades.allowances import ALLOWANCE_OF
from trades.batches.row_batch import BatchOptions
from trades.batches.serializers import IngestAnswerSerializer
from trades.correction_batch import (
    SEED_CORRECTIONS,
    CorrectionBatchSerializer,
    read_corrections,
)
from trades.decoder import decoded
from trades.instruments.services import allows_nonpositive_price, symbol_canonical
from trades.services import trades_correct


class CorrectionAnswerSerializer(IngestAnswerSerializer):
    """The result of a batch of corrections."""

    received = serializers.IntegerField(source="receipt.received", help_text="Corrections in the batch.")
    stored = serializers.IntegerField(source="receipt.stored", help_text="Corrections that were applied now.")
    duplicates = serializers.IntegerField(
        source="receipt.duplicates", help_text="Corrections that had been applied before."
    )
    unknown_conditions = None  # type: ignore[assignment]  # DRF's way to leave a field out


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


class CorrectionsViewSet(GenericViewSet):  # type: ignore[type-arg]  # has no model
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
        """Cancel or correct stored trades of one symbol durably, all of them or none.

        A correction names a trade by its event time and `trade_id`, or by its event time, `price` and
        `volume`. All given fields must match the trade as it is after the earlier corrections of the batch. If
        several equal trades match, the last one is corrected; if they differ, the answer is 422
        `correction_ambiguous`. A correction that is applied already is a duplicate. Bars change at once; bars
        with an earlier `as_of` do not. A cancelled trade that is sent again stays cancelled. **If trades may be
        equal, send an `Idempotency-Key` to repeat a request safely.**
        """
        single_parameters(request.GET, ("format",))
        request_key = idempotency_key(request)
        body = take_body(request)
        count_work(WorkKind.BYTES, len(body))
        options = BatchOptions(
            TRADES, canonical=symbol_canonical, allows_nonpositive_price=allows_nonpositive_price
        )
        batch = decoded(read_corrections, body, options, request.META.get(BODY_DECODED))
        corrected = trades_correct(
            batch=batch,
            caller=key_scope(request),
            request_key=request_key,
            allowance=ALLOWANCE_OF.get()(request.user),
        )
        headers = {"X-Commit": f"trades={corrected.receipt.commit.token}"}
        if corrected.receipt.replayed:
            headers.update(REPLAYED)
        return Response(CorrectionAnswerSerializer(corrected).data, headers=headers)
