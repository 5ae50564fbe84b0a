"""Reports: answers that are one document, about a symbol, several symbols or all."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from rest_framework.serializers import Serializer

from stats.caching.keys import Irrelevant
from stats.delivery.answers import AnswerSnapshot, LogName
from stats.market_data.answers.page import PageSnapshot
from stats.market_data.plan import LogGroup, commits_of
from stats.market_data.query import MarketDataQuery
from store.cached_property import cached_property
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME
from web.documents import AnswerDocument
from web.endpoints import Access

_READ = Access("market:read")
# Opens many logs.
_READ_MANY = Access("market:read", cost="page", is_heavy=True)


@dataclass(frozen=True, slots=True, eq=False)
class MarketReport:
    """A report of the market-data API.

    name, path: its name, and the end of its path in URLs. classes: the paths of the classes that have it of a symbol.
    classes_of_symbols: those that have it of the symbols of a query. document, of_symbols: of a symbol, and of symbols.
    serializer: returns that of the query parameters. parse: of a class's path, the symbol in the path (None if the
    query has them) and the query string; raises `InvalidParameter` and `InvalidValue`. snapshot: takes the query's.
    logs: returns the logs that a query's snapshot will most likely watch; None if they are not known before. access,
    access_of_symbols: to the answer of a symbol, and of symbols.
    """

    name: str
    document: type[AnswerDocument]
    serializer: Callable[[bool], Serializer[Any]]
    parse: Callable[[str, str | None, str], Any]
    snapshot: Callable[..., AnswerSnapshot]
    logs: Callable[[Any], frozenset[LogName] | None] = lambda _query: None
    path: str = ""
    classes: tuple[str, ...] = ()
    classes_of_symbols: tuple[str, ...] = ()
    of_symbols: type[AnswerDocument] | None = None
    access: Access = _READ
    access_of_symbols: Access = _READ_MANY


MARKET_REPORTS: dict[str, MarketReport] = {}
"""All reports by their names, as `datasets` registers them."""


class Report(AnswerSnapshot):
    """The base of answers that are made from pages: they have the pages' symbols, commits and validity."""

    query: Any

    @property
    @abstractmethod
    def snapshots(self) -> Sequence[PageSnapshot]:
        """The pages, those of one symbol together."""

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(symbol for page in self.snapshots for symbol in page.symbols))

    @property
    def as_of_ns(self) -> int | None:
        return self.snapshots[0].as_of_ns if self.snapshots else None

    @cached_property
    def commits(self) -> str:
        logs: dict[LogName, LogView | LogGroup[Any]]
        logs = {(log.dataset, log.symbol): log for page in self.snapshots for log in page.logs}
        return commits_of(logs.values(), with_symbols=getattr(self.query, "several", False))

    @property
    def watched(self) -> frozenset[LogName] | None:
        named = [logs for page in self.snapshots if (logs := page.watched) is not None]
        return frozenset[LogName]().union(*named) if len(named) == len(self.snapshots) else None

    @property
    def expires_ns(self) -> int | None:
        expiries = [page.expires_ns for page in self.snapshots]
        return min((each for each in expiries if each is not None), default=None)


@dataclass(frozen=True, eq=False)
class ReshapedPage(Report):
    """The base of answers of dialects: a page of the market-data API in another shape, which `document` gives."""

    query: Annotated[MarketDataQuery, Irrelevant("the page has it")]
    page: PageSnapshot

    @property
    def name(self) -> str:
        return f"{type(self).__name__}-{self.page.name}"

    @property
    def snapshots(self) -> tuple[PageSnapshot, ...]:
        return (self.page,)

    @property
    def end_ns(self) -> int | None:
        """The page's end; None if it is that of all times."""
        return None if self.page.end_ns == ALL_TIME.end_ns else self.page.end_ns

    @property
    def is_period(self) -> bool:
        return self.page.is_period
