"""What a source is asked, what it gives, and what it must be able to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import pyarrow as pa

from store.datasets import DATASETS
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import Window


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """All rows of a dataset and an instrument whose event times lie in a window."""

    dataset: Dataset
    instrument: Instrument
    window: Window

    @property
    def symbol(self) -> str:
        return self.instrument.symbol


@dataclass(frozen=True, slots=True)
class Fetched:
    """The rows that a source gave, whole. Their values are not checked yet.

    source: its name. rows: in the dataset's schema, in the source's order; they lie in a temporary file that is mapped
    into memory, and go with the table. commit: the source's token of the state that it gave. answered: the parts of the
    window of which it is known that the source has all rows; only there does the absence of a row mean anything.
    """

    source: str
    rows: pa.Table
    commit: str
    answered: tuple[Window, ...]


class Source(Protocol):
    """A source of rows. Made once per process, from its `OPTIONS` and its `name`; used by several threads."""

    @property
    def name(self) -> str: ...

    def offers(self, request: SourceRequest) -> bool:
        """Return whether it is worth asking, by the configuration alone."""
        ...

    def fetch(self, request: SourceRequest) -> Fetched:
        """Return all rows that the source has. Raises `SourceError`s; then there are no rows, not even some."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """What a source has, by its configuration: names of datasets, MICs, and patterns of symbols; None means all.

    Raises ValueError.
    """

    datasets: Sequence[str] | None = None
    exchanges: Sequence[str] | None = None
    symbols: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if any(isinstance(each, str) for each in (self.datasets, self.exchanges, self.symbols)):
            raise ValueError("an offer has lists")
        if unknown := set(self.datasets or ()) - DATASETS.keys():
            raise ValueError(f"there is no dataset {min(unknown)}; there are {', '.join(DATASETS)}")

    def includes(self, request: SourceRequest) -> bool:
        """Return whether a request is for rows of the offer. An instrument without an exchange is of none."""
        return (
            (self.datasets is None or request.dataset.name in self.datasets)
            and (self.exchanges is None or request.instrument.exchange in self.exchanges)
            and (self.symbols is None or any(fnmatchcase(request.symbol, each) for each in self.symbols))
        )
