"""Problem responses to requests that never reach Django: broken HTTP, slow clients, a failing process."""

from dataclasses import dataclass
from http import HTTPStatus

import orjson

from marketdata_project.correlation import chosen_id, correlation_headers
from marketdata_project.error_codes import DECLARED
from marketdata_project.problem_body import CONTENT_TYPE, problem_body


@dataclass(frozen=True, slots=True)
class Refusal:
    """An RFC 9457 problem in the API's form, by a declared code; the connection closes after it."""

    code: str
    message: str

    @property
    def status(self) -> HTTPStatus:
        """The status of its code."""
        return HTTPStatus(DECLARED[self.code].status)

    def render(self, *, correlation_id: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and body of the answer to the request with that id."""
        retry_seconds = DECLARED[self.code].retry_seconds
        body = orjson.dumps(
            problem_body(
                status=self.status.value,
                code=self.code,
                message=self.message,
                correlation_id=correlation_id,
            )
        )
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-content-type-options", b"nosniff"),
            *([] if retry_seconds is None else [(b"retry-after", b"%d" % retry_seconds)]),
            *(
                (name.lower().encode(), value.encode())
                for name, value in correlation_headers(correlation_id).items()
            ),
        ]
        return headers, body

    def wire(self, *, offered: str | None) -> bytes:
        """Render the whole answer as HTTP/1.1 bytes, with the client's id if a sane one was read, else one of its own."""
        headers, body = self.render(correlation_id=chosen_id(offered))
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (self.status, self.status.phrase.encode(), lines, body)


MALFORMED = Refusal("malformed_request", "The request is not valid HTTP/1.1.")
NOT_ONE_HOST = Refusal("malformed_request", "The request needs exactly one Host header (HTTP/1.1).")
HEADERS_TOO_LARGE = Refusal("headers_too_large", "The request line and headers are larger than 64 KiB.")
TOO_MANY_HEADERS = Refusal("too_many_headers", "The request has more than 100 headers.")
HEADER_TOO_LONG = Refusal("header_too_long", "One of the request's headers is longer than 16 KiB.")
TARGET_TOO_LONG = Refusal("target_too_long", "The request's path and query are longer than 16 KiB.")
TOO_MANY_CONNECTIONS = Refusal("too_many_connections", "Too many connections are open from this address.")
TOO_MANY_BODIES = Refusal(
    "server_busy",
    "Too much is being received at once, in all or from this caller or address; nothing was stored.",
)
HEADERS_TOO_SLOW = Refusal("request_timeout", "The request's headers did not arrive in time.")
BODY_TOO_SLOW = Refusal("request_timeout", "The request's body did not arrive in time.")
APPLICATION_FAILED = Refusal("internal_error", "The server failed to answer this request.")
