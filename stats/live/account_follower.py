"""Follow the events of an account, in the database, whoever writes them.

Everything here blocks: call it in a thread.
"""

import logging
import time
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple, Self

import msgspec
from django.db import DatabaseError

from stats.exceptions import READ_ERRORS
from stats.live.accounts import ACCOUNT_FEEDS, PORTFOLIO_KIND
from stats.live.channels import AccountChannel
from stats.live.exceptions import AccountRestored, UnknownAccount
from stats.live.followers import Advance, Reached
from stats.live.frames import Message, StateMessage, resync_message, rows_payload
from stats.live.tokens import Token
from store.declarations import Dataset
from store.timestamps import SECOND_NS, format_timestamp

logger = logging.getLogger(__name__)

# So many events are read and encoded at once.
_EVENTS_AT_ONCE = 100
# How long an account is not looked at if a notification would tell of an event. A writer without Redis sends none.
_PAUSE_IF_TOLD_NS = 5 * SECOND_NS
# The shortest time from one read of a portfolio to the next: after an event, and without one, because prices move.
_PAUSE_NS, _PAUSE_WITHOUT_EVENT_NS = SECOND_NS // 4, SECOND_NS
_PAUSE_AFTER_FAILURE_NS = SECOND_NS


class EventNumber(NamedTuple):
    """How far the events of an account were read: the number of the last one."""

    number: int


class EventFeed:
    """Makes the messages of orders or alerts from an event on: for all clients, or for one that resumes.

    seq: the number of the last event that concerned the channel, whoever reads. So `prev` is the same for all clients.
    """

    settled_ns = 0
    state: Message | None = None

    def __init__(self, channel: AccountChannel, number: int) -> None:
        """Begin after an event that the account has."""
        self._channel = channel
        self.seq, self._number = _last(channel, number), number

    @classmethod
    def resumed(cls, channel: AccountChannel, tokens: Mapping[str, Token]) -> Self:
        """Return the feed that continues from a client's token. Raises `AccountRestored`, `UnknownAccount`."""
        number = tokens[""].number
        _check_event(channel.account, number)
        return cls(channel, number)

    @property
    def commits(self) -> Reached:
        """The number up to which the events were read, by the account."""
        return {self._channel.account: EventNumber(self._number)}

    def next(self, upto: Reached) -> list[Message]:
        """Return the next messages up to an event; none after the last. Raises `AccountRestored`, `UnknownAccount`."""
        _check_event(self._channel.account, self._number)
        end = upto[self._channel.account].number
        return self._read(end) if self._number < end else []

    def advance(self, head: int, found: Advance) -> None:
        """Add the messages for what is new. head: the account's newest event."""
        if head < self._number:
            self.seq, self._number = _last(self._channel, head), head
            found.messages.append(resync_message(self._channel.name, self.seq))
        elif head > self._number:
            found.messages += self._read(head)
            found.is_stale = found.is_stale or self._number < head

    def _read(self, upto: int) -> list[Message]:
        name = self._channel.name
        events = ACCOUNT_FEEDS.get().events(
            self._channel.account, self._channel.kind, after=self._number, upto=upto, limit=_EVENTS_AT_ONCE
        )
        messages = []
        for number, at_ns, rows, source in events:
            prev, self.seq = self.seq, str(number)
            head = {"ch": name, "seq": self.seq, "prev": prev, "at": format_timestamp(at_ns)}
            message = Message(name, self.seq, rows_payload(head, b",".join(map(msgspec.json.encode, rows))))
            message.source = source
            messages.append(message)
        self._number = upto if len(events) < _EVENTS_AT_ONCE else events[-1].number
        return messages


