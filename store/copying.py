"""Copies logs from one store into another, whatever their backends, with numbers, hashes and times of the commits."""

from collections.abc import Callable, Iterable, Iterator

from store.copies import CopyProgress
from store.log import Log
from store.receiving import SentPiece
from store.walk import CommittedRows, LogPosition, Resync


def copy_log(origin: Log, copy: Log, on_rows: Callable[[int], object] = lambda _: None) -> CopyProgress:
    """Add the commits that a log lacks; return how far it is copied.

    on_rows: called with the numbers of rows that were read. If the newest commit of the copy is not one of the origin, the
    copy stays as it is, and the progress has the `problem`. After an error the commits before it are kept, and the next call
    continues there. Raises `CopyMalformed`, the errors of `Log.commits` and of `Log.apply`.
    """
    head, origin_end, problem = copy.end().head, origin.end(), ""
    try:
        copy.apply(_counted(origin.commits(LogPosition(head)), on_rows))
    except Resync as error:
        problem = (
            f"the origin is at commit {error.head.token} and does not have {head.token}: it was restored, or the copy was"
            " written to; copy into an empty folder"
        )
    return CopyProgress(origin.dataset.name, origin.symbol, *copy.end()[:2], *origin_end[:2], problem)


def _counted(pieces: Iterable[SentPiece], on_rows: Callable[[int], object]) -> Iterator[SentPiece]:
    for piece in pieces:
        if isinstance(piece, CommittedRows):
            on_rows(piece.rows.num_rows)
        yield piece
