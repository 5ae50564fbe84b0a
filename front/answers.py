"""The front's answers (finished bodies, streams), its refusals of requests before Django, and the metrics of both."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from http import HTTPStatus
from time import monotonic, perf_counter_ns
from typing import IO, NamedTuple

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from marketdata_project.error_codes import DECLARED
from marketdata_project.error_shapes import error_body
from marketdata_project.versions import deprecation_of
from ops.metrics.declarations import FRONT_REFUSALS, REQUEST_SECONDS, REQUESTS, UNROUTED
from web.correlation import accepted_id, correlation_headers
from web.problem_body import problem_body

FILE_PIECE_BYTES = 256 * 1024
WITHOUT_BODY = frozenset({204, 304})
# A 426 must name the protocol (RFC 9110, 15.5.22). WSGI forbids applications such headers (PEP 3333).
_UPGRADE = ((b"connection", b"Upgrade"), (b"upgrade", b"websocket"))
STATUS_LINES = {each.value: b"HTTP/1.1 %d %s\r\n" % (each, each.phrase.encode()) for each in HTTPStatus}


class Answer(NamedTuple):
    """An answer with a finished `body`, or with a `stream` whose pieces are still to be made."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    stream: "Stream | None"


class ReadyAnswer(NamedTuple):
    """An answer of the event loop. lines: the header lines, except `Date`."""

    status: int
    lines: bytes
    body: bytes


@dataclass(slots=True)
class Stream:
    """A body that is made piece by piece. Call `close` once.

    checked_at: when its caller was checked last, by `time.monotonic`.
    """

    pieces: Iterator[bytes | memoryview]
    close: Callable[[], None]
    checked_at: float = field(default_factory=monotonic)

    def next_piece(self) -> bytes | memoryview | None:
        """Make the next piece; None after the last one."""
        return next(self.pieces, None)


def answer_of_response(response: HttpResponseBase, *, is_head: bool) -> Answer:
    """Convert Django's response to an answer. Closes the response, unless it is a stream: the sender closes that."""
    status = response.status_code
    headers = _headers_of(response, without_length=not response.streaming or status in WITHOUT_BODY)
    if not isinstance(response, HttpResponse):
        return Answer(status, headers, b"", Stream(pieces=_pieces(response), close=response.close))
    body = response.content
    response.close()
    if status == HTTPStatus.UPGRADE_REQUIRED:
        headers += _UPGRADE
    if status in WITHOUT_BODY:
        return Answer(status, headers, b"", None)
    headers.append((b"content-length", b"%d" % len(body)))
    return Answer(status, headers, b"" if is_head else body, None)


def _pieces(response: HttpResponseBase) -> Iterator[bytes]:
    """Return a response's pieces. A file is read in pieces of 256 KiB instead of Django's 4 KiB.

    Each piece costs two thread switches.
    """
    file: IO[bytes] | None = getattr(response, "file_to_stream", None)
    return iter(response) if file is None else iter(partial(file.read, FILE_PIECE_BYTES), b"")


def _headers_of(response: HttpResponseBase, *, without_length: bool) -> list[tuple[bytes, bytes]]:
    """Return a response's headers and cookies in ASGI's form. without_length: leave out its Content-Length."""
    headers = encoded_headers(response.items())
    if without_length and response.has_header("Content-Length"):
        headers = [header for header in headers if header[0] != b"content-length"]
    for cookie in response.cookies.values():
        headers.append((b"set-cookie", cookie.output(header="").strip().encode("latin-1")))
    return headers


