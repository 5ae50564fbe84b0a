"""The ASGI application of WebSockets: opens connections, looks after them, and ends them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType
from typing import Any

from django.conf import settings

from ops.metrics.declarations import LIVE_CONNECTIONS, LIVE_ENDS, LIVE_MESSAGES, LIVE_SUBSCRIPTIONS
from ops.redis.connection import is_available
from ratelimit.authorize import check_limits
from ratelimit.credentials.identify import Identity
from ratelimit.limits.open_calls import OpenCalls
from ratelimit.limits.services import admit_address
from stats.live.callers import ConnectionLimits, identified, renewed_identities
from stats.live.channels import ALL_KINDS, AllSymbols, new_channels
from stats.live.client import MOST_CHANNELS, Client, Environ, Receive, record
from stats.live.connection import PING_SECONDS, Connection, Subscription, Wildcard
from stats.live.ends import ENDS, LEFT, NOT_AUTHENTICATED, RESTARTING, SERVER_ERROR
from stats.live.hub import Hub, Lanes
from stats.live.sockets import ENVIRON, SOCKET, Socket
from stats.live.wires import MakeWire, OwnWire, Wire
from store.declarations import Dataset
from store.exceptions import StorageError
from store.protocol import ALL_TIME, CommitId
from store.timestamps import format_timestamp
from store.walk import CommitHook
from trades.stores import market_store
from web.correlation import ENVIRON_NAME, correlation_headers
from web.problem_body import PROBLEM_OF
from web.requests.exceptions import InvalidParameter
from web.requests.received import ReceivedCall, call_in

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

logger = logging.getLogger(__name__)

_FIRST_MESSAGE_SECONDS = 10.0
# Keys are read anew every 0.3 seconds, so a revoked one is noticed within a second.
_CHECK_SECONDS = 0.25
_LOOK_SECONDS = 1.0


@dataclass(slots=True)
class _Credential:
    """A credential of clients. call: of the newest of them. identity: what it was when it was checked last.

    is_new: whether a client has come since.
    """

    call: ReceivedCall
    identity: Identity
    clients: set[Client] = field(default_factory=set)
    is_new: bool = True


class LiveFeed:
    """The application. One for each process."""

    def __init__(
        self,
        lanes: Lanes,
        check_handshake: Callable[[Environ], object] = lambda _: None,
        *,
        wires: Mapping[str, MakeWire] = MappingProxyType({}),
    ) -> None:
        """`check_handshake` raises what a handshake is refused with before its credential is read; it is called in a thread.

        `wires` has those of paths that do not speak the feed's own.
        """
        self._lanes, self._check_handshake = lanes, check_handshake
        self._wires = wires
        self._open_calls = OpenCalls(settings.MAX_LIVE_CONNECTIONS_PER_CALLER)
        self._hub = Hub(lanes.follow, lanes.bars, lanes.accounts)
        self._clients: set[Client] = set()
        # Those that have authenticated themselves.
        self._credentials: dict[tuple[str | None, ...], _Credential] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False
        # The store's hooks, and the one of this feed.
        self._hooks: list[CommitHook] = []
        self._hook: CommitHook | None = None

    def begin(self) -> None:
        """Begin to hear of the commits of this process, and to count from zero. Call it in the event loop."""
        _count_from_zero()
        loop = asyncio.get_running_loop()

        def committed(_dataset: Dataset, symbol: str, _commit: CommitId) -> None:
            loop.call_soon_threadsafe(self._hub.committed, symbol)

        self._hooks, self._hook = market_store().committed, committed
        self._hooks.append(committed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        limits = ConnectionLimits(self._open_calls, self._lanes)
        try:
            await self._serve(scope, receive, send, limits)
        finally:
            limits.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send, limits: ConnectionLimits) -> None:
        await receive()
        environ: Environ = scope["extensions"][ENVIRON]
        identity = None
        try:
            identity = await self._lanes.ask(self._admitted, environ)
            if identity is not None:
                await limits.open(identity)
            # After the charge, so that a call with an invalid query is charged, too.
            wire = self._wire_of(environ)
        except Exception as error:  # noqa: BLE001 answered as a problem
            await _refuse(error, environ, identity, send)
            return
        if identity is not None:
            record(environ, identity, 101)
        socket: Socket = scope["extensions"][SOCKET]
        correlation_id = environ[ENVIRON_NAME].encode()
        await send({"type": "websocket.accept", "headers": [(b"x-correlation-id", correlation_id)]})
        connection = Connection(socket, self._hub, self._lanes.replay, wire)
        client = Client(
            environ, connection, identity, self._lanes.ask, limits, authenticated=self._authenticated
        )
        connection.greet(None if identity is None else identity.caller)
        if self._is_closed:
            connection.end(RESTARTING)
        self._hub.start()
        if not self._tasks:
            looks = ((_CHECK_SECONDS, self._check_credentials), (_LOOK_SECONDS, self._look_after))
            self._tasks = [asyncio.create_task(self._repeat(*each)) for each in looks]
        self._clients.add(client)
        LIVE_CONNECTIONS.inc()
        try:
            await client.serve(receive)
        except Exception:
            logger.exception("a connection of the live feed failed")
            connection.end(SERVER_ERROR)
        finally:
            connection.end(LEFT)
            self._clients.discard(client)
            self._forget_credential(client)
            LIVE_CONNECTIONS.dec()
            status = LEFT.status if connection.ended is None else connection.ended.status
            # Who came without a credential, and left, is not recorded.
            if client.identity is not None or status != LEFT.status:
                record(environ, client.identity, status, latency_us=connection.latency_us)

    async def close(self) -> None:
        """Tell all clients to connect again, and end their connections."""
        self._is_closed = True
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)
        for client in tuple(self._clients):
            client.connection.end(RESTARTING)
        self._hub.stop()
        for task in self._tasks:
            task.cancel()

    def _admitted(self, environ: Environ) -> Identity | None:
        """Return who opens a connection; None for a client that will authenticate itself by a message.

        A connection without a credential costs no token: clients of one address must not use up each other's, and to
        refuse a handshake takes as long as to accept it. A wrong query or credential costs a token of the address.
        """
        self._check_handshake(environ)
        call = call_in(environ)
        identity = identified(call)
        try:
            self._wire_of(environ)
        except InvalidParameter:
            if identity is None:
                check_limits(admit_address(call.address))
        return identity

    def _wire_of(self, environ: Environ) -> Wire:
        """Return the wire of a connection. Raises `InvalidParameter`."""
        make = self._wires.get(environ["PATH_INFO"].removesuffix("/"), OwnWire)
        call = call_in(environ)
        return make(call.query, call.headers.get("content-type", ""))

    async def _repeat(self, seconds: float, look: Callable[[], Awaitable[None]]) -> None:
        """Call `look` again and again."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await look()
            except Exception:  # whatever it is, the next time may succeed
                logger.exception("the connections of the live feed cannot be looked after")

    def _authenticated(self, client: Client, identity: Identity) -> None:
        credential = self._credentials.setdefault(client.credential, _Credential(client.call, identity))
        credential.clients.add(client)
        credential.call, credential.identity, credential.is_new = client.call, identity, True

    def _forget_credential(self, client: Client) -> None:
        credential = self._credentials.get(client.credential)
        if credential is not None:
            credential.clients.discard(client)
            if not credential.clients:
                del self._credentials[client.credential]

    async def _check_credentials(self) -> None:
        """End the connections whose credential is no longer valid."""
        checked = list(self._credentials.values())
        asked = [(each.call, each.identity) for each in checked]
        found = await self._lanes.check(renewed_identities, asked) if asked else []
        for credential, identity in zip(checked, found, strict=True):
            if identity == credential.identity and not credential.is_new:
                continue
            credential.is_new = False
            if isinstance(identity, Identity):
                credential.identity = identity
            for client in tuple(credential.clients):
                client.renew(identity)

    async def _look_after(self) -> None:
        """End silent and stalled connections, send pings, and subscribe to new symbols."""
        now = asyncio.get_running_loop().time()
        for client in tuple(self._clients):
            connection = client.connection
            connection.check_liveness(now)
            if client.identity is None and connection.latency_us > _FIRST_MESSAGE_SECONDS * 1e6:
                connection.end(NOT_AUTHENTICATED)
        clients = [each for each in self._clients if each.connection.ended is None]
        due = [each for each in clients if now - each.connection.pinged_at >= PING_SECONDS]
        logs = {
            log
            for each in due
            for subscription in _of_ping(each.connection)
            if (log := subscription.live.channel.log) is not None
        }
        states = await self._lanes.ask(_states_of, list(logs)) if logs else {}
        common = {"op": "ping", "sent_at": _now_text()}
        degraded = [] if is_available() else ["redis"]
        for client in due:
            if client.connection.ended is None:
                own = {"logs": _logs_of(client.connection, states), "degraded": degraded}
                client.connection.ping({**common, **own}, now)
        await self._add_new_symbols(clients)

    async def _add_new_symbols(self, clients: list[Client]) -> None:
        """Subscribe the clients of wildcards to symbols that have got their first row."""
        wildcards: dict[AllSymbols, list[tuple[Client, Wildcard]]] = {}
        for client in clients:
            for each in client.connection.wildcards.values():
                wildcards.setdefault(each.channels, []).append((client, each))
        for kind, found in wildcards.items():
            channels = await self._lanes.ask(new_channels, kind, [each.known for _, each in found])
            for client, wildcard in found if channels else ():
                client.add_new(wildcard, channels)


