"""Copies logs from one store into another, whatever their backends, with numbers, hashes and times of the commits."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from store.copies import CopyProgress
from store.datasets import STORED_DATASETS
from store.declarations import Dataset
from store.log import Log
from store.market_store import MarketStore
from store.protocol import NO_COMMIT, CommitId
from store.receiving import SentPiece
from store.walk import CommittedRows, LogPosition, Resync

# So many logs are copied at once, which is for stores of servers.
_THREADS = 4


class StoreCopy:
    """Copies all logs of a store, round by round, while others write to the store.

    Nothing of a copy's progress is kept beside the copy: after a crash another object goes on.
    """

    def __init__(self, origin: MarketStore, to: MarketStore, *, until_ns: int | None = None) -> None:
        """Create it. until_ns: later commits are left out."""
        self.origin, self.to = origin, to
        self._until_ns = until_ns
        self._seen: dict[tuple[str, str], Hashable] = {}

    def logs(self) -> Iterator[Log]:
        """Yield the origin's logs."""
        for dataset in STORED_DATASETS.values():
            for symbol in self.origin.symbols(dataset):
                yield self.origin.log(dataset, symbol)

    def strangers(self) -> Iterator[str]:
        """Yield the names of logs of the copy whose newest commit is not one of the origin."""
        for dataset in STORED_DATASETS.values():
            for symbol in self.to.symbols(dataset):
                head = self.to.log(dataset, symbol).head
                try:
                    next(iter(self.origin.log(dataset, symbol).commits(LogPosition(head))), None)
                except Resync:
                    yield f"{dataset.name}/{symbol}"

    def round(self, on_rows: Callable[[int], object] = lambda _: None) -> Iterator[CopyProgress]:
        """Copy what is new since the last round. Yields the progress of each log that has changed; see `copy_log`."""
        for dataset in STORED_DATASETS.values():
            heads = self.origin.heads(dataset, self.origin.symbols(dataset))
            names = [each for each in heads.items() if self._seen.get((dataset.name, each[0])) != each[1]]
            pool = ThreadPoolExecutor(_THREADS)
            try:
                yield from pool.map(partial(self._copy, dataset, on_rows), names)
            finally:
                pool.shutdown(cancel_futures=True)

    def _copy(
        self, dataset: Dataset, on_rows: Callable[[int], object], log: tuple[str, Hashable]
    ) -> CopyProgress:
        """Copy a log. log: the symbol, and its token before."""
        symbol, token = log
        names = dataset, symbol
        progress = copy_log(self.origin.log(*names), self.to.log(*names), on_rows, until_ns=self._until_ns)
        if progress.head == progress.origin_head:
            self._seen[dataset.name, symbol] = token
        return progress


def copy_log(
    origin: Log, copy: Log, on_rows: Callable[[int], object] = lambda _: None, *, until_ns: int | None = None
) -> CopyProgress:
    """Add the commits that a log lacks; return how far it is copied.

    on_rows: called with the numbers of rows that were read. until_ns: commits made later are left out. If the newest commit
    of the copy is not one of the origin, or was made later, the copy stays as it is, and the progress has the `problem`.
    After an error the commits before it are kept, and the next call continues there. Raises `CopyMalformed`, the errors of
    `Log.commits` and of `Log.apply`.
    """
    head, problem = copy.end().head, ""
    newest, newest_ns = origin.end()[:2] if until_ns is None else _newest_until(origin, until_ns)
    try:
        pieces = origin.commits(LogPosition(head), None if until_ns is None else newest.number)
        copy.apply(_counted(pieces, on_rows))
    except Resync as error:
        problem = (
            f"the origin is at commit {error.head.token} and does not have {head.token}: it was restored, or the copy was"
            " written to; copy into an empty folder"
        )
    if until_ns is not None and head.number > newest.number:
        problem = problem or f"its commit {head.token} was made later: copy into an empty folder"
    return CopyProgress(origin.dataset.name, origin.symbol, *copy.end()[:2], newest, newest_ns, problem)


def _newest_until(log: Log, instant_ns: int) -> tuple[CommitId, int]:
    newest = log.as_of(instant_ns).commit
    return newest, 0 if newest == NO_COMMIT else log.committed_at(newest.number)


def _counted(pieces: Iterable[SentPiece], on_rows: Callable[[int], object]) -> Iterator[SentPiece]:
    for piece in pieces:
        if isinstance(piece, CommittedRows):
            on_rows(piece.rows.num_rows)
        yield piece
