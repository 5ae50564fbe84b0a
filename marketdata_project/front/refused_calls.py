"""The audit record of a call that never got to the middleware which leaves one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from audit.calls.middleware import is_api_call
from audit.services import call_record, call_spool
from http_requests.received import call_in
from marketdata_project.front.application import RefusedCall


def refusal_recorder() -> Callable[[RefusedCall], None]:
    """A function that leaves the record of one such call, of a caller that nobody has looked at."""
    spool = call_spool()

    def record(call: RefusedCall) -> None:
        received = call_in(call.environ)
        if is_api_call(received.path):
            call_record(
                spool=spool,
                call=received,
                at=datetime.now(UTC) - timedelta(microseconds=call.latency_us),
                caller="",
                status=call.status,
                latency_us=call.latency_us,
                correlation_id=call.environ["HTTP_X_CORRELATION_ID"],
            )

    return record
