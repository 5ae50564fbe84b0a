"""Reads a log commit by commit, from a position on."""

from typing import NamedTuple

from store.declarations import Dataset
from store.exceptions import StorageError, UnknownSymbol
from store.market_store import MarketStore
from store.walk import CommitPiece, CommitRecord, CommittedRows, LogPosition, Resync

# A read ends with the commit that reaches this number of rows.
_ROWS_AT_ONCE = 20_000


class LogTail:
    """Reads a log from a position on, in pieces.

    position: after what was read. Between two reads it is after a whole commit, except before the first read. has_more:
    whether the last read stopped before the end.
    """

    def __init__(
        self, store: MarketStore, dataset: Dataset, symbol: str, position: LogPosition, left: int
    ) -> None:
        """left: the number of the commit's rows after the position."""
        self._store, self._dataset, self._symbol = store, dataset, symbol
        self.position = position
        self.has_more = False
        self._left = left

    def read(self, upto: int | None = None) -> list[CommitPiece]:
        """Return the pieces after the position, to the end of a commit. Empty if there is nothing new.

        upto: the last commit to read. Raises `Resync` and `StorageError`s; then the position has not moved. Whole commits
        that were read before the failure are returned, and the next call raises.
        """
        pieces: list[CommitPiece] = []
        whole, size, self.has_more = _Whole(0, self.position, self._left), 0, False
        try:
            for piece in self._store.log(self._dataset, self._symbol).commits(self.position, upto):
                pieces.append(piece)
                size += 1 + self._take(piece)
                if self._left:
                    continue
                whole = _Whole(len(pieces), self.position, 0)
                if size >= _ROWS_AT_ONCE:
                    self.has_more = True
                    break
        except UnknownSymbol:
            return []
        except (StorageError, Resync):
            self.position, self._left, self.has_more = whole.position, whole.left, bool(whole.pieces)
            if not whole.pieces:
                raise
        return pieces[: whole.pieces]

    def _take(self, piece: CommitPiece) -> int:
        if isinstance(piece, CommitRecord):
            count, self._left, commit = 0, piece.length, piece.id
        else:
            count = piece.rows.num_rows if isinstance(piece, CommittedRows) else len(piece.corrections)
            self._left -= count
            commit = piece.commit
        self.position = piece.position if self._left else LogPosition(commit)
        return count


class _Whole(NamedTuple):
    """How far whole commits were read: the number of their pieces, the position, and the rows left in its commit."""

    pieces: int
    position: LogPosition
    left: int
