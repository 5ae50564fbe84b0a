"""Calls that are recorded before they are answered: change and record are one transaction.

What cannot be recorded is refused. A caller is let in first, outside of the transaction: nonces and quotas
are used whatever becomes of the call. Then the chain's head is locked, so that a call which cannot be
recorded is refused before its handler has done anything. What the handler wrote is rolled back if its answer
is a refusal. The answer goes out after the commit.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any, cast

from django.db import Error, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from audit.calls.on_request import call_underway
from audit.chain.append import head_reserved, records_append
from audit.exceptions import AuditUnavailable, OutcomeUnknown
from audit.records.columns import Columns

logger = logging.getLogger(__name__)

# Classes whose changes are not all in the database: what their view did is not undone by a rollback.
KEPT_ELSEWHERE = frozenset({"config"})
_REFUSED = 400

View = Callable[..., HttpResponseBase]


class StrictCall:
    """A call on its way through its view: what came of it, and the transaction of it and its record."""

    def __init__(self, audit_class: str) -> None:
        self.response: HttpResponseBase | None = None
        self.error: Exception | None = None
        self._audit_class = audit_class
        self._refused = False
        self._is_written = False
        self._transaction: ExitStack | None = None
        self._savepoint = ExitStack()

    def let_in(self) -> None:
        """Lock the chain's head; what is written from here on depends on the answer.

        Raises AuditUnavailable.
        """
        try:
            with ExitStack() as opened:
                opened.enter_context(transaction.atomic())
                head_reserved()
                self._savepoint.enter_context(transaction.atomic())
                self._transaction = opened.pop_all()
        except Error as error:
            self._refused = True
            logger.exception("a call of class %s cannot be recorded and is refused", self._audit_class)
            raise AuditUnavailable from error

    def run(self, view: Callable[[], HttpResponseBase]) -> None:
        """Have the view answer. Raises AuditUnavailable if it was not let in for want of a record."""
        try:
            self.response = _rendered(view())
        except Exception as error:  # noqa: BLE001 it is recorded, and raised again after the commit
            self.error = error
        except BaseException as error:
            self._abandon(error)
            raise
        if self._refused:
            raise AuditUnavailable

    def record(self, columns_of: Callable[[int], Columns]) -> None:
        """Commit the record with the change. Raises AuditUnavailable and OutcomeUnknown."""
        try:
            if self._transaction is None:
                self.let_in()
            with cast("ExitStack", self._transaction):
                with self._savepoint:
                    if self.status >= _REFUSED:
                        transaction.set_rollback(True)
                columns = columns_of(self.status)
                records_append([columns], now=columns.at)
                self._is_written = True
        except Error as error:
            logger.exception("a call of class %s was not recorded, status %d", self._audit_class, self.status)
            raise self._failure() from error

    @property
    def is_let_in(self) -> bool:
        return self._transaction is not None

    @property
    def status(self) -> int:
        """Of the answer; 500 of an error that the view did not answer itself."""
        return 500 if self.response is None else self.response.status_code

    def answer(self) -> HttpResponseBase:
        """The answer. Raises the view's error."""
        if self.error is not None:
            raise self.error
        return cast("HttpResponseBase", self.response)

    def _failure(self) -> Exception:
        # A commit that was sent may have been done, though its confirmation was lost.
        is_perhaps_done = self._is_written or self._audit_class in KEPT_ELSEWHERE
        return OutcomeUnknown() if is_perhaps_done and self.status < _REFUSED else AuditUnavailable()

    def _abandon(self, error: BaseException) -> None:
        if self._transaction is not None:
            for opened in (self._savepoint, self._transaction):
                opened.__exit__(type(error), error, error.__traceback__)


def strict_call(
    call: StrictCall,
    view: View,
    request: HttpRequest,
    args: Any,
    kwargs: Any,
    *,
    columns_of: Callable[[int], Columns],
    is_counted: Callable[[int], bool],
) -> bool:
    """Run the call through its view, one of DRF's, and record it; False if it is left to be counted.

    `columns_of` gives the record of an answer's status. `is_counted` says of the status of a call that was not
    let in whether it needs no record of its own. The view runs ahead of what other middlewares do with
    Django's views (CSRF tokens, errors): DRF's do that themselves.

    Raises AuditUnavailable: nothing was done; OutcomeUnknown: the change was made, perhaps not recorded.
    """
    gated = _gated(view)
    call.run(lambda: gated(request, *args, **kwargs))
    if not call.is_let_in and is_counted(call.status):
        return False
    call.record(columns_of)
    return True


def _rendered(response: HttpResponseBase) -> HttpResponseBase:
    """The response, finished: what fails in rendering is to be known before the record is written."""
    render: Callable[[], HttpResponseBase] | None = getattr(response, "render", None)
    return response if render is None else render()


@cache
def _gated(view: View) -> View:
    """One of DRF's views, which has the call let in between what lets a caller in and its handler."""
    cls = vars(view)["cls"]

    def initial(self: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        cls.initial(self, request, *args, **kwargs)
        underway = call_underway(request._request)  # noqa: SLF001 DRF's own way to Django's request
        if underway is not None and underway.let_in is not None:
            underway.let_in()

    of_class: Mapping[str, Any] = {"initial": initial, "__module__": cls.__module__, "__doc__": cls.__doc__}
    actions = getattr(view, "actions", None)
    options = {} if actions is None else {"actions": actions}
    subclass: Any = type(cls.__name__, (cls,), dict(of_class))
    return cast("View", subclass.as_view(**options, **vars(view)["initkwargs"]))
