"""Origins of mirrors: a store of this process, whose answers may be changed on their way."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from store.copies import OriginRestored, encode_states
from store.csv import CsvStore
from store.datasets import STORED_DATASETS
from store.market_store import MarketStore
from store.protocol import CommitId
from store.walk import Resync
from store.walk_lines import walk_lines
from tests.store.walking import flat, walk


class Origin:
    """Another store. changed: is called with the lines of each copy, and returns what arrives."""

    def __init__(self, store: CsvStore) -> None:
        self.store = store
        self.changed: Callable[[Iterable[bytes]], Iterable[bytes]] = lambda lines: lines
        self.changed_states: Callable[[bytes], bytes] = lambda document: document

    def states(self, symbols: Sequence[str], *, seen: str, wait_seconds: int) -> bytes:
        return self.changed_states(encode_states(self.store.log_states(symbols)))

    @contextmanager
    def copy(self, dataset: str, symbol: str, after: CommitId) -> Iterator[Iterable[bytes]]:
        try:
            lines = walk_lines(self.store.log(STORED_DATASETS[dataset], symbol), after)
        except Resync as error:
            raise OriginRestored(str(error)) from error
        yield self.changed(lines)


def logs_of(where: MarketStore | Path) -> dict[str, list[Any]]:
    """All that a store's logs have: hashes, facts, rows and corrections of all commits, by the logs' names."""
    store = CsvStore(where) if isinstance(where, Path) else where
    names = [(dataset, symbol) for dataset in STORED_DATASETS.values() for symbol in store.symbols(dataset)]
    return {
        f"{dataset.name}/{symbol}": flat(walk(store, dataset=dataset, symbol=symbol))
        for dataset, symbol in names
    }


def all_files(folder: Path) -> set[str]:
    """The names of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
