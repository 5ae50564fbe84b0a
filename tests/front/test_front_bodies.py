"""Bodies through the front: limits, lies, slowness, streams."""

import asyncio
import contextlib
import itertools
import os
import socket
import threading
import time

import pytest
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from front import body, protocol, sending
from front.limits import BodyBudget, ReservedBytes
from tests.front.front_server import ask, connected, echo, eventually, read_reply, running
from tests.patience import PATIENCE_SECONDS
from web.requests.wsgi_variables import BODY_TOO_LARGE

pytestmark = pytest.mark.system

LIMIT = 32 * 2**20


def answer_413(environ):
    """Answer as the problem middleware does."""
    large = environ.get(BODY_TOO_LARGE, False)
    assert not (large and environ["wsgi.input"].read())
    return HttpResponse(b"too large" if large else b"ok", status=413 if large else 200)


def chunked(total: int, *, size: int = 2**20) -> bytes:
    pieces = [size] * (total // size) + ([total % size] if total % size else [])
    return b"".join(b"%x\r\n%s\r\n" % (piece, b"x" * piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("excess", [-1, 0])
def test_a_body_up_to_the_limit_is_taken(excess):
    size = LIMIT + excess
    head = b"POST / HTTP/1.1\r\nHost: h\r\n"
    with running(echo, max_body_bytes=LIMIT) as port:
        declared = ask(port, head + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
        undeclared = ask(port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(size))
    assert declared.json()["body_length"] == undeclared.json()["body_length"] == size


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 2**20], ids=["one byte", "one MiB"])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_client_that_sends_too_much_reads_the_refusal(size, declared):
    framing, data = (
        (b"Content-Length: %d" % size, b"x" * size)
        if declared
        else (b"Transfer-Encoding: chunked", chunked(size))
    )
    with running(answer_413, max_body_bytes=LIMIT) as port:
        reply = ask(port, b"POST / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n" + data)
    assert (reply.status, reply.body) == (413, b"too large")
    assert reply.headers["connection"] == "close"


def test_a_declared_excess_is_refused_before_anything_is_sent():
    with running(answer_413) as port:
        request = (
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999999\r\nExpect: 100-continue\r\n\r\n"
        )
        assert ask(port, request).status == 413


def test_a_client_that_waits_for_it_is_told_to_continue():
    with running(echo) as port, connected(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"ab")
        assert read_reply(connection).json()["body_length"] == 2


def test_a_body_that_ends_early_never_reaches_the_application():
    calls = []

    def respond(environ):
        calls.append(environ["PATH_INFO"])
        return HttpResponse(b"ok")

    with running(respond) as port:
        with connected(port) as connection:
            connection.sendall(b"POST /cut HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        ask(port, b"POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na")
    assert calls == ["/whole"]


def test_bytes_beyond_the_declared_length_are_not_taken_for_the_body():
    with running(echo) as port, connected(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
        assert read_reply(connection).json()["body_length"] == 3
        connection.sendall(b"{}{}{}\r\n\r\n")
        reply = read_reply(connection)
        assert (reply.status, reply.json()["code"]) == (400, "malformed_request")


def test_stalled_bodies_hold_up_nobody():
    with running(echo) as port:
        stalled = [connected(port) for _ in range(60)]
        try:
            for connection in stalled:
                head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc"
                connection.__enter__().sendall(head)
            for method in (b"GET", b"POST"):
                reply = ask(port, method + b" / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
                assert reply.status == 200
        finally:
            for connection in stalled:
                connection.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET / HT", 408, "request_timeout"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 70_000, 431, "headers_too_large"),
        (b"NOT HTTP AT ALL\r\n\r\n", 400, "malformed_request"),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
            "malformed_request",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "malformed_request",
        ),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "malformed_request"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400, "malformed_request"),
    ],
    ids=[
        "slow headers",
        "large headers",
        "no HTTP",
        "two lengths",
        "length and chunked",
        "no chunks",
        "no chunks at last",
    ],
)
def test_broken_requests_are_answered_with_a_problem(monkeypatch, sent, status, code):
    if status == 408:
        monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.2)
        monkeypatch.setattr(protocol, "CHECK_SECONDS", 0.1)
    with running(echo) as port:
        reply = ask(port, sent)
    assert (reply.status, reply.json()["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_connection_on_which_nothing_is_asked_is_closed_without_a_word(monkeypatch):
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(protocol, "CHECK_SECONDS", 0.1)
    with running(echo) as port, connected(port) as connection:
        assert connection.recv(100) == b""


def test_a_stream_arrives_piece_by_piece_and_is_closed():
    closed = threading.Event()
    more = threading.Event()

    def pieces():
        try:
            yield b"first"
            assert more.wait(PATIENCE_SECONDS)
            yield b"second"
        finally:
            closed.set()

    with running(lambda _environ: StreamingHttpResponse(pieces())) as port, connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        raw = b""
        while b"first" not in raw:
            raw += connection.recv(65536)
        assert not more.is_set()
        more.set()
        raw += b"".join(iter(lambda: connection.recv(65536), b""))
        assert raw.endswith(b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n")
        assert closed.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_stream_waits_for_its_reader_and_ends_with_it(method):
    made = itertools.count()
    progress = []
    closed = threading.Event()

    def pieces():
        try:
            while True:
                progress.append(next(made))
                yield b"x" * 65536
        finally:
            closed.set()

    with running(lambda _environ: StreamingHttpResponse(pieces())) as port:
        with connected(port) as connection:
            connection.sendall(method + b" / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
            connection.recv(1000)
            assert eventually(lambda: progress and stands_still(progress))
            assert not closed.is_set()
            assert len(progress) < 500  # sockets hold some MiB, not 30
        assert closed.wait(PATIENCE_SECONDS)


def stands_still(progress: list[int]) -> bool:
    before = len(progress)
    threading.Event().wait(0.3)
    return len(progress) == before


def stalled() -> float:
    return REGISTRY.get_sample_value("marketdata_answers_cut_total", {"reason": "stalled"}) or 0


def test_a_client_that_takes_nothing_of_a_stream_is_given_up_counted_and_not_logged(monkeypatch, caplog):
    before = stalled()
    monkeypatch.setattr(sending, "STALLED_SECONDS", 0.3)
    closed = threading.Event()

    def pieces():
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.set()

    with running(lambda _environ: StreamingHttpResponse(pieces())) as port, connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert closed.wait(PATIENCE_SECONDS)
        assert eventually(lambda: stalled() == before + 1)
        raw = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(2**20):
                raw += piece
    assert not raw.endswith(b"\r\n0\r\n\r\n")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_stream_that_fails_with_a_timeout_of_its_own_is_logged(caplog):
    def pieces():
        yield b"one"
        raise TimeoutError("the store's")

    before = stalled()
    with running(lambda _environ: StreamingHttpResponse(pieces())) as port, connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        raw = b"".join(iter(lambda: connection.recv(2**20), b""))
    assert not raw.endswith(b"\r\n0\r\n\r\n")
    assert stalled() == before
    assert "the store's" in caplog.text


def test_a_client_that_is_slow_gets_all_of_a_stream(monkeypatch):
    """Of three that are slower each time, and are waited for as much longer, one: a machine that stands still is slower than meant."""
    pieces = [b"~" * 8 * 2**20] * 3
    for stalled_seconds in (0.5, 2.0, 8.0):
        monkeypatch.setattr(sending, "STALLED_SECONDS", stalled_seconds)
        # A piece takes longer than a client may take nothing.
        raw = taken_slowly(pieces, pause_seconds=stalled_seconds / 125)
        if raw.endswith(b"\r\n0\r\n\r\n"):
            break
    assert raw.count(b"~") == sum(map(len, pieces))
    assert raw.endswith(b"\r\n0\r\n\r\n")


def taken_slowly(pieces: list[bytes], *, pause_seconds: float) -> bytes:
    """What comes of a stream of which a part is taken after each pause."""
    raw = bytearray()
    with running(lambda _environ: StreamingHttpResponse(pieces)) as port, connected(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                raw += piece
                time.sleep(pause_seconds)
    return bytes(raw)


def test_more_streams_than_threads_go_on_together():
    gate = threading.Event()

    def pieces():
        yield b"first"
        while not gate.wait(0.001):
            yield b""
        yield b"last"

    def read_until(connection, wanted):
        raw = b""
        while wanted not in raw:
            raw += connection.recv(65536)
        return raw

    with running(lambda _environ: StreamingHttpResponse(pieces())) as port, contextlib.ExitStack() as stack:
        count = 3 * sending.STREAM_THREADS
        connections = [stack.enter_context(connected(port)) for _ in range(count)]
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        for connection in connections:
            assert b"last" not in read_until(connection, b"first")
        gate.set()
        for connection in connections:
            assert read_until(connection, b"last")


def test_a_stream_is_not_made_for_head_and_closed_all_the_same():
    closed = threading.Event()
    made = []

    def pieces():
        made.append(1)
        yield b"never"

    class Watched(StreamingHttpResponse):
        def close(self):
            closed.set()

    with running(lambda _environ: Watched(pieces(), headers={"Content-Length": "5"})) as port:
        reply = ask(port, b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (reply.body, reply.headers["content-length"]) == (b"", "5")
        assert closed.wait(PATIENCE_SECONDS)
        assert not made


def test_a_file_arrives_whole_and_is_closed(tmp_path):
    content = os.urandom(1_000_000)
    (tmp_path / "file").write_bytes(content)
    file = (tmp_path / "file").open("rb")
    with running(lambda _environ: FileResponse(file)) as port:
        reply = ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert reply.body == content
        assert reply.headers["content-length"] == "1000000"
        assert eventually(lambda: file.closed)


def receiver(pieces: list[bytes]):
    messages = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]
    remaining = iter(messages)

    async def receive():
        return next(remaining)

    return receive


def allowance(limit: int) -> body.BodyAllowance:
    return body.BodyAllowance(limit, ReservedBytes(BodyBudget(4_000), ("key:1",)))


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=20))
def test_a_body_is_what_its_pieces_are_together(pieces):
    read = asyncio.run(body.read_body(receiver(pieces), allowance(1000), declared=""))
    assert read.tell() == 0
    assert read.read() == b"".join(pieces)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=20), st.integers(0, 500))
def test_the_limit_is_exact_however_a_body_is_cut(pieces, limit):
    read = body.read_body(receiver(pieces), allowance(limit), declared="")
    if sum(map(len, pieces)) > limit:
        with pytest.raises(body.BodyOverLimit):
            asyncio.run(read)
    else:
        assert asyncio.run(read).getbuffer().nbytes == sum(map(len, pieces))
