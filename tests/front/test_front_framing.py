"""Where requests begin and end: trailers, broken chunks, what follows a request."""

import socket
import threading

import pytest
from django.http import HttpResponse, StreamingHttpResponse

from front.framing import WHOLE_BYTES, is_whole_get
from tests.front.front_server import ask, connected, echo, read_reply, running
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def port():
    """A front that answers with what arrived."""
    with running(echo) as number:
        yield number


@pytest.mark.parametrize(
    "piece",
    [b"X-T: a\r\n" * 1_000, b"X-T: " + b"a" * 8_000 + b"\r\n", b"a" * 8_000],
    ids=["many", "large", "one"],
)
def test_trailers_without_end_are_cut_off_and_the_request_is_never_made(piece):
    calls = []

    def respond(environ):
        calls.append(environ["PATH_INFO"])
        return HttpResponse(b"ok")

    with running(respond) as port, connected(port) as connection:
        connection.sendall(
            b"POST /cut HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
        )
        connection.sendall(b"X-T: " if b":" not in piece else b"")
        assert is_cut_off(connection, piece, times=10_000)
    assert calls == []


def is_cut_off(connection: socket.socket, piece: bytes, *, times: int) -> bool:
    """Whether the other end is gone before so much has been sent."""
    try:
        for _ in range(times):
            connection.sendall(piece)
    except ConnectionError:
        return True
    return False


def test_a_few_trailers_are_passed_over(port):
    request = (
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Api-Key: b\r\n\r\n"
    )
    seen = ask(port, request).json()
    assert seen["body_length"] == 1
    assert "HTTP_X_API_KEY" not in seen


@pytest.mark.parametrize("body", [b"xyz\r\n", b"1\r\nab\r\n", b"1\r\na\r\nfffffffffffffffff\r\n"], ids=repr)
def test_a_body_that_is_broken_on_its_way_is_a_400_problem(port, body):
    reply = ask(port, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert (reply.status, reply.json()["code"]) == (400, "malformed_request")


def test_connect_is_a_400_problem_and_no_error_in_pieces_too(port, caplog):
    with connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nCONN")
        assert read_reply(connection).status == 200
        connection.sendall(b"ECT h:22 HTTP/1.1\r\nHost: h\r\n\r\n")
        reply = read_reply(connection)
    assert (reply.status, reply.json()["code"]) == (400, "malformed_request")
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_thousands_of_requests_at_once_are_no_large_header():
    request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    with running(lambda _environ: HttpResponse(b"ok")) as port, connected(port) as connection:
        connection.sendall(request * 2_500)
        raw = b""
        while raw.count(b"HTTP/1.1 200") < 2_500:
            piece = connection.recv(2**20)
            assert piece
            raw += piece


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        (b"GET / HTTP/1.1", b"", 400),
        (b"GET / HTTP/1.1", b"X-Host: h\r\n", 400),
        (b"GET / HTTP/1.1", b"Host: h\r\nHost: h\r\n", 400),
        (b"GET / HTTP/1.1", b"Host: a\r\nAccept: b\r\nHOST: c\r\n", 400),
        (b"POST / HTTP/1.1", b"Content-Length: 3\r\n", 400),
        (b"GET / HTTP/1.0", b"Host: a\r\nHost: b\r\n", 400),
        (b"GET / HTTP/1.1", b"host: h\r\n", 200),
        (b"GET / HTTP/1.0", b"", 200),
    ],
)
def test_a_request_has_exactly_one_host_which_only_http_1_0_may_leave_out(
    port, request_line, headers, status
):
    reply = ask(port, request_line + b"\r\n" + headers + b"\r\n")
    assert reply.status == status
    if status == 400:
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["code"] == "malformed_request"


@pytest.mark.parametrize("around", [b"%s", b" \t %s\t \t"], ids=repr)
def test_white_space_around_a_headers_value_is_none_of_it(port, around):
    request = b"GET / HTTP/1.1\r\nHost: h\r\nX-Api-Key:" + around % b"a b" + b"\r\n\r\n"
    assert ask(port, request).json()["HTTP_X_API_KEY"] == "a b"


PIECES = [b"a" * 100_000, b"", b"b\n", b"c" * 7]


@pytest.fixture(scope="module")
def streaming_port():
    """A front that answers with a stream of PIECES."""
    with running(lambda _environ: StreamingHttpResponse(PIECES)) as number:
        yield number


@pytest.mark.parametrize("version", [b"0.9", b"1.0"])
@pytest.mark.parametrize("connection_header", [b"", b"Connection: keep-alive\r\n"], ids=["", "keep-alive"])
def test_a_stream_to_a_client_that_knows_no_chunks_ends_with_the_connection(
    streaming_port, version, connection_header
):
    request = b"GET / HTTP/" + version + b"\r\nHost: h\r\n" + connection_header + b"\r\n"
    head, body = answer_until_close(streaming_port, request)
    assert b"transfer-encoding" not in head
    assert b"\r\nconnection: close" in head
    assert body == b"".join(PIECES)


