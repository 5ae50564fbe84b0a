"""Follow the logs of a symbol, in the store, whoever writes them. Everything here blocks: call it in a thread."""

import logging
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Protocol

from stats.exceptions import READ_ERRORS
from stats.live.bar_feed import BarFeed
from stats.live.channels import Channel
from stats.live.frames import Message, RowFeed, resync_message
from stats.live.log_tail import LogTail
from stats.live.tokens import Token, head_of, position_of, record_of, token_of
from stats.market_data.answers.bars_snapshot import BarPosition
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.exceptions import StorageError, StoreBusy, UnknownSymbol
from store.market_store import MarketStore
from store.protocol import NO_COMMIT, CommitId
from store.walk import BEGINNING, CommitPiece, LogPosition, Resync
from trades.stores import market_store

logger = logging.getLogger(__name__)

# So many messages are encoded at once for a client that reads old ones.
_MESSAGES_AT_ONCE = 16

Commits = Mapping[Dataset, CommitId]


class Numbered(Protocol):
    """A commit of a log, or an event of an account."""

    @property
    def number(self) -> int: ...


Reached = Mapping[Any, Numbered]
"""How far each log of a channel was read: the newest commits by dataset (`Commits`), or an account's newest event."""


class OpenFeed(Protocol):
    """Makes the messages of a channel.

    seq: the token of the last message. settled_ns: the last time at which it was looked for bars that became final without
    a commit. state: the message that a client gets first; None if it begins with what comes.
    """

    @property
    def seq(self) -> str: ...

    @property
    def settled_ns(self) -> int: ...

    @property
    def state(self) -> Message | None: ...


class Feed(OpenFeed, Protocol):
    """Makes messages from the pieces of logs. due_ns: when bars may become final without a commit; None for never."""

    @property
    def due_ns(self) -> int | None: ...

    def taken(self, dataset: Dataset, pieces: Sequence[CommitPiece], *, now_ns: int) -> Iterator[Message]:
        """Yield the messages of the next pieces of one of the channel's logs."""
        ...

    def settled(self, *, now_ns: int) -> Iterator[Message]:
        """Yield the messages for what has changed without a commit: bars are final, the instrument was declared."""
        ...


class Replay:
    """A channel's messages from a token on, for one client.

    Raises `Resync` if a log does not have the token's commit; `StorageError`s.
    """

    def __init__(self, channel: Channel, tokens: Mapping[str, Token]) -> None:
        self._readers, self.feed = _opened(channel, tokens)
        self._messages: Iterator[Message] = iter(())

    @property
    def seq(self) -> str:
        """The token of the last message."""
        return self.feed.seq

    @property
    def settled_ns(self) -> int:
        """See `Feed`."""
        return self.feed.settled_ns

    @property
    def commits(self) -> Commits:
        """The newest commits that were read."""
        return {dataset: reader.position.commit for dataset, reader in self._readers.items()}

    def next(self, upto: Reached) -> list[Message]:
        """Return the next messages, up to these commits; none after the last.

        Errors are raised after the messages before them were returned.
        """
        messages = self._some()
        if not messages:
            self._messages = self._read(upto)
            messages = self._some()
        return messages

    def _some(self) -> list[Message]:
        messages: list[Message] = []
        try:
            for message in islice(self._messages, _MESSAGES_AT_ONCE):
                messages.append(message)  # noqa: PERF402 some are kept if there is an error
        except (StorageError, Resync):
            if not messages:
                raise
        return messages

    def _read(self, upto: Reached) -> Iterator[Message]:
        for dataset, reader in self._readers.items():
            while pieces := reader.read(upto[dataset].number):
                yield from self.feed.taken(dataset, pieces, now_ns=time.time_ns())
        yield from self.feed.settled(now_ns=time.time_ns())


