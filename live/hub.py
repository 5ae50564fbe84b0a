"""The hub of a process: its channels, their subscriptions, and the tasks that follow the logs. For one event loop."""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple, Protocol, TypeVar, TypeVarTuple

from live.bell import Bell
from live.channels import Channel
from live.commits import NewCommits
from live.followers import Commits, SymbolFollower
from live.frames import Message
from metrics.declarations import LIVE_MESSAGES, LIVE_SUBSCRIPTIONS
from store.declarations import Dataset
from store.exceptions import StoreBusy
from trades.stores import market_store

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

# How often the logs are looked at without a bell.
POLL_SECONDS = 0.25
# A look at ten thousand logs takes 50 ms; between two looks is at least ten times as long.
_POLL_PAUSES = 10
# After a read that took more processor time than this, its symbol waits so many times as long, for the others' sake.
_DEAR_SECONDS, _DEAR_PAUSES = 0.01, 2


class RunInThread(Protocol):
    """Runs a function in a thread."""

    def __call__(
        self, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> asyncio.Future[Result]: ...


class Lanes(NamedTuple):
    """Threads for each kind of work, so that none delays another.

    follow: reads what is new. replay: reads what is old. ask: reads and charges what clients ask.
    """

    follow: RunInThread
    replay: RunInThread
    ask: RunInThread


class Subscriber(Protocol):
    """Gets the messages of a channel."""

    def deliver(self, message: Message) -> None:
        """Take a message, without waiting."""
        ...

    def fail(self, error: Exception) -> None:
        """End the subscription: the channel cannot be read."""
        ...


class LiveChannel:
    """A channel that this process follows.

    seq, commits: the token of the last message that was delivered, and the commits up to which the logs were read then.
    settled_ns: the `settled_ns` of the feed then.
    """

    def __init__(self, channel: Channel, seq: str, commits: Commits, settled_ns: int) -> None:
        self.channel, self.seq = channel, seq
        self.commits, self.settled_ns = commits, settled_ns
        self.subscribers: set[Subscriber] = set()
        # How many clients use the channel: subscribers, and those that still read old messages.
        self.users = 0
        self._moved: asyncio.Future[None] | None = None

    def deliver(self, message: Message) -> None:
        """Give a message to all subscribers."""
        self.seq = message.seq
        for subscriber in tuple(self.subscribers):
            try:
                subscriber.deliver(message)
            except Exception as error:
                logger.exception("a client of the live feed fails")
                subscriber.fail(error)
        LIVE_MESSAGES.add(self.channel.kind, amount=len(self.subscribers))

    def fail(self, error: Exception) -> None:
        """End all subscriptions."""
        for subscriber in tuple(self.subscribers):
            subscriber.fail(error)

    def move_to(self, commits: Commits, settled_ns: int) -> None:
        """Note that the messages up to these commits were delivered."""
        self.commits, self.settled_ns = commits, settled_ns
        if self._moved is not None:
            self._moved.set_result(None)
            self._moved = None

    async def moved(self) -> None:
        """Wait until the channel's logs were read again."""
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._moved)


class _FollowedSymbol:
    """A symbol whose logs are followed. lock: held while a thread uses the follower. opening: how many wait to open one."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.follower = SymbolFollower(symbol)
        self.opening = 0
        self.channels: dict[str, LiveChannel] = {}
        self.lock = asyncio.Lock()
        self.is_rung = False
        self.task: asyncio.Task[None] | None = None

    @property
    def datasets(self) -> set[Dataset]:
        """The datasets of its channels' logs."""
        return {dataset for each in self.channels.values() for dataset in each.channel.datasets}


