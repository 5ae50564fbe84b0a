"""Django without the front, served by plain uvicorn: `python -m tests.system.django_alone` prints its port.

Nothing is decided before Django here: a body is read whole whoever sends it, and no answer comes from the event loop.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import uvicorn

from front.environ import environ_for
from marketdata_project.wsgi import application as wsgi

_one_thread = ThreadPoolExecutor(1)


async def application(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    body = await _body(receive)
    environ = environ_for(scope)
    has_body = "CONTENT_LENGTH" in environ or b"transfer-encoding" in dict(scope["headers"])
    environ.update({"wsgi.input": BytesIO(body), **({"CONTENT_LENGTH": str(len(body))} if has_body else {})})
    loop = asyncio.get_running_loop()
    status, headers, content = await loop.run_in_executor(_one_thread, _answered, environ)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})


async def _body(receive: Callable[[], Any]) -> bytes:
    pieces = bytearray()
    while True:
        message = await receive()
        pieces += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(pieces)


def _answered(environ: dict[str, Any]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    started: list[Any] = []

    def start(
        status: str, headers: list[tuple[str, str]], _error: Any = None, /
    ) -> Callable[[bytes], object]:
        started.extend((status, headers))
        return started.append

    answer = wsgi(environ, start)
    try:
        content = b"".join(answer)
    finally:
        close = getattr(answer, "close", None)
        if close is not None:
            close()
    status, headers = started
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return int(status.split()[0]), encoded, content


def main() -> None:
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)  # noqa: T201 whoever started it waits for it
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
