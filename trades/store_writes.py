"""What the store's writes are counted by."""

import time
from collections.abc import Callable

from metrics.declarations import COMMIT_FAILURES, COMMIT_SECONDS, COMMITS, ROWS
from store.datasets import DATASETS
from store.declarations import Dataset
from store.exceptions import StoreUnavailable
from store.protocol import CommitId, Receipt

# Known before the first one, which would otherwise be no increase.
for _name in DATASETS:
    COMMIT_FAILURES.add(_name, amount=0)


def count_commit(dataset: Dataset, _symbol: str, _commit: CommitId) -> None:
    """The hook of a store, called after each commit."""
    COMMITS.add(dataset.name)


def counted(dataset: Dataset, write: Callable[[], Receipt]) -> Receipt:
    """What `write` returns or raises, with its rows, its time and its failure counted."""
    began = time.perf_counter()
    try:
        receipt = write()
    except StoreUnavailable:
        COMMIT_FAILURES.add(dataset.name)
        raise
    COMMIT_SECONDS.observe(time.perf_counter() - began, dataset.name)
    if not receipt.replayed:
        ROWS.add(dataset.name, amount=receipt.stored)
    return receipt