def encoded_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers in ASGI's form."""
    return [(_encoded_name(name), value.encode("latin-1")) for name, value in headers]


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as they are sent."""
    return b"".join([b"%s: %s\r\n" % header for header in headers])


@lru_cache(maxsize=128)
def _encoded_name(name: str) -> bytes:
    return name.lower().encode("latin-1")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A problem (RFC 9457) with a declared code, after which the connection is closed."""

    code: str
    message: str

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status of the code."""
        return HTTPStatus(DECLARED[self.code].status)

    def render(self, *, correlation_id: str, path: str = "") -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return the headers and body. correlation_id: the request's. path: decoded; "" if it is not known."""
        retry_seconds = DECLARED[self.code].retry_seconds
        named = correlation_headers(correlation_id)
        members = problem_body(
            status=self.status.value,
            code=self.code,
            message=self.message,
            correlation_id=correlation_id,
        )
        if (deprecation := deprecation_of(path)) is not None:
            named = named | deprecation.headers()
        content_type, body = error_body(members, path)
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-content-type-options", b"nosniff"),
            *([] if retry_seconds is None else [(b"retry-after", b"%d" % retry_seconds)]),
            *encoded_headers(named.items()),
        ]
        return headers, body

    def http_bytes(self, *, offered_id: str | None, path: str = "") -> bytes:
        """Return the answer as HTTP/1.1 bytes, with the client's correlation id if it is valid, else with a new id.

        path: as in `render`.
        """
        headers, body = self.render(correlation_id=accepted_id(offered_id), path=path)
        return b"".join((STATUS_LINES[self.status], header_lines(headers), b"\r\n", body))


MALFORMED = Refusal("malformed_request", "The request is not valid HTTP/1.1.")
NOT_ONE_HOST = Refusal("malformed_request", "The request needs exactly one Host header (HTTP/1.1).")
NOT_A_HANDSHAKE = Refusal(
    "malformed_request",
    "The WebSocket handshake is not valid; it needs one Sec-WebSocket-Key and Sec-WebSocket-Version: 13.",
)
HEADERS_TOO_LARGE = Refusal("headers_too_large", "The request line and headers are larger than 64 KiB.")
TOO_MANY_HEADERS = Refusal("too_many_headers", "The request has more than 100 headers.")
HEADER_TOO_LONG = Refusal("header_too_long", "One of the request's headers is longer than 16 KiB.")
TARGET_TOO_LONG = Refusal("target_too_long", "The request's path and query are longer than 16 KiB.")
TOO_MANY_CONNECTIONS = Refusal("too_many_connections", "Too many connections are open from this address.")
TOO_MANY_BODIES = Refusal(
    "server_busy",
    "Too much is being received at once, in all or from this caller or address; nothing was stored.",
)
DATABASE_UNAVAILABLE = Refusal("database_unavailable", "The database cannot be used now; nothing was stored.")
HEADERS_TOO_SLOW = Refusal("request_timeout", "The request's headers did not arrive in time.")
BODY_TOO_SLOW = Refusal("request_timeout", "The request's body did not arrive in time.")
APPLICATION_FAILED = Refusal("internal_error", "The server failed to answer this request.")


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER_METHOD = "other"
_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")
_requests_of, _seconds_of = cache(REQUESTS.labels), cache(REQUEST_SECONDS.labels)


def route_of(match: ResolverMatch | None) -> str:
    """Return the route's name for metrics: the url name, the namespace of one of Django's sites, or UNROUTED."""
    if match is None:
        return UNROUTED
    from marketdata_project.anonymous_clients import DJANGO_SITES  # noqa: PLC0415 needs the apps

    sites = DJANGO_SITES.intersection(match.namespaces)
    return min(sites) if sites else match.url_name or UNROUTED


def count_answer(route: str, method: str, status: int, *, began_ns: int) -> None:
    """Count an answer and its duration; `began_ns` comes from `perf_counter_ns`."""
    _seconds_of(route).observe((perf_counter_ns() - began_ns) / 1e9)
    _requests_of(route, _method(method), _CLASSES[status // 100]).inc()


def count_refusal(refusal: Refusal, *, method: str = "") -> None:
    """Count a refusal before Django. `method` is "" if the request line was not read."""
    FRONT_REFUSALS.labels(refusal.code).inc()
    _requests_of(UNROUTED, _method(method), _CLASSES[refusal.status // 100]).inc()


def _method(method: str) -> str:
    return method if method in _METHODS else _OTHER_METHOD
