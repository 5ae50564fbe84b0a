"""A client of the live feed: who it is, and what its messages ask."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rest_framework.exceptions import NotAuthenticated, PermissionDenied

from audit.services import call_record, call_spool
from ratelimit.access.denials import is_cleared
from ratelimit.authorize import LimitReached
from ratelimit.callers import Caller
from ratelimit.credentials.identify import Identity
from ratelimit.exceptions import CredentialError, NetworkNotAllowed
from ratelimit.keys.api_keys import ALPACA_KEY_ID, ALPACA_SECRET, SCHEME
from stats.exceptions import READ_ERRORS
from stats.live.callers import (
    ConnectionLimits,
    charge,
    check_account,
    identified,
    may_follow,
    most_channels_at_once,
)
from stats.live.channels import (
    BARS_PREFIX,
    AccountChannel,
    AllSymbols,
    AnyChannel,
    Channel,
    parse_channel,
    row_channel,
    symbols_of_all,
)
from stats.live.connection import AT_ONCE, Connection, Wildcard
from stats.live.ends import FORBIDDEN, MALFORMED_MESSAGE, NOT_AUTHENTICATED, TOO_MANY_CONNECTIONS
from stats.live.exceptions import LiveError, TooManyChannels, TooManyConnections, UnknownOperation
from stats.live.hub import Arguments, Result, RunInThread
from stats.live.tokens import Token, parse_event_number, parse_tokens
from web.correlation import ENVIRON_NAME
from web.problem_body import PROBLEM_OF
from web.requests.exceptions import MalformedDocument, RequestError
from web.requests.received import ReceivedCall, call_in

logger = logging.getLogger(__name__)

Environ = dict[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MOST_CHANNELS = 1_000
MOST_BAR_CHANNELS = 100
# Of a wildcard, to which one token subscribes.
CHANNELS_PER_TOKEN = 1_000
ALL_SYMBOLS_SENSITIVITY = "confidential"
_CREDENTIALS = (
    "authorization",
    "x-api-key",
    ALPACA_KEY_ID,
    ALPACA_SECRET,
    "signature-input",
    "x-ssl-client-cert",
)
_BEGINNING = {"": Token(0, "000000")}
_LATEST, _ALL = "latest", "all"
_REFUSALS = (LiveError, RequestError, *READ_ERRORS, LimitReached, PermissionDenied)


class Client:
    """A connection with its caller.

    environ: of the request that opened it. identity: None until the client has authenticated itself. call: the request,
    with the credential. credential: what decides whether it is still valid; clients with the same need one check.
    """

    def __init__(
        self,
        environ: Environ,
        connection: Connection,
        identity: Identity | None,
        ask: RunInThread,
        limits: ConnectionLimits,
        *,
        authenticated: Callable[["Client", Identity], object],
    ) -> None:
        """ask: runs a function in a thread. authenticated: called when the client has authenticated itself."""
        self.environ, self.connection, self.identity = environ, connection, identity
        self.call = call_in(environ)
        self.credential = _credential_of(self.call)
        self._ask, self._limits, self._authenticated = ask, limits, authenticated
        connection.read_old = self._read_old
        # Tasks that subscribe to new channels of wildcards.
        self._adding: set[asyncio.Task[None]] = set()
        # Whether the client was ever subscribed to a channel of an account.
        self._has_accounts = False
        if identity is not None:
            authenticated(self, identity)

    async def _read_old(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """See `ReadOld`."""
        assert self.identity is not None  # noqa: S101 who has subscribed is authenticated
        return await self._limits.read_old(self.identity.caller, function, *arguments)

    async def serve(self, receive: Receive) -> None:
        while True:
            # Read the next request only when the last answer was taken.
            await self.connection.drained()
            message = await receive()
            if message["type"] != "websocket.receive":
                return
            if self.connection.ended is None:
                text = message.get("text")
                await self._take(message.get("bytes") or b"" if text is None else text.encode())
            # Others' turns, also after messages that are free.
            await asyncio.sleep(0)

    async def _take(self, body: bytes) -> None:
        """Answer a message, or end the connection."""
        connection = self.connection
        try:
            caller = None if self.identity is None else self.identity.caller
            request = connection.wire.request(body, caller)
        except (UnknownOperation, MalformedDocument) as error:
            connection.end(MALFORMED_MESSAGE._replace(message=str(error)))
            return
        except _REFUSALS as error:
            self._refuse(error, {})
            return
        known = {} if request.get("id") is None else {"id": request["id"]}
        try:
            await self._answer(request, known)
        except (CredentialError, NetworkNotAllowed, NotAuthenticated, TooManyConnections) as error:
            is_full = isinstance(error, TooManyConnections)
            connection.end(TOO_MANY_CONNECTIONS if is_full else NOT_AUTHENTICATED)
        except _REFUSALS as error:
            self._refuse(error, known)

    def _refuse(self, error: Exception, known: Mapping[str, Any]) -> None:
        """Tell the client why its message is refused. Who is not authenticated by then has no second try."""
        self.connection.send({"op": "error", **_error_of(error), **known})
        if self.identity is None:
            self.connection.end(NOT_AUTHENTICATED)

    async def _answer(self, request: dict[str, Any], known: Mapping[str, Any]) -> None:
        """Do what a message asks, and answer it. Raises the errors of `_REFUSALS`, and those of credentials."""
        operation, connection = request["op"], self.connection
        if operation == "auth":
            await self._authenticate(request)
            assert self.identity is not None  # noqa: S101 `_authenticate` raises instead
            identity = self.identity.caller.identity
            connection.send({"op": "authenticated", "caller": identity, **known})
            return
        if self.identity is None:
            raise NotAuthenticated
        if operation == "pong":
            return
        await self._ask(charge, self.identity.caller, 1)
        if operation == "ping":
            connection.send({"op": "pong", **known})
        elif operation == "subscribe":
            await self._subscribe(request, known)
        else:
            left = await self._unsubscribe(_texts(request, "channels"))
            connection.send({"op": "unsubscribed", "channels": left, **known})

    async def _authenticate(self, request: dict[str, Any]) -> None:
        if self.identity is not None:
            raise UnknownOperation("the connection is authenticated already")
        given = [name for name in ("key", "token") if isinstance(request.get(name), str)]
        if len(given) != 1:
            raise UnknownOperation("auth has either key or token, a text")
        scheme = SCHEME if given == ["key"] else "Bearer"
        headers = {**self.call.headers, "authorization": f"{scheme} {request[given[0]]}"}
        call = self.call._replace(headers=headers)
        identity = await self._ask(identified, call)
        assert identity is not None  # noqa: S101 the call has a credential
        await self._limits.open(identity)
        self.identity = identity
        self.call, self.credential = call, _credential_of(call)
        self._authenticated(self, identity)
        record(self.environ, self.identity, 101)

    async def _subscribe(self, request: dict[str, Any], known: Mapping[str, Any]) -> None:
        assert self.identity is not None  # noqa: S101 the caller has checked it
        caller, connection = self.identity.caller, self.connection
        texts, mode = _texts(request, "channels"), request.get("mode", _ALL)
        given = request.get("from", {})
        if mode not in (_ALL, _LATEST):
            raise UnknownOperation(f"mode is {_ALL} or {_LATEST}")
        if not isinstance(given, dict) or not all(isinstance(each, str) for each in given.values()):
            raise UnknownOperation("from has a token for each channel, by its name")
        # Nobody pays less for a long list than for the work of reading it. One token was charged with the message.
        count = max(sum(text.count(",") + 1 for text in texts), len(given))
        most = most_channels_at_once(caller)
        if count > most:
            raise TooManyChannels(f"a message of a caller with your limit names at most {most:,} channels")
        await self._ask(charge, caller, count - 1)
        named, wildcards, tokens = await self._ask(_channels, texts, given, caller)
        self._check_room(named.values())
        self._has_accounts |= any(isinstance(each, AccountChannel) for each in named.values())
        is_latest = mode == _LATEST
        begun, begin = await connection.subscribe(named.values(), tokens, is_latest=is_latest)
        connection.send({"op": "subscribed", "channels": begun, **known})
        begin()
        # The check of credentials acts on changes only, and one may have come while this waited.
        self.renew(self.identity)
        for each, channels in wildcards:
            wildcard = Wildcard(each, is_latest, {*connection.subscriptions})
            connection.wildcards[each.name] = wildcard
            self.renew(self.identity)
            await self._subscribe_new(wildcard, channels, tokens, from_beginning=bool(given))

    def _check_room(self, channels: Iterable[AnyChannel]) -> None:
        """Raise `TooManyChannels` unless the connection has room for channels, apart from those of its wildcards."""
        of_wildcards = {name for each in self.connection.wildcards.values() for name in each.known}
        all_names = {*self.connection.subscriptions, *(each.name for each in channels)} - of_wildcards
        bars = sum(name.startswith(BARS_PREFIX) for name in all_names)
        if len(all_names) > MOST_CHANNELS or bars > MOST_BAR_CHANNELS:
            raise TooManyChannels(
                f"a connection has at most {MOST_CHANNELS:,} channels, of which {MOST_BAR_CHANNELS} are of bars"
            )

    def renew(self, found: Identity | Exception) -> None:
        """Take what the caller may now; or end the connection if it may no longer use the feed."""
        if isinstance(found, Exception):
            self.connection.end(NOT_AUTHENTICATED if isinstance(found, CredentialError) else FORBIDDEN)
            return
        self.identity = found
        if self._has_accounts and not self._may_follow_accounts(found.caller):
            self.connection.end(FORBIDDEN)
        is_for_all = is_cleared(found.caller.sensitivity, for_=ALL_SYMBOLS_SENSITIVITY)
        if self.connection.wildcards and not is_for_all:
            self.connection.end(FORBIDDEN)

    def _may_follow_accounts(self, caller: Caller) -> bool:
        """Return whether a caller may have all channels of accounts to which the client is subscribed."""
        channels = [each.live.channel for each in self.connection.subscriptions.values()]
        accounts = {each.account for each in channels if isinstance(each, AccountChannel)}
        return all(may_follow(caller, account) for account in accounts)

    def add_new(self, wildcard: Wildcard, channels: Iterable[AnyChannel]) -> None:
        """Begin to subscribe to the channels that a wildcard does not know yet, from their first rows."""
        adding = asyncio.create_task(self._subscribe_new(wildcard, channels, {}, from_beginning=True))
        self._adding.add(adding)
        adding.add_done_callback(self._added)

    def _added(self, adding: asyncio.Task[None]) -> None:
        self._adding.discard(adding)
        if not adding.cancelled() and (error := adding.exception()) is not None:
            logger.error("new channels of the live feed cannot be added", exc_info=error)

    async def _subscribe_new(
        self,
        wildcard: Wildcard,
        channels: Iterable[AnyChannel],
        tokens: Mapping[str, Mapping[str, Token]],
        *,
        from_beginning: bool,
    ) -> None:
        """Subscribe to the channels that a wildcard does not know yet, and tell the client.

        from_beginning: whether those without a token begin at their first row. A channel that cannot be read is told.
        """
        connection, name = self.connection, wildcard.channels.name
        new = [each for each in channels if each.name not in wildcard.known]
        # All at once: the next look for new symbols must not begin with those that still wait here.
        wildcard.known.update(each.name for each in new)
        for number, channel in enumerate(new, 1):
            if connection.ended is not None or connection.wildcards.get(name) is not wildcard:
                return
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            given = tokens.get(channel.name, _BEGINNING if from_beginning else None)
            try:
                begun, begin = await connection.subscribe(
                    [channel], {} if given is None else {channel.name: given}, is_latest=wildcard.is_latest
                )
            except READ_ERRORS as error:
                connection.send({"op": "error", **_error_of(error), "ch": channel.name})
                continue
            connection.send({"op": "subscribed", "channels": begun})
            begin()

    async def _unsubscribe(self, names: list[str]) -> list[str]:
        """End subscriptions, and return their names. A wildcard's are those that it began.

        A name to which the client is subscribed needs no lookup; its symbol may be known no longer.
        Raises the errors of `parse_channel`, before anything is ended.
        """
        found = [name for name in names if name in self.connection.subscriptions]
        others = [name for name in names if name not in {*found, *self.connection.wildcards}]
        found += await self._ask(_named, others) if others else []
        left: list[str] = []
        for name in names:
            wildcard = self.connection.wildcards.pop(name, None)
            if wildcard is not None:
                left += [name, *await self._left(sorted(wildcard.known))]
        return left + await self._left(found)

    async def _left(self, names: Sequence[str]) -> list[str]:
        left: list[str] = []
        for start in range(0, len(names), AT_ONCE):
            left += filter(self.connection.unsubscribe, names[start : start + AT_ONCE])
            await asyncio.sleep(0)
        return left


def _named(texts: Sequence[str]) -> list[str]:
    """Return the names of the channels of several texts."""
    return [channel.name for text in texts for channel in parse_channel(text)]


def _credential_of(call: ReceivedCall) -> tuple[str | None, ...]:
    return (call.address, *(call.headers.get(name) for name in _CREDENTIALS))


def _channels(
    texts: list[str], given: Mapping[str, str], caller: Caller
) -> tuple[dict[str, AnyChannel], list[tuple[AllSymbols, list[Channel]]], dict[str, dict[str, Token]]]:
    """Return the channels by name, the wildcards with theirs, and the tokens by the channels' names.

    Charges for the channels of wildcards. A token of each was charged with the message.
    """
    named: dict[str, AnyChannel] = {}
    wildcards: list[AllSymbols] = []
    for text in texts:
        for each in parse_channel(text):
            _check_access(caller, each)
            if isinstance(each, AllSymbols):
                wildcards.append(each)
            else:
                named[each.name] = each
    tokens = {}
    for text, token in given.items():
        for each in parse_channel(text, several=False):
            if each.name not in named and each.kind not in {wildcard.kind for wildcard in wildcards}:
                raise UnknownOperation(f"from names {each.name}, which channels does not")
            is_of_account = isinstance(each, AccountChannel)
            tokens[each.name] = parse_event_number(token) if is_of_account else parse_tokens(token)
    return named, [(each, _matched(each, caller)) for each in wildcards], tokens


def _matched(wildcard: AllSymbols, caller: Caller) -> list[Channel]:
    symbols = symbols_of_all(wildcard)
    charge(caller, max(0, -(-len(symbols) // CHANNELS_PER_TOKEN) - 1))
    return [row_channel(wildcard.kind, symbol) for symbol in symbols]


def _check_access(caller: Caller, channel: AnyChannel | AllSymbols) -> None:
    """Raise `PermissionDenied` or `UnknownAccount` if a caller who may use the feed may not have a channel."""
    if isinstance(channel, AccountChannel):
        check_account(caller, channel.account)
    elif isinstance(channel, AllSymbols) and not is_cleared(caller.sensitivity, for_=ALL_SYMBOLS_SENSITIVITY):
        raise PermissionDenied(
            f"{channel.name} needs the sensitivity {ALL_SYMBOLS_SENSITIVITY}", "insufficient_sensitivity"
        )


def _texts(request: Mapping[str, Any], name: str) -> list[str]:
    texts = request.get(name)
    if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
        raise UnknownOperation(f"{name} is a list of texts, with at least one")
    if sum(text.count(",") + 1 for text in texts) > MOST_CHANNELS:
        raise TooManyChannels(f"a connection has at most {MOST_CHANNELS:,} channels")
    return texts


def _error_of(error: Exception) -> dict[str, Any]:
    """Return an error as a client sees it."""
    body = PROBLEM_OF.get()(error).body()
    wait = getattr(error, "wait", None)
    return {
        "code": body["code"],
        "message": body["message"],
        **({} if wait is None else {"retry_after": wait}),
    }


def record(
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
        correlation_id=environ[ENVIRON_NAME],
    )
