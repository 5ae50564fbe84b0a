"""Answers that the event loop sends: beside the application's, in the order of the requests, within the same limits."""

import asyncio
import time

import pytest

from front.answers import ReadyAnswer
from tests.front.front_server import FunctionOfTarget, Reply, ask, connected, echo, running

pytestmark = pytest.mark.system

HEAD = b"Host: h\r\n"


def ready(target: bytes) -> ReadyAnswer:
    return ReadyAnswer(200, b"X-Loop: yes\r\nContent-Length: %d\r\n" % len(target), target)


def answered(target, deliver):
    """Answers /loop and /later, which takes longer; leaves /left to the application later, all others at once.

    Fails at /broken.
    """
    if target.startswith(b"/broken"):
        raise RuntimeError("broken")
    if not target.startswith((b"/loop", b"/later", b"/left")):
        return False
    answer = None if target.startswith(b"/left") else ready(target)
    loop = asyncio.get_running_loop()
    loop.call_later(0.0 if target.startswith(b"/loop") else 0.02, deliver, answer)
    return True


@pytest.fixture(scope="module")
def port():
    with running(echo, repeated=FunctionOfTarget(answered)) as number:
        yield number


def get(target: str, *lines: str, version: str = "1.1") -> bytes:
    return (
        f"GET {target} HTTP/{version}\r\n".encode()
        + HEAD
        + "".join(f"{line}\r\n" for line in lines).encode()
        + b"\r\n"
    )


def path_in(reply: Reply) -> str:
    return reply.body.decode() if "x-loop" in reply.headers else reply.json()["PATH_INFO"]


def next_reply(stream) -> Reply:
    """One answer of several that may have arrived together."""
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return Reply(status, headers, stream.read(int(headers["content-length"])))


TARGETS = ["/loop", "/app", "/later", "/left"]


@pytest.mark.parametrize("second", TARGETS)
@pytest.mark.parametrize("first", TARGETS)
@pytest.mark.parametrize("is_pipelined", [True, False], ids=["pipelined", "in turn"])
def test_requests_of_a_connection_are_answered_in_order(port, first, second, is_pipelined):
    targets, replies = [first, second, first], []
    with connected(port) as connection, connection.makefile("rb") as stream:
        if is_pipelined:
            connection.sendall(b"".join(map(get, targets)))
        for target in targets:
            if not is_pipelined:
                connection.sendall(get(target))
            replies.append(next_reply(stream))
    assert [path_in(reply) for reply in replies] == targets
    of_loop = [target in {"/loop", "/later"} for target in targets]
    if not is_pipelined:
        assert ["x-loop" in reply.headers for reply in replies] == of_loop
    assert all("date" in reply.headers for reply in replies)


WHOLE = get("/loop")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([WHOLE, get("/app"), WHOLE], ["/loop", "/app", "/loop"]),
        ([WHOLE[:9], WHOLE[9:]], ["/loop"]),
        ([WHOLE + get("/later")], ["/loop", "/later"]),
        ([b"\r\n" + WHOLE], ["/loop"]),
        ([get("/later"), WHOLE], ["/later", "/loop"]),
    ],
    ids=["one by one", "in pieces", "together", "after a line feed", "behind an awaited one"],
)
def test_a_request_that_is_not_parsed_leaves_the_connection_as_a_parsed_one_does(port, sent, expected):
    with connected(port) as connection, connection.makefile("rb") as stream:
        for _ in range(2):
            connection.sendall(WHOLE)
            assert path_in(next_reply(stream)) == "/loop"
        for piece in sent:
            connection.sendall(piece)
            time.sleep(0.005)  # Otherwise the server may receive two pieces as one.
        assert [path_in(next_reply(stream)) for _ in expected] == expected


@pytest.mark.parametrize(
    ("request_bytes", "is_remembered"),
    [
        (get("/new"), True),
        (get("http://h/new"), True),
        (get("/new", version="1.0"), False),
        (get("/new", "Connection: close"), False),
        (get("/new").replace(b"GET", b"HEAD"), False),
        (get("/new", "Content-Length: 0"), False),
        (get("/new", "Content-Length: 1") + b"x", False),
        (get("/new", "Transfer-Encoding: chunked") + b"0\r\n\r\n", False),
    ],
    ids=["GET", "absolute", "HTTP/1.0", "close", "HEAD", "empty body", "body", "chunks"],
)
def test_only_plain_whole_gets_are_remembered(request_bytes, is_remembered):
    repeated = FunctionOfTarget(lambda _target, _deliver: False)
    with running(echo, repeated=repeated) as number:
        assert ask(number, request_bytes).status == 200
    assert repeated.remembered == [request_bytes] * is_remembered


def test_a_failure_in_the_loop_is_logged_and_the_application_answers(port, caplog):
    assert path_in(ask(port, get("/broken"))) == "/broken"
    assert "RuntimeError: broken" in caplog.text
