"""The endpoints of the live feed over plain HTTP."""

from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from stats.delivery.responses import is_browsed
from stats.live.callers import FEED
from stats.live.channels import KINDS, Channel, known_symbol, row_channel
from stats.live.exceptions import UpgradeRequired
from stats.live.tokens import Token, parse_tokens, position_of, token_of
from stats.market_data.openapi import symbol_in_path
from stats.market_data.plan import instrument_in
from stats.market_data.views import MarketDataViewSet
from stats.parameters import query_values
from stats.rendering.json_rows import LinesRenderer
from stats.rendering.page_links import format_links
from stats.rendering.renderers import QueryFormRenderer
from store.exceptions import UnknownSymbol
from store.timestamps import format_timestamp
from store.walk import BEGINNING, CommitRecord
from trades.stores import market_store
from web.endpoints import Access
from web.requests.compression import accepted_encoding, compressed
from web.requests.conditional import NOT_STORED

_LINE = {
    "seq": "17-9f3a2c",
    "committed_at": "2025-01-02T14:30:00.120481Z",
    "rows": 100,
    "corrections": 0,
}
# An answer has at most so many commits.
MOST_COMMITS = 1_000


@extend_schema_field({"type": "string", "minLength": 1, "examples": ["0"]})
class ResumeTokenField(serializers.Field[dict[str, Token], str, str, Any]):
    """A `seq`, or a log's part of the header `X-Commit`. Raises `InvalidResumeToken`."""

    def to_internal_value(self, data: str) -> dict[str, Token]:
        return parse_tokens(data)


class CommitsSerializer(serializers.Serializer[Any]):
    """The parameters of a query for what was committed."""

    after = ResumeTokenField(required=False, help_text="Commits after this token; by default from the first.")


_QUERY = CommitsSerializer()


class CommitsViewSet(MarketDataViewSet):
    """The commits of a symbol's log after a token, at most 1,000."""

    tag = "live"
    # subject: one of `KINDS`.

    access = {"retrieve": Access("market:read", cost="page")}
    renderer_classes = [LinesRenderer, QueryFormRenderer]

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        return {
            "operation_id": f"{self.market_class.path}_{self.subject.replace('-', '_')}_commits",
            "summary": f"Commits of the {self.subject.replace('-', ' ')} of a symbol",
            "description": f"The commits after a token, at most {MOST_COMMITS:,}, oldest first.",
            "parameters": [
                CommitsSerializer,
                symbol_in_path(self.market_class),
            ],
            "responses": {(200, LinesRenderer.media_type): OpenApiTypes.OBJECT},
            "examples": [
                OpenApiExample("A line", _LINE, media_type=LinesRenderer.media_type, response_only=True)
            ],
        }

    def query_serializer(self) -> CommitsSerializer:
        """See `MarketDataViewSet`."""
        return _QUERY

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """Return the commits after a token; in the browsable API only their URL."""
        tokens = query_values(_QUERY, request.META["QUERY_STRING"]).get("after", {})
        canonical = known_symbol(symbol or "")
        instrument_in(self.market_class, canonical, None, name=self.subject)
        if is_browsed(request):
            links = format_links(request, ["ndjson"])
            return Response({link.label: request.build_absolute_uri(link.url) for link in links})
        channel = row_channel(KINDS[self.subject], canonical)
        encoding = accepted_encoding(request.META.get("HTTP_ACCEPT_ENCODING"))
        body = compressed(_commit_lines(channel, tokens), encoding)
        encoded = {} if body.encoding is None else {"Content-Encoding": body.encoding}
        headers = {**NOT_STORED, **encoded}
        return HttpResponse(body.body, content_type=LinesRenderer.media_type, headers=headers)


def _commit_lines(channel: Channel, tokens: Mapping[str, Token]) -> bytes:
    """Return the next commits of a channel's log after a token, one on each line; without tokens from the first commit.

    Raises `InvalidResumeToken`, `Resync` if the log does not have the token's commit, `StorageError`s.
    """
    (dataset,), store = channel.datasets, market_store()
    token = token_of(tokens, dataset)
    position = BEGINNING if token is None else position_of(store, dataset, channel.symbol, token)
    try:
        records = store.log(dataset, channel.symbol).records(position.commit, MOST_COMMITS)
    except UnknownSymbol:
        return b""
    return b"".join(map(_line, records))


def _line(record: CommitRecord) -> bytes:
    document = {
        "seq": record.id.token,
        "committed_at": format_timestamp(record.committed_at),
        "rows": record.facts.rows,
        "corrections": record.facts.corrections,
    }
    return msgspec.json.encode(document) + b"\n"


class LiveFeedViewSet(ViewSet):
    """The live feed."""

    access = {"connect": FEED}

    def connect(self, request: Request) -> NoReturn:
        """Refuse a request that does not ask for a WebSocket; the front answers those that do."""
        raise UpgradeRequired
