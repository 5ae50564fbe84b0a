"""Maps every exception to a problem: `application/problem+json` (RFC 9457) with a stable `code`."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import (
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from rest_framework import exceptions as drf
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import set_rollback

from audit import exceptions as audit
from calendars import exceptions as calendars
from jobs import exceptions as jobs
from marketdata_project.error_codes import DECLARED
from marketdata_project.error_shapes import error_body
from marketdata_project.problem_pages import is_page_wanted, problem_page
from ops.masking import masked_path
from ratelimit import exceptions as keys
from sources import protocol as sources
from sources.feed_services import FeedOfSetting
from stats import exceptions as stats
from stats.live import exceptions as live
from stats.market_data.navigation import unknown_name_hint
from store import exceptions as storage
from store.walk import Resync
from trading import exceptions as trading
from web.correlation import correlation_id
from web.endpoints import body_limit
from web.idempotency import exceptions as idempotency
from web.problem_body import CONTENT_TYPE, problem_body
from web.requests import exceptions as requests
from web.requests.exceptions import FieldError
from web.requests.field_errors import field_errors
from web.requests.wsgi_variables import BODY_TOO_LARGE

logger = logging.getLogger(__name__)

# Base classes of the apps' errors that a client can meet. Each error has a declared code.
OWN_ERRORS = (
    requests.RequestError,
    storage.StorageError,
    Resync,
    stats.StatsError,
    calendars.CalendarError,
    audit.AuditError,
    keys.RateLimitError,
    idempotency.IdempotencyError,
    jobs.JobError,
    sources.SourceError,
    FeedOfSetting,
    live.LiveError,
    trading.TradingError,
)

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
    """An error as clients see it, with a declared code.

    wait_seconds: the `Retry-After` that a limiter computed; None means the code's default. extra: more members of the
    body.
    """

    code: str
    message: str
    errors: Sequence[FieldError] = ()
    wait_seconds: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status of its code."""
        return DECLARED[self.code].status

    def body(self) -> dict[str, Any]:
        """Return the members of the JSON body."""
        body = problem_body(
            status=self.status,
            code=self.code,
            message=self.message,
            correlation_id=correlation_id(),
            errors=[asdict(error) for error in self.errors],
        )
        return {**body, **self.extra}

    def headers(self) -> dict[str, str]:
        """Return `Retry-After` if the error has one."""
        seconds = self.wait_seconds or DECLARED[self.code].retry_seconds
        return {} if seconds is None else {"Retry-After": str(seconds)}

    def response(self, path: str = "") -> HttpResponse:
        """See `AnyProblem`."""
        content_type, body = error_body(self.body(), path)
        return HttpResponse(body, status=self.status, content_type=content_type, headers=self.headers())

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Return a page for a browser, else the same as `response`."""
        is_page = is_page_wanted(request)
        answer = problem_page(request, self.body(), self.headers()) if is_page else self.response()
        patch_vary_headers(answer, ["Accept"])
        return answer


def problem_of(error: Exception) -> Problem:
    """Return the problem for any exception. An unknown exception is logged and becomes `internal_error`."""
    if isinstance(error, OWN_ERRORS) and getattr(error, "code", None) in DECLARED:
        extra = getattr(error, "extra", {})
        return Problem(error.code, str(error), getattr(error, "errors", ()), extra=extra)
    for classes, convert in _FOREIGN:
        if isinstance(error, classes) and (problem := convert(error)).code in DECLARED:
            return problem
    logger.error("unhandled error", exc_info=error)
    return Problem(
        "internal_error", "the server failed unexpectedly; the correlation id finds the error in the log"
    )


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Return the problem as a DRF response, which the browsable API can also show (DRF's EXCEPTION_HANDLER)."""
    set_rollback()
    problem = problem_of(error)
    request = context.get("request")
    headers = {**problem.headers(), **getattr(error, "headers", {})}
    if isinstance(error, drf.APIException) and getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = cast("Any", error).auth_header
    if isinstance(error, drf.MethodNotAllowed) and context.get("view") is not None:
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    is_html = getattr(getattr(request, "accepted_renderer", None), "format", "json") == "api"
    if request is not None and not is_html:
        # A problem is JSON, whatever the format of a successful answer.
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
    return Response(
        problem.body(), status=problem.status, headers=headers, content_type=None if is_html else CONTENT_TYPE
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 404 (Django's handler404)."""
    message = f"there is nothing at {masked_path(request.path)[:200]}{unknown_name_hint(request.path)}"
    return Problem("not_found", message).answer(request)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 400 (Django's handler400)."""
    return problem_of(exception or SuspiciousOperation()).answer(request)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 403 (Django's handler403)."""
    return Problem("forbidden", "this is not allowed").answer(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 for a wrong CSRF token (Django's CSRF_FAILURE_VIEW)."""
    message = "the CSRF token is missing or wrong: load the page again, with cookies allowed"
    return Problem("forbidden", message).answer(request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 (Django's handler500)."""
    return Problem(
        "internal_error", "the server failed unexpectedly; the correlation id finds the error in the log"
    ).answer(request)


# Paths whose Host is not checked: the supervisor, load balancers and Prometheus may use any address of the process.
_ANY_HOST_PATHS = frozenset({"/healthz", "/healthz/", "/readyz", "/readyz/", "/metrics", "/metrics/"})


class ProblemMiddleware:
    """A middleware for requests that reach no DRF view: a wrong host, a body over the limit, errors outside DRF."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            _check_reception(request)
        except (SuspiciousOperation, requests.BodyTooLarge) as error:
            return problem_of(error).answer(request)
        response = self._get_response(request)
        if response.status_code == 405 and not isinstance(response, Response):
            problem = Problem("method_not_allowed", f"{request.method} is not allowed here").answer(request)
            problem.headers["Allow"] = response.headers.get("Allow", "")
            return problem
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the problem for an error in a view outside DRF; None for errors that Django's handlers answer."""
        if isinstance(exception, Http404 | PermissionDenied | SuspiciousOperation):
            return None
        return problem_of(exception).answer(request)


def _check_reception(request: HttpRequest) -> None:
    """Raise DisallowedHost or BodyTooLarge, if one applies. The front has already measured chunked bodies."""
    if request.path_info not in _ANY_HOST_PATHS:
        request.get_host()
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if not length and BODY_TOO_LARGE not in request.META:
        return
    path, method = request.path_info, request.method or ""
    limit = body_limit(path, method, request.META.get("CONTENT_TYPE", ""))
    if length > limit or BODY_TOO_LARGE in request.META:
        instead = "CSV, Arrow, or an upload" if limit < body_limit(path, method) else "less"
        raise requests.BodyTooLarge(request.META.get(BODY_TOO_LARGE, limit), instead)


def _of_drf(error: Exception) -> Problem:
    assert isinstance(error, drf.APIException)  # noqa: S101 _FOREIGN passes nothing else
    if isinstance(error, drf.ValidationError):
        errors = list(islice(field_errors(error.detail), requests.ERRORS_LIMIT))
        path = errors[0].path or "the body"
        return Problem("validation_failed", f"{path}: {errors[0].message}", errors)
    if isinstance(error, drf.Throttled):
        return _of_throttle(error)
    detail = cast("Any", error.detail)
    code = _DRF_CODES.get(type(error), getattr(detail, "code", "error"))
    code = "forbidden" if code == "permission_denied" else code
    return Problem(code, str(detail))


def _of_throttle(error: drf.Throttled) -> Problem:
    seconds = math.ceil(getattr(error, "wait", None) or 1)
    code = cast("Any", error.detail).code
    # DRF's message does not say when to retry.
    if code == drf.Throttled.default_code:
        code, message = "rate_limited", f"the limit is reached; retry in {seconds} s"
    else:
        message = str(error.detail)
    return Problem(code, message, wait_seconds=seconds)


def _of_database(error: Exception) -> Problem:
    logger.error("the database cannot be used", exc_info=error)
    return Problem("database_unavailable", f"the database ({connection.display_name}) cannot be used now")


_ErrorClasses = type[Exception] | tuple[type[Exception], ...]
_FOREIGN: tuple[tuple[_ErrorClasses, Callable[[Exception], Problem]], ...] = (
    (drf.APIException, _of_drf),
    (Http404, lambda _: Problem("not_found", "there is nothing here")),
    (PermissionDenied, lambda _: Problem("forbidden", "this is not allowed")),
    (
        (TooManyFieldsSent, TooManyFilesSent),
        lambda _: Problem(
            "too_many_parameters", "a query or a form has too many fields, or a form has a file"
        ),
    ),
    (RequestDataTooBig, lambda _: problem_of(requests.BodyTooLarge(settings.MAX_BODY_BYTES))),
    (DisallowedHost, lambda _: Problem("invalid_host", "the Host header names no host of this service")),
    (SuspiciousOperation, lambda _: Problem("malformed_request", "the request is malformed")),
    (DatabaseError, _of_database),
)
