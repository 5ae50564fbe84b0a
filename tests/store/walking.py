"""What tests make of a walk over commits."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from store.csv import CsvStore
from store.datasets import STORED_DATASETS, TRADES
from store.declarations import Dataset
from store.market_store import MarketStore
from store.walk import BEGINNING, CommitPiece, CommitRecord, CommittedRows, LogPosition
from tests.store.builders import SYMBOL


def walk(
    store: MarketStore,
    after: LogPosition = BEGINNING,
    upto: int | None = None,
    *,
    symbol: str = SYMBOL,
    dataset: Dataset = TRADES,
) -> list[CommitPiece]:
    return list(store.log(dataset, symbol).commits(after, upto))


def flat(pieces: Iterable[CommitPiece]) -> list[Any]:
    """Records, and each row or correction with its commit and ordinal: the same wherever a walk was cut."""
    found: list[Any] = []
    for piece in pieces:
        if isinstance(piece, CommitRecord):
            found.append(piece)
        elif isinstance(piece, CommittedRows):
            rows = enumerate(piece.rows.to_pylist(), piece.ordinal)
            found += [(piece.commit, ordinal, row) for ordinal, row in rows]
        else:
            each = enumerate(piece.corrections, piece.ordinal)
            found += [(piece.commit, ordinal, correction) for ordinal, correction in each]
    return found


def logs_of(where: MarketStore | Path) -> dict[str, list[Any]]:
    """All that a store's logs have: hashes, facts, rows and corrections of all commits, by the logs' names."""
    store = CsvStore(where) if isinstance(where, Path) else where
    names = [(dataset, symbol) for dataset in STORED_DATASETS.values() for symbol in store.symbols(dataset)]
    return {
        f"{dataset.name}/{symbol}": flat(walk(store, dataset=dataset, symbol=symbol))
        for dataset, symbol in names
    }
