"""What the audit log leaves on Django's request, and what it finds there."""

from dataclasses import dataclass
from datetime import datetime
from time import perf_counter_ns

from django.http import HttpRequest

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
