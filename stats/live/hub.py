"""The hub of a process: its channels, their subscriptions, and the tasks that follow the logs. For one event loop."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, TypeVarTuple

from ops.metrics.declarations import LIVE_MESSAGES, LIVE_SUBSCRIPTIONS
from stats.live.account_follower import AccountFollower
from stats.live.channels import AccountChannel, AnyChannel
from stats.live.commit_notifier import CommitNotifier
from stats.live.followers import Advance, OpenFeed, Reached, SymbolFollower
from stats.live.frames import Message
from store.declarations import Dataset
from trades.stores import market_store

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")
Item = TypeVar("Item")

logger = logging.getLogger(__name__)

# How often the logs are looked at without a notification.
POLL_SECONDS = 0.25
# A look at ten thousand logs takes 50 ms; between two looks is at least ten times as long.
_POLL_PAUSES = 10
# The frames of a large commit are sent in portions, with pauses in which a client can take them.
_PORTION_BYTES, _PORTION_SECONDS = 256 * 2**10, 0.01
# So many symbols are looked at, or channels removed, in one turn of the event loop.
_AT_ONCE = 100
# After a read that took more processor time than this, its symbol waits so many times as long, for the others' sake.
_DEAR_SECONDS, _DEAR_PAUSES = 0.01, 2


class RunInThread(Protocol):
    """Runs a function in a thread."""

    def __call__(
        self, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> asyncio.Future[Result]: ...


class Lanes(NamedTuple):
    """Threads for each kind of work, so that none delays another.

    follow: reads new rows. bars: makes new bars. accounts: reads new events of accounts. replay: reads what is old. ask:
    reads and charges what clients ask. check: authenticates clients again.
    """

    follow: RunInThread
    bars: RunInThread
    accounts: RunInThread
    replay: RunInThread
    ask: RunInThread
    check: RunInThread


class Subscriber(Protocol):
    """Gets the messages of a channel."""

    def deliver(self, message: Message) -> None:
        """Take a message, without waiting."""
        ...

    def fail(self, error: Exception) -> None:
        """End the subscription: the channel cannot be read."""
        ...


class Follower(Protocol):
    """A `SymbolFollower` or an `AccountFollower`; each has its own kind of channel. Everything but the attributes blocks."""

    heads: dict[Dataset, Hashable]
    due_ns: int | None

    def add(self, channel: Any) -> OpenFeed: ...

    def remove(self, channel: Any) -> None: ...

    def commits(self, channel: Any) -> Reached: ...

    def settled_ns(self, channel: Any) -> int: ...

    def advance(self) -> Advance: ...


# A name in notifications, and whether its bars are followed; otherwise a symbol's rows, or an account.
_Key = tuple[str, bool]


def _key_of(channel: AnyChannel) -> _Key:
    return channel.notified_name, not isinstance(channel, AccountChannel) and channel.bars is not None


class LiveChannel:
    """A channel that this process follows.

    seq, commits: the token of the last message that was delivered, and the commits up to which the logs were read then.
    settled_ns: the `settled_ns` of the feed then. state: the message that a client gets first, always the newest; None if
    clients begin with what comes. error: why it is followed no longer.
    """

    def __init__(self, channel: AnyChannel, feed: OpenFeed, commits: Reached) -> None:
        self.channel, self.commits = channel, commits
        self.seq, self.settled_ns, self.state = feed.seq, feed.settled_ns, feed.state
        self.subscribers: set[Subscriber] = set()
        # How many clients use the channel: subscribers, and those that still read old messages.
        self.users = 0
        self.error: Exception | None = None
        self._moved: asyncio.Future[None] | None = None

    def deliver(self, message: Message) -> None:
        """Give a message to all subscribers."""
        self.seq = message.seq
        if self.state is not None:
            self.state = message
        for subscriber in tuple(self.subscribers):
            try:
                subscriber.deliver(message)
            except Exception as error:
                logger.exception("a client of the live feed fails")
                subscriber.fail(error)
        LIVE_MESSAGES.labels(self.channel.kind).inc(len(self.subscribers))

    def fail(self, error: Exception) -> None:
        """End all subscriptions, also of clients that still read old messages."""
        self.error = error
        for subscriber in tuple(self.subscribers):
            subscriber.fail(error)
        self._wake()

    def move_to(self, commits: Reached, settled_ns: int) -> None:
        """Note that the messages up to these commits were delivered."""
        self.commits, self.settled_ns = commits, settled_ns
        self._wake()

    async def moved(self) -> None:
        """Wait until the channel's logs were read again. Raises the error with which the channel failed."""
        if self.error is None:
            if self._moved is None:
                self._moved = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._moved)
        if self.error is not None:
            raise self.error

    def _wake(self) -> None:
        if self._moved is not None:
            self._moved.set_result(None)
            self._moved = None


