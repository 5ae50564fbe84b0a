"""Django responses made from finished answers."""

import time
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import msgspec
from django.core.signals import setting_changed
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.encoding import escape_uri_path
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from stats.delivery.answers import (
    NEXT,
    PREVIOUS,
    AnswerKey,
    AnswerSnapshot,
    LogName,
    TakeSnapshot,
    finished_answer,
)
from stats.delivery.repeated_calls import RepeatedCall
from web.requests.compression import Encoding, accepted_encoding
from web.requests.work import current_work
from web.requests.wsgi_variables import REPEATABLE_ANSWER

_BROWSED_ROWS = 100
MOST_HELD = 4_096
# In characters. Answers to longer queries are not held, which bounds the memory of those that are.
_LONGEST_HELD_QUERY = 2_048


class RepeatableAnswer(NamedTuple):
    """What the answer to a request for a snapshot was made from: the same request can be answered again without Django.

    format: the answer's. path, query: those of its links; path is decoded. headers: those that were made from the
    snapshot.
    """

    call: RepeatedCall
    format: str
    path: str
    query: str
    headers: Mapping[str, str]

    def linked(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return another finished answer's headers as they are sent."""
        return with_link(headers, path=self.path, query=self.query)


class AnswerViewSet(ViewSet):
    """The base of endpoints whose answers are made from snapshots. The event loop answers the same request again."""

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> TakeSnapshot:
        """Parse a call: return the function that takes its snapshot. path: the arguments in the URL.

        The result depends on the arguments alone. Raises `InvalidParameter` and `InvalidValue`.
        """
        raise NotImplementedError

    @classmethod
    def expected_logs(cls, query_string: str, **path: Any) -> frozenset[LogName] | None:
        """Return the logs that a call's snapshot will most likely watch; None if they are not known before."""
        return None

    def respond(self, request: Request, query_string: str, **path: Any) -> HttpResponseBase:
        """Return the answer to a GET, in the client's format and encoding; an HTML page in the browsable API.

        The header `Link` has the next and previous page (RFC 8288). Raises the errors of `parse_call`, of the
        snapshot and of `AnswerSnapshot.document`.
        """
        now_ns = time.time_ns()
        if is_browsed(request):
            snapshot = self.parse_call(query_string, "json", **path)(now_ns=now_ns)
            return _browsable_response(request, snapshot, now_ns)
        # DRF's request looks each attribute up twice.
        django_request = request._request  # noqa: SLF001
        answer_format = request.accepted_renderer.format
        encoding = accepted_encoding(django_request.META.get("HTTP_ACCEPT_ENCODING"))
        repeated = _repeated_call if len(query_string) <= _LONGEST_HELD_QUERY else _repeated_call.__wrapped__
        view: Any = type(self)
        call: RepeatedCall = repeated(view, query_string, answer_format, encoding, tuple(path.items()))
        key = call.newest(now_ns)
        finished = finished_answer(
            key, if_none_match=django_request.META.get("HTTP_IF_NONE_MATCH"), now_ns=now_ns
        )
        current_work().count_tokens(finished.tokens)
        headers = with_link(finished.headers, path=django_request.path, query=query_string)
        if key.snapshot.is_cacheable:
            django_request.META[REPEATABLE_ANSWER] = RepeatableAnswer(
                call, answer_format, django_request.path, query_string, headers
            )
        response = HttpResponse(finished.body, status=finished.status, headers=headers)
        if finished.status == HTTPStatus.NOT_MODIFIED:
            del response.headers["Content-Type"]
        return response


@lru_cache(maxsize=MOST_HELD)
def _repeated_call(
    view: type[AnswerViewSet],
    query_string: str,
    answer_format: str,
    encoding: Encoding | None,
    path: tuple[tuple[str, Any], ...],
) -> RepeatedCall:
    """Return the call of a query, which all its callers share. Raises the errors of `parse_call`."""
    arguments = dict(path)
    take_snapshot = view.parse_call(query_string, answer_format, **arguments)
    return RepeatedCall(
        take_snapshot, answer_format, encoding, logs=view.expected_logs(query_string, **arguments)
    )


def is_browsed(request: Request) -> bool:
    """Return whether the client asked for the browsable API."""
    return isinstance(request.accepted_renderer, BrowsableAPIRenderer)


def paged_query_string(request: Request) -> str:
    """Return the query string. In the browsable API, add `limit=100` if it has neither `limit` nor `last`."""
    query: str = request.META["QUERY_STRING"]
    if not is_browsed(request) or {"limit", "last"} & set(QueryDict(query)):
        return query
    return "&".join(filter(None, (query, f"limit={_BROWSED_ROWS}")))


def _browsable_response(request: Request, snapshot: AnswerSnapshot, now_ns: int) -> Response:
    """Return the response of the browsable API, without an ETag."""
    answer = AnswerKey(snapshot, "json")
    finished = finished_answer(answer, if_none_match=None, now_ns=now_ns)
    current_work().count_tokens(finished.tokens)
    headers = with_link(finished.headers, path=request.path, query=paged_query_string(request))
    del headers["Content-Type"]
    headers.pop("ETag", None)
    return Response(msgspec.json.decode(finished.body), headers=headers)


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
setting_changed.connect(lambda **_: _repeated_call.cache_clear(), weak=False, dispatch_uid=__name__)
