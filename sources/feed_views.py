"""The endpoints of feeds."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from audit.recording.audit_first import change_and_record
from sources.feed_serializers import FeedSerializer, FeedsSerializer, NewFeedSerializer, feed_document
from sources.feed_services import feed_keep, feed_stop
from sources.feed_status import ShownFeed, feeds_without_redis, shown_feeds
from trades.instruments.services import requested_symbol, symbol_canonical
from web.endpoints import WRITE, Access
from web.requests.json_fields import JsonObject
from web.views import DeclaredView

_SYMBOL = OpenApiParameter(
    "symbol",
    {"type": "string", "minLength": 1, "maxLength": 32, "examples": ["BTC-USDT"]},
    OpenApiParameter.PATH,
    description="The fed symbol.",
)
_CHANGE = Access("backfill:write", kind=WRITE, audit_class="config")
_NOT_STORED = {"Cache-Control": "no-store"}


class FeedsViewSet(DeclaredView, ViewSet):
    """Feeds: symbols that are kept current from their sources."""

    tag = "sources"
    access = {
        "list": Access("market:read", sensitivity="internal"),
        "create": _CHANGE,
        "destroy": _CHANGE,
    }
    verbs: ClassVar = {"create": "keep", "destroy": "stop"}
    bodies = {"create": NewFeedSerializer}
    answers: ClassVar[Any] = {"list": FeedsSerializer, "create": FeedSerializer, "destroy": {204: None}}
    parameters = {"destroy": [_SYMBOL]}

    def list(self, request: Request) -> Response:
        """List feeds. What feeds keep current, and how each of them does."""
        document = {"feeds": [feed_document(feed) for feed in _feeds()]}
        return Response(document, headers=_NOT_STORED)

    def create(self, request: Request) -> Response:
        """Keep a symbol current.

        The feed process begins within seconds with a name of a source, and goes on with it after each start.

        A feed that is there stays, and gets the timeframe of this call.
        """
        values = self.body()
        return change_and_record(
            self, lambda _: Response(_document_of(feed_keep(**values)), headers=_NOT_STORED)
        )

    def destroy(self, request: Request, symbol: str) -> Response:
        """Stop a feed. Its rows stay. A feed of the setting FEEDS is stopped there, not by a call."""
        canonical = symbol_canonical(requested_symbol(symbol))

        def write() -> Response:
            feed_stop(symbol=canonical)
            return Response(status=204)

        return change_and_record(self, lambda _: write())


def _feeds() -> list[ShownFeed]:
    try:
        return shown_feeds()
    except RedisError:
        return feeds_without_redis()


def _document_of(symbol: str) -> JsonObject:
    return next(feed_document(feed) for feed in _feeds() if feed.symbol == symbol)
