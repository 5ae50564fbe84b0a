"""The stores that the conformance suite runs over: another implementation is one more line here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.trades.storage.builders import Clock
from trades.storage.csv import CsvStore
from trades.storage.memory import MemoryStore
from trades.storage.protocol import MarketStore

STORES: dict[str, Callable[[Path, Clock], MarketStore]] = {
    "memory": lambda _, clock: MemoryStore(clock=clock),
    "csv": lambda folder, clock: CsvStore(folder, clock=clock),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=list(STORES))
def store(request: Any, tmp_path: Path, clock: Clock) -> MarketStore:
    return STORES[request.param](tmp_path / "store", clock)
