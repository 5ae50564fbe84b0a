"""Renderers of Django REST Framework: one per format, and one for the browsable API."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request

from stats.rendering.format import Format
from stats.rendering.formats import FORMATS
from stats.rendering.query_form import (
    base_path,
    form_inputs,
    format_links,
    format_suffix,
    page_links,
)

_PROBLEM_TYPE = "application/problem+json"


class FormatRenderer(BaseRenderer):
    """The base of the renderers of formats other than JSON.

    Views write rows in these formats themselves. Any other answer is sent as JSON with JSON's content type.
    """

    charset = None
    render_style = "binary"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        if renderer_context and renderer_context["response"].content_type is None:
            renderer_context["response"]["Content-Type"] = JSONRenderer.media_type
        return JSONRenderer().render(data)


class QueryFormRenderer(BrowsableAPIRenderer):
    """The browsable API: the answer, a form for the query parameters, and links to other pages and formats.

    The form's parameters come from the view's `query_serializer_class` or, per action,
    `query_serializer_classes`; without either there is no form. The view's method `see_also` returns further
    links. The page needs no script.
    """

    template = "stats/query_form.html"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Render the page. If a required parameter is missing because the query is empty, the status is 200."""
        page = super().render(data, accepted_media_type, renderer_context)
        if renderer_context and _is_empty_query(data, renderer_context["request"]):
            renderer_context["response"].status_code = HTTPStatus.OK
        return page

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Mapping[str, Any]
    ) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(data, accepted_media_type, renderer_context)
        request, view = renderer_context["request"], renderer_context["view"]
        serializer = _query_serializer(view)
        if _is_problem(data, renderer_context["response"]):
            context["response_headers"]["Content-Type"] = _PROBLEM_TYPE
        return context | {
            "query_path": base_path(request),
            "query_format": request.query_params.get("format") or format_suffix(request),
            "query_inputs": form_inputs(serializer, request.query_params) if serializer else [],
            "page_links": page_links(request, data),
            "format_links": format_links(request, context["available_formats"]),
            "see_also": view.see_also() if hasattr(view, "see_also") else [],
            "problem": None
            if _is_empty_query(data, request)
            else _problem(data, renderer_context["response"]),
        }

    def get_default_renderer(self, view: Any) -> BaseRenderer:
        """Return the renderer of the answer that is shown on the page: always JSON."""
        return JSONRenderer()

    def get_filter_form(self, data: Any, view: Any, request: Any) -> None:
        """Return None, because the page's form has the filters."""


def _query_serializer(view: Any) -> Any:
    by_action = getattr(view, "query_serializer_classes", {})
    serializer = by_action.get(getattr(view, "action", None)) or getattr(view, "query_serializer_class", None)
    return None if serializer is None else serializer()


def _is_problem(data: Any, response: Any) -> bool:
    """Return whether an answer is a problem document (RFC 9457)."""
    return response.status_code >= HTTPStatus.BAD_REQUEST and isinstance(data, Mapping) and "code" in data


def _is_empty_query(data: Any, request: Request) -> bool:
    """Return whether a request without parameters was refused because a required one is missing."""
    is_missing = isinstance(data, Mapping) and data.get("code") == "missing_parameter"
    return is_missing and request.method == "GET" and request.query_params.keys() <= {"format"}


def _problem(data: Any, response: Any) -> dict[str, Any] | None:
    """Return the error to show on the page, with a link to its documentation; None if there is none.

    A 405 is not shown: the page of an endpoint without GET exists for its form.
    """
    if not _is_problem(data, response) or response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return None
    return {
        "status": response.status_code,
        "code": data["code"],
        "message": data.get("message", ""),
        "url": data.get("type", ""),
    }


def _renderer(answer_format: Format) -> type[BaseRenderer]:
    attributes = {
        "__doc__": f"Answers as {answer_format.media_type}.",
        "media_type": answer_format.media_type,
        "format": answer_format.name,
        "charset": "utf-8" if answer_format.media_type.startswith("text/") else None,
    }
    return type(f"{answer_format.name.capitalize()}Renderer", (FormatRenderer,), attributes)


_BY_NAME: dict[str, type[BaseRenderer]] = {
    each.name: JSONRenderer if each.name == JSONRenderer.format else _renderer(each)
    for each in FORMATS.values()
}
# Three lists of renderers: for pages of rows, for streams, and for other documents. The first in a list is the default.
RENDERERS: tuple[type[BaseRenderer], ...] = (*_BY_NAME.values(), QueryFormRenderer)
STREAM_FORMATS = tuple(each.name for each in FORMATS.values() if each.stream)
STREAM_RENDERERS: tuple[type[BaseRenderer], ...] = (
    *(_BY_NAME[name] for name in STREAM_FORMATS),
    QueryFormRenderer,
)
DOCUMENT_RENDERERS: tuple[type[BaseRenderer], ...] = (JSONRenderer, QueryFormRenderer)
