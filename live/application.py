"""The ASGI application of `/ws/v1/stream`: who connects, what a client asks, and when a connection ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import DatabaseError
from django.http import HttpResponse
from rest_framework.exceptions import NotAuthenticated, PermissionDenied

from audit.needs import PROBLEM_ANSWER
from audit.services import call_record, call_spool
from http_requests.exceptions import InvalidParameter, RequestError
from http_requests.json_document import read_json
from http_requests.received import ReceivedCall, call_in
from live.channels import AllSymbols, Channel, parse_channel, row_channel
from live.connection import (
    FORBIDDEN,
    LEFT,
    MALFORMED_MESSAGE,
    NOT_AUTHENTICATED,
    PING_SECONDS,
    RESTARTING,
    SERVER_ERROR,
    Connection,
    End,
)
from live.exceptions import LiveError, TooManyChannels, UnknownOperation
from live.frames import FORMATS, JSON
from live.hub import Hub, RunInThread
from live.sockets import ENVIRON, SOCKET
from live.tokens import Token, parse_tokens
from metrics.declarations import LIVE_CONNECTIONS
from ratelimit.access.table import access_of, denial_of, is_cleared
from ratelimit.callers import Caller
from ratelimit.credentials.identify import Identity, identify, use_nonce
from ratelimit.exceptions import CredentialError, NetworkNotAllowed
from ratelimit.keys.api_keys import SCHEME
from ratelimit.limits.admission import Admission
from ratelimit.limits.services import admit, admit_address
from ratelimit.limits.throttles import LimitReached
from redis_calls.connection import is_available
from stats.exceptions import StatsError
from store.declarations import Dataset
from store.exceptions import StorageError, UnknownSymbol
from store.protocol import ALL_TIME, CommitId
from store.timestamps import format_timestamp
from trades.stores import market_store

Message = MutableMapping[str, Any]
Environ = dict[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

logger = logging.getLogger(__name__)

URL_NAME = "live-stream"
MOST_CHANNELS = 1_000
_FIRST_MESSAGE_SECONDS = 10.0
_TICK_SECONDS = 0.25
_ALL_SYMBOLS_SENSITIVITY = "internal"
_CORRELATION_ID = "HTTP_X_CORRELATION_ID"
_LATEST, _ALL = "latest", "all"
_MEMBERS = {
    "auth": {"key", "token"},
    "subscribe": {"channels", "from", "mode"},
    "unsubscribe": {"channels"},
    "ping": set[str](),
    "pong": {"sent_at"},
}
_BEGINNING = {"": Token(0, "000000")}
_REFUSALS = (LiveError, RequestError, StatsError, StorageError, LimitReached, PermissionDenied)


class _Client:
    """A connection with its caller.

    environ: of the request that opened it. identity: None until the client has authenticated itself. call: the request,
    with the credential.
    """

    def __init__(self, environ: Environ, connection: Connection, identity: Identity | None) -> None:
        self.environ, self.connection, self.identity = environ, connection, identity
        self.call = call_in(environ)

    @property
    def credential(self) -> tuple[Any, ...]:
        """What decides whether its credential is still valid; clients with the same need one check."""
        headers = self.call.headers
        names = ("authorization", "x-api-key", "signature-input", "x-ssl-client-cert")
        return (self.call.address, *(headers.get(name) for name in names))


class LiveFeed:
    """The application. One for each process; `run` runs a function in a thread of the live feed."""

    def __init__(self, run: RunInThread, is_served: Callable[[Environ], bool] = lambda _: True) -> None:
        """`is_served` tells whether a request came with an allowed host, and over TLS if that is required."""
        self._run, self._is_served = run, is_served
        self._hub = Hub(run)
        self._clients: set[_Client] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._is_closed = False

    def begin(self) -> None:
        """Begin to hear of the commits of this process. Call it in the event loop."""
        loop = asyncio.get_running_loop()

        def committed(_dataset: Dataset, symbol: str, _commit: CommitId) -> None:
            loop.call_soon_threadsafe(self._hub.committed, symbol)

        market_store().committed.append(committed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await receive()
        environ: Environ = scope["extensions"][ENVIRON]
        try:
            format_name = self._format_of(environ)
            identity = await self._run(_admitted, call_in(environ))
        except Exception as error:  # noqa: BLE001 answered as a problem
            await _refuse(error, environ, send)
            return
        correlation_id = environ[_CORRELATION_ID].encode()
        await send({"type": "websocket.accept", "headers": [(b"x-correlation-id", correlation_id)]})
        connection = Connection(scope["extensions"][SOCKET], self._hub, self._run, format_name)
        client = _Client(environ, connection, identity)
        if identity is not None:
            _record(environ, identity, 101)
        if self._is_closed:
            connection.end(RESTARTING)
        self._hub.start()
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())
        self._clients.add(client)
        LIVE_CONNECTIONS.add(1)
        try:
            await self._serve(client, receive)
        except Exception:
            logger.exception("a connection of the live feed failed")
            connection.end(SERVER_ERROR)
        finally:
            connection.end(LEFT)
            self._clients.discard(client)
            LIVE_CONNECTIONS.add(-1)
            status = LEFT.status if connection.ended is None else connection.ended.status
            _record(environ, client.identity, status, latency_us=connection.latency_us)

    async def close(self) -> None:
        """Tell all clients to connect again, and end their connections."""
        self._is_closed = True
        for client in tuple(self._clients):
            client.connection.end(RESTARTING)
        self._hub.stop()
        if self._ticking is not None:
            self._ticking.cancel()

    def _format_of(self, environ: Environ) -> str:
        """Return the format that a client asks for. Raises `PermissionDenied`, `InvalidParameter`."""
        if not self._is_served(environ):
            raise PermissionDenied("the live feed is not served over this host, or needs TLS", "forbidden")
        query = call_in(environ).query
        name = query.removeprefix("format=") if query else JSON
        if name not in FORMATS:
            raise InvalidParameter("invalid_parameter", f"the query is format={' or format='.join(FORMATS)}")
        return name

    async def _serve(self, client: _Client, receive: Receive) -> None:
        connection = client.connection
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return
            if connection.ended is not None:
                continue
            text = message.get("text")
            body: bytes = message.get("bytes") or b"" if text is None else text.encode()
            try:
                request = _request(body)
            except (LiveError, RequestError):
                connection.end(MALFORMED_MESSAGE)
                continue
            known = {} if request.get("id") is None else {"id": request["id"]}
            try:
                await self._answer(client, request, known)
            except (CredentialError, NetworkNotAllowed, NotAuthenticated):
                connection.end(NOT_AUTHENTICATED)
            except _REFUSALS as error:
                connection.send({"op": "error", **_told(error), **known})

    async def _answer(self, client: _Client, request: dict[str, Any], known: Mapping[str, Any]) -> None:
        """Do what a message asks, and answer it. Raises the errors of `_REFUSALS`, and those of credentials."""
        operation, connection = request["op"], client.connection
        if operation == "auth":
            await self._authenticate(client, request)
            assert client.identity is not None  # noqa: S101 `_authenticate` raises instead
            identity = client.identity.caller.identity
            connection.send({"op": "authenticated", "caller": identity, **known})
            return
        if client.identity is None:
            raise NotAuthenticated
        if operation == "pong":
            return
        if operation == "ping":
            await self._run(_charge, client.identity.caller, 1)
            connection.send({"op": "pong", **known})
        elif operation == "subscribe":
            await self._subscribe(client, request, known)
        else:
            await self._run(_charge, client.identity.caller, 1)
            left = [name for name in _texts(request, "channels") if self._unsubscribe(client, name)]
            connection.send({"op": "unsubscribed", "channels": left, **known})

    async def _authenticate(self, client: _Client, request: dict[str, Any]) -> None:
        if client.identity is not None:
            raise UnknownOperation("the connection is authenticated already")
        given = [name for name in ("key", "token") if isinstance(request.get(name), str)]
        if len(given) != 1:
            raise UnknownOperation("auth has either key or token, a text")
        scheme = SCHEME if given == ["key"] else "Bearer"
        headers = {**client.call.headers, "authorization": f"{scheme} {request[given[0]]}"}
        call = client.call._replace(headers=headers)
        client.identity = await self._run(_admitted, call)
        client.call = call
        _record(client.environ, client.identity, 101)

    async def _subscribe(self, client: _Client, request: dict[str, Any], known: Mapping[str, Any]) -> None:
        assert client.identity is not None  # noqa: S101 the caller has checked it
        caller, connection = client.identity.caller, client.connection
        texts, mode = _texts(request, "channels"), request.get("mode", _ALL)
        given = request.get("from", {})
        if mode not in (_ALL, _LATEST):
            raise UnknownOperation(f"mode is {_ALL} or {_LATEST}")
        if not isinstance(given, dict) or not all(isinstance(each, str) for each in given.values()):
            raise UnknownOperation("from has a token for each channel, by its name")
        # Nobody pays less for a long list than for the work of reading it.
        await self._run(_charge, caller, max(1, sum(text.count(",") + 1 for text in texts)))
        named, wildcards, tokens = await self._run(_channels, texts, given, caller)
        count = len({*connection.subscriptions, *(each.name for each in named)}) + len(wildcards)
        if count > MOST_CHANNELS and not (wildcards or connection.wildcards):
            raise TooManyChannels(f"a connection has at most {MOST_CHANNELS:,} channels")
        for each in wildcards:
            all_named = await self._run(_channels_of_all, each)
            named += [channel for channel in all_named if channel.name not in connection.subscriptions]
        begun, begin = await connection.subscribe(named, tokens, is_latest=mode == _LATEST)
        connection.wildcards.update({each.name: each for each in wildcards})
        connection.send({"op": "subscribed", "channels": begun, **known})
        begin()

    def _unsubscribe(self, client: _Client, name: str) -> bool:
        connection = client.connection
        wildcard = connection.wildcards.pop(name, None)
        if wildcard is None:
            return connection.unsubscribe(name)
        for subscribed in tuple(connection.subscriptions):
            if subscribed.startswith(f"{wildcard.kind}:"):
                connection.unsubscribe(subscribed)
        return True

    async def _tick(self) -> None:
        """Look after all connections, four times a second."""
        count = 0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            count += 1
            try:
                await self._check_credentials()
                if count % 4 == 0:
                    await self._look_after()
            except Exception:  # whatever it is, the next tick tries again
                logger.exception("the connections of the live feed cannot be looked after")

    async def _check_credentials(self) -> None:
        """End the connections whose credential is no longer valid."""
        clients: dict[tuple[Any, ...], list[_Client]] = {}
        for client in self._clients:
            if client.identity is not None and client.connection.ended is None:
                clients.setdefault(client.credential, []).append(client)
        firsts = [each[0] for each in clients.values()]
        ends = await self._run(_ends_of, [(each.call, each.identity) for each in firsts]) if firsts else []
        for same, end in zip(clients.values(), ends, strict=True):
            if end is not None:
                for client in same:
                    client.connection.end(end)

    async def _look_after(self) -> None:
        """End silent and stalled connections, send pings, and subscribe to new symbols."""
        now = asyncio.get_running_loop().time()
        for client in tuple(self._clients):
            connection = client.connection
            connection.look(now)
            if client.identity is None and connection.latency_us > _FIRST_MESSAGE_SECONDS * 1e6:
                connection.end(NOT_AUTHENTICATED)
        clients = [each for each in self._clients if each.connection.ended is None]
        due = [each for each in clients if now - each.connection.pinged_at >= PING_SECONDS]
        logs = {
            (dataset, subscription.live.channel.symbol)
            for each in due
            for subscription in each.connection.subscriptions.values()
            for dataset in subscription.live.channel.datasets[:1]
        }
        states = await self._run(_states_of, list(logs)) if logs else {}
        for client in due:
            if client.connection.ended is None:
                client.connection.ping(_ping(client.connection, states), now)
        await self._add_new_symbols(clients)

    async def _add_new_symbols(self, clients: list[_Client]) -> None:
        wildcards = {name: each for client in clients for name, each in client.connection.wildcards.items()}
        for name, wildcard in wildcards.items():
            channels = await self._run(_channels_of_all, wildcard)
            for client in clients:
                connection = client.connection
                new = [each for each in channels if each.name not in connection.subscriptions]
                if new and name in connection.wildcards:
                    tokens = {each.name: _BEGINNING for each in new}
                    begun, begin = await connection.subscribe(new, tokens, is_latest=False)
                    connection.send({"op": "subscribed", "channels": begun})
                    begin()


def _admitted(call: ReceivedCall) -> Identity | None:
    """Authenticate and charge a caller; None without a credential. Without a valid one its address is charged.

    Raises `CredentialError`, `NetworkNotAllowed`, `PermissionDenied`, `LimitReached`, DatabaseError.
    """
    try:
        identity = identify(call, now=datetime.now(UTC))
    except CredentialError:
        _check_admission(admit_address(call.address))
        raise
    if identity is None:
        _check_admission(admit_address(call.address))
        return None
    identity = use_nonce(identity)
    access = access_of(URL_NAME, "GET")
    denial = denial_of(identity.caller, access)
    if denial is not None:
        raise PermissionDenied(denial.message, denial.code)
    _charge(identity.caller, 1)
    return identity


def _charge(caller: Caller, tokens: int) -> None:
    """Raise `LimitReached` if the caller has too few tokens."""
    access = access_of(URL_NAME, "GET")
    assert access is not None  # noqa: S101 a caller without access was refused
    _check_admission(admit(caller, access, cost=tokens))


def _check_admission(admission: Admission) -> None:
    if not admission.admitted:
        raise LimitReached(admission)


def _ends_of(clients: list[tuple[ReceivedCall, Identity | None]]) -> list[End | None]:
    """Return for each client why its connection ends; None if its credential is valid."""
    ends: list[End | None] = []
    for call, identity in clients:
        try:
            signature = None if identity is None else identity.signature
            found = identify(call, now=datetime.now(UTC), signature=signature)
            denial = None if found is None else denial_of(found.caller, access_of(URL_NAME, "GET"))
            ends.append(NOT_AUTHENTICATED if found is None else FORBIDDEN if denial else None)
        except CredentialError:
            ends.append(NOT_AUTHENTICATED)
        except NetworkNotAllowed:
            ends.append(FORBIDDEN)
        except DatabaseError:
            # As long as the database cannot be asked, the last answer counts.
            ends.append(None)
    return ends


def _channels(
    texts: list[str], given: Mapping[str, str], caller: Caller
) -> tuple[list[Channel], list[AllSymbols], dict[str, dict[str, Token]]]:
    """Return the channels, the wildcards and the tokens of a message, by the channels' names."""
    named: dict[str, Channel] = {}
    wildcards: list[AllSymbols] = []
    for text in texts:
        for each in parse_channel(text):
            if isinstance(each, Channel):
                named[each.name] = each
                continue
            if not is_cleared(caller.sensitivity, for_=_ALL_SYMBOLS_SENSITIVITY):
                raise PermissionDenied(
                    f"{each.name} needs the sensitivity {_ALL_SYMBOLS_SENSITIVITY}",
                    "insufficient_sensitivity",
                )
            wildcards.append(each)
    tokens = {}
    for text, token in given.items():
        for each in parse_channel(text):
            if each.name not in named:
                raise UnknownOperation(f"from names {each.name}, which channels does not")
            tokens[each.name] = parse_tokens(token)
    return list(named.values()), wildcards, tokens


