"""Django responses made from finished answers."""

import time
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import orjson
from django.core.signals import setting_changed
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.encoding import escape_uri_path
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from stats.delivery.finished_answers import finished_answer
from stats.delivery.held_answer import Pin, RepeatedCall
from stats.delivery.pinned_answer import NEXT, PREVIOUS, AnswerKey, AnswerSnapshot, Representation
from web.requests.compression import accepted_encoding
from web.requests.work import current_work
from web.requests.wsgi_variables import REPEATABLE_ANSWER

_BROWSED_ROWS = 100
MOST_HELD = 4_096
# In characters. Answers to longer queries are not held, which bounds the memory of those that are.
_LONGEST_HELD_QUERY = 2_048


class RepeatableAnswer(NamedTuple):
    """What the answer to a request for a content was made from: the same request can be answered again without Django.

    format: the answer's. path, query: those of its links; path is decoded. headers: those that were made from the
    content.
    """

    answer: RepeatedCall
    format: str
    path: str
    query: str
    headers: Mapping[str, str]

    def linked(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return another finished answer's headers as they are sent."""
        return with_link(headers, path=self.path, query=self.query)


class ContentViewSet(ViewSet):
    """The base of endpoints whose answers are pinned contents. The event loop answers the same request again."""

    @classmethod
    def pin(cls, query_string: str, answer_format: str, **path: Any) -> Pin:
        """Parse a call: return the query, to be pinned. path: the arguments in the URL.

        The result depends on the arguments alone. Raises `InvalidParameter` and `InvalidValue`.
        """
        raise NotImplementedError

    def respond(self, request: Request, query_string: str, **path: Any) -> HttpResponseBase:
        """Return the answer to a GET, in the client's format and encoding; an HTML page in the browsable API.

        The header `Link` has the next and previous page (RFC 8288). Raises the errors of `pin`, of the pin and of
        `AnswerSnapshot.document`.
        """
        now_ns = time.time_ns()
        if is_browsed(request):
            content = self.pin(query_string, "json", **path)(now_ns=now_ns)
            return _browsable_response(request, content, now_ns)
        # DRF's request looks each attribute up twice.
        django_request = request._request  # noqa: SLF001
        representation = Representation(
            request.accepted_renderer.format,
            accepted_encoding(django_request.META.get("HTTP_ACCEPT_ENCODING")),
        )
        held = _held_answer if len(query_string) <= _LONGEST_HELD_QUERY else _held_answer.__wrapped__
        view: Any = type(self)
        answer: RepeatedCall = held(view, query_string, representation, tuple(path.items()))
        pinned = answer.newest(now_ns)
        finished = finished_answer(
            pinned, if_none_match=django_request.META.get("HTTP_IF_NONE_MATCH"), now_ns=now_ns
        )
        current_work().count_tokens(finished.tokens)
        headers = with_link(finished.headers, path=django_request.path, query=query_string)
        if pinned.content.is_cacheable:
            django_request.META[REPEATABLE_ANSWER] = RepeatableAnswer(
                answer, representation.format, django_request.path, query_string, headers
            )
        response = HttpResponse(finished.body, status=finished.status, headers=headers)
        if finished.status == HTTPStatus.NOT_MODIFIED:
            del response.headers["Content-Type"]
        return response


@lru_cache(maxsize=MOST_HELD)
def _held_answer(
    view: type[ContentViewSet],
    query_string: str,
    representation: Representation,
    path: tuple[tuple[str, Any], ...],
) -> RepeatedCall:
    """Return the answer to a query, which all its callers share. Raises the errors of `pin`."""
    return RepeatedCall(view.pin(query_string, representation.format, **dict(path)), representation)


def is_browsed(request: Request) -> bool:
    """Return whether the client asked for the browsable API."""
    return isinstance(request.accepted_renderer, BrowsableAPIRenderer)


def page_query(request: Request) -> str:
    """Return the query string. In the browsable API, add `limit=100` if it has neither `limit` nor `last`."""
    query: str = request.META["QUERY_STRING"]
    if not is_browsed(request) or {"limit", "last"} & set(QueryDict(query)):
        return query
    return "&".join(filter(None, (query, f"limit={_BROWSED_ROWS}")))


def _browsable_response(request: Request, content: AnswerSnapshot, now_ns: int) -> Response:
    """Return the response of the browsable API, without an ETag."""
    answer = AnswerKey(content, Representation("json"))
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


# Only tests change settings.
setting_changed.connect(lambda **_: _held_answer.cache_clear(), weak=False, dispatch_uid=__name__)
