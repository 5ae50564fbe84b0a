"""The front over real connections: environ, framing, lanes, failures."""

import threading

import pytest
from django.http import HttpResponse, JsonResponse
from django.urls import path

from front.application import (
    CLOSING_THREADS,
    READ_THREADS,
    TRADING_THREADS,
    WRITE_THREADS,
    DjangoHandler,
)
from front.protocol import GuardedProtocol
from front.warm import load_everything
from tests.front.front_server import ask, connected, echo, read_reply, running
from tests.patience import PATIENCE_SECONDS
from web.endpoints import CLOSING, KINDS, READ, TRADING, WRITE

pytestmark = pytest.mark.system


def view(request, name=""):
    return JsonResponse(
        {"path": request.path, "name": name, "a": request.GET.get("a"), "body": request.body.decode()}
    )


urlpatterns = [path("naïve/<str:name>", view), path("healthz", view)]


@pytest.fixture(scope="module")
def port():
    with running(echo) as number:
        yield number


def test_request_line_and_headers_become_a_wsgi_environ(port):
    seen = ask(
        port,
        b"GET /a%20b/%C3%A9?x=%20&y HTTP/1.1\r\nHost: h:1\r\nAccept: a\r\nAccept: b\r\n"
        b"Cookie: a=1\r\nCookie: b=2\r\nX_Api_Key: forged\r\n" + b"x" * 65 + b": long\r\n\r\n",
    ).json()
    assert seen[f"HTTP_{'X' * 65}"] == "long"
    assert seen["PATH_INFO"] == "/a b/é".encode().decode("latin-1")
    assert seen["QUERY_STRING"] == "x=%20&y"
    assert seen["REQUEST_URI"] == "/a%20b/%C3%A9?x=%20&y"
    assert seen["HTTP_ACCEPT"] == "a,b"
    assert seen["HTTP_COOKIE"] == "a=1; b=2"
    assert seen["HTTP_HOST"] == "h:1"
    assert seen["REMOTE_ADDR"] == seen["SERVER_NAME"] == "127.0.0.1"
    assert seen["SERVER_PORT"] == str(port)
    assert (seen["SERVER_PROTOCOL"], seen["wsgi.url_scheme"]) == ("HTTP/1.1", "http")
    assert "HTTP_X_API_KEY" not in seen


@pytest.mark.parametrize(
    ("cookies", "kept"),
    [("a=" + "b" * 15_000, True), ('a="' + '\\"' * 1_000 + '"', True), ('a="' + '\\"' * 3_000 + '"', False)],
    ids=["long", "escaped", "long and escaped"],
)
def test_cookies_whose_reading_would_take_long_are_dropped(port, cookies, kept):
    seen = ask(port, b"GET / HTTP/1.1\r\nHost: h\r\nCookie: %s\r\n\r\n" % cookies.encode()).json()
    assert seen.get("HTTP_COOKIE") == (cookies if kept else None)


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 6", b"abcdef"),
        (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"),
    ],
    ids=["length", "chunked"],
)
def test_body_arrives_with_its_length_however_it_was_framed(port, framing, body):
    request = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: text/x\r\n" + framing + b"\r\n\r\n" + body
    seen = ask(port, request).json()
    assert (seen["body_length"], seen["CONTENT_LENGTH"], seen["CONTENT_TYPE"]) == (6, "6", "text/x")
    assert "HTTP_TRANSFER_ENCODING" not in seen
    assert "HTTP_CONTENT_LENGTH" not in seen


def test_finished_answers_carry_their_length_and_keep_the_connection(port):
    with connected(port) as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            reply = read_reply(connection)
            assert int(reply.headers["content-length"]) == len(reply.body) > 0
            assert "transfer-encoding" not in reply.headers


def test_pipelined_requests_are_answered_in_order(port):
    with connected(port) as connection:
        connection.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(5)))
        file = connection.makefile("rb")
        seen: list[bytes] = []
        while len(seen) < 5:
            line = file.readline()
            if line.lower().startswith(b"content-length"):
                length = int(line.split(b":")[1])
            if line == b"\r\n":
                seen.append(file.read(length).split(b'"PATH_INFO":"')[1][:2])
        file.close()
    assert seen == [b"/%d" % number for number in range(5)]


