"""Answers that the event loop sends: beside the application's, in the order of the requests, within the same limits."""

import asyncio
import time

import pytest

from front.ready_answer import AWAITED, ReadyAnswer
from tests.front.front_server import Reply, ask, connected, echo, running

pytestmark = pytest.mark.system

HEAD = b"Host: h\r\n"


def ready(target: bytes) -> ReadyAnswer:
    return ReadyAnswer(200, b"X-Door: yes\r\nContent-Length: %d\r\n" % len(target), target)


def door(_peer, target, _headers, deliver):
    """Answers /door at once and /later in a later turn; leaves /left to the application later, all others at once.

    Fails at /broken.
    """
    if target.startswith(b"/broken"):
        raise RuntimeError("broken")
    if target.startswith(b"/door"):
        return ready(target)
    if target.startswith((b"/later", b"/left")):
        answer = ready(target) if target.startswith(b"/later") else None
        asyncio.get_running_loop().call_later(0.02, deliver, answer)
        return AWAITED
    return None


@pytest.fixture(scope="module")
def port():
    with running(echo, door=door) as number:
        yield number


def get(target: str, *lines: str, version: str = "1.1") -> bytes:
    return (
        f"GET {target} HTTP/{version}\r\n".encode()
        + HEAD
        + "".join(f"{line}\r\n" for line in lines).encode()
        + b"\r\n"
    )


def path_in(reply: Reply) -> str:
    return reply.body.decode() if "x-door" in reply.headers else reply.json()["PATH_INFO"]


def next_reply(stream) -> Reply:
    """One answer of several that may have arrived together."""
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return Reply(status, headers, stream.read(int(headers["content-length"])))


TARGETS = ["/door", "/app", "/later", "/left"]


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
    of_door = [target in {"/door", "/later"} for target in targets]
    if not is_pipelined:
        assert ["x-door" in reply.headers for reply in replies] == of_door
    assert all("date" in reply.headers for reply in replies)


WHOLE = get("/door")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([WHOLE, get("/app"), WHOLE], ["/door", "/app", "/door"]),
        ([WHOLE[:9], WHOLE[9:]], ["/door"]),
        ([WHOLE + get("/later")], ["/door", "/later"]),
        ([b"\r\n" + WHOLE], ["/door"]),
        ([get("/later"), WHOLE], ["/later", "/door"]),
    ],
    ids=["one by one", "in pieces", "together", "after a line feed", "behind an awaited one"],
)
def test_a_request_that_the_door_remembers_leaves_the_connection_as_a_parsed_one_does(port, sent, expected):
    with connected(port) as connection, connection.makefile("rb") as stream:
        for _ in range(2):
            connection.sendall(WHOLE)
            assert path_in(next_reply(stream)) == "/door"
        for piece in sent:
            connection.sendall(piece)
            time.sleep(0.005)  # Otherwise the server may receive two pieces as one.
        assert [path_in(next_reply(stream)) for _ in expected] == expected


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/door", version="1.0"),
        get("/door", "Connection: close"),
        get("/door").replace(b"GET", b"HEAD"),
        get("/door", "Content-Length: 0").replace(b"GET", b"POST"),
    ],
    ids=["HTTP/1.0", "close", "HEAD", "POST"],
)
def test_other_requests_are_the_applications(port, request_bytes):
    reply = ask(port, request_bytes)
    assert reply.status == 200
    assert "x-door" not in reply.headers


@pytest.mark.parametrize(
    ("lines", "status", "code"),
    [
        (["X-Long: " + "x" * 17_000], 431, "header_too_long"),
        ([f"X-{number}: x" for number in range(101)], 431, "too_many_headers"),
    ],
    ids=["long", "many"],
)
def test_limits_hold_before_the_door(port, lines, status, code):
    reply = ask(port, get("/door", *lines))
    assert (reply.status, reply.json()["code"]) == (status, code)


def test_a_failure_in_the_loop_is_logged_and_the_application_answers(port, caplog):
    assert path_in(ask(port, get("/broken"))) == "/broken"
    assert "RuntimeError: broken" in caplog.text
