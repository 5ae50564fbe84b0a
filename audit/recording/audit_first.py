"""Commits an audit-first call's change together with its audit record: both or neither.

A view parses and checks first, then writes its change through one of two functions. `change_and_record` locks the
chain's head while it appends the record. `change_outside_and_record` locks it during the change, too. On SQLite a
writing transaction excludes all others. The middleware records audit-first calls that make no change, such as refusals
and reads.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import Error, transaction
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.chain.append import head_reserve, records_append, records_transaction
from audit.exceptions import AuditUnavailable, ChangeOutcomeUnknown
from audit.recording.middleware import CallUnderway, audit_first_columns, call_underway
from audit.records.call import columns_of_event
from audit.records.columns import AuditColumns
from audit.services import EventRecorder

logger = logging.getLogger(__name__)

_REFUSED = 400


def change_and_record(view: APIView, write: Callable[[EventRecorder], Response]) -> Response:
    """Make a change in the database and record the call in one transaction; return the rendered answer.

    `write` makes the change and returns the answer. Its argument is called like `event_record`, but only collects
    the events; they are appended with the call's record, after rendering. If `write` raises or its answer is a refusal,
    the change is rolled back, and the middleware records the refusal. Raises AuditUnavailable if nothing was
    done, ChangeOutcomeUnknown if the commit was not confirmed.
    """
    events: list[AuditColumns] = []

    def record(**event: Any) -> None:
        events.append(columns_of_event(**event))

    with _one_commit(view) as call:
        answer = _rendered(view, write(record))
        if answer.status_code >= _REFUSED:
            transaction.set_rollback(True)
            return answer
        _append(view, call, answer, events=events)
        call.is_change_made = True
    call.is_recorded = True
    return answer


def change_outside_and_record(
    view: APIView, answer: Response, write: Callable[[], tuple[Any, Any]]
) -> Response:
    """Make a change outside the database, such as in the market store, and record the call.

    Renders the answer, locks the chain's head, then makes the change. If the head cannot be locked, nothing is
    changed. `write` makes the change and returns the documents before and after it. Returns the rendered answer.
    Raises AuditUnavailable: nothing was done. Raises ChangeOutcomeUnknown: the change was made, but its record was
    not confirmed.
    """
    answer = _rendered(view, answer)
    with _one_commit(view) as call:
        head_reserve()
        change = write()
        call.is_change_made = True
        _append(view, call, answer, change=change)
    call.is_recorded = True
    return answer


@contextmanager
def _one_commit(view: APIView) -> Iterator[CallUnderway]:
    call = call_underway(view.request._request)  # noqa: SLF001 DRF's own way to Django's request
    if call is None or not call.audit_first:
        raise RuntimeError(
            "the endpoint makes a recorded change, but by its view's access it is not audit-first"
        )
    try:
        with records_transaction():
            yield call
    except Error as error:
        logger.exception("a call of class %s was not recorded", call.audit_class)
        call.audit_first = False
        raise (ChangeOutcomeUnknown() if call.is_change_made else AuditUnavailable()) from error


def _append(
    view: APIView,
    call: CallUnderway,
    answer: Response,
    *,
    events: list[AuditColumns] | None = None,
    change: Any = None,
) -> None:
    detail = {} if change is None else {"change": change}
    columns = audit_first_columns(view.request._request, call, answer.status_code, detail)  # noqa: SLF001
    records_append([*(events or ()), columns])


def _rendered(view: APIView, answer: Response) -> Response:
    """Render the answer now, so that an error in rendering comes before any change is committed."""
    view.finalize_response(view.request, answer).render()
    return answer