def test_a_stream_s_head_and_finished_answers_have_no_chunks_before_http_1_1(streaming_port):
    head, body = answer_until_close(streaming_port, b"HEAD / HTTP/1.0\r\n\r\n")
    assert (b"transfer-encoding" in head, body) == (False, b"")
    with running(lambda _environ: HttpResponse(b"whole")) as port:
        head, body = answer_until_close(port, b"GET / HTTP/1.0\r\n\r\n")
        assert (b"content-length: 5" in head, body) == (True, b"whole")


def test_a_stream_to_http_1_1_is_chunked(streaming_port):
    reply = ask(streaming_port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (reply.headers["transfer-encoding"], reply.body) == ("chunked", b"".join(PIECES))


def test_a_stream_that_fails_closes_the_connection_of_http_1_0_behind_what_came():
    def pieces():
        yield b"first"
        raise OSError("a damaged block")

    with running(lambda _environ: StreamingHttpResponse(pieces())) as port:
        assert answer_until_close(port, b"GET / HTTP/1.0\r\n\r\n")[1] == b"first"


def answer_until_close(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Head and body as they are on the wire, until the other end closes."""
    with connected(port) as connection:
        connection.sendall(request)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = raw.partition(b"\r\n\r\n")
    return head.lower(), body


def test_the_host_is_the_headers_also_of_a_target_in_absolute_form(port):
    seen = ask(port, b"GET http://other/a%20b?c=d HTTP/1.1\r\nHost: h\r\n\r\n").json()
    assert (seen["HTTP_HOST"], seen["REQUEST_URI"]) == ("h", "/a%20b?c=d")


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET http://other/ HTTP/1.1",
        b"GET http:/// HTTP/1.1\r\nHost: h",
        b"GET other:80 HTTP/1.1\r\nHost: h",
        b"CONNECT other:80 HTTP/1.1\r\nHost: h",
    ],
)
def test_other_forms_of_a_target_are_malformed(port, request_head):
    reply = ask(port, request_head + b"\r\n\r\n")
    assert (reply.status, reply.json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("method", ["get", "FOO", ""])
def test_what_is_no_method_of_http_is_malformed(port, method):
    reply = ask(port, f"{method} / HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert (reply.status, reply.json()["code"]) == (400, "malformed_request")


UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


@pytest.mark.parametrize("pieces", [1, 3], ids=["at once", "in turn"])
@pytest.mark.parametrize("body", [b"", b"Content-Length: 2\r\n\r\nab"], ids=["", "with a body"])
def test_a_request_to_upgrade_is_answered_like_any_other_and_so_are_those_behind_it(port, pieces, body):
    first = b"POST /1 HTTP/1.1\r\nHost: h\r\n" + UPGRADE + (body or b"\r\n")
    second = b"GET /2 HTTP/1.1\r\nHost: h\r\n" + UPGRADE + b"\r\n"
    third = b"GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    with connected(port) as connection:
        for sent in [first + second + third] if pieces == 1 else [first, second, third]:
            connection.sendall(sent)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [raw.count(b'"PATH_INFO":"/%d"' % number) for number in (1, 2, 3)] == [1, 1, 1]
    assert raw.count(b'"body_length":2') == (1 if body else 0)


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1\r\nConnection: Upgrade, close", b"HTTP/1.0\r\nConnection: Upgrade"]
)
def test_a_last_request_to_upgrade_is_answered_and_ends_the_connection(port, line):
    with connected(port) as connection:
        connection.sendall(b"POST /1 " + line + b"\r\nHost: h\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab")
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert raw.count(b"HTTP/1.1 200") == raw.count(b'"body_length":2') == 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_client_that_sends_no_more_gets_the_answers_to_its_requests(count):
    """A client may close its direction of the connection behind its requests (RFC 9112, 9.6)."""
    going_on = threading.Event()

    def respond(_environ):
        assert going_on.wait(PATIENCE_SECONDS)
        return HttpResponse(b"ok")

    with running(respond) as port, connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * count)
        connection.shutdown(socket.SHUT_WR)
        going_on.set()
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert raw.count(b"HTTP/1.1 200 OK") == raw.count(b"\r\n\r\nok") == count


def test_an_unfinished_request_ends_with_its_connection(port):
    with connected(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""


def test_the_event_loop_answers_short_requests_that_came_alone_and_whole():
    head = b"GET /v1 HTTP/1.1\r\nX-Long: "
    request = head + b"x" * (WHOLE_BYTES - len(head) - 4) + b"\r\n\r\n"
    assert is_whole_get(request)
    for other in (request[:-4] + b"x\r\n\r\n", request[:-1], request * 2, b"POST" + request[3:-1]):
        assert not is_whole_get(other)
