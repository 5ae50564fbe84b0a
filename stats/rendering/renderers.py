"""The renderer of the browsable API, and the renderers of pages, of streams and of other documents."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request

from stats.rendering.formats import FORMAT_RENDERERS, FORMATS
from stats.rendering.page_forms import METHODS, SendForm, query_inputs, rows_table, send_form
from stats.rendering.page_links import base_path, format_links, format_suffix, page_links

_PROBLEM_TYPE = "application/problem+json"
# To a caller who is not known no forms are offered.
_NOT_KNOWN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class QueryFormRenderer(BrowsableAPIRenderer):
    """DRF's browsable API in the site's look: rows as a table, the answer as JSON, and forms of the query and of bodies.

    The query's inputs are the fields of the view's `query_form()`, `query_serializer()` or `query_serializer_class`;
    without any there is no form. The view's method `chart_url` returns the answer's place in the dashboard. The page
    works without its script, except for the forms that send bodies.
    """

    template = "stats/data_page.html"
    _is_for_its_form = False

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Render the page. The status is 200 for a page that is there for its form.

        Such are pages whose query is empty although a parameter is required, and pages of endpoints without GET.
        """
        page = super().render(data, accepted_media_type, renderer_context)
        if renderer_context and self._is_for_its_form:
            renderer_context["response"].status_code = HTTPStatus.OK
        return page

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Mapping[str, Any]
    ) -> dict[str, Any]:
        request, view = renderer_context["request"], renderer_context["view"]
        response = renderer_context["response"]
        content = self.get_content(JSONRenderer(), data, accepted_media_type, renderer_context)
        forms = self._send_forms(view, request, data) if response.status_code not in _NOT_KNOWN else []
        self._is_for_its_form = _is_empty_query(data, request) or (
            response.status_code == HTTPStatus.METHOD_NOT_ALLOWED and bool(forms)
        )
        problem = problem_of_page(data, response) if not self._is_for_its_form else None
        return {
            "name": self.get_name(view),
            "description": self.get_description(view, response.status_code),
            "user": request.user,
            "request": request,
            "view": view,
            "is_for_its_form": self._is_for_its_form,
            "problem": problem,
            "nearest": view.nearest(problem["code"]) if problem and hasattr(view, "nearest") else [],
            "send_forms": forms,
            "response_headers": _headers(data, response),
            **_query_context(view, request),
            **_answer_context(
                "" if self._is_for_its_form else content, view, request, is_problem=bool(problem)
            ),
        }

    def _send_forms(self, view: Any, request: Request, answer: Any) -> list[SendForm]:
        """Return a form for each method with a body, or that deletes, that the view has and the caller may use."""
        bodies = {method: self.get_raw_data_form(answer, view, method, request) for method in METHODS}
        return [send_form(view, method, body, answer) for method, body in bodies.items() if body is not None]

    def get_default_renderer(self, view: Any) -> BaseRenderer:
        """Return the renderer of the answer that is shown on the page: always JSON."""
        return JSONRenderer()


def _query_context(view: Any, request: Request) -> dict[str, Any]:
    """Return what the template says of the query: its form, and the same answer in other formats."""
    serializer = _query_serializer(view)
    return {
        "query_path": base_path(request),
        "query_format": request.query_params.get("format") or format_suffix(request),
        "query_inputs": query_inputs(serializer, request.query_params) if serializer else [],
        "format_links": format_links(request, [each.format for each in view.renderer_classes]),
    }


def _answer_context(content: str, view: Any, request: Request, *, is_problem: bool) -> dict[str, Any]:
    """Return what the template says of the answer. content: the answer's JSON; "" if the page shows no answer."""
    if not content or is_problem:
        return {"content": content}
    document = msgspec.json.decode(content)
    return {
        "content": content,
        "rows": rows_table(document),
        "chart_url": view.chart_url() if hasattr(view, "chart_url") else "",
        "page_links": page_links(request, document),
    }


def _query_serializer(view: Any) -> Any:
    if hasattr(view, "query_form"):
        form = view.query_form()
        return form if form.fields else None
    if hasattr(view, "query_serializer"):
        return view.query_serializer()
    serializer = getattr(view, "query_serializer_class", None)
    return None if serializer is None else serializer()


def _headers(data: Any, response: Any) -> dict[str, str]:
    """Return the headers that programs get with the answer."""
    headers = dict(sorted(response.items()))
    headers["Content-Type"] = _PROBLEM_TYPE if _is_problem(data, response) else JSONRenderer.media_type
    return headers


def _is_problem(data: Any, response: Any) -> bool:
    """Return whether an answer is a problem document (RFC 9457)."""
    return response.status_code >= HTTPStatus.BAD_REQUEST and isinstance(data, Mapping) and "code" in data


def _is_empty_query(data: Any, request: Request) -> bool:
    """Return whether a request without parameters was refused because a required one is missing."""
    is_missing = isinstance(data, Mapping) and data.get("code") == "missing_parameter"
    return is_missing and request.method == "GET" and request.query_params.keys() <= {"format"}


def problem_of_page(data: Any, response: Any) -> dict[str, Any] | None:
    """Return the error to show on the page, with a link to its documentation; None if there is none."""
    if not _is_problem(data, response):
        return None
    return {
        "status": response.status_code,
        "code": data["code"],
        "message": data.get("message", ""),
        "url": data.get("type", ""),
        "title": data.get("title", ""),
        "errors": data.get("errors", ()),
        "correlation_id": data.get("correlation_id", ""),
    }


# Three lists of renderers: for pages of rows, for streams, and for other documents. The first in a list is the default.
RENDERERS: tuple[type[BaseRenderer], ...] = (*FORMAT_RENDERERS, QueryFormRenderer)
STREAM_FORMATS = tuple(name for name, each in FORMATS.items() if each.stream)
STREAM_RENDERERS = (*(each for each in FORMAT_RENDERERS if each.stream), QueryFormRenderer)
DOCUMENT_RENDERERS = (JSONRenderer, QueryFormRenderer)
