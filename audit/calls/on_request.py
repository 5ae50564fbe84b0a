"""What the audit log leaves on Django's request, and what it finds there."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter_ns
from typing import Any

from django.http import HttpRequest

CHANGE = "change"
"""Where the view of a strict call leaves a pair of documents: before its change, and after."""
CORRELATION_ID = "correlation_id"
"""Where an earlier middleware leaves what the log and the answer name the call by."""
_UNDERWAY = "audit_call"


@dataclass(slots=True)
class CallUnderway:
    """A call that is being answered.

    When it began: `at` on the wall clock, `started` in ns of the monotonic one. `let_in`, of a strict
    call, is called once its caller is let in; `is_recorded` says that nothing is left to spool.
    """

    at: datetime
    started: int
    is_recorded: bool = False
    let_in: Callable[[], None] | None = None

    def latency_us(self) -> int:
        """How long ago it began."""
        return (perf_counter_ns() - self.started) // 1000


def call_begin(request: HttpRequest, call: CallUnderway) -> None:
    """Leave it on the request."""
    vars(request)[_UNDERWAY] = call


def call_underway(request: HttpRequest) -> CallUnderway | None:
    """What `call_begin` left; None of what is no call of the API."""
    return vars(request).get(_UNDERWAY)


def change_of(request: HttpRequest) -> dict[str, Any]:
    """The change that a view left, by its name; empty without."""
    told = vars(request)
    return {CHANGE: told[CHANGE]} if CHANGE in told else {}
