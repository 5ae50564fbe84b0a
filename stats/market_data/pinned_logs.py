"""The logs that an answer reads, each pinned to a commit, so that later writes do not change the answer."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stats.cursors import SeenCommit
from stats.market_data.exchange_reach import exchange_reach
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.log_views.log_view import LogView, empty_view, view_of
from store.protocol import NO_COMMIT, CommitId, Window
from trades.instruments.services import instrument_get
from trades.stores import market_store


class PinnedLog(Protocol):
    """A log at a fixed commit, or several logs that are pinned as one."""

    @property
    def dataset(self) -> Dataset: ...

    @property
    def symbol(self) -> str: ...

    @property
    def head(self) -> CommitId:
        """The newest commit that the query may see; `NO_COMMIT` if there is none."""
        ...

    @property
    def commit(self) -> CommitId:
        """The commit that a cursor stores."""
        ...

    @property
    def key(self) -> str:
        """The text that stands for the log in cache keys."""
        ...


@dataclass(frozen=True, slots=True)
class ReadPoint:
    """The newest commits that an answer may read for one symbol.

    as_of_ns: commits stored later are ignored; None for no bound. seen: the cursor's commits, from the commit of
    the symbol's first log on; None on a first page.
    """

    as_of_ns: int | None
    seen: Sequence[SeenCommit] | None

    def log(self, dataset: Dataset, symbol: str, log_index: int) -> LogView:
        """Return the log at the newest commit that may be read. Without such a commit the log has no rows.

        log_index: the log's index among the plan's logs. Raises `ResyncRequired`, and `UnknownSymbol` if a
        cursor's symbol no longer exists.
        """
        if self.seen is not None:
            return _as_seen(dataset, symbol, self.seen[log_index])
        found = market_store().log(dataset, symbol)
        try:
            return view_of(found.at() if self.as_of_ns is None else found.as_of(self.as_of_ns))
        except UnknownSymbol:
            return empty_view(found)

    def exchange_reach(self, exchange: str, wanted_ns: int, now_ns: int) -> int:
        """See `exchange_reach`, as of `as_of_ns`."""
        return exchange_reach(exchange, wanted_ns, as_of_ns=self.as_of_ns, now_ns=now_ns)

    def limited_to(self, log: LogView, needed: Window) -> LogView:
        """Return the log at the newest commit that touches a date of a window. A cursor's log is returned unchanged."""
        if self.seen is not None or log.is_empty:
            return log
        return log.at(log.version(needed))


def _as_seen(dataset: Dataset, symbol: str, seen: SeenCommit) -> LogView:
    """Return the log at a cursor's commit.

    Raises `UnknownSymbol` if the symbol no longer exists, and `ResyncRequired` if the log no longer has the commit.
    """
    log = market_store().log(dataset, symbol)
    if not seen.number:
        return empty_view(log)
    try:
        found = log.at()
        if found.commit.number > seen.number:
            found = log.at(seen.number)
    except UnknownSymbol:
        instrument_get(symbol=symbol)
        found = log.at(NO_COMMIT)
    seen.check(found.commit)
    return view_of(found)


def digest_of(commits: Iterable[tuple[str, CommitId]]) -> str:
    """Return a hash of the names of logs with their commits."""
    digest = hashlib.sha256()
    for name, commit in commits:
        digest.update(f"{name}={commit.number}-{commit.hash};".encode())
    return digest.hexdigest()


def joined_commit(commits: Sequence[tuple[str, CommitId]]) -> CommitId:
    """Return one commit for many logs: the sum of their numbers, and a hash of them. `NO_COMMIT` without logs.

    commits: the logs' names and commits.
    """
    return CommitId(sum(commit.number for _, commit in commits), digest_of(commits)) if commits else NO_COMMIT


def commits_of(logs: Iterable[PinnedLog], *, with_symbols: bool) -> str:
    """Return the header `X-Commit` with the logs' newest commits.

    An item is `trades=17-9f3a2c` or, with symbols, `trades:AAPL=17-9f3a2c`.
    """
    return ", ".join(
        f"{log.dataset.name}{f':{log.symbol}' if with_symbols else ''}={log.head.token}"
        for log in logs
        if log.head != NO_COMMIT
    )
