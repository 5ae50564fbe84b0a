"""Changes that are made by a call and committed with its record: both, or neither.

A handler parses and checks first, then has its change written here. Until the record is appended nobody else
waits for the chain's head, but on SQLite, where whoever writes is alone. A call of a strict class that makes
no change (a refusal, a read) is recorded by the middleware.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import Error, transaction
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.calls.middleware import CallUnderway, call_underway, strict_columns
from audit.chain.append import head_reserved, records_append, records_transaction
from audit.exceptions import AuditUnavailable, ChangeOutcomeUnknown
from audit.records.call import columns_of_event
from audit.records.columns import AuditColumns
from audit.services import EventRecorder

logger = logging.getLogger(__name__)

_REFUSED = 400


class _Progress:
    """Whether the change is made: then a failure leaves its outcome unknown."""

    is_made = False


def change_recorded(view: APIView, write: Callable[[EventRecorder], Response]) -> Response:
    """The rendered answer to a call whose change is in the database; change and record are committed.

    `write` makes the change and returns the answer. It gets what records events of the change, in place of
    `event_record`: they are appended with the call's record, once the answer is rendered. If it raises, or
    its answer is a refusal, what it wrote is rolled back, and the middleware records the refusal. Raises
    AuditUnavailable: nothing was done; ChangeOutcomeUnknown: the commit was not confirmed.
    """
    events: list[AuditColumns] = []

    def record(**event: Any) -> None:
        events.append(columns_of_event(**event))

    with _one_commit(view) as (call, progress):
        answer = _rendered(view, write(record))
        if answer.status_code >= _REFUSED:
            transaction.set_rollback(True)
            return answer
        _append(view, call, answer, events=events)
        progress.is_made = True
    call.is_recorded = True
    return answer


def change_elsewhere_recorded(
    view: APIView, answer: Response, write: Callable[[], tuple[Any, Any]]
) -> Response:
    """The rendered answer to a call whose change is not in the database, such as one of the market store.

    The answer is rendered before the head is taken, the head is taken before the change is made: what cannot
    be recorded is refused before anything is done. `write` makes the change and returns documents of what was
    there before and after. Raises AuditUnavailable: nothing was done; ChangeOutcomeUnknown: the change is made, and
    its record not confirmed.
    """
    answer = _rendered(view, answer)
    with _one_commit(view) as (call, progress):
        head_reserved()
        change = write()
        progress.is_made = True
        _append(view, call, answer, change=change)
    call.is_recorded = True
    return answer


@contextmanager
def _one_commit(view: APIView) -> Iterator[tuple[CallUnderway, _Progress]]:
    call, progress = call_underway(view.request._request), _Progress()  # noqa: SLF001 DRF's own way to Django's request
    if call is None or not call.audit_class:
        raise RuntimeError(
            "a change is recorded with its call, which has no audit class in the table of access"
        )
    try:
        with records_transaction():
            yield call, progress
    except Error as error:
        logger.exception("a call of class %s was not recorded", call.audit_class)
        call.audit_class = ""
        raise (ChangeOutcomeUnknown() if progress.is_made else AuditUnavailable()) from error


def _append(
    view: APIView,
    call: CallUnderway,
    answer: Response,
    *,
    events: list[AuditColumns] | None = None,
    change: Any = None,
) -> None:
    detail = {} if change is None else {"change": change}
    columns = strict_columns(view.request._request, call, answer.status_code, detail)  # noqa: SLF001
    records_append([*(events or ()), columns], now=call.at)


def _rendered(view: APIView, answer: Response) -> Response:
    """The answer with its bytes, as DRF would finish it later: what fails in rendering changes nothing."""
    view.finalize_response(view.request, answer).render()
    return answer
