"""Problem responses to requests that never reach Django: broken HTTP, slow clients, a failing process."""

from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

import orjson


@dataclass(frozen=True, slots=True)
class Refusal:
    """An RFC 9457 problem in the API's form; the connection closes after it."""

    status: HTTPStatus
    code: str
    message: str

    def render(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and body, with a correlation id of this answer's own."""
        correlation_id = uuid4().hex
        body = orjson.dumps(
            {
                "type": f"/api/v1/docs/errors#{self.code}",
                "title": self.status.phrase,
                "status": self.status.value,
                "code": self.code,
                "message": self.message,
                "detail": self.message,
                "correlation_id": correlation_id,
                "errors": [],
            }
        )
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"x-correlation-id", correlation_id.encode()),
            (b"connection", b"close"),
        ]
        return headers, body

    def wire(self) -> bytes:
        """Render the whole answer as HTTP/1.1 bytes."""
        headers, body = self.render()
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (self.status, self.status.phrase.encode(), lines, body)


MALFORMED = Refusal(HTTPStatus.BAD_REQUEST, "malformed_request", "The request is not valid HTTP/1.1.")
HEADERS_TOO_LARGE = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers_too_large",
    "The request line and headers are larger than 64 KiB.",
)
HEADERS_TOO_SLOW = Refusal(
    HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The request's headers did not arrive in time."
)
BODY_TOO_SLOW = Refusal(
    HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The request's body did not arrive in time."
)
APPLICATION_FAILED = Refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "The server failed to answer this request."
)
