"""What a source is asked, what it gives, and what it must be able to do."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import ClassVar, NamedTuple

import pyarrow as pa

from ops.outbound import exceptions as outbound
from store.declarations import Dataset
from store.instruments import EQUITY, Instrument
from store.protocol import Window
from store.resolutions import Resolution

PAGE_ROWS = 10_000
_SECONDS_A_PAGE = 0.5
FORM_ERRORS = (LookupError, TypeError, AttributeError, ArithmeticError, ValueError, pa.ArrowException)


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

    @property
    def bar_ns(self) -> int:
        """The longest length of its bars; 0 of other rows."""
        return Resolution.of_bars(self.resolution).length_ns if self.resolution else 0

    @property
    def is_dated(self) -> bool:
        """Whether bars of dates are wanted: each is stored at the midnight UTC of its date."""
        return bool(self.resolution) and Resolution.of_bars(self.resolution or "").is_period


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
    """What windows cost: requests, rows, seconds, and a price such as "3.20 USD". None or "" is unknown or nothing."""

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


class SourceUnreadable(SourceFailed):
    """The source answered in another form than expected. More than one new attempt seldom helps."""


class SourceRefused(SourceError):
    """The source will not answer this: an unknown symbol or timeframe, a wrong key, a country that it refuses."""

    code = "source_refused"


class LiveNews(NamedTuple):
    """What a live connection gave since the last news.

    rows: by the name at the source, in the dataset's schema, in order of arrival. is_new_connection: whether there was a
    connect since the last news, so that rows before may be missing. heard: when the connection spoke last, of
    `time.monotonic`.
    """

    rows: Mapping[str, pa.RecordBatch]
    is_new_connection: bool
    heard: float


class Source:
    """A source of rows. A process makes it once; several threads use it. A subclass has at least `_pages`.

    terms: a sentence about what its data may be used for, shown once in an installation. tested: how far it was tried.
    ids_are_sequential: whether a jump in the ids of its trades proves that some are missing. costs_money: whether each
    request of rows costs, so that gaps are not filled unasked. gives_live: whether it has `live`.
    settled_seconds: history that is asked so long after an instant has all trades before it.
    told_statuses: sentences for statuses of refusals.
    """

    name: str
    terms: str
    tested = "tested"
    ids_are_sequential = False
    costs_money = False
    gives_live = False
    settled_seconds = 0.0
    told_statuses: Mapping[int, str] = {}

    def refusal(self, wanted: Wanted) -> str:
        """Return why it is not worth asking, by what is known without a request; "" if it is."""
        return ""

    def markets(self) -> Iterable[SourceMarket]:
        """Return what it lists, read as far as it is iterated. Raises `SourceError`s.

        Empty if it cannot list them: then any name is asked for.
        """
        return ()

    def market(self, name: str) -> SourceMarket:
        """Return a market by its name. Raises `SourceRefused` with near names, other `SourceError`s."""
        names: list[str] = []
        for market in self.markets():
            if market.name == name:
                return market
            names.append(market.name)
        if not names:
            return SourceMarket(name, name, EQUITY)
        near = ", ".join(get_close_matches(name.upper(), names, 5))
        raise SourceRefused(f"{self.name} has no market {name}{f': did you mean {near}?' if near else ''}")

    def estimate(self, wanted: Wanted, windows: Sequence[Window]) -> Estimate:
        """Return what windows cost. May ask the source. Raises `SourceError`s."""
        if wanted.resolution is None:
            return Estimate()
        rows = [(each.end_ns - each.start_ns) // wanted.bar_ns for each in windows]
        requests = sum(each // PAGE_ROWS + 1 for each in rows)
        return Estimate(requests, sum(rows), requests * _SECONDS_A_PAGE)

    def pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """Yield what it has in a window, ascending, page by page, about 10,000 rows at most in each.

        Parts of the window that no page answers stay unknown. Blocks. Raises `SourceError`s; the pages before hold.
        """
        if reason := self.refusal(wanted):
            raise SourceRefused(reason)
        with self._errors_told():
            yield from self._pages(wanted, window)

    def prepare_live(self) -> None:
        """Load what `live` needs, so that it begins sooner. Blocks."""

    def live(self, wanteds: Sequence[Wanted]) -> AsyncGenerator[LiveNews, None]:
        """Yield trades of several logs as they come, news once a second at least. Raises `SourceError`s."""
        raise NotImplementedError

    def _pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        raise NotImplementedError

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Raise `SourceError`s for the errors of a request, and for an answer of another form."""
        try:
            yield
        except outbound.UnexpectedStatus as error:
            told = self.told_statuses.get(
                error.status, f"{self.name} answered {error.status} {error.code}".rstrip()
            )
            raise (SourceRefused if 400 <= error.status < 500 else SourceFailed)(told) from error
        except outbound.DestinationRefused as error:
            raise SourceRefused(str(error)) from error
        except (outbound.BreakerOpen, outbound.DestinationUnavailable) as error:
            raise SourceFailed(str(error), error.retry_after) from error
        except outbound.AnswerMalformed as error:
            raise SourceUnreadable(str(error)) from error
        except outbound.OutboundError as error:
            raise SourceFailed(str(error)) from error
        except FORM_ERRORS as error:
            raise SourceUnreadable(f"{self.name} answered in another form than expected") from error
