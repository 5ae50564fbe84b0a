"""Leaves an audit record of every API call, whatever became of it."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any

from django.db import Error
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import LazyObject

from audit.chain.append import records_append, records_transaction
from audit.exceptions import AuditUnavailable
from audit.needs import CLASS_OF_CALL, PROBLEM_ANSWER, RECORDED_NAMES
from audit.records.call import columns_of_strict_call, record_of_call
from audit.records.columns import AuditColumns
from audit.records.detail import body_detail
from audit.services import anonymous_refusals, call_record, call_spool, is_anonymous_refusal, recorded_of
from http_requests.received import call_of

CORRELATION_ID = "correlation_id"
"""Where an earlier middleware leaves what the log and the answer name the call by."""
_UNDERWAY = "audit_call"


@dataclass(slots=True)
class CallUnderway:
    """A call that is being answered.

    When it began: `at` on the wall clock, `started` in ns of the monotonic one. `audit_class` is that of a
    call which is recorded in the database before its answer goes out, and `body` what was sent with it; ""
    leaves the call to the spool. `is_recorded` says that its record is committed.
    """

    at: datetime
    started: int
    audit_class: str = ""
    body: bytes = b""
    is_recorded: bool = False

    def latency_us(self) -> int:
        """How long ago it began."""
        return (perf_counter_ns() - self.started) // 1000


def call_begin(request: HttpRequest, call: CallUnderway) -> None:
    """Leave it on the request."""
    vars(request)[_UNDERWAY] = call


def call_underway(request: HttpRequest) -> CallUnderway | None:
    """What `call_begin` left; None of what is no call of the API."""
    return vars(request).get(_UNDERWAY)


logger = logging.getLogger(__name__)

# The documentation and the schema are pages under the API's prefix, not calls.
_API_CALL = re.compile(r"/(?:api|v1)/(?!(?:v\d+/)?(?:docs|redoc|schema)(?:[/.]|$))")


def is_api_call(path: str) -> bool:
    """Whether a request to `path` (decoded, without the script's prefix) is recorded."""
    return _API_CALL.match(path) is not None


class AuditMiddleware:
    """Records calls with the time until their answer was ready; a streamed body is not waited for.

    Calls of a class that CLASS_OF_CALL names are recorded in the database before they are
    answered: with their change where they make one (`audit.calls.strict`), all others here. What is left
    is recorded in the spool.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.spool = call_spool()
        self.refusals = anonymous_refusals()
        self.class_of = CLASS_OF_CALL.get()
        self.problem = PROBLEM_ANSWER.get()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_api_call(request.path_info):
            return self.get_response(request)
        call, status = CallUnderway(datetime.now(UTC), perf_counter_ns()), 500
        call_begin(request, call)
        try:
            response = self.get_response(request)
            if call.audit_class and not call.is_recorded:
                response = self._recorded(request, call, response)
            status = response.status_code
            return response
        finally:
            if not call.is_recorded:
                call_record(spool=self.spool, call=call_of(request), **_outcome(request, call, status))

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Note whether the call is recorded strictly, and its body before a parser takes it."""
        call, match = call_underway(request), request.resolver_match
        if call is not None and match is not None:
            call.audit_class = self.class_of(match.url_name, request.method or "")
            call.body = request.body if call.audit_class else b""

    def _recorded(
        self, request: HttpRequest, call: CallUnderway, response: HttpResponseBase
    ) -> HttpResponseBase:
        """The answer to a strict call that made no change, recorded; 503 if it cannot be.

        Of refusals without a caller all but an address's first in a minute are left to be counted.
        """
        status = response.status_code
        address = request.META.get("REMOTE_ADDR", "")
        if is_anonymous_refusal(_caller(request), status) and not self.refusals.is_first(address):
            return response
        try:
            with records_transaction():
                records_append([strict_columns(request, call, status, {})], now=call.at)
        except Error:
            logger.exception("a call of class %s was not recorded, status %d", call.audit_class, status)
            return self.problem(AuditUnavailable())
        call.is_recorded = True
        return response


def strict_columns(
    request: HttpRequest, call: CallUnderway, status: int, detail: Mapping[str, Any]
) -> AuditColumns:
    """The record of a strict call: its body beside `detail`."""
    body = {"body": body_detail(call.body, RECORDED_NAMES.get())} if call.body else {}
    record = record_of_call(**recorded_of(call_of(request)), **_outcome(request, call, status))
    return columns_of_strict_call(record, audit_class=call.audit_class, detail={**body, **detail})


def _outcome(request: HttpRequest, call: CallUnderway, status: int) -> dict[str, Any]:
    """What a record says of a call's course."""
    return {
        "at": call.at,
        "caller": _caller(request),
        "status": status,
        "latency_us": call.latency_us(),
        "correlation_id": getattr(request, CORRELATION_ID, ""),
    }


def _caller(request: HttpRequest) -> str:
    """Who was authenticated, "" if nobody.

    A session's user that is not loaded yet stays so: that is a query.
    """
    user = request.__dict__.get("user")
    return "" if user is None or isinstance(user, LazyObject) else str(getattr(user, "identity", ""))
