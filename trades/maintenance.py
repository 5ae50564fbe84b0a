"""What an operator may ask of the configured store beyond its protocol; a store that keeps no files does not answer."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from trades.datasets import DATASETS, Dataset
from trades.storage.exceptions import UnknownSymbol
from trades.stores import market_store

Log = tuple[Dataset, str]


class NotMaintained(Exception):
    """The configured store has no such operation. Use a store of files, or the store's own tools."""


def logs_of(*, datasets: Sequence[str], symbols: Sequence[str]) -> list[Log]:
    """The logs of these symbols, or of all, in these datasets, or in all. Raises `UnknownSymbol`."""
    store = market_store()
    found = [(DATASETS[name], set(store.symbols(DATASETS[name]))) for name in datasets or DATASETS]
    for symbol in symbols:
        if not any(symbol in known for _, known in found):
            raise UnknownSymbol(symbol)
    return [
        (dataset, symbol)
        for dataset, known in found
        for symbol in symbols or sorted(known)
        if symbol in known
    ]


def operation(name: str) -> Callable[..., Any]:
    """An operation of the configured store on one log. Raises `NotMaintained`."""
    store = market_store()
    found: Callable[..., Any] | None = getattr(store, name, None)
    if found is None:
        raise NotMaintained(f"the configured store, {type(store).__name__}, cannot do that")
    return found


def each(name: str, logs: Sequence[Log], **options: Any) -> Iterator[tuple[Log, Any]]:
    """What an operation answers for each log."""
    run = operation(name)
    for dataset, symbol in logs:
        yield (dataset, symbol), run(dataset, symbol, **options)