def test_head_has_the_length_of_get_and_no_body(port):
    with connected(port) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"content-length: " in head
    assert body == b""


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_body_have_no_framing(status):
    def respond(_environ):
        return HttpResponse(b"none of this", status=status, headers={"Content-Length": "12"})

    with running(respond) as port:
        reply = ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (reply.status, reply.body) == (status, b"")
    assert not {"content-length", "transfer-encoding"} & set(reply.headers)


def test_a_wrong_length_of_the_application_is_corrected_and_cookies_are_sent():
    def respond(_environ):
        response = HttpResponse(b"abc", headers={"Content-Length": "7", "X-One": "é"})
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    with running(respond) as port, connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert raw.count(b"content-length: 3\r\n") == raw.count(b"content-length") == 1
    assert b"x-one: \xe9\r\n" in raw
    assert b"set-cookie: a=1;" in raw
    assert b"set-cookie: b=2;" in raw


@pytest.mark.parametrize(
    ("blocked", "threads"),
    [
        (READ, READ_THREADS),
        (WRITE, WRITE_THREADS),
        (TRADING, TRADING_THREADS),
        (CLOSING, CLOSING_THREADS),
    ],
)
def test_no_lane_holds_up_another(blocked, threads):
    release = threading.Event()

    def respond(environ):
        if environ["PATH_INFO"] == f"/{blocked}":
            assert release.wait(PATIENCE_SECONDS)
        return HttpResponse(b"ok")

    with running(respond, lane_of=lambda path, _method, _query: path[1:]) as port:
        connections = []
        try:
            for _ in range(threads + 4):
                connection = connected(port)
                connections.append((connection, connection.__enter__()))
                connections[-1][1].sendall(f"GET /{blocked} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            for free in set(KINDS) - {blocked}:
                assert ask(port, f"GET /{free} HTTP/1.1\r\nHost: h\r\n\r\n".encode()).body == b"ok"
            assert not release.is_set()
            release.set()
            assert [read_reply(raw).status for _, raw in connections] == [200] * (threads + 4)
        finally:
            release.set()
            for connection, _ in connections:
                connection.__exit__(None, None, None)


def test_an_application_that_raises_is_a_500_problem_without_its_text(caplog):
    def respond(_environ):
        raise ZeroDivisionError("secret")

    with running(respond) as port:
        reply = ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert reply.status == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["code"] == "internal_error"
    assert reply.headers["x-correlation-id"] == reply.json()["correlation_id"]
    assert b"secret" not in reply.body
    assert "ZeroDivisionError" in caplog.text


def test_every_finished_response_is_closed():
    closed = threading.Semaphore(0)

    class Watched(HttpResponse):
        def close(self):
            closed.release()

    def respond(_environ):
        return Watched(b"ok")

    with running(respond) as port:
        ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        ask(port, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    assert closed.acquire(timeout=PATIENCE_SECONDS)
    assert closed.acquire(timeout=PATIENCE_SECONDS)
    assert not closed.acquire(blocking=False)


@pytest.mark.django_db
def test_django_reads_path_query_and_body(settings):
    settings.MIDDLEWARE = []
    settings.ROOT_URLCONF = __name__
    handler = DjangoHandler()
    load_everything(handler)
    with running(handler.respond) as port:
        request = b"POST /na%C3%AFve/x%20y?a=%C3%A9 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
        reply = ask(port, request)
    assert reply.json() == {"path": "/naïve/x y", "name": "x y", "a": "é", "body": "abc"}


def test_a_process_that_is_replaced_ends_each_connection_with_its_next_answer(monkeypatch):
    with running(lambda _environ: HttpResponse("ok")) as port, connected(port) as connection:
        for is_leaving in (False, True):
            monkeypatch.setattr(GuardedProtocol, "is_leaving", is_leaving)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            reply = read_reply(connection)
            assert (reply.status, reply.headers.get("connection")) == (200, "close" if is_leaving else None)
        assert connection.recv(1) == b""
