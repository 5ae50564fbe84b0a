"""Django middleware that charges what calls cost beyond their first charge, and adds the limits' headers."""

from collections.abc import Callable
from functools import partial

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from http_requests.work import counted_work
from http_requests.wsgi_variables import ADMISSION, CHARGED_CALL
from ratelimit.limits.admission import COST_HEADER, admission_headers
from ratelimit.limits.services import settle_call


class RateLimitMiddleware:
    """Settles each call after its view, a stream again at its end; adds the headers of the limits and `X-Cost`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with counted_work() as work, work.timed():
            response = self.get_response(request)
        settle = partial(settle_call, request.META, work)
        settle()
        if response.streaming:
            response._resource_closers.append(settle)  # type: ignore[attr-defined]  # noqa: SLF001 as Django's own responses do
        admission = request.META.get(ADMISSION)
        if admission is not None:
            for name, value in admission_headers(admission).items():
                response.headers[name] = value
            if admission.admitted:
                response.headers[COST_HEADER] = str(request.META[CHARGED_CALL].cost)
        return response
