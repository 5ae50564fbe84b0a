"""The audit record of a call that never got to the middleware which leaves one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.core.handlers.wsgi import get_path_info

from audit.calls.middleware import is_api_call
from audit.services import call_record, call_spool
from marketdata_project.front.application import RefusedCall


def refusal_recorder() -> Callable[[RefusedCall], None]:
    """A function that leaves the record of one such call, of a caller that nobody has looked at."""
    spool = call_spool()

    def record(call: RefusedCall) -> None:
        environ = call.environ
        path = get_path_info(environ)
        if is_api_call(path):
            call_record(
                spool=spool,
                at=datetime.now(UTC) - timedelta(microseconds=call.latency_us),
                caller="",
                method=environ["REQUEST_METHOD"],
                path=path,
                query=environ["QUERY_STRING"],
                status=call.status,
                latency_us=call.latency_us,
                address=environ["REMOTE_ADDR"],
                correlation_id=environ["HTTP_X_CORRELATION_ID"],
            )

    return record