class Hub:
    """The channels of this process. run: runs a function in a thread."""

    def __init__(self, run: RunInThread) -> None:
        self._run = run
        self._symbols: dict[str, _FollowedSymbol] = {}
        self._bell = Bell(self.ring)
        self._tasks: list[asyncio.Task[None]] = []
        self._removing: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to hear the bell and to look at the logs; does nothing if it has begun."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._bell.listen()), asyncio.create_task(self._poll())]

    def stop(self) -> None:
        """Follow nothing more."""
        for task in self._tasks:
            task.cancel()
        self._bell.close()

    def committed(self, symbol: str) -> None:
        """Note that this process has written a commit."""
        self.ring(symbol)
        self._bell.ring(symbol)

    def ring(self, symbol: str) -> None:
        """Look for new commits in the logs of a symbol, if it is followed."""
        followed = self._symbols.get(symbol)
        if followed is None:
            return
        followed.is_rung = True
        if followed.task is None or followed.task.done():
            followed.task = asyncio.create_task(self._follow(followed))

    async def open(self, channel: Channel) -> LiveChannel:
        """Return a channel, followed from now on if it was not. Each call needs one of `leave`. Raises `StorageError`s."""
        followed = self._symbols.setdefault(channel.symbol, _FollowedSymbol(channel.symbol))
        followed.opening += 1
        try:
            async with followed.lock:
                live = followed.channels.get(channel.name)
                if live is None:
                    feed = await self._run(followed.follower.add, channel)
                    commits = followed.follower.commits(channel)
                    live = LiveChannel(channel, feed.seq, commits, feed.settled_ns)
                    followed.channels[channel.name] = live
                live.users += 1
        finally:
            followed.opening -= 1
            self._forget_unused(followed)
        LIVE_SUBSCRIPTIONS.add(1, channel.kind)
        return live

    def leave(self, live: LiveChannel) -> None:
        """Follow a channel no longer if nobody else uses it."""
        live.users -= 1
        LIVE_SUBSCRIPTIONS.add(-1, live.channel.kind)
        if not live.users:
            task = asyncio.create_task(self._remove(live))
            self._removing.add(task)
            task.add_done_callback(self._removing.discard)

    async def wait(self, event: NewCommits) -> None:
        """Return when a channel has more than the event's commits. Raises the errors of `open`.

        If the log is restored meanwhile, it may not return.
        """
        self.start()
        opening = asyncio.create_task(self.open(event.channel))
        try:
            # Who stops waiting does not interrupt the thread that opens the channel.
            live = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._leave_opened)
            raise
        try:
            while not _is_behind(event.commits, live.commits):
                await live.moved()
        finally:
            self.leave(live)

    def _leave_opened(self, opening: asyncio.Task[LiveChannel]) -> None:
        if opening.exception() is None:
            self.leave(opening.result())

    async def _remove(self, live: LiveChannel) -> None:
        followed = self._symbols[live.channel.symbol]
        async with followed.lock:
            if not live.users and live.channel.name in followed.channels:
                del followed.channels[live.channel.name]
                followed.follower.remove(live.channel)
        self._forget_unused(followed)

    def _forget_unused(self, followed: _FollowedSymbol) -> None:
        if not followed.channels and not followed.opening:
            self._symbols.pop(followed.symbol, None)

    async def _follow(self, followed: _FollowedSymbol) -> None:
        """Deliver what is new in the logs of a symbol."""
        async with followed.lock:
            while followed.is_rung and followed.channels:
                followed.is_rung = False
                try:
                    messages, cost = await self._run(_advanced, followed.follower)
                except StoreBusy as error:
                    # The next look at the logs tries again.
                    logger.warning("the live feed waits: %s", error)
                    followed.is_rung = True
                    return
                except Exception as error:
                    logger.exception("the live feed cannot go on for %s", followed.symbol)
                    for live in followed.channels.values():
                        live.fail(error)
                    return
                _deliver(messages, followed)
                followed.is_rung = followed.is_rung or followed.follower.has_more
                if cost > _DEAR_SECONDS:
                    # Daily bars with auctions read the whole day. The commits of the pause are read together.
                    await asyncio.sleep(_DEAR_PAUSES * cost)

    async def _poll(self) -> None:
        """Look from time to time for commits that no bell told of, and for what is due."""
        catalogue: Hashable = None
        took = 0.0
        while True:
            await asyncio.sleep(max(POLL_SECONDS, took * _POLL_PAUSES))
            began = time.monotonic()
            symbols: dict[Dataset, list[str]] = {}
            for symbol, followed in self._symbols.items():
                for dataset in followed.datasets:
                    symbols.setdefault(dataset, []).append(symbol)
            try:
                heads = await self._run(_heads, symbols)
            except Exception:  # whatever it is, look again
                logger.exception("the heads of the logs cannot be read")
                continue
            for symbol in self._changed(heads, is_declared=heads.catalogue != catalogue) | self._due():
                self.ring(symbol)
            catalogue, took = heads.catalogue, time.monotonic() - began

    def _changed(self, heads: "_Heads", *, is_declared: bool) -> set[str]:
        """Return the symbols with a log that has another head than when it was last read. is_declared: all symbols."""
        if is_declared:
            return set(self._symbols)
        changed = set()
        for (dataset, symbol), token in heads.tokens.items():
            followed = self._symbols.get(symbol)
            if followed is not None and followed.follower.heads.get(dataset) != token:
                changed.add(symbol)
        return changed

    def _due(self) -> set[str]:
        now_ns = time.time_ns()
        dues = {symbol: followed.follower.due_ns for symbol, followed in self._symbols.items()}
        due = {symbol for symbol, due_ns in dues.items() if due_ns is not None and due_ns <= now_ns}
        return due | {symbol for symbol, followed in self._symbols.items() if followed.is_rung}


class _Heads(NamedTuple):
    """What shows that there is something to read: tokens of the logs' heads, and the stamp of the instruments."""

    tokens: dict[tuple[Dataset, str], Hashable]
    catalogue: Hashable


def _heads(symbols: Mapping[Dataset, list[str]]) -> _Heads:
    store = market_store()
    tokens = {
        (dataset, symbol): token
        for dataset, names in symbols.items()
        for symbol, token in store.heads(dataset, names).items()
    }
    return _Heads(tokens, store.catalogue_stamp())


def _advanced(follower: SymbolFollower) -> tuple[list[Message], float]:
    """Return the messages for what is new, and the processor time that they took, in seconds."""
    began = time.thread_time()
    return follower.advance(), time.thread_time() - began


def _deliver(messages: list[Message], followed: _FollowedSymbol) -> None:
    for message in messages:
        live = followed.channels.get(message.channel)
        if live is not None:
            live.deliver(message)
    for live in followed.channels.values():
        follower, channel = followed.follower, live.channel
        live.move_to(follower.commits(channel), follower.settled_ns(channel))


def _is_behind(earlier: Commits, later: Commits) -> bool:
    return any(commit.number < later[dataset].number for dataset, commit in earlier.items())
