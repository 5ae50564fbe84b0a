"""The write side's endpoints: one per dataset, all by the same code."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from http_requests.parsers import JSONBytesParser, bytes_parser, media_type_of, take_body
from idempotency.answers import REPLAYED, idempotency_key, key_scope
from store.datasets import TRADES
from store.declarations import Dataset
from trades.batches.row_batch import Expected
from trades.batches.serializers import IngestAnswerSerializer, batch_serializer
from trades.formats.registry import JSON, READERS, WITHOUT_SYMBOLS
from trades.ingest.query import IngestQuery
from trades.ingest.schema import ingest_schema
from trades.services.instruments import symbol_canonical, takes_any_price
from trades.services.rows import rows_ingest

# One for all requests: making a serializer takes six times as long as using it.
_ANSWERS = IngestAnswerSerializer()


class IngestViewSet(GenericViewSet):  # type: ignore[type-arg]  # no model stands behind it
    """Rows of a dataset as they come from a feed."""

    dataset: Dataset = TRADES
    parser_classes = [JSONBytesParser, *(bytes_parser(name) for name in READERS if name != JSON)]

    def store(self, request: Request) -> Response:
        """Read the body in its format, store its rows, say what became of them."""
        media_type = media_type_of(request.content_type)
        query = IngestQuery.parse(request.GET, self.dataset, takes_symbol=media_type in WITHOUT_SYMBOLS)
        request_key = idempotency_key(request)
        body = take_body(request)
        expected = Expected(
            self.dataset, query.ignore_unknown, query.given, symbol_canonical, takes_any_price
        )
        ingested = rows_ingest(
            dataset=self.dataset,
            batch=READERS.get(media_type, READERS[JSON])(body, expected),
            caller=key_scope(request),
            dedupe=query.dedupe,
            request_key=request_key,
        )
        headers = {"X-Commit": f"{self.dataset.name}={ingested.receipt.commit.token}"}
        if ingested.receipt.replayed:
            headers.update(REPLAYED)
        return Response(_ANSWERS.to_representation(ingested), headers=headers)


def ingest_view(dataset: Dataset) -> type[IngestViewSet]:
    """The viewset of a dataset."""
    serializer = batch_serializer(dataset)
    title = serializer.__name__.removesuffix("BatchSerializer")
    what = dataset.name.replace("_", " ").capitalize()

    def ingest(self: IngestViewSet, request: Request) -> Response:
        return self.store(request)

    attributes = {
        "__doc__": f"{what} as they come from a feed.",
        "dataset": dataset,
        "serializer_class": serializer,
        "ingest": extend_schema(**ingest_schema(dataset))(ingest),
    }
    return type(f"{title}IngestViewSet", (IngestViewSet,), attributes)
