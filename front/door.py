"""The front door: answers GETs of pinned contents without Django, in a fraction of the processor time.

It calls the functions for identity, access, cost and record that DRF's classes and the middlewares call. Django answers
all other calls: sessions, signatures, refused callers, wrong calls, pages for people.
"""

import time
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any

from audit.services import call_record, call_spool
from front.prepared import LONGEST_KEY, PreparedCall, key_of, prepared_call
from ratelimit.access.denials import denial_of
from ratelimit.callers import Caller
from ratelimit.credentials.identify import identify
from ratelimit.limits.admission import COST_HEADER, admission_headers
from ratelimit.limits.services import ChargedCall, admit, settle_call
from stats.delivery.finished_answers import FinishedAnswer, finished_answer
from web.correlation import accepted_id, correlation_headers
from web.requests.received import ReceivedCall, call_in
from web.requests.work import Work
from web.requests.wsgi_variables import ADMISSION, BODY_TOO_LARGE, CHARGED_CALL, ROUTE

Environ = dict[str, Any]

# Django's middlewares handle these headers: they use up nonces, open sessions, check CORS.
_DJANGO_HEADERS = frozenset({"cookie", "origin", "signature", "signature-input"})


class FrontDoor:
    """A function that answers a call, charges the caller and records the call."""

    def __init__(self) -> None:
        self._spool = call_spool()

    def __call__(self, environ: Environ) -> FinishedAnswer | None:
        """Return the finished answer to a call; None leaves the call to Django. May wait for the database and Redis."""
        call, now, started = call_in(environ), datetime.now(UTC), perf_counter_ns()
        if (
            call.method != "GET"
            or BODY_TOO_LARGE in environ
            or not call.headers.keys().isdisjoint(_DJANGO_HEADERS)
        ):
            return None
        key = key_of(call, environ)
        prepared = prepared_call(key) if key.length <= LONGEST_KEY else None
        if prepared is None:
            return None
        environ[ROUTE] = prepared.route
        try:
            found = _answered(call, prepared, environ, now)
        except Exception:  # noqa: BLE001 Django will meet the same error, answer and record it
            return None
        if found is None:
            return None
        caller, answer = found
        correlation_id = accepted_id(call.headers.get("x-correlation-id"))
        call_record(
            spool=self._spool,
            call=call,
            at=now,
            caller=caller.identity,
            status=answer.status,
            latency_us=(perf_counter_ns() - started) // 1000,
            correlation_id=correlation_id,
        )
        headers = {
            **prepared.headers_of(answer, call),
            **admission_headers(environ[ADMISSION]),
            COST_HEADER: str(environ[CHARGED_CALL].cost),
            **correlation_headers(correlation_id),
        }
        return FinishedAnswer(answer.status, headers, answer.body)


def _answered(
    call: ReceivedCall, prepared: PreparedCall, environ: Environ, now: datetime
) -> tuple[Caller, FinishedAnswer] | None:
    """Charge the caller and make the answer; None if the caller is unknown or refused.

    Leaves the admission and the charge in the environ, so that Django does not charge the call again. Raises the errors
    of the view; the work until then is paid, too.
    """
    identity = identify(call, now=now)
    if identity is None or denial_of(identity.caller, prepared.access) is not None:
        return None
    # First of all: to pin an answer of many logs takes much longer than to refuse the call.
    admission = environ[ADMISSION] = admit(identity.caller, prepared.access, cost=prepared.cost)
    cost = min(prepared.cost, admission.bucket.limit)
    environ[CHARGED_CALL] = ChargedCall(identity.caller, prepared.access, cost)
    if not admission.admitted:
        return None
    now_ns, work = time.time_ns(), Work()
    try:
        with work.timed():
            pinned = prepared.answer.newest(now_ns)
            answer = finished_answer(pinned, if_none_match=call.headers.get("if-none-match"), now_ns=now_ns)
        work.count_tokens(answer.tokens)
    finally:
        settle_call(environ, work)
    return identity.caller, answer
