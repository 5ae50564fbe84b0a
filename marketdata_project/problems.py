"""Every error as one body: `application/problem+json` (RFC 9457) with a stable `code`."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import orjson
from django.core.exceptions import DisallowedHost, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import set_rollback

from marketdata_project.correlation import correlation_id
from marketdata_project.serve.body import BODY_TOO_LARGE
from stats import exceptions as stats
from trades import exceptions as trades
from trades.exceptions import FieldError
from trades.field_errors import field_errors
from trades.storage import exceptions as storage

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
TYPE_BASE = "/api/v1/docs/errors#"
RETRY_SECONDS = 1

TITLES = {
    400: "The request is malformed",
    401: "Who is calling is not known",
    403: "The caller may not do this",
    404: "There is no such thing",
    405: "The method is not allowed here",
    406: "The answer has no such format",
    409: "The request meets another",
    413: "The body is too large",
    415: "The body's format is not accepted",
    422: "The content is wrong",
    429: "Too many requests",
    500: "The server failed",
    503: "Not now",
    507: "No space is left",
}

# The most special class of an error's own order decides.
STATUS_OF: dict[type[Exception], int] = {
    trades.MalformedDocument: 400,
    trades.InvalidParameter: 400,
    trades.InvalidValue: 422,
    trades.BatchRefused: 422,
    trades.BodyTooLarge: 413,
    storage.UnknownSymbol: 404,
    storage.NotStored: 422,
    storage.RequestInProgress: 409,
    storage.StoreUnavailable: 503,
    storage.StoreFull: 507,
    stats.NoData: 404,
    stats.RangeTooLarge: 400,
    stats.InvalidCursor: 400,
    stats.Resync: 409,
}

_DRF_CODES = {
    drf.NotAuthenticated: "not_authenticated",
    drf.MethodNotAllowed: "method_not_allowed",
    drf.NotAcceptable: "not_acceptable",
    drf.UnsupportedMediaType: "unsupported_media_type",
    drf.Throttled: "rate_limited",
    drf.NotFound: "not_found",
    drf.ParseError: "malformed_json",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, as clients see it. `retry_after` is in whole seconds."""

    status: int
    code: str
    message: str
    errors: Sequence[FieldError] = ()
    retry_after: int | None = None

    def body(self) -> dict[str, Any]:
        """The members of the JSON body."""
        return {
            "type": f"{TYPE_BASE}{self.code}",
            "title": TITLES[self.status],
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "detail": self.message,
            "correlation_id": correlation_id(),
            "errors": [asdict(error) for error in self.errors],
        }

    def headers(self) -> dict[str, str]:
        """Headers beyond the content type."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}

    def response(self) -> HttpResponse:
        """A finished response, for where DRF has no part in it."""
        body = orjson.dumps(self.body())
        return HttpResponse(body, status=self.status, content_type=CONTENT_TYPE, headers=self.headers())


def problem_of(error: Exception) -> Problem:
    """The problem for any exception. One that is not known is logged, and nothing of it is shown."""
    for kind in type(error).__mro__:
        if kind in STATUS_OF:
            return _own(error, STATUS_OF[kind])
    for classes, of in _FOREIGN:
        if isinstance(error, classes):
            return of(error)
    logger.error("unhandled error", exc_info=error)
    return Problem(
        500, "internal_error", "an error that nobody expected; the correlation id finds it in the log"
    )


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook: the problem as a response that the browsable API can show too."""
    set_rollback()
    problem = problem_of(error)
    request = context.get("request")
    headers = problem.headers()
    if isinstance(error, drf.APIException) and getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = cast("Any", error).auth_header
    if isinstance(error, drf.MethodNotAllowed) and context.get("view") is not None:
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    is_html = getattr(getattr(request, "accepted_renderer", None), "format", "json") == "api"
    return Response(
        problem.body(), status=problem.status, headers=headers, content_type=None if is_html else CONTENT_TYPE
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404."""
    return Problem(404, "not_found", f"there is nothing at {request.path[:200]}").response()


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler400."""
    return problem_of(exception or SuspiciousOperation()).response()


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler403."""
    return Problem(403, "forbidden", "this is not allowed").response()


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500."""
    return Problem(
        500, "internal_error", "an error that nobody expected; the correlation id finds it"
    ).response()


class ProblemMiddleware:
    """Answers for what never reaches a view: a body over the limit, and errors outside of DRF."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.META.get(BODY_TOO_LARGE):
            return problem_of(RequestDataTooBig()).response()
        response = self._get_response(request)
        if response.status_code == 405 and not isinstance(response, Response):
            problem = Problem(405, "method_not_allowed", f"{request.method} is not allowed here").response()
            problem.headers["Allow"] = response.headers.get("Allow", "")
            return problem
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """An error in a view that is not DRF's; Django's own kinds go to its handlers."""
        if isinstance(exception, Http404 | PermissionDenied | SuspiciousOperation):
            return None
        return problem_of(exception).response()


def _own(error: Exception, status: int) -> Problem:
    errors = list(getattr(error, "errors", ()))
    rows = getattr(error, "rows", ())
    code = cast("Any", error).code
    errors += [FieldError(f"trades[{row}].trade_id", code, str(error)) for row in rows[:100]]
    return Problem(status, code, str(error), errors, RETRY_SECONDS if status in {409, 503, 507} else None)


def _of_drf(error: Exception) -> Problem:
    assert isinstance(error, drf.APIException)  # noqa: S101 the table says so
    if isinstance(error, drf.ValidationError):
        errors = list(field_errors(error.detail))
        return Problem(422, "validation_failed", f"{errors[0].path}: {errors[0].message}", errors)
    if isinstance(error, drf.Throttled):
        seconds = math.ceil(getattr(error, "wait", None) or 1)
        return Problem(
            429, "rate_limited", f"the limit is reached; retry in {seconds} s", retry_after=seconds
        )
    detail = cast("Any", error.detail)
    code = _DRF_CODES.get(type(error), getattr(detail, "code", "error"))
    return Problem(error.status_code, code, str(detail))


def _of_database(error: Exception) -> Problem:
    logger.error("the database cannot be used", exc_info=error)
    return Problem(503, "database_unavailable", "the database cannot be used now", retry_after=RETRY_SECONDS)


_FOREIGN: tuple[tuple[type[Exception], Callable[[Exception], Problem]], ...] = (
    (drf.APIException, _of_drf),
    (Http404, lambda _: Problem(404, "not_found", "there is nothing here")),
    (PermissionDenied, lambda _: Problem(403, "forbidden", "this is not allowed")),
    (RequestDataTooBig, lambda _: Problem(413, "body_too_large", "a body has at most 33,554,432 bytes")),
    (DisallowedHost, lambda _: Problem(400, "invalid_host", "the Host header names no host of this service")),
    (SuspiciousOperation, lambda _: Problem(400, "malformed_request", "the request is malformed")),
    (DatabaseError, _of_database),
)
