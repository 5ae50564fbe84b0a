"""Copies all logs of a store into another one, whatever their backends: the same commits, hashes and times."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from store.datasets import STORED_DATASETS
from store.exceptions import DataDamaged, Expired
from store.log import Log
from store.market_store import MarketStore
from store.protocol import CommitId
from store.walk import CommitPiece, CommittedRows, LogPosition, Resync
from store.whole_commits import WholeCommit, whole_commits

# So many logs are copied at once, because a store of servers waits for its network.
_THREADS = 4
# So many commits are stored together.
_GROUP_COMMITS, _GROUP_BYTES = 512, 8 * 2**20


class CopiedLog(NamedTuple):
    """A log of the copy, with its newest commit. problem: why later commits were not copied; empty if all were."""

    dataset: str
    symbol: str
    head: CommitId
    problem: str = ""


def copy_store(
    origin: MarketStore, to: MarketStore, on_rows: Callable[[int], object] = lambda _: None
) -> Iterator[CopiedLog]:
    """Copy the commits that the logs of a store lack; yield each log.

    Others may write to the origin meanwhile, but not to the same logs of the copy. Run it again to copy what came since,
    or after it was ended in any way. on_rows: called with the numbers of rows that were read. Raises `StoreUnavailable`.
    """
    for dataset in STORED_DATASETS.values():
        pool = ThreadPoolExecutor(_THREADS)
        symbols = origin.symbols(dataset)
        logs = [(origin.log(dataset, each), to.log(dataset, each)) for each in symbols]
        for each in set(to.symbols(dataset)).difference(symbols):
            problem = "FROM does not have it: a log was cut, or TO is no copy of FROM. Copy into an empty TO"
            yield CopiedLog(dataset.name, each, to.log(dataset, each).end().head, problem)
        try:
            yield from pool.map(partial(_copied, on_rows), logs)
        finally:
            pool.shutdown(cancel_futures=True)


def _copied(on_rows: Callable[[int], object], logs: tuple[Log, Log]) -> CopiedLog:
    origin, to = logs
    problem = ""
    try:
        copy_log(origin, to, on_rows)
    except Resync as error:
        problem = (
            f"FROM is at commit {error.head.token}, and TO has other commits: a log was cut, restored or written to."
            " Copy into an empty TO"
        )
    except Expired as error:
        problem = f"{error}. Copy the folder instead"
    except DataDamaged as error:
        problem = str(error)
    return CopiedLog(origin.dataset.name, origin.symbol, to.end().head, problem)


def copy_log(origin: Log, to: Log, on_rows: Callable[[int], object] = lambda _: None) -> None:
    """Add the commits that a log lacks, each whole or not at all. It needs the memory of the largest commit.

    Raises `Resync` if the newest commit of `to` is not one of the origin; `Expired` if rows were removed, and `DataDamaged` if
    rows are damaged: then the commits before are copied. Raises `DataDamaged` if a record of the origin is damaged: then no
    commit is copied. Raises the errors of `Log.add_commits`.
    """
    head, group, size = to.end().head, list[WholeCommit](), 0
    try:
        pieces = _counted(origin.commits(LogPosition(head)), on_rows)
        for commit in whole_commits(origin.dataset, head, pieces):
            group.append(commit)
            size += commit.rows.nbytes + commit.lines.nbytes
            if len(group) >= _GROUP_COMMITS or size >= _GROUP_BYTES:
                full, group, size = group, [], 0
                to.add_commits(head, full)
                head = commit.record.id
    finally:
        if group:
            to.add_commits(head, group)


def _counted(pieces: Iterable[CommitPiece], on_rows: Callable[[int], object]) -> Iterator[CommitPiece]:
    for piece in pieces:
        if isinstance(piece, CommittedRows):
            on_rows(piece.rows.num_rows)
        yield piece
