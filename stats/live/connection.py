"""The connection of one client: its messages, its subscriptions, and what it has not taken yet."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter_ns
from typing import Any, Protocol

from ops.metrics.declarations import LIVE_ENDS, LIVE_MESSAGES
from ratelimit.callers import Caller
from stats.exceptions import READ_ERRORS
from stats.live.account_follower import EventFeed
from stats.live.channels import AccountChannel, AllSymbols, AnyChannel
from stats.live.ends import IDLE, LEFT, SERVER_ERROR, SLOW_CONSUMER, End
from stats.live.exceptions import AccountRestored, LiveError
from stats.live.followers import Replay
from stats.live.frames import Message, resync_message
from stats.live.hub import Arguments, Hub, LiveChannel, Result
from stats.live.sockets import Socket
from stats.live.tokens import Token
from stats.live.wires import Wire
from store.walk import Resync

logger = logging.getLogger(__name__)

# So many messages of channels wait for a client, beside the unsent bytes below: 128, or up to 1,000 of at most 1 MiB in all.
MOST_WAITING, _MOST_SMALL_WAITING, _SMALL_BYTES = 128, 1_000, 2**20
# While a client leaves more bytes than this unsent, its messages wait.
_MANY_UNSENT_BYTES = 64 * 2**10
# The most bytes that a client may leave unsent when it is sent an answer.
_MOST_UNSENT_BYTES = 2**20
# A client that takes nothing of what is unsent for so long is cut off.
STALLED_SECONDS = 8.0
IDLE_SECONDS = 30.0
# So many subscriptions are begun or ended in one turn of the event loop.
AT_ONCE = 100
PING_SECONDS = 15.0
_RETRY_SECONDS = (0.5, 3.0)
_RESTORED = (Resync, AccountRestored)


class ReadOld(Protocol):
    """Runs a function that reads old messages in a thread, when it is the caller's turn."""

    def __call__(
        self, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Awaitable[Result]: ...


class Subscription:
    """A client's subscription to a channel. seq: the token of the last message that was written to it.

    is_latest: whether any message that waits may be replaced by a newer one.
    """

    __slots__ = ("_connection", "is_latest", "live", "replay", "seq")

    def __init__(self, connection: "Connection", live: LiveChannel, *, is_latest: bool) -> None:
        self._connection = connection
        self.live = live
        self.is_latest = is_latest
        self.seq = live.seq
        self.replay: asyncio.Task[None] | None = None

    def deliver(self, message: Message) -> None:
        """See `Subscriber`."""
        self._connection.deliver(self, message)

    def fail(self, error: Exception) -> None:
        """See `Subscriber`."""
        self._connection.fail(self, error)


@dataclass(slots=True)
class Wildcard:
    """A subscription to all symbols. known: the names of the channels that it was subscribed to so far."""

    channels: AllSymbols
    is_latest: bool
    known: set[str] = field(default_factory=set)


# A subscription, what it is resumed with, and whether the client gets a message first.
_Opened = tuple[Subscription, Replay | EventFeed | None, Message | None]


class Connection:
    """What a client is subscribed to and what it was sent. For the event loop's thread."""

    def __init__(self, socket: Socket, hub: Hub, replay: ReadOld, wire: Wire) -> None:
        self._socket, self._hub = socket, hub
        # How old messages are read. Who charges the caller for it replaces this.
        self.read_old = replay
        # Whether a frame could not be written any more.
        self._is_gone = False
        self.wire = wire
        self.subscriptions: dict[str, Subscription] = {}
        self.wildcards: dict[str, Wildcard] = {}
        self.ended: End | None = None
        self._began_ns = perf_counter_ns()
        # Messages that wait until the client has taken others, the oldest first.
        self._waiting: deque[tuple[Subscription, Message]] = deque()
        self._flushing: asyncio.Task[None] | None = None
        # One client's channels are resumed one after another, and their old messages are read a few at a time.
        self._resuming = asyncio.Lock()
        self._written = 0
        self._taken = 0
        self._moved_at = asyncio.get_running_loop().time()
        # Clients that connect together are not sent their pings together.
        self.pinged_at = self._moved_at - random.uniform(0, PING_SECONDS / 2)  # noqa: S311 jitter

    @property
    def latency_us(self) -> int:
        """How long the connection has been open, in microseconds."""
        return (perf_counter_ns() - self._began_ns) // 1000

    async def drained(self) -> None:
        """Wait until the client has taken most of what it was sent."""
        await self._socket.drained()

    def greet(self, caller: Caller | None) -> None:
        """Send what the client gets first. caller: whose credential the handshake had."""
        self._write(self.wire.greeting(caller))

    def send(self, document: Mapping[str, Any]) -> None:
        """Send a message that belongs to no channel. A client that leaves too much unsent is cut off."""
        if self.ended is None and self._socket.unsent_bytes > _MOST_UNSENT_BYTES:
            self.end(SLOW_CONSUMER)
            return
        self._write(self.wire.document_frame(document))

    def deliver(self, subscription: Subscription, message: Message) -> None:
        """Send a channel's message; if much is unsent, it waits. End the connection if too many wait."""
        if self.ended is not None:
            return
        if not self._waiting and self._socket.unsent_bytes < _MANY_UNSENT_BYTES:
            self._send(subscription, message)
            return
        self._waiting = deque(
            (other, older)
            for other, older in self._waiting
            if other is not subscription or not message.replaces(older, is_latest=subscription.is_latest)
        )
        self._waiting.append((subscription, message))
        if self._is_too_much():
            self.end(SLOW_CONSUMER)
        elif self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    def _is_too_much(self) -> bool:
        """Return whether more waits for the client than is kept for it."""
        count = len(self._waiting)
        if count <= MOST_WAITING:
            return False
        return (
            count > _MOST_SMALL_WAITING or sum(len(each.payload) for _, each in self._waiting) > _SMALL_BYTES
        )

    def fail(self, subscription: Subscription, error: Exception) -> None:
        """Tell the client that a channel cannot be read, and end the subscription; or the connection, if it is our fault."""
        if not isinstance(error, (LiveError, *READ_ERRORS)):
            self.end(SERVER_ERROR)
            return
        name = subscription.live.channel.name
        told = {"code": error.code, "message": str(error), "ch": name, "seq": subscription.seq}
        self.send({"op": "error", **told})
        self.unsubscribe(name)

    async def subscribe(
        self, channels: Iterable[AnyChannel], tokens: Mapping[str, Mapping[str, Token]], *, is_latest: bool
    ) -> tuple[dict[str, str], Callable[[], None]]:
        """Subscribe to channels: from tokens, by the channel's name, or from now on.

        Returns the token from which each continues, and a function that begins to send what is older, or the state; call
        it at once, after the client was told. Raises `StorageError`s, `UnknownAccount`; then nothing is subscribed.
        """
        opened: list[_Opened] = []
        try:
            for channel in channels:
                live = await self._hub.open(channel)
                subscription = Subscription(self, live, is_latest=is_latest)
                opened.append((subscription, None, live.state))
                if channel.name in tokens and live.state is None:
                    opened[-1] = (subscription, *await self._replay(channel, live, tokens[channel.name]))
        except BaseException:
            self._leave(opened)
            raise
        if self.ended is not None or self._is_gone:
            self._leave(opened)
            opened = []
        return self._begun(opened)

    def _leave(self, opened: list[_Opened]) -> None:
        for subscription, _, _ in opened:
            self._hub.leave(subscription.live)

    def _begun(self, opened: list[_Opened]) -> tuple[dict[str, str], Callable[[], None]]:
        begun: dict[str, str] = {}
        firsts: list[Message] = []
        replays: list[tuple[Subscription, Replay | EventFeed]] = []
        for subscription, replay, first in opened:
            live = subscription.live
            self.unsubscribe(live.channel.name)
            self.subscriptions[live.channel.name] = subscription
            subscription.seq = begun[live.channel.name] = live.seq if replay is None else replay.seq
            if first is not None:
                # The channel may have moved on since it was opened.
                firsts.append(live.state or resync_message(live.channel.name, live.seq))
            if replay is None:
                live.subscribers.add(subscription)
            else:
                replays.append((subscription, replay))

        def begin() -> None:
            for message in firsts:
                self._write(self.wire.frame(message))
            for subscription, replay in replays:
                subscription.replay = asyncio.create_task(self._catch_up(subscription, replay))

        return begun, begin

    def unsubscribe(self, name: str) -> bool:
        """End a subscription. Return False if there is none."""
        subscription = self.subscriptions.pop(name, None)
        if subscription is None:
            return False
        subscription.live.subscribers.discard(subscription)
        self._waiting = deque(each for each in self._waiting if each[0] is not subscription)
        if subscription.replay is not None:
            subscription.replay.cancel()
        self._hub.leave(subscription.live)
        return True

    def end(self, end: End) -> None:
        """Tell the client why and how to resume, and close the connection. Does nothing if it has ended."""
        if self.ended is not None:
            return
        self.ended = end
        LIVE_ENDS.labels(end.code).inc()
        if end is not LEFT:
            retry_after = round(random.uniform(*_RETRY_SECONDS), 2)  # noqa: S311 jitter
            tokens = {name: each.seq for name, each in self.subscriptions.items()}
            document = {"op": "closing", "code": end.code, "message": end.message}
            self.send({**document, "retry_after": retry_after, "from": tokens})
            self._socket.close(end.close_code, end.code)
        self._waiting.clear()
        self._unsubscribe_all()
        if self._flushing is not None:
            self._flushing.cancel()

    def _unsubscribe_all(self) -> None:
        """End all subscriptions, so many at a time."""
        for name in tuple(islice(self.subscriptions, AT_ONCE)):
            self.unsubscribe(name)
        if self.subscriptions:
            asyncio.get_running_loop().call_soon(self._unsubscribe_all)

    def check_liveness(self, now: float) -> None:
        """End the connection if the client is silent or takes nothing. now: by the event loop's clock, in seconds."""
        unsent = self._socket.unsent_bytes
        taken = self._written - unsent
        if not unsent or taken > self._taken:
            self._moved_at = now
        self._taken = taken
        if now - self._moved_at > STALLED_SECONDS:
            self.end(SLOW_CONSUMER)
        elif now - self._socket.heard_at > IDLE_SECONDS:
            self.end(IDLE)

    def ping(self, document: Mapping[str, Any], now: float) -> None:
        """Send a ping with the state of the logs, and one of the protocol, which every client's library answers."""
        self.pinged_at = now
        if self._socket.unsent_bytes < _MANY_UNSENT_BYTES:
            self.send(document)
        self._socket.ping()

    async def _replay(
        self, channel: AnyChannel, live: LiveChannel, tokens: Mapping[str, Token]
    ) -> tuple[Replay | EventFeed | None, Message | None]:
        """Return the channel's replay from tokens; or, if the log was restored, a message that says so."""
        try:
            if isinstance(channel, AccountChannel):
                return await self.read_old(EventFeed.resumed, channel, tokens), None
            return await self.read_old(Replay, channel, tokens), None
        except _RESTORED:
            return None, resync_message(channel.name, live.seq)

    async def _catch_up(self, subscription: Subscription, replay: Replay | EventFeed) -> None:
        """Send what is older than what the channel delivers; then join the channel."""
        live = subscription.live
        try:
            async with self._resuming:
                await self._send_old(subscription, replay)
        except _RESTORED:
            # The log was restored while it was read; the client continues at its head.
            self._send(subscription, resync_message(live.channel.name, live.seq))
        except Exception as error:
            if not isinstance(error, (LiveError, *READ_ERRORS)):
                logger.exception("old messages of the live feed cannot be sent")
            subscription.replay = None
            self.fail(subscription, error)
            return
        live.subscribers.add(subscription)
        subscription.replay = None

    async def _send_old(self, subscription: Subscription, replay: Replay | EventFeed) -> None:
        """Send old messages as the client takes them, until the replay has come to where the channel is."""
        live = subscription.live
        while not self._is_gone:
            if await self._send_some(subscription, replay):
                continue
            if live.error is not None:
                raise live.error
            is_ahead = _is_ahead(replay, live)
            if is_ahead or (replay.commits == live.commits and replay.seq != live.seq):
                # The client has a later token than the channel, or the channel is in the midst of a commit.
                self._hub.look(live.channel.notified_name)
                await live.moved()
            elif replay.commits == live.commits and replay.settled_ns >= live.settled_ns:
                return

    async def _send_some(self, subscription: Subscription, replay: Replay | EventFeed) -> bool:
        """Send the next old messages. Return whether there were any."""
        live = subscription.live
        messages = await self.read_old(replay.next, live.commits)
        LIVE_MESSAGES.labels(live.channel.kind).inc(len(messages))
        for message in messages:
            if self._socket.unsent_bytes >= _MANY_UNSENT_BYTES:
                await self._socket.drained()
            self._send(subscription, message)
        return bool(messages)

    def _send(self, subscription: Subscription, message: Message) -> None:
        subscription.seq = message.seq
        self._write(self.wire.frame(message))

    def _write(self, frame: bytes) -> None:
        if not frame:
            return
        if self._socket.write(frame):
            self._written += len(frame)
        else:
            # The client may have gone while one of its messages is still being answered.
            self._is_gone = True

    async def _flush(self) -> None:
        """Send the messages that wait, as the client takes what it was sent."""
        try:
            while self._waiting:
                await self._socket.drained()
                while self._waiting:
                    self._send(*self._waiting.popleft())
                    if self._socket.unsent_bytes >= _MANY_UNSENT_BYTES:
                        break
        finally:
            self._flushing = None


def _is_ahead(replay: Replay | EventFeed, live: LiveChannel) -> bool:
    """Return whether a client has a later token than the channel has delivered."""
    return any(commit.number > live.commits[dataset].number for dataset, commit in replay.commits.items())