@dataclass(slots=True)
class Advance:
    """What a look at the logs of a symbol has found.

    failed: the errors of channels that can be followed no longer, by name. is_stale: whether there is more to read.
    cost: the processor time in seconds.
    """

    messages: list[Message] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)
    is_stale: bool = False
    cost: float = 0.0

    def add(self, channel: Channel, made: Callable[[], Iterator[Message]]) -> None:
        """Add a channel's messages, or its error."""
        if channel.name in self.failed:
            return
        try:
            self.messages.extend(made())
        except Exception as error:
            if not isinstance(error, READ_ERRORS):
                logger.exception("the live feed cannot go on for %s", channel.name)
            self.failed[channel.name] = error


class SymbolFollower:
    """Follows the logs of a symbol for all its channels in this process. One call at a time.

    heads: the stamps of its logs (see `MarketStore.heads`) when they were last read. due_ns: when to advance although
    nothing is committed; None for never.
    """

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._readers: dict[Dataset, LogTail] = {}
        self._feeds: dict[str, tuple[Channel, Feed]] = {}
        self._catalogue: Hashable = None
        self.heads: dict[Dataset, Hashable] = {}
        self.due_ns: int | None = None

    def add(self, channel: Channel) -> Feed:
        """Add a channel, and return its feed. It begins where the logs were read to, or at their heads."""
        for dataset in channel.datasets:
            if dataset not in self._readers:
                self._readers[dataset] = _reader_at_head(dataset, self._symbol)
        feed = _feed_at(channel, self.commits(channel))
        self._feeds[channel.name] = channel, feed
        self.due_ns = self._next_due_ns()
        return feed

    def remove(self, channel: Channel) -> None:
        """Follow a channel no longer."""
        self._feeds.pop(channel.name, None)
        used = {dataset for each, _ in self._feeds.values() for dataset in each.datasets}
        for dataset in self._readers.keys() - used:
            del self._readers[dataset]

    def commits(self, channel: Channel) -> Commits:
        """Return the commits to which a channel's logs were read."""
        return {dataset: self._readers[dataset].position.commit for dataset in channel.datasets}

    def settled_ns(self, channel: Channel) -> int:
        """Return the `settled_ns` of a channel's feed."""
        return self._feeds[channel.name][1].settled_ns

    def advance(self) -> Advance:
        """Return the messages of all channels for what is new. A channel that fails is followed no longer."""
        began, found = time.thread_time(), Advance()
        for dataset, reader in tuple(self._readers.items()):
            self.heads[dataset] = market_store().heads(dataset, (self._symbol,)).get(self._symbol)
            self._read(dataset, reader, found)
        self._settle(found)
        for name in found.failed:
            self._feeds.pop(name, None)
        self.due_ns = self._next_due_ns()
        found.cost = time.thread_time() - began
        return found

    def _read(self, dataset: Dataset, reader: LogTail, found: Advance) -> None:
        """Add the messages for what is new in a log."""
        try:
            pieces = reader.read()
        except StoreBusy as error:
            logger.warning("the live feed waits: %s", error)
            found.is_stale = True
        except Resync:
            found.messages += self._resynced(dataset)
        except StorageError as error:
            found.failed |= {
                name: error for name, (each, _) in self._feeds.items() if dataset in each.datasets
            }
        else:
            found.is_stale = found.is_stale or reader.has_more
            for channel, feed in tuple(self._feeds.values()) if pieces else ():
                if dataset in channel.datasets:
                    found.add(channel, partial(feed.taken, dataset, pieces, now_ns=time.time_ns()))

    def _settle(self, found: Advance) -> None:
        """Add the messages for what has changed without a commit."""
        feeds = [(channel, feed) for channel, feed in self._feeds.values() if channel.bars is not None]
        if not feeds:
            return
        now_ns, catalogue = time.time_ns(), market_store().catalogue_stamp()
        is_declared, self._catalogue = catalogue != self._catalogue, catalogue
        for channel, feed in feeds:
            if is_declared or (self.due_ns is not None and self.due_ns <= now_ns):
                found.add(channel, partial(feed.settled, now_ns=now_ns))

    def _next_due_ns(self) -> int | None:
        dues = [feed.due_ns for _, feed in self._feeds.values()]
        return min((each for each in dues if each is not None), default=None)

    def _resynced(self, dataset: Dataset) -> list[Message]:
        """Begin again at the head of a log that was restored, for the channels that it has."""
        self._readers[dataset] = _reader_at_head(dataset, self._symbol)
        channels = [channel for channel, _ in self._feeds.values() if dataset in channel.datasets]
        return [resync_message(channel.name, self.add(channel).seq) for channel in channels]


