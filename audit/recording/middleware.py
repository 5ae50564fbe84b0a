"""Records every API call, whatever its outcome."""

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
from audit.records.call import CallOutcome, columns_of_audit_first_call
from audit.records.columns import AuditColumns
from audit.records.detail import body_detail
from audit.records.recorded_names import RECORDED_NAMES
from audit.services import anonymous_refusals, call_record, call_spool, is_anonymous_refusal, record_of
from web.endpoints import access_of
from web.problem_body import PROBLEM_OF
from web.requests.received import call_in

CORRELATION_ID = "correlation_id"
"""The request's attribute that holds the correlation id; an earlier middleware sets it."""
_UNDERWAY = "audit_call"


@dataclass(slots=True)
class CallUnderway:
    """A call that is being answered.

    `at` is the time when it began, `started` the same time by `perf_counter_ns`. An `audit_first` call is recorded
    in the database, with its `body`, before its answer is sent; any other call is recorded in the spool.
    `is_change_made`: the change was made; if a failure follows, its outcome is unknown. `is_recorded`: the record is
    committed.
    """

    at: datetime
    started: int
    audit_class: str = ""
    audit_first: bool = False
    body: bytes = b""
    is_change_made: bool = False
    is_recorded: bool = False


def call_underway(request: HttpRequest) -> CallUnderway | None:
    """Return the call that the middleware stored on the request; None if the request is not an API call."""
    return vars(request).get(_UNDERWAY)


logger = logging.getLogger(__name__)

# The documentation and the schema are below the API's prefix, too, but are not API calls. A call of `//api/…` is one: no
# endpoint has such a path, but the call may carry a key. WebSockets are opened below `/ws/`.
_API_CALL = re.compile(r"/+(?:api|udf|v1|ws)/(?!(?:v\d+/)?(?:docs|redoc|schema)(?:[/.]|$))")


def is_api_call(path: str) -> bool:
    """Return whether a request to `path` (decoded, without the script's prefix) is recorded."""
    return _API_CALL.match(path) is not None


class AuditMiddleware:
    """Records API calls with their latency: the time until the answer, or a stream's headers, was ready.

    Audit-first calls (`Access.audit_first`) are recorded in the database before they are answered.
    `audit.recording.audit_first` records those that make a change; this class records the others. All other calls
    are recorded in the spool.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.spool = call_spool()
        self.refusals = anonymous_refusals()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_api_call(request.path_info):
            return self.get_response(request)
        call, status = CallUnderway(datetime.now(UTC), perf_counter_ns()), 500
        vars(request)[_UNDERWAY] = call
        try:
            response = self.get_response(request)
            if call.audit_first and not call.is_recorded:
                response = self._recorded(request, call, response)
            status = response.status_code
            return response
        finally:
            if not call.is_recorded:
                call_record(spool=self.spool, call=call_in(request.META), **_outcome(request, call, status))

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Set the call's audit class, and keep its body before a parser consumes it."""
        call, match = call_underway(request), request.resolver_match
        access = None if match is None else access_of(match.func, request.method or "")
        if call is not None and access is not None:
            call.audit_class, call.audit_first = access.audit_class, access.audit_first
            call.body = request.body if call.audit_first else b""

    def _recorded(
        self, request: HttpRequest, call: CallUnderway, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Record an audit-first call that made no change; return the answer, or a 503 if recording failed.

        Refusals of anonymous clients are only counted, except an address's first in a minute.
        """
        status = response.status_code
        address = request.META.get("REMOTE_ADDR", "")
        if is_anonymous_refusal(_caller(request), status) and not self.refusals.take_first(address):
            return response
        try:
            with records_transaction():
                records_append([audit_first_columns(request, call, status, {})])
        except Error:
            logger.exception("a call of class %s was not recorded, status %d", call.audit_class, status)
            return PROBLEM_OF.get()(AuditUnavailable()).response()
        call.is_recorded = True
        return response


def audit_first_columns(
    request: HttpRequest, call: CallUnderway, status: int, detail: Mapping[str, Any]
) -> AuditColumns:
    """Return the record of an audit-first call. The call's masked body is added to `detail`."""
    body = {"body": body_detail(call.body, RECORDED_NAMES)} if call.body else {}
    record = record_of(call_in(request.META), **_outcome(request, call, status))
    return columns_of_audit_first_call(record, detail={**body, **detail})


def _outcome(request: HttpRequest, call: CallUnderway, status: int) -> CallOutcome:
    """Return the fields of a record about the call's outcome."""
    return {
        "at": call.at,
        "caller": _caller(request),
        "status": status,
        "latency_us": (perf_counter_ns() - call.started) // 1000,
        "correlation_id": getattr(request, CORRELATION_ID, ""),
        "audit_class": call.audit_class,
    }


def _caller(request: HttpRequest) -> str:
    """Return the authenticated caller's identity, or "". Does not load a session's lazy user, which costs a query."""
    user = request.__dict__.get("user")
    return "" if user is None or isinstance(user, LazyObject) else str(getattr(user, "identity", ""))
