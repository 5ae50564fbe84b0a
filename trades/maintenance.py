"""What an operator may ask of the configured store beyond the protocol of all stores, and of which logs."""

from collections.abc import Sequence

from store.datasets import DATASETS
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.maintained import MaintainedStore, Upkeep
from trades.stores import market_store

LogName = tuple[Dataset, str]


class NotMaintained(Exception):
    """The configured store keeps no files to look after. Use one that does, or the store's own tools."""


def maintained_store() -> MaintainedStore:
    """The configured store. Raises `NotMaintained`."""
    store = market_store()
    if not isinstance(store, MaintainedStore):
        raise NotMaintained(f"the configured store, {type(store).__name__}, cannot do that")
    return store


def derived_keeper() -> Upkeep | None:
    """What keeps the market store's derived files current; None for a store that has none."""
    store = market_store()
    return store.keeper() if isinstance(store, MaintainedStore) else None


def logs_of(*, datasets: Sequence[str], symbols: Sequence[str], with_empty: bool = False) -> list[LogName]:
    """The logs of these symbols, or of all, in these datasets, or in all. Raises `UnknownSymbol`.

    with_empty: also those that have a folder and no commit, as when the log was lost.
    """
    known_in = maintained_store().folders if with_empty else market_store().symbols
    found = [(DATASETS[name], set(known_in(DATASETS[name]))) for name in datasets or DATASETS]
    for symbol in symbols:
        if not any(symbol in known for _, known in found):
            raise UnknownSymbol(symbol)
    return [
        (dataset, symbol)
        for dataset, known in found
        for symbol in symbols or sorted(known)
        if symbol in known
    ]
