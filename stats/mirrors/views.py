"""The endpoints that mirrors read: which logs there are, and their commits."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from ratelimit.credentials.authentication import may_still_call
from stats.delivery.responses import is_browsed
from stats.exceptions import ResyncRequired
from stats.mirrors.serializers import LogCopyQuerySerializer, LogsQuerySerializer, LogsSerializer
from stats.mirrors.waiting import LogsChange
from stats.parameters import query_values
from stats.rendering.query_form import format_links
from stats.rendering.renderers import DOCUMENT_RENDERERS, LinesRenderer, QueryFormRenderer
from store.copies import encode_states
from store.datasets import STORED_DATASETS
from store.protocol import NO_COMMIT
from store.walk import Resync
from store.walk_lines import walk_lines
from trades.instruments.services import requested_symbol
from trades.stores import market_store
from web.endpoints import Access
from web.requests.conditional import NOT_STORED
from web.requests.waiting import AnswerWait, Renewed, prefer_header, preferred_wait
from web.requests.wsgi_variables import ANSWER_WAIT

_LOGS_QUERY, _COPY_QUERY = LogsQuerySerializer(), LogCopyQuerySerializer()
_BY_PATH = {name.replace("_", "-"): dataset for name, dataset in STORED_DATASETS.items()}
_HASH = "9f3a2c" + 58 * "0"
_STATES = {
    "seen": "04be11" + 58 * "0",
    "logs": [
        {
            "dataset": "trades",
            "symbol": "AAPL",
            "number": 17,
            "hash": _HASH,
            "committed_at": "2025-01-02T14:30:00.120481Z",
        }
    ],
}
_COLUMNS = ["timestamp int64", "price double", "volume double", "…"]
_LINES: list[dict[str, Any]] = [
    {"kind": "walk", "log": ["trades", "AAPL", *_COLUMNS]},
    {"kind": "record", "text": '{"v":2,"commit":17,…', "hash": _HASH},
    {"kind": "rows", "data": "/////9gCAAAUAAAAAAAAAAwAFgAG…"},
    {"kind": "corrections", "data": "/////9gCAAAUAAAAAAAAAAwAFgAG…"},
    {"kind": "end"},
]


class LogsViewSet(ViewSet):
    """What a mirror copies."""

    access = {"list": Access("market:copy", sensitivity="internal")}
    renderer_classes = DOCUMENT_RENDERERS
    query_serializer_class = LogsQuerySerializer

    @extend_schema(
        parameters=[LogsQuerySerializer, prefer_header("it is not the one that was `seen`")],
        responses={200: LogsSerializer},
        examples=[OpenApiExample("A log", _STATES, response_only=True)],
    )
    def list(self, request: Request) -> HttpResponseBase:
        """The newest commits of logs.

        Each log of the symbols with its newest commit, as a mirror reads them. Symbols without a log are left out.

        The log `instruments/ALL` has the declarations of all instruments.
        """
        values = query_values(_LOGS_QUERY, request.META["QUERY_STRING"])
        symbols = values["symbols"].names
        change = LogsChange.of(symbols)  # first: what is stored meanwhile is a change
        states = market_store().log_states(symbols)
        if is_browsed(request):
            return Response(msgspec.json.decode(encode_states(states)))
        seconds = preferred_wait(request.headers.get("Prefer", ""))
        if seconds and values.get("seen") == states.seen:
            renewed = partial(_renewed, symbols, partial(may_still_call, request.META))
            request.META[ANSWER_WAIT] = AnswerWait(seconds, change, renewed)
        return HttpResponse(encode_states(states), content_type="application/json", headers=NOT_STORED)


class LogCopyViewSet(ViewSet):
    """The commits of a log."""

    access = {"retrieve": Access("market:copy", sensitivity="internal", cost="stream")}
    renderer_classes = [LinesRenderer, QueryFormRenderer]
    query_serializer_class = LogCopyQuerySerializer

    @extend_schema(
        parameters=[
            LogCopyQuerySerializer,
            OpenApiParameter("dataset", OpenApiTypes.STR, OpenApiParameter.PATH, enum=list(_BY_PATH)),
            OpenApiParameter("symbol", OpenApiTypes.STR, OpenApiParameter.PATH),
        ],
        responses={(200, LinesRenderer.media_type): OpenApiTypes.OBJECT},
        examples=[
            OpenApiExample(line["kind"], line, media_type=LinesRenderer.media_type, response_only=True)
            for line in _LINES
        ],
    )
    def retrieve(self, request: Request, dataset: str, symbol: str) -> HttpResponseBase:
        """The next commits of a log.

        The text of each commit's facts, its rows and its corrections: at most 1,000 commits or about 8 MiB.

        Rows are record batches of Arrow. The answer is complete if its last line is of the kind `end`.
        """
        if dataset not in _BY_PATH:
            raise NotFound
        values = query_values(_COPY_QUERY, request.META["QUERY_STRING"])
        log = market_store().log(_BY_PATH[dataset], requested_symbol(symbol))
        try:
            lines = walk_lines(log, values.get("after", NO_COMMIT))
        except Resync as error:
            raise ResyncRequired(str(error)) from error
        if is_browsed(request):
            links = format_links(request, ["ndjson"])
            return Response({link.label: request.build_absolute_uri(link.url) for link in links})
        return StreamingHttpResponse(lines, content_type=LinesRenderer.media_type, headers=NOT_STORED)


def _renewed(symbols: Sequence[str], may_still_read: Callable[[], bool]) -> Renewed | None:
    """Return the answer after the wait; None, which leaves it as it was, if the caller may not read any more."""
    return Renewed(encode_states(market_store().log_states(symbols)), {}) if may_still_read() else None
