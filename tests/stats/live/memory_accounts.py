"""Accounts whose events are in memory, for the tests of the live feed."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import OperationalError

from stats.live.accounts import EventRows


class MemoryAccounts:
    """A `stats.live.accounts.AccountFeeds`. Thread-safe.

    price: what the portfolio shows beside the newest event. is_away: whether each read fails, as without a database.
    """

    def __init__(self, *accounts: str) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, list[dict[str, list[Any]]]] = {account: [] for account in accounts}
        self.price: object = 0
        self.is_away = False
        self.reads = 0

    def record(self, account: str, **rows: list[Any]) -> int:
        """Add an event with rows by kind; return its number."""
        with self._lock:
            self._events[account].append(rows)
            return len(self._events[account])

    def restore(self, account: str, number: int) -> None:
        """Forget the events after a number."""
        with self._lock:
            del self._events[account][number:]

    def numbers(self, account: str, kind: str) -> list[int]:
        """The numbers of the events that concern a kind."""
        with self._lock:
            return [number for number, rows in enumerate(self._events[account], 1) if kind in rows]

    def head(self, account: str) -> int | None:
        self._note_read()
        with self._lock:
            return len(self._events[account]) if account in self._events else None

    def last(self, account: str, kind: str, upto: int) -> int:
        self._note_read()
        return max((number for number in self.numbers(account, kind) if number <= upto), default=0)

    def events(self, account: str, kind: str, *, after: int, upto: int, limit: int) -> Sequence[EventRows]:
        self._note_read()
        numbers = [number for number in self.numbers(account, kind) if after < number <= upto]
        with self._lock:
            rows = self._events[account]
            return [EventRows(number, number * 1_000, rows[number - 1][kind]) for number in numbers[:limit]]

    def portfolio(self, account: str) -> tuple[int, Mapping[str, Any]]:
        self._note_read()
        with self._lock:
            number = len(self._events[account])
        return number, {"events": number, "price": self.price}

    def _note_read(self) -> None:
        self.reads += 1
        if self.is_away:
            raise OperationalError("the database is away")
