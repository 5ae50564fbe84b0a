"""The page `/import`. Its script sends a file as an upload, shows its preview, and confirms its job (docs/uploads.md)."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from stats.rendering.renderers import QueryFormRenderer, problem_of_page
from web.endpoints import Access


class ImportPageRenderer(QueryFormRenderer):
    """The page with the inputs."""

    template = "import.html"

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Mapping[str, Any]
    ) -> dict[str, Any]:
        request, response = renderer_context["request"], renderer_context["response"]
        return {
            "request": request,
            "user": request.user,
            "problem": problem_of_page(data, response),
            "limit": settings.MAX_UPLOAD_BYTES,
        }


class ImportPageViewSet(ViewSet):
    """Import a file. A page, and so no part of the OpenAPI document."""

    access = {"show": Access("market:write")}
    renderer_classes = [JSONRenderer, ImportPageRenderer]

    @extend_schema(exclude=True)
    def show(self, _: Request) -> Response:
        """Show the form."""
        return Response({})
