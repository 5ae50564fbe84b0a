"""A web process: runs the front (`front`) and Django on a socket that the supervisor opened.

Where it is not forked: `python -m front.process --number 0 --fd 5 --turns 6 --parent 4711`.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from threading import Thread
from types import FrameType

import django
import uvicorn
from django.conf import settings
from django.db import close_old_connections

from front.application import DjangoHandler, Front
from front.body import BodyReader, OpenWriter
from front.lanes import Lane
from front.limits import ConnectionSlots
from front.protocol import GuardedProtocol
from front.pulse import Pulse
from front.warm import (
    collect_if_due,
    load_everything,
    load_libraries,
    tune_garbage_collector,
)
from ops.log_masking import log_uncaught
from ops.serve.child import parent_is
from ops.serve.installation import hide_new_files
from ops.serve.memory import RELEASE_SECONDS, memory_release, tune_malloc
from ops.serve.status import start_publishing_metrics
from ops.serve.turns import Acceptor, Turns
from trades.children import decoder_fork

# A rolling restart waits so long for idle connections to be used once more.
LET_GO_SECONDS = 2.0
SOCKET_PATH = b"/ws/v1/stream"
LIVE_THREADS = 2
DRAIN_SECONDS = 8
KEEP_ALIVE_SECONDS = 20
TICKS_BEFORE_LIBRARIES = 10


class WebServer(uvicorn.Server):
    """uvicorn's server. It also ends when its parent process has ended, and sends proofs of life by `pulse`."""

    parent: int | None = None
    # Whether other web processes take over the connections.
    is_replaced = False
    pulse: Pulse | None = None
    each_second: Callable[[], None] | None = None

    turns: Turns
    front: Front | None = None

    _answered = 0
    _libraries: Thread | None = None
    _beating: asyncio.Task[None] | None = None
    _acceptors: Sequence[Acceptor] = ()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, by turns. The pulse beats until the event loop ends, also while requests are finished."""
        if self.pulse is not None:
            # From the first beat on, the watchdog counts the seconds without a proof.
            self.pulse.beat()
            self._beating = asyncio.create_task(self.pulse.run())
        await super().startup([])
        if self.front is not None:
            self.front.live.begin()
        self._acceptors = [
            Acceptor(listener, self.turns, self._new_protocol, self.server_state.connections)
            for listener in sockets or []
        ]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, and send WebSockets away; then finish running requests.

        Connections that were just accepted end, too. If the process is replaced, each connection is told at its next
        answer to end: a client that meets a closed connection may not know whether its request was taken.
        """
        for acceptor in self._acceptors:
            acceptor.close()
            await acceptor.wait_closed()
        if self.front is not None:
            await self.front.live.close()
        if self.is_replaced:
            await self._let_go()
        await super().shutdown(sockets)

    async def _let_go(self) -> None:
        """Answer one more request of each connection, for LET_GO_SECONDS."""
        GuardedProtocol.is_leaving = True
        ends_at = time.monotonic() + LET_GO_SECONDS
        while self.server_state.connections and time.monotonic() < ends_at:
            await asyncio.sleep(0.02)

    def _new_protocol(self) -> asyncio.Protocol:
        """Return the protocol of a new connection, as uvicorn makes it."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end; uvicorn calls this ten times a second.

        After the first second it loads libraries. Each second it calls `each_second` in a thread. It
        returns unused memory from time to time, and collects garbage after a tick without requests.
        """
        answered = self.server_state.total_requests
        # Each WebSocket has a task as long as it is open.
        sockets = 0 if self.front is None else self.front.open_sockets
        if len(self.server_state.tasks) <= sockets and answered == self._answered:
            collect_if_due()
        self._answered = answered
        if counter == TICKS_BEFORE_LIBRARIES and self._libraries is None:
            self._libraries = load_libraries()
        if counter % 10 == 0 and not parent_is(self.parent):
            self.should_exit = True
        if counter % 10 == 0 and self.each_second is not None:
            await asyncio.to_thread(self.each_second)
        if counter % (10 * RELEASE_SECONDS) == 0:
            await asyncio.to_thread(memory_release)
        return await super().on_tick(counter)


