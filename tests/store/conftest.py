"""The stores that the conformance suite runs over: another implementation is one more line here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.csv import CsvStore
from store.csv.files import arrow_file
from store.market_store import MarketStore
from store.protocol import Amendment, Append, Receipt
from tests.memory_store import MemoryStore
from tests.store.builders import Clock


class FoldedStore(CsvStore):
    """Folds every commit into derived files at once, in small segments: reads are from them alone."""

    def append(self, batch: Append) -> Receipt:
        receipt = super().append(batch)
        self.derive(batch.dataset, batch.symbol)
        return receipt

    def correct(self, amendment: Amendment) -> Receipt:
        receipt = super().correct(amendment)
        self.derive(amendment.dataset, amendment.symbol)
        return receipt


class PartlyFoldedStore(CsvStore):
    """Folds every other batch of rows: reads are from derived files, and from what came after them."""

    def append(self, batch: Append) -> Receipt:
        receipt = super().append(batch)
        if receipt.commit.number % 2:
            self.derive(batch.dataset, batch.symbol)
        return receipt


STORES: dict[str, Callable[[Path, Clock], MarketStore]] = {
    "memory": lambda _, clock: MemoryStore(clock=clock),
    "csv": lambda folder, clock: CsvStore(folder, clock=clock),
    "csv, folded": lambda folder, clock: FoldedStore(folder, clock=clock, segment_rows=3),
    "csv, partly folded": lambda folder, clock: PartlyFoldedStore(folder, clock=clock, segment_rows=20),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=list(STORES))
def store(request: Any, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> MarketStore:
    """A store. Its derived files have checksums of a few bytes, so that a read spans many of them."""
    monkeypatch.setattr(arrow_file, "BLOCK_BYTES", 8)
    monkeypatch.setattr(arrow_file, "_SEARCHED_AT_ONCE", 1)
    return STORES[request.param](tmp_path / "store", clock)
