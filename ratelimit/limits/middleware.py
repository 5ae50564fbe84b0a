"""Django middleware that charges what calls cost beyond their first charge, and adds the limits' headers."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ratelimit.exceptions import TooManyStreams
from ratelimit.limits.admission import COST_HEADER, admission_headers
from ratelimit.limits.open_calls import OpenCalls
from ratelimit.limits.services import settle_call
from web.problem_body import PROBLEM_OF
from web.requests.work import Work, counted_work
from web.requests.wsgi_variables import ADMISSION, CHARGED_CALL

# The most open streams of a caller in a process.
MOST_STREAMS = 4


class RateLimitMiddleware:
    """Settles each call after its view, a stream again after each piece; adds the headers of the limits and `X-Cost`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._streams = OpenCalls(MOST_STREAMS)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with counted_work() as work, work.timed():
            response = self.get_response(request)
        settle = partial(settle_call, request.META, work)
        settle()
        if response.streaming:
            response = self._streamed(request, response, work, settle)
        admission = request.META.get(ADMISSION)
        if admission is not None:
            for name, value in admission_headers(admission).items():
                response.headers[name] = value
            if admission.admitted:
                response.headers[COST_HEADER] = str(request.META[CHARGED_CALL].cost)
        return response

    def _streamed(
        self, request: HttpRequest, response: Any, work: Work, settle: Callable[[], None]
    ) -> HttpResponseBase:
        """Return a caller's stream so that it is settled piece by piece; a problem if too many of its streams are open."""
        charged = request.META.get(CHARGED_CALL)
        if charged is None or charged.caller is None:
            return response  # type: ignore[no-any-return]
        end = self._streams.opened(charged.caller.identity)
        if end is None:
            response.close()
            return PROBLEM_OF.get()(TooManyStreams(f"you have {MOST_STREAMS} streams open")).response()
        response.streaming_content = _settled(response.streaming_content, work, settle)
        response._resource_closers.extend((settle, end))  # noqa: SLF001 as Django's own responses do
        return response  # type: ignore[no-any-return]


def _settled(pieces: Iterable[Any], work: Work, settle: Callable[[], None]) -> Iterator[Any]:
    """Yield pieces, each after its work was counted and charged."""
    making = iter(pieces)
    while True:
        with counted_work(work), work.timed():
            piece = next(making, None)
        settle()
        if piece is None:
            return
        yield piece
