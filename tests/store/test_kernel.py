"""What a backend must do, and that nothing more is needed."""

import inspect

import pytest

from store.memory import MemoryStore
from store.protocol import MarketStore
from store.queries import QueryableStore


def declared(kind: type) -> set[str]:
    """The public methods that a class, and no base of it, has of its own."""
    return {
        name for name, each in vars(kind).items() if not name.startswith("_") and inspect.isfunction(each)
    }


def test_memory_store_has_only_the_methods_of_a_backend():
    assert not declared(MemoryStore) & declared(QueryableStore)
    assert declared(MemoryStore) - {"apply"} <= MarketStore.__abstractmethods__


def test_backend_without_a_method_cannot_be_created():
    unfinished = type("Unfinished", (QueryableStore,), {})
    with pytest.raises(TypeError, match="append"):
        unfinished()
