"""Leaves an audit record of every API call, whatever became of it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from time import perf_counter_ns
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import LazyObject
from django.utils.module_loading import import_string

from audit.calls.on_request import CORRELATION_ID, CallUnderway, call_begin, call_underway, change_of
from audit.calls.strict import StrictCall, strict_call
from audit.exceptions import AuditError
from audit.records.call import columns_of_strict_call, record_of_call
from audit.records.columns import Columns
from audit.records.detail import body_detail
from audit.services import anonymous_refusals, call_record, call_spool, is_anonymous_refusal, recorded_of
from http_requests.received import call_of

# The documentation and the schema are pages under the API's prefix, not calls.
_API_CALL = re.compile(r"/(?:api|v1)/(?!(?:v\d+/)?(?:docs|redoc|schema)(?:[/.]|$))")


def is_api_call(path: str) -> bool:
    """Whether a request to `path` (decoded, without the script's prefix) is recorded."""
    return _API_CALL.match(path) is not None


class AuditMiddleware:
    """Records calls with the time until their answer was ready; a streamed body is not waited for.

    Calls of a class that the setting AUDIT_CLASS_OF names are recorded in the database before they are
    answered, all others in the spool.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.spool = call_spool()
        self.refusals = anonymous_refusals()
        self.class_of: Callable[[str | None, str], str] = import_string(settings.AUDIT_CLASS_OF)
        self.problem: Callable[[Exception], HttpResponseBase] = import_string(settings.AUDIT_PROBLEM)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_api_call(request.path_info):
            return self.get_response(request)
        call, status = CallUnderway(datetime.now(UTC), perf_counter_ns()), 500
        call_begin(request, call)
        try:
            response = self.get_response(request)
            status = response.status_code
            return response
        finally:
            if not call.is_recorded:
                call_record(spool=self.spool, call=call_of(request), **_outcome(request, call, status))

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        """The answer of a call that is recorded strictly; None leaves a call to the chain."""
        underway = call_underway(request)
        if underway is None or request.resolver_match is None:
            return None
        audit_class = self.class_of(request.resolver_match.url_name, request.method or "")
        if not audit_class:
            return None
        # Read before the head is locked: nobody waits for a client.
        columns_of = partial(_columns, request, underway, request.body, audit_class)
        call = StrictCall(audit_class)
        underway.let_in = call.let_in
        is_counted = partial(self._is_counted, request)
        try:
            underway.is_recorded = strict_call(
                call, view, request, args, kwargs, columns_of=columns_of, is_counted=is_counted
            )
        except AuditError as error:
            return self.problem(error)
        return call.answer()

    def _is_counted(self, request: HttpRequest, status: int) -> bool:
        """Whether a strict call needs no record of its own: `call_record` counts it when it is answered."""
        if not is_anonymous_refusal(_caller(request), status):
            return False
        return not self.refusals.is_first(request.META.get("REMOTE_ADDR", ""))


def _columns(
    request: HttpRequest, underway: CallUnderway, body: bytes, audit_class: str, status: int
) -> Columns:
    detail = {"body": body_detail(body)} if body else {}
    call = record_of_call(**recorded_of(call_of(request)), **_outcome(request, underway, status))
    return columns_of_strict_call(call, audit_class=audit_class, detail={**detail, **change_of(request)})


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
