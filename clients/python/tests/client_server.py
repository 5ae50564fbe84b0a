"""A server on a real loopback socket that sends whatever a test wants."""

import contextlib
import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any


class ScriptedServer:
    """Each connection gets the next answer (the last one again and again), then it is closed.

    A list is sent piece by piece with pauses. forever: what is sent after the answer without end. received: the requests,
    with their bodies.
    """

    def __init__(self, answers: Sequence[bytes | list[bytes]], *, forever: bytes = b"") -> None:
        self._answers, self._forever = list(answers), forever
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            for number in range(10_000):
                connection, _ = self._listener.accept()
                answer = self._answers[min(number, len(self._answers) - 1)]
                threading.Thread(target=self._answer, args=(connection, answer), daemon=True).start()

    def _answer(self, connection: socket.socket, answer: bytes | list[bytes]) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while not _is_whole(request):
                request += connection.recv(65536)
            self.received.append(request)
            for piece in [answer] if isinstance(answer, bytes) else answer:
                connection.sendall(piece)
                if isinstance(answer, list):
                    time.sleep(0.1)
            while self._forever:
                connection.sendall(self._forever)


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end) and len(body) >= int(length[1] if length else 0)


def reply(body: bytes, status: int = 200, *, content_type: str = "application/json", **headers: Any) -> bytes:
    """An answer with its length, which ends the connection."""
    lines = {"Content-Type": content_type, "Content-Length": len(body), "Connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body


def document(found: Any, status: int = 200, **headers: Any) -> bytes:
    return reply(json.dumps(found).encode(), status, **headers)


def bomb(mib: int) -> bytes:
    return gzip.compress(b" " * (mib * 2**20), mtime=0)
