"""What a backend must do, and that nothing more is needed."""

import inspect
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.memory import MemoryStore
from store.protocol import MarketStore
from store.queries import QueryableStore


def declared(kind: type) -> set[str]:
    """The public methods that a class, and no base of it, has of its own."""
    return {
        name for name, each in vars(kind).items() if not name.startswith("_") and inspect.isfunction(each)
    }


def test_the_store_in_memory_does_what_a_backend_must_and_nothing_more():
    assert not declared(MemoryStore) & declared(QueryableStore)
    assert declared(MemoryStore) - {"apply"} <= MarketStore.__abstractmethods__


def test_a_backend_that_leaves_something_out_cannot_be_made():
    unfinished = type("Unfinished", (QueryableStore,), {})
    with pytest.raises(TypeError, match="append"):
        unfinished()


def test_the_store_of_files_has_a_faster_way_for_everything(tmp_path: Path):
    slow = [name for name in declared(QueryableStore) if name not in overridden(CsvStore)]
    assert slow == []
    assert isinstance(CsvStore(tmp_path), QueryableStore)


def overridden(kind: type) -> set[str]:
    """The methods that a class or one of its bases below `QueryableStore` has of its own."""
    below = kind.__mro__[: kind.__mro__.index(QueryableStore)]
    return {name for each in below for name in declared(each)}