def _reader_at_head(dataset: Dataset, symbol: str) -> LogTail:
    store = market_store()
    head = head_of(store, dataset, symbol)
    return LogTail(store, dataset, symbol, LogPosition(head) if head.number else BEGINNING, 0)


def _feed_at(channel: Channel, commits: Commits) -> Feed:
    """Return the feed of a channel whose logs were read up to these commits, which are their heads or nearly so."""
    if channel.bars is not None:
        return BarFeed.at(channel, BarPosition(commits[TRADES], commits[BARS]), now_ns=time.time_ns())
    (dataset,) = channel.datasets
    return RowFeed(channel, record_of(market_store(), dataset, channel.symbol, commits[dataset]))


def _opened(channel: Channel, tokens: Mapping[str, Token]) -> tuple[dict[Dataset, LogTail], Feed]:
    """Return the readers and the feed of a channel at tokens."""
    if channel.bars is not None:
        return _bars_opened(channel, tokens)
    (dataset,), store = channel.datasets, market_store()
    token = token_of(tokens, dataset)
    position = BEGINNING if token is None else position_of(store, dataset, channel.symbol, token)
    record = record_of(store, dataset, channel.symbol, position.commit)
    length = 0 if record is None else record.length
    taken = min(position.ordinal, length)
    position = position if taken < length else LogPosition(position.commit)
    reader = LogTail(store, dataset, channel.symbol, position, length - taken)
    return {dataset: reader}, RowFeed(channel, record, taken - 1)


def _bars_opened(channel: Channel, tokens: Mapping[str, Token]) -> tuple[dict[Dataset, LogTail], Feed]:
    """Return the readers and the feed of bars. A token of trades alone stands for the bars stored by then."""
    store, symbol = market_store(), channel.symbol
    token = None if tokens.keys() == {BARS.name} else token_of(tokens, TRADES)
    trades = NO_COMMIT if token is None else _whole_commit(store, TRADES, symbol, token)
    record = record_of(store, TRADES, symbol, trades)
    committed_ns = 0 if record is None else record.committed_at
    if BARS.name in tokens:
        bars = _whole_commit(store, BARS, symbol, tokens[BARS.name])
    else:
        bars = _commit_as_of(store, symbol, committed_ns)
    bars_record = record_of(store, BARS, symbol, bars)
    committed_ns = max(committed_ns, 0 if bars_record is None else bars_record.committed_at)
    if committed_ns and store.instrument(symbol, as_of_ns=committed_ns) != store.instrument(symbol):
        # Declared anew since then: all bars may differ.
        raise Resync(symbol, head_of(store, TRADES, symbol))
    readers = {
        dataset: LogTail(store, dataset, symbol, LogPosition(commit) if commit.number else BEGINNING, 0)
        for dataset, commit in ((TRADES, trades), (BARS, bars))
    }
    return readers, BarFeed.resumed(channel, BarPosition(trades, bars), committed_at=committed_ns)


def _whole_commit(store: MarketStore, dataset: Dataset, symbol: str, token: Token) -> CommitId:
    """Return a token's commit; the commit before it if the token is inside of it, so that nothing is missed."""
    position = position_of(store, dataset, symbol, token)
    record = record_of(store, dataset, symbol, position.commit)
    if record is None or position.ordinal >= record.length:
        return position.commit
    return store.log(dataset, symbol).at(record.id.number - 1).commit


def _commit_as_of(store: MarketStore, symbol: str, instant_ns: int) -> CommitId:
    try:
        return store.log(BARS, symbol).as_of(instant_ns).commit
    except UnknownSymbol:
        return NO_COMMIT
