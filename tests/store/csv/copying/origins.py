"""Origins of mirrors: a store of this process, whose answers may be changed on their way."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from store.copies import OriginRestored, encode_states
from store.csv import CsvStore
from store.datasets import STORED_DATASETS
from store.protocol import CommitId
from store.walk import Resync


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
            lines = self.store.log_piece(STORED_DATASETS[dataset], symbol, after)
        except Resync as error:
            raise OriginRestored(str(error)) from error
        yield self.changed(lines)


def files_of(folder: Path) -> dict[str, bytes]:
    """All files of a store's logs, by name; derived ones apart."""
    found = [*folder.glob("*/*/*.csv"), *folder.glob("*/*/commits.jsonl")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.stat().st_size}


def all_files(folder: Path) -> set[str]:
    """The names of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