class PortfolioFeed:
    """Makes the messages of an account's portfolio. state: the newest; each replaces all before it."""

    settled_ns = 0

    def __init__(self, channel: AccountChannel) -> None:
        self._channel = channel
        self._read()
        self.state: Message | None = self._message()

    @property
    def seq(self) -> str:
        """The number of the newest event in the portfolio."""
        return str(self._number)

    @property
    def commits(self) -> Reached:
        """The number of the newest event in the portfolio, by the account."""
        return {self._channel.account: EventNumber(self._number)}

    def advance(self, head: int, found: Advance) -> None:
        """Add the newest portfolio if it has changed. head: the account's newest event."""
        pause_ns = _PAUSE_NS if head != self._number else _PAUSE_WITHOUT_EVENT_NS
        self.due_ns = self._read_ns + pause_ns
        if time.time_ns() < self.due_ns:
            return
        before = self._number, self._row
        self._read()
        if (self._number, self._row) != before:
            found.messages.append(self._message())

    def _read(self) -> None:
        number, portfolio = ACCOUNT_FEEDS.get().portfolio(self._channel.account)
        self._number, self._row, self._read_ns = number, msgspec.json.encode(portfolio), time.time_ns()
        self.due_ns = self._read_ns + _PAUSE_WITHOUT_EVENT_NS

    def _message(self) -> Message:
        payload = rows_payload({"ch": self._channel.name, "seq": self.seq}, self._row)
        return StateMessage(self._channel.name, self.seq, payload)


class AccountFollower:
    """Follows an account for all its channels in this process. One call at a time. See `SymbolFollower`.

    due_ns: when to advance although no event was told; 0 for whenever the logs are looked at.
    """

    def __init__(self, account: str, *, is_told: Callable[[], bool]) -> None:
        """is_told: whether notifications of the account's events come now."""
        self._account, self._is_told = account, is_told
        self._feeds: dict[str, EventFeed | PortfolioFeed] = {}
        self.heads: dict[Dataset, Hashable] = {}
        self.due_ns: int | None = 0

    def add(self, channel: AccountChannel) -> EventFeed | PortfolioFeed:
        """Add a channel, and return its feed, which begins at the account's newest event. Raises `UnknownAccount`."""
        head = _head(self._account)
        feed = PortfolioFeed(channel) if channel.kind == PORTFOLIO_KIND else EventFeed(channel, head)
        self._feeds[channel.name] = feed
        self.due_ns = self._next_due_ns()
        return feed

    def remove(self, channel: AccountChannel) -> None:
        """Follow a channel no longer."""
        self._feeds.pop(channel.name, None)

    def commits(self, channel: AccountChannel) -> Reached:
        """Return how far a channel was read."""
        return self._feeds[channel.name].commits

    def settled_ns(self, channel: AccountChannel) -> int:
        """Return the `settled_ns` of a channel's feed."""
        return self._feeds[channel.name].settled_ns

    def advance(self) -> Advance:
        """Return the messages of all channels for what is new.

        Without the database there are none, and it tries again.
        """
        began, found = time.thread_time(), Advance()
        try:
            self._advance(found)
            self.due_ns = self._next_due_ns()
        except UnknownAccount as error:
            found.failed = dict.fromkeys(self._feeds, error)
        except DatabaseError as error:
            logger.warning("the live feed cannot read the events of an account: %s", error)
            self.due_ns = time.time_ns() + _PAUSE_AFTER_FAILURE_NS
        for name in found.failed:
            self._feeds.pop(name, None)
        found.cost = time.thread_time() - began
        return found

    def _advance(self, found: Advance) -> None:
        head = _head(self._account)
        for name, feed in self._feeds.items():
            try:
                feed.advance(head, found)
            except DatabaseError:
                raise
            except Exception as error:
                if not isinstance(error, READ_ERRORS):
                    logger.exception("the live feed cannot go on for %s", name)
                found.failed[name] = error

    def _next_due_ns(self) -> int:
        if not self._is_told():
            return 0
        dues = [each.due_ns for each in self._feeds.values() if isinstance(each, PortfolioFeed)]
        return min(dues, default=time.time_ns() + _PAUSE_IF_TOLD_NS)


def _head(account: str) -> int:
    head = ACCOUNT_FEEDS.get().head(account)
    if head is None:
        raise UnknownAccount(account)
    return head


def _check_event(account: str, number: int) -> None:
    """Raise `AccountRestored` unless the account has an event with this number."""
    if number > _head(account):
        raise AccountRestored(account)


def _last(channel: AccountChannel, number: int) -> str:
    return str(ACCOUNT_FEEDS.get().last(channel.account, channel.kind, number))
