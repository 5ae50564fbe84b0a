"""The endpoints of backfills, and the list of gaps for which sources were asked."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.backfills.models import STATES, Backfill
from jobs.backfills.serializers import BackfillDocument, BackfillRequestSerializer
from jobs.backfills.services import KIND
from jobs.fetches.services import SUBMISSION
from jobs.views import SubmissionViewSet
from trades.instruments.services import requested_symbol, symbol_canonical
from web.endpoints import Access
from web.lists.filters import choice_filter
from web.lists.pages import NewestPagination
from web.lists.views import ListViewSet


class BackfillFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filters of the list, combined with AND."""

    symbol = django_filters.CharFilter(method="of_symbol", help_text="The gaps' symbol.")
    state = choice_filter(STATES, "What came of it.")

    class Meta:
        model = Backfill
        fields: tuple[str, ...] = ()

    def of_symbol(self, rows: QuerySet[Backfill], _: str, symbol: str) -> QuerySet[Backfill]:
        return rows.filter(symbol=symbol_canonical(requested_symbol(symbol)))


class BackfillsViewSet(SubmissionViewSet, ListViewSet[Any]):
    """Backfills: missing rows, fetched from other sources."""

    tag = "gaps and backfills"
    access = {
        "list": Access("market:read", sensitivity="internal", cost="page"),
        "create": SUBMISSION,
    }
    bodies = {"create": BackfillRequestSerializer}
    answers = {**SubmissionViewSet.answers, "list": BackfillDocument}
    kind = KIND
    queryset = Backfill.objects.all()
    filterset_class = BackfillFilter
    pagination_class = NewestPagination
    rows_name = "backfills"

    def list(self, request: Request) -> Response:
        """List backfills. Gaps for which sources were asked, newest first, with what came of it."""
        return self.answer_page(
            lambda row: BackfillDocument.of_row(
                row, job=str(row.job), source=row.source, message=row.message
            ).as_json()
        )

    def create(self, request: Request) -> Response:
        """Fill gaps.

        Queue a job that finds the gaps of a symbol in a range and fetches the missing rows from the sources.

        It also asks again for gaps that no source could fill before. Its result counts the gaps by what became of
        them, and the rows, and has warnings of prices that are far from those beside a gap.
        """
        return self.submit(request)
