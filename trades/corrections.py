"""The endpoints of corrections and cancels of stored rows: one route per dataset whose rows can be corrected."""

from functools import partial
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from store.datasets import TRADES
from store.declarations import Dataset
from trades.batches.row_batch import BatchOptions
from trades.batches.serializers import IngestAnswerSerializer
from trades.correction_batch import CorrectionBatchSerializer, read_corrections, sample_corrections
from trades.decoder import decoded
from trades.instruments.services import allows_nonpositive_price, log_name
from trades.services import rows_correct
from web.endpoints import WRITE, Access
from web.idempotency.answers import REPLAYED, idempotency_key, key_scope
from web.requests.parameters import single_parameters
from web.requests.parsers import DOCUMENT_BYTES, JSONBytesParser, take_body
from web.requests.work import WorkKind, count_work
from web.requests.wsgi_variables import BODY_DECODED
from web.routed_views import RoutedViewSet


class CorrectionAnswerSerializer(IngestAnswerSerializer):
    """The result of a batch of corrections."""

    received = serializers.IntegerField(source="receipt.received", help_text="Corrections in the batch.")
    stored = serializers.IntegerField(source="receipt.stored", help_text="Corrections that were applied now.")
    duplicates = serializers.IntegerField(
        source="receipt.duplicates", help_text="Corrections that had been applied before."
    )
    replaced = unknown_conditions = None  # type: ignore[assignment]  # DRF's way to leave a field out


_PARAMETERS = [
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        location=OpenApiParameter.HEADER,
        description="1-255 visible ASCII characters. The same key and corrections give the first answer again.",
    ),
]
_IF_TRADES = (
    " A correction names a trade by its event time and `trade_id`, or by its event time, `price` and `volume`.",
    " **If trades may be equal, send an `Idempotency-Key` to repeat a request safely.**",
)


def _schema(dataset: Dataset) -> dict[str, Any]:
    """Return the arguments of `extend_schema` for a dataset's endpoint."""
    what, row = (name.replace("_", " ") for name in (dataset.name, dataset.row_name))
    named, note = _IF_TRADES if dataset is TRADES else ("", "")
    body = sample_corrections(dataset)
    count = len(body["corrections"])
    answer = {"symbol": body["symbol"], "received": count, "stored": count, "duplicates": 0}
    return {
        "operation_id": f"{dataset.name}_correct",
        "summary": f"Cancel or correct stored {what}",
        "description": f"Cancel or correct stored {what} of one symbol durably, all of them or none.\n\n"
        f"All given fields must match the {row} as it is after the earlier corrections of the batch.{named} If several"
        f" equal {what} match, the last one is corrected; if they differ, the answer is 422 `correction_ambiguous`. A"
        " correction that is applied already is a duplicate. Answers change at once; those with an earlier `as_of` do"
        f" not. What is cancelled stays cancelled if it is sent again.{note}",
        "parameters": _PARAMETERS,
        "responses": {200: CorrectionAnswerSerializer},
        "examples": [
            OpenApiExample(f"Corrections of {body['symbol']}", value=body, request_only=True),
            OpenApiExample(
                "Applied",
                value={**answer, "duplicate_rows": [], "commit": 2},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    }


class CorrectionsViewSet(RoutedViewSet):
    """Takes cancels and corrections of a dataset's stored rows. dataset: the route's."""

    tag = "ingest"
    access = {"correct": Access("market:write", kind=WRITE, cost="batch", body_bytes=DOCUMENT_BYTES)}
    dataset: Dataset = TRADES
    parser_classes = [JSONBytesParser]

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        return _schema(self.dataset)

    def get_serializer(self, *args: Any, **options: Any) -> CorrectionBatchSerializer:
        """Return the serializer of a batch of the dataset's corrections."""
        return CorrectionBatchSerializer(*args, dataset=self.dataset, **options)

    def correct(self, request: Request) -> Response:
        """Read the body, apply its corrections, answer with the result."""
        single_parameters(request.GET, ("format",))
        request_key = idempotency_key(request)
        body = take_body(request)
        count_work(WorkKind.BYTES, len(body))
        options = BatchOptions(
            self.dataset,
            canonical=partial(log_name, self.dataset),
            allows_nonpositive_price=allows_nonpositive_price,
        )
        batch = decoded(read_corrections, body, options, request.META.get(BODY_DECODED))
        corrected = rows_correct(
            dataset=self.dataset,
            batch=batch,
            caller=key_scope(request),
            request_key=request_key,
        )
        headers = {"X-Commit": f"{self.dataset.name}={corrected.receipt.commit.token}"}
        if corrected.receipt.replayed:
            headers.update(REPLAYED)
        return Response(CorrectionAnswerSerializer(corrected).data, headers=headers)
