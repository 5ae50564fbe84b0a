"""The write side's endpoints."""

from typing import Any, cast

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from trades.idempotency import parse_idempotency_key
from trades.ingest_query import DEDUPE_CHOICES, UNKNOWN_CHOICES, IngestQuery
from trades.parsers import JSONBytesParser
from trades.refusals import read_batch
from trades.serializers import SEED_TRADES, IngestAnswerSerializer, TradeBatchSerializer
from trades.services import trades_ingest

_PARAMETERS = [
    OpenApiParameter(
        "dedupe",
        enum=DEDUPE_CHOICES,
        default="rows",
        description="How rows that are stored already are recognised: row by row, only as whole batches, or never.",
    ),
    OpenApiParameter(
        "unknown",
        enum=UNKNOWN_CHOICES,
        default="refuse",
        description="`ignore` passes over fields that are not known, so that a vendor's new field does not stop a feed.",
    ),
    OpenApiParameter(
        "Idempotency-Key",
        location=OpenApiParameter.HEADER,
        description="1-255 visible ASCII characters. The same key and batch give the first answer again.",
    ),
]
# A view's examples take the place of its serializer's.
_BODY = OpenApiExample("Three trades of AAPL", value={"trades": SEED_TRADES}, request_only=True)
_ANSWER = OpenApiExample(
    "Three trades stored",
    value={"symbol": "AAPL", "received": 3, "stored": 3, "duplicates": 0, "duplicate_rows": [], "commit": 1},
    response_only=True,
    status_codes=["200"],
)
# One for all requests: making a serializer takes six times as long as using it.
_ANSWERS = IngestAnswerSerializer()


class TradesViewSet(GenericViewSet):  # type: ignore[type-arg]  # no model stands behind it
    """Trades as they come from a feed."""

    serializer_class = TradeBatchSerializer
    parser_classes = [JSONBytesParser]
    required_scopes = {"POST": "market:write"}

    @extend_schema(
        operation_id="trades_ingest",
        summary="Store a batch of trades",
        parameters=_PARAMETERS,
        responses={200: IngestAnswerSerializer},
        examples=[_BODY, _ANSWER],
    )
    def ingest(self, request: Request) -> Response:
        """Store a batch of trades of one symbol, durably and all of it, or nothing.

        Rows that are stored already are recognised: by (event date, exchange, `trade_id`), or without an id by all
        their columns, counted as a multiset. **A feed without ids must not split equal rows over requests**, or says
        `dedupe=batch` or `dedupe=none`: real prints do repeat.
        """
        query = IngestQuery.parse(request.GET)
        request_key = parse_idempotency_key(request.headers.get("Idempotency-Key"))
        batch = read_batch(_body_of(request), ignore_unknown=query.ignore_unknown)
        ingested = trades_ingest(
            batch=batch,
            caller=cast("Any", request.user).identity,
            dedupe=query.dedupe,
            request_key=request_key,
        )
        headers = {"X-Commit": f"trades={ingested.receipt.commit.token}"}
        if ingested.receipt.replayed:
            headers["Idempotency-Replayed"] = "true"
        return Response(_ANSWERS.to_representation(ingested), headers=headers)


def _body_of(request: Request) -> bytes:
    """The body as it was sent; DRF asks no parser about an empty one."""
    return request.data if isinstance(request.data, bytes) else b""
