"""Bodies that the front writes to files while they arrive."""

import os
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse

from tests.front.front_server import ask, connected, eventually, read_reply, running
from web.requests.wsgi_variables import BODY_TOO_LARGE, BODY_UNREAD, VERIFIED_SIGNATURE

pytestmark = pytest.mark.system

LIMIT = 64 * 2**20
PIECE = b"0123456789abcdef" * 2**16


class FileWriter:
    """Appends to a file."""

    error: Exception | None = None

    def __init__(self, path: Path, room: int, full_at: int = LIMIT) -> None:
        self._path, self.room, self._full_at = path, room, full_at
        self._file = path.open("ab", buffering=0)
        self.largest = 0

    def write(self, data: bytes) -> None:
        self.largest = max(self.largest, len(data))
        if self._path.stat().st_size + len(data) > self._full_at:
            self.error = OSError(28, "full")
        else:
            self._file.write(data)

    def close(self) -> None:
        self._file.close()

    @property
    def is_closed(self) -> bool:
        return self._file.closed


def respond(environ: dict[str, Any]) -> HttpResponse:
    seen = f"{len(environ['wsgi.input'].read())} {BODY_UNREAD in environ} {environ.get(BODY_TOO_LARGE)}"
    return HttpResponse(seen.encode(), status=413 if BODY_TOO_LARGE in environ else 200)


def head(length: int) -> bytes:
    return b"PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length


@pytest.fixture
def writers() -> list[FileWriter | None]:
    """Those that are given to the next calls."""
    return []


def disk_running(writers: list[FileWriter | None]) -> Any:
    return running(respond, max_body_bytes=LIMIT, writer_of=lambda *_: lambda _environ, _sender: writers[-1])


def test_a_body_is_written_piece_by_piece(tmp_path: Path, writers: list[FileWriter | None]):
    writers.append(writer := FileWriter(tmp_path / "file", LIMIT))
    with disk_running(writers) as port:
        reply = ask(port, head(20 * len(PIECE)) + 20 * PIECE)
        small = ask(port, head(5) + b"small")
    assert (reply.status, reply.body) == (200, b"0 False None")
    assert (tmp_path / "file").read_bytes() == 20 * PIECE
    assert writer.is_closed
    assert writer.largest < 2 * len(PIECE)
    # The view writes what is small.
    assert small.body == b"5 False None"


def test_what_arrived_before_a_cut_stays(tmp_path: Path, writers: list[FileWriter | None]):
    content, path = os.urandom(3 * 2**20), tmp_path / "file"
    with disk_running(writers) as port:
        for _ in range(10):
            offset = path.stat().st_size if path.exists() else 0
            writers.append(writer := FileWriter(path, LIMIT))
            with connected(port) as connection:
                connection.sendall(head(len(content) - offset) + content[offset : offset + 200_001])
            assert eventually(partial(attrgetter("is_closed"), writer))
            assert content.startswith(path.read_bytes())
        sent = path.stat().st_size
        assert sent > 0
        writers.append(FileWriter(path, LIMIT))
        assert ask(port, head(len(content) - sent) + content[sent:]).status == 200
    assert path.read_bytes() == content


def test_more_than_the_room_is_refused(tmp_path: Path, writers: list[FileWriter | None]):
    writers.append(writer := FileWriter(tmp_path / "file", 100_000))
    with disk_running(writers) as port:
        reply = ask(port, head(100_001) + 100_001 * b"x")
    assert (reply.status, reply.body) == (413, b"0 True 100000")
    assert writer.is_closed


def test_a_full_disk_ends_the_body_and_the_view_says_so(tmp_path: Path, writers: list[FileWriter | None]):
    writers.append(writer := FileWriter(tmp_path / "file", LIMIT, full_at=4 * len(PIECE)))
    with disk_running(writers) as port:
        reply = ask(port, head(8 * len(PIECE)) + 8 * PIECE)
    assert reply.body == b"0 True None"
    written = (tmp_path / "file").read_bytes()
    assert 2 * len(PIECE) < len(written) <= 4 * len(PIECE)
    assert (8 * PIECE).startswith(written)
    assert writer.error
    assert writer.is_closed


def test_the_view_answers_what_no_writer_is_for(writers: list[FileWriter | None]):
    writers.append(None)
    with disk_running(writers) as port:
        assert ask(port, head(100_000) + 100_000 * b"x").body == b"0 True None"


def test_a_signed_body_is_read_into_memory():
    def authorize(environ: dict[str, Any]) -> str:
        environ[VERIFIED_SIGNATURE] = "a signature"
        return "key:1"

    with (
        running(
            respond,
            max_body_bytes=LIMIT,
            authorize_large_body=authorize,
            writer_of=lambda *_: lambda *_: None,
        ) as port,
        connected(port) as connection,
    ):
        connection.sendall(head(100_000) + 100_000 * b"x")
        assert read_reply(connection).body == b"100000 False None"
