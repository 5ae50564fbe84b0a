"""The endpoints of what is newest, and of what is there at all."""

import time
from collections.abc import Callable
from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from stats.delivery.responses import content_response
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.navigation import links_beside, page_name
from stats.market_data.openapi.schema import coverage_schema, report_schema
from stats.market_data.queries.classes import MarketClass
from stats.market_data.queries.parameters import query_serializer
from stats.market_data.reports.coverage import COVERAGE
from stats.market_data.reports.newest import REPORTS, parse_report_query
from stats.market_data.services import market_data_report
from stats.rendering.query_form import Leading
from stats.rendering.renderers import DOCUMENT_RENDERERS


class ReportViewSet(ViewSet):
    """A document about symbols of a class."""

    renderer_classes = DOCUMENT_RENDERERS
    market_class: MarketClass
    report: str

    def get_view_name(self) -> str:
        """What a page for a browser is called."""
        return page_name(self, self.report)

    def see_also(self) -> list[Leading]:
        """What lies beside a page for a browser."""
        return links_beside(self.market_class, self.kwargs.get("symbol"))

    def answer(self, request: Request, symbol: str | None) -> HttpResponseBase:
        """The report, of the symbol in the path or of those in the query."""
        path, query_string = self.market_class.path, request.META["QUERY_STRING"]
        now_ns, query = time.time_ns(), parse_report_query(self.report, path, symbol, query_string)
        return content_response(request, market_data_report(query=query, now_ns=now_ns), now_ns=now_ns)


def report_view(market_class: MarketClass, report: str, *, several: bool) -> type[ReportViewSet]:
    """The viewset of a report about symbols of a class."""

    def retrieve(
        self: ReportViewSet, request: Request, symbol: str | None = None, **_: object
    ) -> HttpResponseBase:
        return self.answer(request, symbol)

    names = ("symbols", "as_of") if several else ("as_of",)
    title = f"{'Several' if several else ''}{report.title()}"
    attributes: dict[str, Any] = {
        "__doc__": f"The {report} of {market_class.path}.",
        "market_class": market_class,
        "report": report,
        "query_serializer_class": query_serializer(title, names),
        "retrieve": _described(market_class, report, several=several)(retrieve),
    }
    return type(f"{market_class.path.title()}{title}ViewSet", (ReportViewSet,), attributes)


def _described(market_class: MarketClass, report: str, *, several: bool) -> Callable[..., Any]:
    if report == COVERAGE:
        return extend_schema(**coverage_schema(market_class))
    members = [(part.name, MARKET_DATASETS[part.dataset].form) for part in REPORTS[report]]
    return extend_schema(**report_schema(market_class, report, members, several=several))
