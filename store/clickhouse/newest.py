"""The newest commit of each log, in the memory of each process. PostgreSQL tells of new ones (LISTEN, NOTIFY)."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import weakref
from typing import Any

import psycopg
from psycopg import sql

from store.clickhouse.catalogue import CHANNEL, Catalogue, StoredLog, state_of
from store.clickhouse.servers import PostgreSql
from store.datasets import STORED_DATASETS
from store.declarations import Dataset
from store.exceptions import StoreUnavailable

_logger = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 0.5
STALE_SECONDS = 2.0
"""Memory is trusted for so long after PostgreSQL answered last. Then PostgreSQL itself is asked."""

_Logs = dict[str, dict[str, StoredLog]]


class NewestCommits:
    """The newest state of all logs.

    A commit of this process is in it before its receipt is returned; one of another process within milliseconds, and if the
    connection is lost unnoticed within `STALE_SECONDS`. A thread of each process listens; it begins at the first use.
    """

    def __init__(self, postgres: PostgreSql, catalogue: Catalogue) -> None:
        self._postgres = postgres
        self._catalogue = catalogue
        self._begin()
        begin = weakref.WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (method := begin()) and method())

    def _begin(self) -> None:
        """Forget everything, as a process does that has no thread yet."""
        self._logs: _Logs = {}
        self._noted: list[tuple[str, str, StoredLog]] | None = None
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._confirmed = float("-inf")
        self.is_closed = False

    @property
    def is_current(self) -> bool:
        """Whether the memory is trusted. It asks no server."""
        if self._thread is None:
            with self._mutex:
                if self._thread is None and not self.is_closed:
                    self._thread = threading.Thread(
                        target=_listen, args=(weakref.ref(self),), name="commits", daemon=True
                    )
                    self._thread.start()
        return time.monotonic() - self._confirmed < STALE_SECONDS

    def state(self, dataset: Dataset, symbol: str) -> StoredLog | None:
        """Return a log; None if it never existed. Raises `StoreUnavailable`."""
        if self.is_current:
            return self._logs.get(dataset.name, {}).get(symbol)
        return self._catalogue.state(dataset, symbol)

    def logs(self, dataset: Dataset) -> dict[str, StoredLog]:
        """Return the logs of a dataset that have a commit. Raises `StoreUnavailable`."""
        logs = self._logs.get(dataset.name, {}).copy() if self.is_current else self._catalogue.logs(dataset)
        return {symbol: state for symbol, state in logs.items() if state.head.number}

    def note(self, dataset: str, symbol: str, state: StoredLog) -> None:
        """Take in a log's state, unless a newer one is known."""
        with self._mutex:
            if self._noted is not None:
                self._noted.append((dataset, symbol, state))
            _put(self._logs, dataset, symbol, state)

    def close(self) -> None:
        """End the thread."""
        self.is_closed = True
        self._confirmed = float("-inf")

    def load(self) -> None:
        """Read all logs. They replace what is known, because a log may have been restored."""
        with self._mutex:
            self._noted = []
        loaded: _Logs = {}
        for dataset, symbol, state in self._catalogue.all_logs():
            loaded.setdefault(dataset, {})[symbol] = state
        with self._mutex:
            for each in self._noted:
                _put(loaded, *each)
            self._noted, self._logs = None, loaded

    def confirm(self, began: float) -> None:
        """Trust the memory from an instant of the monotonic clock on."""
        self._confirmed = began

    def take(self, payload: str) -> None:
        """Take in a notification."""
        dataset, symbol, *values = json.loads(payload)
        state = state_of(values) if values else self._catalogue.state(STORED_DATASETS[dataset], symbol)
        if state is not None:
            self.note(dataset, symbol, state)

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a connection that listens."""
        connection = self._postgres.connect()
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(f"{CHANNEL} {self._postgres.schema}")))
        return connection


def _put(logs: _Logs, dataset: str, symbol: str, state: StoredLog) -> None:
    known = logs.setdefault(dataset, {})
    if symbol not in known or known[symbol].head.number < state.head.number:
        known[symbol] = state


def _listen(reference: weakref.ref[NewestCommits]) -> None:
    """Keep the memory current, for as long as it is used."""
    process = os.getpid()
    while os.getpid() == process:
        newest = reference()
        if newest is None or newest.is_closed:
            return
        try:
            with newest.connect() as connection:
                began = time.monotonic()
                newest.load()
                newest.confirm(began)
                del newest
                _follow(reference, connection)
        except (psycopg.Error, StoreUnavailable):
            pass
        except Exception:
            _logger.exception("a notification of PostgreSQL cannot be read: all logs are read again")
        newest = None
        time.sleep(HEARTBEAT_SECONDS)


def _follow(reference: weakref.ref[NewestCommits], connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Take in notifications until the memory is no longer used. Raises `psycopg.Error` if the connection is lost."""
    while True:
        for notification in connection.notifies(timeout=HEARTBEAT_SECONDS):
            newest = reference()
            if newest is not None:
                newest.take(notification.payload)
        newest = reference()
        if newest is None or newest.is_closed:
            return
        began = time.monotonic()
        # What was committed before is in the notifications that precede its answer.
        connection.execute("SELECT 1")
        for notification in connection.notifies(timeout=0):
            newest.take(notification.payload)
        newest.confirm(began)
        del newest