def _channels_of_all(wildcard: AllSymbols) -> list[Channel]:
    symbols = market_store().symbols(wildcard.dataset)
    return [row_channel(wildcard.kind, symbol) for symbol in symbols]


def _states_of(logs: list[tuple[Dataset, str]]) -> dict[tuple[Dataset, str], dict[str, str]]:
    """Return the head of each log, and up to when it is complete."""
    store, states = market_store(), {}
    for dataset, symbol in logs:
        try:
            head, complete = store.head(dataset, symbol), store.completeness(dataset, symbol)
        except UnknownSymbol:
            continue
        settled_ns = complete.newest_ns - store.instrument(symbol).settle_ns
        until_ns = max(settled_ns, complete.complete_until_ns, ALL_TIME.start_ns)
        states[dataset, symbol] = {"head": head.token, "complete_until": format_timestamp(until_ns)}
    return states


def _ping(connection: Connection, states: Mapping[tuple[Dataset, str], Mapping[str, str]]) -> dict[str, Any]:
    logs: dict[str, Mapping[str, str]] = {}
    for name, subscription in connection.subscriptions.items():
        channel = subscription.live.channel
        state = states.get((channel.datasets[0], channel.symbol))
        if state is not None and len(logs) < MOST_CHANNELS:
            logs[name] = state
    degraded = [] if is_available() else ["redis"]
    return {"op": "ping", "sent_at": _now_text(), "logs": logs, "degraded": degraded}


