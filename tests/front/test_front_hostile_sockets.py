"""WebSockets at the front: what clients get that are hostile, or do not read."""

import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep

import pytest
from websockets.frames import Frame, Opcode

from front import sockets
from front.limits import ConnectionSlots
from stats.live.sockets import SOCKET
from tests.front.front_server import connected, echo, eventually, running
from tests.front.front_sockets import (
    EchoFeed,
    client,
    close_code,
    filled,
    frame,
    open_socket,
    opened,
    read_frames,
)
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

TEXT, CONT, BINARY = Opcode.TEXT, Opcode.CONT, Opcode.BINARY
HOSTILE = {
    "not masked": (Frame(TEXT, b"a").serialize(mask=False), 1002),
    "a continuation of nothing": (frame(CONT, b"a"), 1002),
    "a message within a message": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"a"), 1002),
    "a close frame of one byte": (frame(Opcode.CLOSE, b"a"), 1002),
    "no UTF-8": (frame(TEXT, b"\xff"), 1007),
    "no UTF-8 in fragments": (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"("), 1007),
    "no UTF-8 twice": (frame(TEXT, b"\xff") * 2, 1007),
    "no UTF-8 before a close frame": (frame(TEXT, b"\xff") + frame(Opcode.CLOSE, b"\x03\xe8"), 1000),
    "a close reason that is no UTF-8": (frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
    "65,537 bytes": (frame(BINARY, bytes(65_537)), 1009),
    "2^63 bytes": (b"\x82\xff" + struct.pack("!Q", 2**63), 1009),
    "a megabyte": (frame(BINARY, bytes(2**20)), 1009),
    "65,537 bytes in fragments": (frame(BINARY, bytes(65_536), fin=False) + frame(CONT, b"a"), 1009),
    "empty fragments without end": (frame(TEXT, b"", fin=False) + 1000 * frame(CONT, b"", fin=False), 1009),
}


@pytest.mark.parametrize(("sent", "code"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_frames_close_the_socket_and_log_nothing(feed: EchoFeed, caplog, sent, code):
    with caplog.at_level(logging.WARNING), open_socket(feed) as connection:
        # The server may have closed before it has read everything.
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        opcode, payload = read_frames(connection)[-1]
        assert (Opcode(opcode), close_code(payload)) == (Opcode.CLOSE, code)
        assert eventually(lambda: len(feed.ends) == 1)
    assert caplog.records == []


def test_answers_to_messages_before_a_hostile_frame_log_nothing(caplog):
    class Answering(EchoFeed):
        async def __call__(self, scope, receive, send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": "answer"})

    sent = frame(TEXT, b"a") + frame(TEXT, b"\xff")
    with caplog.at_level(logging.WARNING), running(echo, live=Answering()) as port:
        with connected(port) as connection:
            opened(connection, early=sent)
            assert close_code(read_frames(connection)[-1][1]) == 1007
    assert caplog.records == []


def test_fragments_are_one_message(feed: EchoFeed):
    with client(feed) as opened_:
        opened_.send(["a"] * 200)
        assert opened_.recv() == "a" * 200


def test_pings_of_a_client_that_reads_nothing_do_not_fill_the_memory(feed: EchoFeed):
    with open_socket(feed) as connection:
        pings, sent = frame(Opcode.PING, b"p" * 125) * 500, 0
        # The kernel's buffers take the first pongs.
        while sent < 16 * 2**20:
            connection.sendall(pings)
            sent += len(pings)
        assert feed.run(lambda: feed.sockets[0].unsent_bytes) < 2**20


def test_only_the_newest_ping_of_a_segment_is_answered(feed: EchoFeed):
    pings = [frame(Opcode.PING, str(number).encode()) for number in range(50)]
    with open_socket(feed) as connection:
        connection.sendall(b"".join(pings))
        assert connection.recv(1, socket.MSG_PEEK)  # or the close frame comes in the same piece
        connection.sendall(frame(Opcode.CLOSE, b"\x03\xe8"))
        *pongs, _ = read_frames(connection)
    assert pongs[-1] == (Opcode.PONG, b"49")
    assert len(pongs) < 50


def test_many_messages_at_once_do_not_fill_the_memory_and_arrive_in_order():
    class Counting(EchoFeed):
        texts: list[str]
        most: int

        async def __call__(self, scope, receive, send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                self.texts.append(message["text"])
                self.most = max(self.most, scope["extensions"][SOCKET].queue.qsize())

    feed, texts = Counting(), [str(number) for number in range(20_000)]
    feed.texts, feed.most = [], 0
    sent = b"".join(frame(TEXT, text.encode()) for text in texts)
    with running(echo, live=feed) as port, connected(port) as connection:
        opened(connection)
        connection.sendall(sent)
        assert eventually(lambda: len(feed.texts) == len(texts))
    assert feed.texts == texts
    assert feed.most < 1000


# Clients that do not read


@pytest.fixture
def _soon(monkeypatch) -> None:
    """Abort connections early."""
    monkeypatch.setattr(sockets, "CLOSE_SECONDS", 0.2)


@pytest.mark.usefixtures("_soon")
def test_the_connection_of_a_client_that_does_not_read_is_aborted():
    feed, slots = EchoFeed(), ConnectionSlots(1)
    with running(echo, live=feed, slots=slots) as feed.port, open_socket(feed):
        filled(feed)
        waiting = feed.start(feed.sockets[0].drained())
        assert not waiting.done()
        feed.run(lambda: feed.sockets[0].close(4413, "slow"))
        assert eventually(lambda: slots.taken() == {})
        waiting.result(PATIENCE_SECONDS)
        assert feed.ends == [4413]


def test_a_slow_client_gets_all_that_is_unsent_and_then_why_it_was_cut_off(feed: EchoFeed, monkeypatch):
    monkeypatch.setattr(sockets, "CLOSE_SECONDS", 1.0)
    with open_socket(feed) as connection:
        filled(feed)
        received, began = bytearray(), monotonic()
        feed.run(lambda: feed.sockets[0].close(4413, "slow_consumer"))
        while piece := connection.recv(1 << 20):
            received += piece
            # It takes more than a second in all, and some of it in each second.
            if monotonic() - began < 2.5:
                sleep(0.25)
    assert monotonic() - began > 2
    assert close_code(bytes(received[-15:])) == 4413


def test_drained_waits_until_the_client_has_read(feed: EchoFeed):
    with open_socket(feed) as connection:
        filled(feed)
        waiting = feed.start(feed.sockets[0].drained())
        connection.settimeout(0.1)
        while not waiting.done():
            # The last bytes may be read before the loop notices.
            with suppress(TimeoutError):
                assert connection.recv(65536)
        assert feed.run(lambda: feed.sockets[0].unsent_bytes) <= 16 * 1024


ENDS: dict[str, Callable[[socket.socket], object]] = {
    "sends wrong frames": lambda connection: connection.sendall(b"\x00" * 9),
    "closes": lambda connection: connection.sendall(frame(Opcode.CLOSE, b"")),
    "sends no more": lambda connection: connection.shutdown(socket.SHUT_WR),
}


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_client_that_ends_without_reading_gives_its_slot_back(end):
    feed, slots = EchoFeed(), ConnectionSlots(1)
    with running(echo, live=feed, slots=slots) as feed.port, open_socket(feed) as connection:
        filled(feed)
        end(connection)
        assert eventually(lambda: slots.taken() == {} and len(feed.ends) == 1)