def _count_from_zero() -> None:
    """Export all numbers, so that an alert sees the first event as an increase."""
    for kind in ALL_KINDS:
        LIVE_SUBSCRIPTIONS.labels(kind)
        LIVE_MESSAGES.labels(kind)
    for end in ENDS:
        LIVE_ENDS.labels(end.code)


def _states_of(logs: list[tuple[Dataset, str]]) -> dict[tuple[Dataset, str], dict[str, str]]:
    """Return the head of each log, and up to when it is complete."""
    store, states = market_store(), {}
    for dataset, symbol in logs:
        try:
            newest = store.log(dataset, symbol).at()
            complete = newest.completeness()
        except StorageError:
            # The client is told when the log is read.
            continue
        settled_ns = complete.newest_ns - store.instrument(symbol).settle_ns
        until_ns = max(settled_ns, complete.complete_until_ns, ALL_TIME.start_ns)
        states[dataset, symbol] = {"head": newest.commit.token, "complete_until": format_timestamp(until_ns)}
    return states


def _of_ping(connection: Connection) -> Iterable[Subscription]:
    """Return the subscriptions whose logs a ping has."""
    return islice(connection.subscriptions.values(), MOST_CHANNELS)


def _logs_of(
    connection: Connection, states: Mapping[tuple[Dataset, str], Mapping[str, str]]
) -> dict[str, Mapping[str, str]]:
    """Return the states of the logs of a connection's channels, by the channels' names."""
    logs: dict[str, Mapping[str, str]] = {}
    for subscription in _of_ping(connection):
        log = subscription.live.channel.log
        state = None if log is None else states.get(log)
        if state is not None:
            logs[subscription.live.channel.name] = state
    return logs


def _now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


async def _refuse(error: Exception, environ: Environ, identity: Identity | None, send: Send) -> None:
    """Answer a call that opens no connection with a problem."""
    answer = PROBLEM_OF.get()(error).response(environ["PATH_INFO"])
    record(environ, identity, answer.status_code)
    named = {**answer.headers, **correlation_headers(environ[ENVIRON_NAME])}
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "websocket.http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.content})
