"""The endpoints of fetches, sources and their markets."""

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from jobs.fetches.serializers import FetchRequestSerializer, SourceMarketsDocument, SourcesDocument
from jobs.fetches.services import FETCH, SUBMISSION, markets_document, source_documents
from jobs.views import SubmissionViewSet
from ratelimit.callers import Caller
from web.documents import AnswerDocument
from web.endpoints import Access
from web.requests.json_fields import JsonObject
from web.views import DeclaredView

_SOURCE = OpenApiParameter(
    "source",
    {"type": "string", "examples": ["binance"]},
    OpenApiParameter.PATH,
    description="The source's name.",
)
_SEARCH = OpenApiParameter(
    "search",
    {"type": "string", "maxLength": 100, "examples": ["btc"]},
    description="A part of the name, in any case.",
)


class FetchesViewSet(SubmissionViewSet):
    """Fetches: rows of exchanges and vendors."""

    tag = "sources"
    access = {"create": SUBMISSION}
    bodies = {"create": FetchRequestSerializer}
    kind = FETCH.name

    def create(self, request: Request) -> Response:
        """Fetch rows.

        Queue a job that brings rows of a name from a source, page by page. What is known already is not asked for.

        With `preview`, or if the source takes money, the job asks for confirmation first, and shows what it would cost.
        """
        return self.submit(request)

    def check_caller(self, caller: Caller, parameters: JsonObject) -> None:
        """Asking again may correct stored rows, which `backfill:write` does not allow."""
        if parameters["again"] and "market:write" not in caller.scopes:
            raise PermissionDenied("the caller lacks the scope market:write", "missing_scope")


class SourcesViewSet(DeclaredView, ViewSet):
    """Sources of market data."""

    tag = "sources"
    access = {
        "list": Access("market:read", sensitivity="internal"),
        "markets": Access("backfill:write"),
    }
    answers: ClassVar[Any] = {"list": SourcesDocument, "markets": SourceMarketsDocument}
    parameters = {"markets": [_SOURCE, _SEARCH]}

    def list(self, request: Request) -> Response:
        """List sources. Exchanges, vendors and declared sources, how far each was tested, and its terms."""
        return _answer(SourcesDocument(source_documents()))

    def markets(self, request: Request, source: str) -> Response:
        """Search a source's markets.

        At most 50 markets whose name has `search`. The first call of a day lets a job read them from the source.
        """
        return _answer(markets_document(source, self.query.get("search", ""), now=timezone.now()))


def _answer(document: AnswerDocument) -> Response:
    return Response(document.as_json(), headers={"Cache-Control": "no-store"})
