"""The JSON body of every error (RFC 9457), for Django's answers, the front's answers and the schema."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from django.http import HttpResponse

from ops.needs import Need

CONTENT_TYPE = "application/problem+json"
TYPE_BASE = "/api/v1/docs/errors#"

TITLES = {
    400: "The request is malformed",
    401: "Who is calling is not known",
    403: "The caller may not do this",
    404: "Not found",
    405: "The method is not allowed here",
    406: "The answer has no such format",
    408: "The request did not arrive in time",
    409: "The request meets another",
    410: "It was removed",
    412: "The state has changed",
    413: "The body is too large",
    414: "The address is too long",
    415: "The body's format is not accepted",
    416: "The file has no such range",
    422: "The content is wrong",
    426: "The connection must be upgraded",
    428: "A condition is missing",
    429: "Too many requests",
    431: "The headers are too large",
    500: "The server failed",
    503: "Not now",
    507: "No space is left",
}


class AnyProblem(Protocol):
    """An error as clients see it."""

    def body(self) -> dict[str, Any]:
        """Return the members of the JSON body."""

    def response(self, path: str = "") -> HttpResponse:
        """Return a Django response, for code outside DRF. path: the decoded one, where no middleware gives the body its shape."""


PROBLEM_OF: Need[Callable[[Exception], AnyProblem]] = Need("web.problem_body.PROBLEM_OF")
"""Returns the problem for any exception. Logs an unknown one."""


def problem_body(
    *,
    status: int,
    code: str,
    message: str,
    correlation_id: str,
    errors: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the members of the JSON body. Each of `errors` has the `path` of a field, a `code` and a `message`."""
    return {
        "type": f"{TYPE_BASE}{code}",
        "title": TITLES[status],
        "status": status,
        "code": code,
        "message": message,
        "detail": message,
        "correlation_id": correlation_id,
        "errors": list(errors),
    }
