"""Reports: answers that are one document, about a symbol, several symbols or all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from rest_framework.serializers import Serializer

from stats.caching.keys import Irrelevant
from stats.delivery.answers import AnswerSnapshot, LogName
from stats.market_data.answers.page import PageSnapshot, PlannedAnswer
from stats.market_data.plan import Plan
from stats.market_data.query import MarketDataQuery
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


class SymbolsReport(AnswerSnapshot):
    """The base of reports: a report's name, symbols and `as_of` are those of its query."""

    query: Any

    @property
    def name(self) -> str:
        return f"{self.query.market_class}-{self.query.report}"

    @property
    def symbols(self) -> tuple[str, ...]:
        symbols: tuple[str, ...] = self.query.symbols
        return symbols

    @property
    def as_of_ns(self) -> int | None:
        as_of_ns: int | None = self.query.as_of_ns
        return as_of_ns


class Report(PlannedAnswer):
    """The base of answers that are made from a page: they have its symbols and its plans."""

    page: PageSnapshot

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.page.symbols

    @property
    def as_of_ns(self) -> int | None:
        return self.page.as_of_ns

    def all_plans(self) -> tuple[Plan, ...]:
        """See `PlannedAnswer.all_plans`."""
        return self.page.plans


@dataclass(frozen=True, eq=False)
class ReshapedPage(Report):
    """The base of answers of dialects: a page of the market-data API in another shape, which `document` gives."""

    query: Annotated[MarketDataQuery, Irrelevant("the page has it")]
    page: PageSnapshot

    @property
    def name(self) -> str:
        return f"{type(self).__name__}-{self.page.name}"

    @property
    def end_ns(self) -> int | None:
        """The page's end; None if it is that of all times."""
        return None if self.page.end_ns == ALL_TIME.end_ns else self.page.end_ns

    @property
    def is_period(self) -> bool:
        return self.page.is_period
