"""Django responses made from finished answers."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.encoding import escape_uri_path
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from stats.delivery.finished_answers import NEXT, PREVIOUS, finished_answer
from stats.delivery.held_answer import Pin
from stats.delivery.pinned_answer import PinnedAnswer, PinnedContent, Representation
from web.requests.compression import accepted_encoding
from web.requests.work import current_work

_BROWSED_ROWS = 100


class ContentViewSet(ViewSet):
    """The base of endpoints whose answers are pinned contents. The front answers their calls without Django, too."""

    @classmethod
    def pin(cls, query_string: str, answer_format: str, **path: Any) -> Pin:
        """Parse a call: return the query, to be pinned. path: the arguments in the URL.

        The result depends on the arguments alone. Raises `InvalidParameter` and `InvalidValue`.
        """
        raise NotImplementedError

    def respond(self, request: Request, query_string: str, **path: Any) -> HttpResponseBase:
        """Return the answer to a GET. Raises the errors of `pin` and of the pin."""
        now_ns = time.time_ns()
        answer_format = "json" if is_browsed(request) else request.accepted_renderer.format
        content = self.pin(query_string, answer_format, **path)(now_ns=now_ns)
        return content_response(request, content, now_ns=now_ns)


def content_response(request: Request, content: PinnedContent, *, now_ns: int) -> HttpResponseBase:
    """Return the response for a content, in the client's format and encoding; an HTML page in the browsable API.

    The header `Link` has the next and previous page (RFC 8288). Raises the errors of `PinnedContent.rendered`.
    """
    if is_browsed(request):
        return _browsable_response(request, content, now_ns)
    encoding = accepted_encoding(request.META.get("HTTP_ACCEPT_ENCODING"))
    finished = finished_answer(
        PinnedAnswer(content, Representation(request.accepted_renderer.format, encoding)),
        if_none_match=request.META.get("HTTP_IF_NONE_MATCH"),
        now_ns=now_ns,
    )
    current_work().count_tokens(finished.tokens)
    headers = with_link(finished.headers, path=request.path, query=page_query(request))
    response = HttpResponse(finished.body, status=finished.status, headers=headers)
    if finished.status == HTTPStatus.NOT_MODIFIED:
        del response.headers["Content-Type"]
    return response


def is_browsed(request: Request) -> bool:
    """Return whether the client asked for the browsable API."""
    return isinstance(request.accepted_renderer, BrowsableAPIRenderer)


def page_query(request: Request) -> str:
    """Return the query string. In the browsable API, add `limit=100` if it has neither `limit` nor `last`."""
    query: str = request.META["QUERY_STRING"]
    if not is_browsed(request) or {"limit", "last"} & set(QueryDict(query)):
        return query
    return "&".join(filter(None, (query, f"limit={_BROWSED_ROWS}")))


def _browsable_response(request: Request, content: PinnedContent, now_ns: int) -> Response:
    """Return the response of the browsable API, without an ETag."""
    answer = PinnedAnswer(content, Representation("json"))
    finished = finished_answer(answer, if_none_match=None, now_ns=now_ns)
    current_work().count_tokens(finished.tokens)
    headers = with_link(finished.headers, path=request.path, query=page_query(request))
    del headers["Content-Type"]
    headers.pop("ETag", None)
    return Response(orjson.loads(finished.body), headers=headers)


def with_link(headers: Mapping[str, str], *, path: str, query: str) -> dict[str, str]:
    """Return an answer's headers with `Link` (RFC 8288) instead of the cursors. path: decoded."""
    linked = dict(headers)
    cursors = [(name, linked.pop(name)) for name in (NEXT, PREVIOUS) if name in linked]
    if cursors:
        linked["Link"] = ", ".join(_link(path, query, relation, cursor) for relation, cursor in cursors)
    return linked


def _link(path: str, query: str, relation: str, cursor: str) -> str:
    parameters = parse_qsl(query, keep_blank_values=True)
    page = urlencode([*((name, value) for name, value in parameters if name != "cursor"), ("cursor", cursor)])
    return f'<{escape_uri_path(path)}?{page}>; rel="{relation}"'