class _Followed:
    """A symbol whose logs are followed, for its channels of rows or for those of bars; or an account.

    lock: held while a thread uses the follower. opening: how many wait to open a channel.
    """

    def __init__(self, key: _Key, follower: Follower, run: RunInThread) -> None:
        self.key, self.follower, self.run = key, follower, run
        self.opening = 0
        self.channels: dict[str, LiveChannel] = {}
        self.lock = asyncio.Lock()
        self.is_due_now = False
        self.task: asyncio.Task[None] | None = None

    @property
    def datasets(self) -> set[Dataset]:
        """The datasets of its channels' logs."""
        return {dataset for each in self.channels.values() for dataset in each.channel.datasets}

    def is_due(self, now_ns: int) -> bool:
        """Return whether it must be looked at, although nothing was committed."""
        due_ns = self.follower.due_ns
        return self.is_due_now or (due_ns is not None and due_ns <= now_ns)


class Hub:
    """The channels of this process. Bars and accounts have threads of their own, so that they do not delay rows."""

    def __init__(self, follow: RunInThread, bars: RunInThread, accounts: RunInThread) -> None:
        """All run a function in a thread."""
        self._follow_rows, self._follow_bars, self._follow_accounts = follow, bars, accounts
        self._followed: dict[_Key, _Followed] = {}
        self._notifier = CommitNotifier(self.look)
        self._tasks: list[asyncio.Task[None]] = []
        # Channels that nobody uses, and the task that removes them.
        self._unused: list[LiveChannel] = []
        self._removing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen to other processes and to look at the logs; does nothing if it has begun."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._notifier.listen()), asyncio.create_task(self._poll())]

    def stop(self) -> None:
        """Follow nothing more."""
        for task in self._tasks:
            task.cancel()
        self._notifier.close()

    def committed(self, symbol: str) -> None:
        """Note that this process has written a commit."""
        self.look(symbol)
        self._notifier.publish(symbol)

    def look(self, name: str) -> None:
        """Look for what is new of a symbol or an account, if it is followed. name: a channel's `notified_name`."""
        for is_of_bars in (False, True):
            followed = self._followed.get((name, is_of_bars))
            if followed is None:
                continue
            followed.is_due_now = True
            if followed.task is None or followed.task.done():
                followed.task = asyncio.create_task(self._follow(followed))

    async def open(self, channel: AnyChannel) -> LiveChannel:
        """Return a channel, followed from now on if it was not. Each call needs one of `leave`.

        Raises `StorageError`s, `UnknownAccount`.
        """
        followed = self._followed.setdefault(_key_of(channel), self._new(channel))
        followed.opening += 1
        try:
            async with followed.lock:
                live = followed.channels.get(channel.name)
                if live is None:
                    feed = await followed.run(followed.follower.add, channel)
                    live = LiveChannel(channel, feed, followed.follower.commits(channel))
                    followed.channels[channel.name] = live
                live.users += 1
        finally:
            followed.opening -= 1
            self._forget_unused(followed)
        LIVE_SUBSCRIPTIONS.labels(channel.kind).inc()
        return live

    def _new(self, channel: AnyChannel) -> _Followed:
        if isinstance(channel, AccountChannel):
            account = AccountFollower(channel.account, is_told=lambda: self._notifier.is_listening)
            return _Followed(_key_of(channel), account, self._follow_accounts)
        run = self._follow_rows if channel.bars is None else self._follow_bars
        return _Followed(_key_of(channel), SymbolFollower(channel.symbol), run)

    def leave(self, live: LiveChannel) -> None:
        """Follow a channel no longer if nobody else uses it."""
        live.users -= 1
        LIVE_SUBSCRIPTIONS.labels(live.channel.kind).dec()
        if not live.users:
            self._unused.append(live)
            if self._removing is None or self._removing.done():
                self._removing = asyncio.create_task(self._remove_unused())

    async def _remove_unused(self) -> None:
        while self._unused:
            some = self._unused[:_AT_ONCE]
            del self._unused[:_AT_ONCE]
            for live in some:
                await self._remove(live)
            await asyncio.sleep(0)

    async def _remove(self, live: LiveChannel) -> None:
        followed = self._followed.get(_key_of(live.channel))
        if followed is None:
            return
        async with followed.lock:
            if not live.users and followed.channels.get(live.channel.name) is live:
                del followed.channels[live.channel.name]
                followed.follower.remove(live.channel)
        self._forget_unused(followed)

    def _forget_unused(self, followed: _Followed) -> None:
        # A younger one may have taken its place while the last channel was removed.
        is_current = self._followed.get(followed.key) is followed
        if is_current and not followed.channels and not followed.opening:
            del self._followed[followed.key]

    async def _follow(self, followed: _Followed) -> None:
        """Deliver what is new of a symbol or an account."""
        while followed.is_due_now and followed.channels:
            async with followed.lock:
                followed.is_due_now = False
                try:
                    found = await followed.run(followed.follower.advance)
                except Exception as error:
                    logger.exception("the live feed cannot go on for %s", followed.key[0])
                    found = Advance(failed=dict.fromkeys(followed.channels, error))
                await _deliver(found, followed)
                for name, failure in found.failed.items():
                    followed.channels.pop(name).fail(failure)
            followed.is_due_now = followed.is_due_now or found.is_stale
            if found.is_stale or found.cost > _DEAR_SECONDS:
                # Daily bars with auctions read the whole day. The commits of the pause are read together.
                await asyncio.sleep(_DEAR_PAUSES * found.cost)

    async def _poll(self) -> None:
        """Look from time to time for commits that nobody told of, and for what is due."""
        catalogue: Hashable = None
        cost = 0.0
        while True:
            await asyncio.sleep(max(POLL_SECONDS, cost * _POLL_PAUSES))
            symbols: dict[Dataset, list[str]] = {}
            async for (symbol, _), followed in _some_at_a_time(self._followed.items()):
                for dataset in followed.datasets:
                    symbols.setdefault(dataset, []).append(symbol)
            try:
                heads = await self._follow_rows(_heads, symbols)
                is_declared, now_ns = heads.catalogue != catalogue, time.time_ns()
                async for (name, _), followed in _some_at_a_time(self._followed.items()):
                    if is_declared or heads.has_changed(name, followed) or followed.is_due(now_ns):
                        self.look(name)
            except Exception:  # whatever it is, look again
                logger.exception("the live feed cannot look at the logs")
                continue
            catalogue, cost = heads.catalogue, heads.cost


