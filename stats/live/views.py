"""The endpoints of the live feed over plain HTTP."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from ratelimit.credentials.authentication import may_still_call
from stats.delivery.responses import is_browsed
from stats.live.callers import FEED
from stats.live.channels import KINDS, Channel, known_symbol, row_channel
from stats.live.commits import CommittedLines, NewCommits, committed_lines
from stats.live.exceptions import UpgradeRequired
from stats.live.serializers import CommitsSerializer, LiveStatisticsSerializer
from stats.live.statistics import live_statistics
from stats.live.tokens import Token
from stats.market_data.plan import instrument_in
from stats.market_data.views import MarketDataViewSet
from stats.parameters import query_values
from stats.rendering.query_form import format_links
from stats.rendering.renderers import LinesRenderer, QueryFormRenderer
from web.endpoints import Access
from web.requests.compression import Encoding, accepted_encoding, compressed
from web.requests.conditional import NOT_STORED
from web.requests.parameters import single_parameters
from web.requests.waiting import AnswerWait, Renewed, prefer_header, preferred_wait
from web.requests.wsgi_variables import ANSWER_WAIT

_FRAME = {
    "ch": "trades:AAPL",
    "seq": "17-9f3a2c.3",
    "prev": "16-04be11.99",
    "committed_at": "2025-01-02T14:30:00.120481Z",
    "sent_at": "2025-01-02T14:30:00.121900Z",
    "data": [{"timestamp": "2025-01-02T14:30:00.1Z", "price": 242.5, "volume": 100}],
}
_QUERY = CommitsSerializer()


class CommitsViewSet(MarketDataViewSet):
    """The frames that the live feed sent after a token, at most about 1 MiB."""

    # subject: one of `KINDS`.

    access = {"retrieve": Access("market:read", cost="page", is_heavy=True)}
    renderer_classes = [LinesRenderer, QueryFormRenderer]

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        return {
            "operation_id": f"{self.market_class.path}_{self.subject.replace('-', '_')}_commits",
            "summary": f"What was committed to the {self.subject.replace('-', ' ')} of a symbol",
            "description": "The frames that the live feed sent after a token, at most about 1 MiB.",
            "parameters": [
                CommitsSerializer,
                OpenApiParameter("symbol", OpenApiTypes.STR, OpenApiParameter.PATH),
                prefer_header("there is something new"),
            ],
            "responses": {(200, LinesRenderer.media_type): OpenApiTypes.OBJECT},
            "examples": [
                OpenApiExample("A line", _FRAME, media_type=LinesRenderer.media_type, response_only=True)
            ],
        }

    def query_serializer(self) -> CommitsSerializer:
        """See `MarketDataViewSet`."""
        return _QUERY

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """Return the frames after a token; in the browsable API only their URL.

        With `Prefer: wait=N` the front holds an answer without any.
        """
        tokens = query_values(_QUERY, request.META["QUERY_STRING"]).get("after", {})
        canonical = known_symbol(symbol or "")
        instrument_in(self.market_class, canonical, None, name=self.subject)
        if is_browsed(request):
            links = format_links(request, ["ndjson"])
            return Response({link.label: request.build_absolute_uri(link.url) for link in links})
        channel = row_channel(KINDS[self.subject], canonical)
        encoding = accepted_encoding(request.META.get("HTTP_ACCEPT_ENCODING"))
        committed = committed_lines(channel, tokens)
        seconds = preferred_wait(request.headers.get("Prefer", ""))
        if seconds and not committed.lines:
            renewed = partial(_renewed, channel, tokens, encoding, partial(may_still_call, request.META))
            event = NewCommits(channel, committed.commits)
            request.META[ANSWER_WAIT] = AnswerWait(seconds, event, renewed)
        body, headers = _encoded(committed, encoding)
        return HttpResponse(body, content_type=LinesRenderer.media_type, headers={**NOT_STORED, **headers})


def _renewed(
    channel: Channel,
    tokens: Mapping[str, Token],
    encoding: Encoding | None,
    may_still_read: Callable[[], bool],
) -> Renewed:
    """Return the answer after the wait; without frames if the caller may not read any more."""
    committed = committed_lines(channel, tokens) if may_still_read() else CommittedLines(b"", {})
    return Renewed(*_encoded(committed, encoding))


def _encoded(committed: CommittedLines, encoding: Encoding | None) -> tuple[bytes, dict[str, str]]:
    encoded = compressed(committed.lines, encoding)
    return encoded.body, {} if encoded.encoding is None else {"Content-Encoding": encoded.encoding}


class LiveFeedViewSet(ViewSet):
    """The live feed."""

    access = {
        "stats": Access("market:read", sensitivity="internal"),
        "connect": FEED,
    }

    @extend_schema(
        responses={200: LiveStatisticsSerializer},
    )
    def stats(self, request: Request) -> Response:
        """Statistics of the live feed. Connections, subscriptions, messages and ends by reason, over all processes."""
        single_parameters(request.GET, ("format",))
        return Response(live_statistics())

    def connect(self, request: Request) -> NoReturn:
        """Refuse a request that does not ask for a WebSocket; the front answers those that do."""
        raise UpgradeRequired
