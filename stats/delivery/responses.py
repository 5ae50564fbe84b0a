"""The answer to a repeated call, held in this process while it is the newest, and the responses made from it."""

import time
from collections.abc import Callable, Hashable, Mapping
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

from stats.caching.response_cache import RESPONSE_CACHE
from stats.delivery.answers import (
    NEXT,
    PREVIOUS,
    AnswerKey,
    AnswerSnapshot,
    FinishedAnswer,
    LogName,
    ParsedCall,
    TakeSnapshot,
    answer_in_memory,
    finished_answer,
)
from store.timestamps import SECOND_NS
from trades.stores import market_store
from web.requests.compression import Encoding, accepted_encoding
from web.requests.conditional import is_current
from web.requests.work import current_work
from web.requests.wsgi_variables import REPEATABLE_ANSWER

# Answers of more logs are not held: they are large, and the event loop would check each log for commits.
MOST_LOGS = 256


class _Watch(NamedTuple):
    """The logs that an answer depends on, and their stamp; see `MarketStore.change_stamp`."""

    logs: frozenset[LogName]
    stamp: Callable[[], Hashable]


class _Held(NamedTuple):
    """The key of an answer that is the newest while the stamp is `seen`, from `from_ns` on and before `until_ns`."""

    key: AnswerKey
    watch: _Watch
    seen: Hashable
    from_ns: int
    until_ns: int | None


class _Sent(NamedTuple):
    """The headers that were sent last, and what they were made from. computed_at: of the entry; None for a 304.

    The body is not kept: it belongs to the response cache, whose size is limited.
    """

    key: AnswerKey
    computed_at: float | None
    second: int
    headers: dict[str, str]


class RepeatedCall:
    """The newest answer to a query in a format and encoding. Threads may use it at once.

    logs: those that the snapshot will most likely watch; None if they are not known before. A wrong guess costs a second
    snapshot.
    """

    __slots__ = ("_checked", "_encoding", "_format", "_held", "_logs", "_sent", "_take_snapshot", "_watch")

    def __init__(
        self,
        take_snapshot: TakeSnapshot,
        answer_format: str,
        encoding: Encoding | None = None,
        *,
        logs: frozenset[LogName] | None = None,
    ) -> None:
        self._take_snapshot = take_snapshot
        self._format = answer_format
        self._encoding = encoding
        self._logs = logs
        self._watch: _Watch | None = None
        self._held: _Held | None = None
        self._sent: _Sent | None = None
        self._checked: tuple[_Held, object] | None = None

    def from_memory(
        self, *, if_none_match: str | None, now_ns: int, poll: object | None = None
    ) -> FinishedAnswer | None:
        """Return the newest answer, ready to send; None if it is not in this process's memory.

        Within a second, `headers` is the same object as long as the answer stays the same. poll: see `if_newest`.
        """
        key = self.if_newest(now_ns, poll=poll)
        if key is None:
            return None
        entry = None
        if not is_current(if_none_match, key.etag):
            entry = RESPONSE_CACHE.get(key.cache_key)
            if entry is None:
                return None
        computed_at = None if entry is None else entry.computed_at
        second, sent = now_ns // SECOND_NS, self._sent
        if sent is None or (sent.computed_at, sent.second) != (computed_at, second) or sent.key is not key:
            headers = answer_in_memory(key, entry, now_ns=now_ns).headers
            sent = self._sent = _Sent(key, computed_at, second, headers)
        if entry is None:
            return FinishedAnswer(HTTPStatus.NOT_MODIFIED, sent.headers)
        return FinishedAnswer(HTTPStatus.OK, sent.headers, entry.body, entry.tokens)

    def if_newest(self, now_ns: int, *, poll: object | None = None) -> AnswerKey | None:
        """Return the key of the held answer; None if it may have changed. Costs a stat call for each log and one more.

        poll: stands for one poll of the event loop for data. One check is enough for it, because all requests that it
        found were sent before.
        """
        held = self._held
        if held is None or now_ns < held.from_ns or (held.until_ns is not None and now_ns >= held.until_ns):
            return None
        checked = self._checked
        if poll is not None and checked is not None and checked[0] is held and checked[1] is poll:
            return held.key
        try:
            is_newest = held.watch.stamp() == held.seen
        except OSError:
            return None
        if is_newest and poll is not None:
            self._checked = held, poll
        return held.key if is_newest else None

    def newest(self, now_ns: int) -> AnswerKey:
        """Return the key of the answer at the newest commits, and hold it if it has at most `MOST_LOGS` logs.

        The first call takes two snapshots if the logs to watch are not known before. Raises the errors of the snapshot, and
        `OSError`.
        """
        key = self.if_newest(now_ns)
        if key is not None:
            return key
        self._held = None
        while True:
            logs, watch = self._logs, self._watch
            if watch is None and logs is not None:
                watch = self._watch = _Watch(logs, market_store().change_stamp(logs))
            # Taken before the snapshot: a commit that it misses changes the stamp afterwards.
            seen = None if watch is None else watch.stamp()
            snapshot = self._take_snapshot(now_ns=now_ns)
            key = AnswerKey(snapshot, self._format, self._encoding)
            if watch is not None and snapshot.watched == watch.logs:
                self._held = _Held(key, watch, seen, now_ns, snapshot.expires_ns)
                return key
            logs = snapshot.watched
            self._logs, self._watch = None if logs is None or len(logs) > MOST_LOGS else logs, None
            if watch is not None or self._logs is None:
                return key


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
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> ParsedCall:
        """Parse a call. path: the arguments in the URL.

        The result depends on the arguments alone. Raises `InvalidParameter` and `InvalidValue`.
        """
        raise NotImplementedError

    def respond(self, request: Request, query_string: str, **path: Any) -> HttpResponseBase:
        """Return the answer to a GET, in the client's format and encoding; an HTML page in the browsable API.

        The header `Link` has the next and previous page (RFC 8288). Raises the errors of `parse_call`, of the
        snapshot and of `AnswerSnapshot.document`.
        """
        now_ns = time.time_ns()
        if is_browsed(request):
            snapshot = self.parse_call(query_string, "json", **path).take_snapshot(now_ns=now_ns)
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
    take_snapshot, logs = view.parse_call(query_string, answer_format, **dict(path))
    return RepeatedCall(take_snapshot, answer_format, encoding, logs=logs)


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