class _Heads(NamedTuple):
    """What shows that there is something to read: stamps of the logs and of the instruments. cost: processor time, s."""

    stamps: dict[tuple[Dataset, str], Hashable]
    catalogue: Hashable
    cost: float

    def has_changed(self, symbol: str, followed: _Followed) -> bool:
        """Return whether one of its logs has another head than when it was last read."""
        stamps = ((dataset, self.stamps.get((dataset, symbol))) for dataset in followed.datasets)
        return any(
            stamp is not None and followed.follower.heads.get(dataset) != stamp for dataset, stamp in stamps
        )


def _heads(symbols: Mapping[Dataset, list[str]]) -> _Heads:
    began, store = time.thread_time(), market_store()
    stamps = {
        (dataset, symbol): stamp
        for dataset, names in symbols.items()
        for symbol, stamp in store.heads(dataset, names).items()
    }
    return _Heads(stamps, store.catalogue_stamp(), time.thread_time() - began)


async def _some_at_a_time(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Yield the items of a snapshot, and let the event loop do other things between some of them."""
    for number, item in enumerate(list(items), 1):
        yield item
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)


async def _deliver(found: Advance, followed: _Followed) -> None:
    """Deliver the messages that were found; in portions if they are many, so that clients that read can take them."""
    size = 0
    for message in found.messages:
        live = followed.channels.get(message.channel)
        if live is None:
            continue
        live.deliver(message)
        size += len(message.payload)
        if size > _PORTION_BYTES:
            size = 0
            await asyncio.sleep(_PORTION_SECONDS)
    for name, live in followed.channels.items():
        if name not in found.failed:
            follower, channel = followed.follower, live.channel
            live.move_to(follower.commits(channel), follower.settled_ns(channel))
