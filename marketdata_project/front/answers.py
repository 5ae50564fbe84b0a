"""What is sent: a finished body, or one in the making."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, NamedTuple

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from stats.delivery.finished import Finished

FILE_PIECE_BYTES = 256 * 1024
WITHOUT_BODY = frozenset({204, 304})


class Answer(NamedTuple):
    """What the application answered: a finished `body`, or `stream`, whose pieces are still to be made."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    stream: "Stream | None"


@dataclass(frozen=True, slots=True)
class Stream:
    """A body in the making; `close` is to be called once, whatever happens."""

    pieces: Iterator[bytes]
    close: Callable[[], None]

    def next_piece(self) -> bytes | None:
        """Make the next piece, None after the last one."""
        return next(self.pieces, None)


def answer_of_response(response: HttpResponseBase, *, is_head: bool) -> Answer:
    """Django's response as it is sent. A finished one is closed here, a stream by who sends it."""
    status = response.status_code
    headers = _encoded_headers(response, without_length=not response.streaming or status in WITHOUT_BODY)
    if not isinstance(response, HttpResponse):
        return Answer(status, headers, b"", Stream(pieces=_pieces(response), close=response.close))
    body = response.content
    response.close()
    if status in WITHOUT_BODY:
        return Answer(status, headers, b"", None)
    headers.append((b"content-length", b"%d" % len(body)))
    return Answer(status, headers, b"" if is_head else body, None)


def answer_of_finished(finished: Finished) -> Answer:
    """An answer that was held, as it is sent."""
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in finished.headers.items()
    ]
    if finished.status not in WITHOUT_BODY:
        headers.append((b"content-length", b"%d" % len(finished.body)))
    return Answer(finished.status, headers, finished.body, None)


def _pieces(response: HttpResponseBase) -> Iterator[bytes]:
    """Return a response's pieces; a file's are larger than Django's 4 KiB, since each changes threads."""
    file: IO[bytes] | None = getattr(response, "file_to_stream", None)
    return iter(response) if file is None else iter(partial(file.read, FILE_PIECE_BYTES), b"")


def _encoded_headers(response: HttpResponseBase, *, without_length: bool) -> list[tuple[bytes, bytes]]:
    """Return a response's headers and cookies as ASGI wants them, with or without its own Content-Length."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    if without_length and response.has_header("Content-Length"):
        headers = [header for header in headers if header[0] != b"content-length"]
    for cookie in response.cookies.values():
        headers.append((b"set-cookie", cookie.output(header="").strip().encode("latin-1")))
    return headers
