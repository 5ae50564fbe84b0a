"""The logs that an answer reads, fixed to a commit each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from stats.paging.cursors import SeenCommit
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.log_views.log_view import LogView
from store.protocol import NO_COMMIT, CommitId, Window
from trades.stores import market_store


class Pinned(Protocol):
    """What an answer reads, fixed to a commit: a log, or several that are pinned as one."""

    @property
    def dataset(self) -> Dataset: ...

    @property
    def symbol(self) -> str: ...

    @property
    def head(self) -> CommitId:
        """The newest commit that the query may see, `NO_COMMIT` if there is none."""
        ...

    @property
    def at(self) -> CommitId:
        """What a cursor keeps."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing for the answer."""
        ...

    @property
    def version(self) -> str:
        """How it stands in cache keys."""
        ...


@dataclass(frozen=True, slots=True)
class PinnedLog:
    """A log of a symbol as of a commit.

    head: the newest commit that the query may see. at: the newest one that touches what the answer depends
    on; `NO_COMMIT` where nothing does: then nothing is read.
    """

    dataset: Dataset
    symbol: str
    head: CommitId
    at: CommitId

    @property
    def is_empty(self) -> bool:
        """Whether the log has nothing for the answer."""
        return self.at == NO_COMMIT

    @property
    def version(self) -> str:
        """How it stands in cache keys: `trades=17-9f3a2c`, with as much of the hash as tells restored logs apart."""
        return f"{self.dataset.name}={self.at.number}-{self.at.hash[:12]}"

    @property
    def view(self) -> LogView | None:
        """The log at its commit; None where nothing is read."""
        return None if self.is_empty else LogView(market_store(), self.dataset, self.symbol, self.at.number)

    def left_out(self) -> "PinnedLog":
        """The same log, of which nothing is read."""
        return PinnedLog(self.dataset, self.symbol, NO_COMMIT, NO_COMMIT)

    def row_bound(self, window: Window) -> int:
        """At most how many rows it has in a window."""
        if self.is_empty or window.start_ns >= window.end_ns:
            return 0
        return market_store().row_bound(self.dataset, self.symbol, window, at=self.at.number)

    def rows(self, window: Window) -> pa.Table:
        """Its rows in a window, in order."""
        if self.is_empty:
            return self.dataset.schema.empty_table()
        return market_store().rows(self.dataset, self.symbol, window, at=self.at.number)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """By which commits an answer is to be made.

    as_of_ns: only what was stored by then. seen: a cursor's commits, in the order in which logs are pinned;
    None on a first page.
    """

    as_of_ns: int | None
    seen: Sequence[SeenCommit] | None

    def log(self, dataset: Dataset, symbol: str, place: int) -> PinnedLog:
        """The log as of its newest commit in the snapshot.

        place: its number among the query's logs. Raises `Resync`.
        """
        if self.seen is not None:
            return _as_seen(dataset, symbol, self.seen[place])
        store = market_store()
        try:
            newest = None if self.as_of_ns is None else store.commit_as_of(dataset, symbol, self.as_of_ns)
            head = NO_COMMIT if newest == 0 else store.head(dataset, symbol, at=newest)
        except UnknownSymbol:
            head = NO_COMMIT
        return PinnedLog(dataset, symbol, head, head)

    def narrowed(self, log: PinnedLog, needed: Window) -> PinnedLog:
        """The log as of the newest commit that touches a window. A cursor's log is so already."""
        if self.seen is not None or log.is_empty:
            return log
        if needed.start_ns >= needed.end_ns:
            return PinnedLog(log.dataset, log.symbol, log.head, NO_COMMIT)
        at = market_store().version(log.dataset, log.symbol, needed, at=log.head.number)
        return PinnedLog(log.dataset, log.symbol, log.head, at)


def _as_seen(dataset: Dataset, symbol: str, seen: SeenCommit) -> PinnedLog:
    if not seen.number:
        return PinnedLog(dataset, symbol, NO_COMMIT, NO_COMMIT)
    store = market_store()
    try:
        head = store.head(dataset, symbol)
        commit = head if head.number < seen.number else store.head(dataset, symbol, at=seen.number)
    except UnknownSymbol:
        commit = NO_COMMIT
    seen.check(commit)
    return PinnedLog(dataset, symbol, commit, commit)