def web_server(*, turns: Turns, pulse: int | None = None) -> WebServer:
    """Return the server with everything loaded and tuned. `pulse` is the descriptor of the watchdog's pipe."""
    log_uncaught()
    handler = DjangoHandler()
    tune_malloc()
    load_everything(handler)
    front = _front(handler)
    config = uvicorn.Config(
        front,
        loop="uvloop",
        http=_protocol(turns),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # warnings are about malformed requests, with which clients could fill the log
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    tune_garbage_collector()
    server = WebServer(config)
    server.turns, server.front = turns, front
    server.pulse = None if pulse is None else Pulse(pulse, front.reads)
    return server


def _protocol(turns: Turns) -> type[GuardedProtocol]:
    """Return the protocol class with the connection slots of the settings. It counts ended connections in `turns`."""
    # These need the apps.
    from dialects.sockets import WIRES  # noqa: PLC0415
    from front.event_loop_reads import EventLoopReads  # noqa: PLC0415

    class Protocol(GuardedProtocol):
        repeated = EventLoopReads(lambda: turns.connections)
        socket_paths = {SOCKET_PATH, *map(str.encode, WIRES)}
        slots = ConnectionSlots(settings.MAX_CONNECTIONS_PER_ADDRESS, uncounted=settings.TRUSTED_PROXIES)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            turns.connections -= 1

    return Protocol


def _front(handler: DjangoHandler) -> Front:
    """Return the front. Its parts are imported here because they need Django's apps."""
    from dialects.sockets import WIRES  # noqa: PLC0415
    from front.lane_of_call import lane_of  # noqa: PLC0415
    from front.preauthorization import (  # noqa: PLC0415
        authorize_large_body,
        check_handshake,
        record_refusal,
    )
    from jobs.uploads.views import upload_writer  # noqa: PLC0415
    from ratelimit.credentials.authentication import may_still_call  # noqa: PLC0415
    from stats.live.application import LiveFeed  # noqa: PLC0415
    from stats.live.hub import Lanes  # noqa: PLC0415
    from web.endpoints import access_at, body_limit  # noqa: PLC0415

    lanes = [
        Lane(f"live-{name}", threads=LIVE_THREADS, after=close_old_connections).run for name in Lanes._fields
    ]
    live = LiveFeed(Lanes(*lanes), check_handshake, wires=WIRES)

    def writer_of(path: str, method: str) -> OpenWriter | None:
        access = access_at(path, method)
        return upload_writer if access is not None and access.body_on_disk else None

    bodies = BodyReader(body_limit=body_limit, authorize_large_body=authorize_large_body, writer_of=writer_of)
    return Front(
        handler.respond,
        bodies=bodies,
        lane_of=lane_of,
        record_refusal=record_refusal,
        live=live,
        may_still_call=may_still_call,
    )


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM or, if the process is replaced, SIGHUP; then finish requests for at most DRAIN_SECONDS."""
    parser = argparse.ArgumentParser(prog="web", description="One web process of `manage.py serve`.")
    parser.add_argument("--number", type=int, required=True, help="0 for the first web process")
    parser.add_argument("--fd", type=int, required=True, help="the listening socket's descriptor")
    parser.add_argument("--turns", type=int, required=True, help="the descriptor of the memory for turns")
    parser.add_argument("--parent", type=int, help="end when this process has ended")
    parser.add_argument("--pulse", type=int, help="the descriptor of the watchdog's pipe")
    options = parser.parse_args(arguments)
    hide_new_files()
    django.setup(set_prefix=False)
    # Before this process starts threads.
    decoder_fork()
    turns = Turns(options.turns, own=options.number)
    server = web_server(turns=turns, pulse=options.pulse)
    server.parent = options.parent

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    def let_go(_signal: int, _frame: FrameType | None) -> None:
        server.is_replaced = server.should_exit = True

    signal.signal(signal.SIGHUP, let_go)
    # For signals before uvicorn installs its own handlers, and for the signal that uvicorn raises again at its end.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    _serve(server, socket.socket(fileno=options.fd), number=options.number)
    _end_now()


def _serve(server: WebServer, listener: socket.socket, *, number: int) -> None:
    """Serve until the server ends. Meanwhile, threads write the keys' use, the refusals, and the metrics."""
    from audit.services import anonymous_refusals  # noqa: PLC0415 its models need the apps
    from ratelimit.keys.selectors import start_last_used_writer  # noqa: PLC0415 as above
    from ratelimit.limits.limiter import start_quota_writer  # noqa: PLC0415 as above

    writers = start_last_used_writer(), start_quota_writer()
    refusals = anonymous_refusals()
    publisher = start_publishing_metrics(f"web-{number + 1}")
    server.each_second = refusals.settle
    server.run(sockets=[listener])
    refusals.close()
    for writer in writers:
        writer.stop()
    publisher.stop()


def _end_now() -> None:
    """Exit without waiting for threads: running requests have had DRAIN_SECONDS."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
