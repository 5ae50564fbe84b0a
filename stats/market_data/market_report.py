"""The declarations of reports: answers that are one document, about a symbol, several symbols or all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rest_framework.serializers import Serializer

from stats.delivery.answers import AnswerSnapshot, LogName
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
