"""A web process: Django behind the front on a listening socket that the supervisor opened.

Run as `python -m marketdata_project.serve.web --fd 5 --parent 4711`.
"""

import argparse
import logging
import os
import signal
import socket
import sys
from types import FrameType

import django
import uvicorn
from django.conf import settings

from marketdata_project.front.application import DjangoHandler, Front
from marketdata_project.front.protocol import GuardedProtocol
from marketdata_project.serve.parent import parent_is
from marketdata_project.serve.warm import drop_request_signals, load_everything, tune_garbage_collector

DRAIN_SECONDS = 8
KEEP_ALIVE_SECONDS = 20


class WebServer(uvicorn.Server):
    """uvicorn's server, which also drains and ends when its parent is gone."""

    parent: int | None = None

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to end."""
        if counter % 10 == 0 and not parent_is(self.parent):
            self.should_exit = True
        return await super().on_tick(counter)


def web_server() -> WebServer:
    """Everything loaded and tuned, ready to run on a socket."""
    django.setup(set_prefix=False)
    handler = DjangoHandler()
    drop_request_signals()
    load_everything(handler)
    config = uvicorn.Config(
        _front(handler),
        loop="uvloop",
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # its warnings are what clients do wrong: they could fill the log
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    tune_garbage_collector()
    return WebServer(config)


def _front(handler: DjangoHandler) -> Front:
    """The front with what it can only have when Django's apps are loaded."""
    from marketdata_project.front.door import FrontDoor  # noqa: PLC0415
    from marketdata_project.front.refused_calls import refusal_recorder  # noqa: PLC0415

    return Front(
        handler.respond,
        max_body_bytes=settings.MAX_BODY_BYTES,
        ready=FrontDoor(),
        on_refusal=refusal_recorder(),
    )


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM; then finish what was begun, for at most DRAIN_SECONDS."""
    parser = argparse.ArgumentParser(prog="web", description="One web process of `manage.py serve`.")
    parser.add_argument("--fd", type=int, required=True, help="the listening socket's descriptor")
    parser.add_argument("--parent", type=int, help="end when this process has ended")
    options = parser.parse_args(arguments)
    server = web_server()
    server.parent = options.parent

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # Until uvicorn has its own; it raises the signal that ended it once more when it has drained.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.run(sockets=[socket.socket(fileno=options.fd)])
    _end_now()


def _end_now() -> None:
    """End without waiting for threads: what still runs has had DRAIN_SECONDS, and its client is gone."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
