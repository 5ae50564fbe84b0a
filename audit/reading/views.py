"""The endpoint of audit records."""

from collections.abc import Mapping
from typing import Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.settings import api_settings

from audit.models import AuditRecord
from audit.reading.documents import RecordDocument
from audit.reading.export import documents_of, ndjson_pieces
from audit.reading.filters import (
    AuditFilter,
    RecordPagination,
    Records,
)
from web.documents import example_of
from web.endpoints import Access
from web.lists.views import ListViewSet
from web.requests.parameters import single_parameters


class NdjsonRenderer(BaseRenderer):
    """Declares the export's format and renders errors as JSON. The export itself is streamed without it."""

    media_type = "application/x-ndjson"
    format = "ndjson"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        rendered: bytes = JSONRenderer().render(data)
        return rendered


_DEFAULT_RENDERERS: tuple[Any, ...] = tuple(api_settings.DEFAULT_RENDERER_CLASSES)
# Caches must not store audit records.
_PRIVATE = {"Cache-Control": "no-store"}


class AuditViewSet(ListViewSet[AuditRecord]):
    """The read-only endpoint of records."""

    tag = "audit"
    access = {"list": Access("audit:read", sensitivity="confidential", group="access", cost="export")}
    queryset = AuditRecord.objects.all()
    filterset_class = AuditFilter
    pagination_class = RecordPagination
    renderer_classes = (*_DEFAULT_RENDERERS, NdjsonRenderer)

    @extend_schema(
        responses={
            (200, JSONRenderer.media_type): RecordDocument,
            (200, NdjsonRenderer.media_type): OpenApiResponse(
                {"type": "string"},
                description="A record per line, all that there are, in the order of the chain.",
            ),
        },
        examples=[
            OpenApiExample(
                "A change", value=example_of(RecordDocument), response_only=True, status_codes=["200"]
            )
        ],
    )
    def list(self, request: Request) -> HttpResponseBase:
        """Read the audit log.

        Records of calls and events, the newest first; as NDJSON all that there are, in the order of the chain.

        Each also has the previous record's hash, which its own covers.
        """
        renderer: Any = request.accepted_renderer
        if renderer.format == NdjsonRenderer.format:
            single_parameters(request.GET, (*AuditFilter.base_filters, "format"))
            return _exported(self.filter_queryset(self.get_queryset()))
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response([each.as_json() for each in documents_of(rows or [])])


def _exported(records: Records) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        ndjson_pieces(records), content_type=NdjsonRenderer.media_type, headers=_PRIVATE
    )