def _now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _request(body: bytes) -> dict[str, Any]:
    """Return a client's message. Raises `UnknownOperation` and `MalformedDocument`."""
    document = read_json(body)
    operation = document.get("op") if isinstance(document, dict) else None
    if not isinstance(document, dict) or operation not in _MEMBERS:
        raise UnknownOperation(f"op is one of {', '.join(_MEMBERS)}")
    unknown = document.keys() - _MEMBERS[operation] - {"op", "id"}
    if unknown or not isinstance(document.get("id"), str | int | None):
        raise UnknownOperation(f"{operation} has the members {', '.join(sorted(_MEMBERS[operation]))}")
    return document


def _texts(request: Mapping[str, Any], name: str) -> list[str]:
    texts = request.get(name)
    if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
        raise UnknownOperation(f"{name} is a list of texts, with at least one")
    if sum(text.count(",") + 1 for text in texts) > MOST_CHANNELS:
        raise TooManyChannels(f"a connection has at most {MOST_CHANNELS:,} channels")
    return texts


def _told(error: Exception) -> dict[str, Any]:
    """Return an error as a client sees it."""
    body = orjson.loads(_problem(error).content)
    wait = getattr(error, "wait", None)
    return {
        "code": body["code"],
        "message": body["message"],
        **({} if wait is None else {"retry_after": wait}),
    }


def _problem(error: Exception) -> HttpResponse:
    answer = PROBLEM_ANSWER.get()(error)
    assert isinstance(answer, HttpResponse)  # noqa: S101 a problem has a body
    return answer


async def _refuse(error: Exception, environ: Environ, send: Send) -> None:
    """Answer a call that opens no connection with a problem."""
    answer = _problem(error)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    await send({"type": "websocket.http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.content})
    _record(environ, None, answer.status_code)


def _record(
    environ: Environ, identity: Identity | None, status: int, *, latency_us: int | None = None
) -> None:
    """Record that a connection was opened or refused; or, with the time that it was open, that it has ended."""
    call = call_in(environ)
    call_record(
        spool=call_spool(),
        call=call if latency_us is None else call._replace(method="CLOSE"),
        at=datetime.now(UTC),
        caller="" if identity is None else identity.caller.identity,
        status=status,
        latency_us=latency_us or 0,
        correlation_id=environ[_CORRELATION_ID],
    )
