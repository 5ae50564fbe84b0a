"""What a source is asked, what it gives, and what it must be able to do."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, NamedTuple, Protocol

import pyarrow as pa

from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import Window


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows of one log that a source is asked for.

    dataset: TRADES, QUOTES, BARS or CORPORATE_ACTIONS. name: the instrument's at the source. resolution: of bars, such as `1m`;
    None for other datasets.
    """

    dataset: Dataset
    instrument: Instrument
    name: str
    resolution: str | None = None


class SourcePage(NamedTuple):
    """Rows, ascending by time, in the dataset's schema, and the window in which the source has no other rows.

    A page claims only what the source has shown: an empty answer proves nothing by itself. Rows lie inside of `answered`.
    commit: the source's token of the state that it gave, or "".
    """

    rows: pa.RecordBatch
    answered: Window
    commit: str = ""


@dataclass(frozen=True, slots=True)
class SourceMarket:
    """An instrument as the source lists it.

    symbol: what we call it. cls: `crypto`, `equity`, `future` … tick_size: the smallest step of its price; None if the
    source does not say. exchange: the MIC, for shares.
    """

    name: str
    symbol: str
    cls: str
    long_name: str = ""
    currency: str | None = None
    tick_size: Decimal | None = None
    exchange: str | None = None


class Estimate(NamedTuple):
    """What a window costs: requests, rows, seconds, and a price such as "3.20 USD". None or "" is unknown or nothing."""

    requests: int | None = None
    rows: int | None = None
    seconds: float | None = None
    price: str = ""


class SourceError(Exception):
    """A source gave no rows. The message is one sentence for people. code: of a job that ends with it."""

    code: ClassVar[str] = "source_failed"


class SourceFailed(SourceError):
    """The source may answer later. retry_after: the seconds that it asked to wait, or None."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SourceRefused(SourceError):
    """The source will not answer this: an unknown symbol or timeframe, a wrong key, a country that it refuses."""

    code = "source_refused"


class Source(Protocol):
    """A source of rows. A process makes it once; several threads use it.

    A class may also have `tested`, a text that says how far it was tried (without it: "tested");
    `estimate(wanted, window) -> Estimate`, which may ask the source for a price; `costs_money`, true if each request of
    rows costs, so that gaps are not filled unasked; and `market(name) -> SourceMarket`, where listing all would cost.

    terms: a sentence about what its data may be used for, shown once in an installation. ids_are_sequential: whether
    a jump in the ids of its trades proves that some are missing.
    """

    @property
    def name(self) -> str: ...

    @property
    def terms(self) -> str: ...

    @property
    def ids_are_sequential(self) -> bool: ...

    def refusal(self, wanted: Wanted) -> str:
        """Return why it is not worth asking, by what is known without a request; "" if it is."""
        ...

    def markets(self) -> Iterable[SourceMarket]:
        """Return what it lists, read as far as it is iterated. Raises `SourceError`s.

        Empty if it cannot list them: then any name is asked for, and is the symbol.
        """
        ...

    def pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """Yield what it has in a window, ascending, page by page, 10,000 rows at most in each.

        Parts of the window that no page answers stay unknown. Blocks. Raises `SourceError`s; the pages before hold.
        """
        ...
