"""A query for bars, parsed once at the border."""

from dataclasses import dataclass, replace
from functools import lru_cache

from stats.ohlc.serializers import OhlcQuerySerializer
from stats.paging.cursors import Cursor
from stats.parameters.intervals import Interval
from stats.parameters.query_values import query_values
from store.protocol import Window
from trades.services.instruments import symbol_canonical


@dataclass(frozen=True, slots=True)
class OhlcQuery:
    """Bars of a symbol. `window` is the range in whole bars, `end_ns` its end as requested, None for open."""

    symbol: str
    interval: Interval
    window: Window
    end_ns: int | None
    as_of_ns: int | None
    limit: int | None
    cursor: Cursor | None
    cursor_text: str | None

    @property
    def is_paged(self) -> bool:
        """Whether the answer is a page, with cursors."""
        return self.limit is not None or self.cursor is not None

    @property
    def subject(self) -> str:
        """What a walk through pages is about: all but the page's place and size."""
        return repr((self.symbol, self.interval.value, self.window, self.as_of_ns))


def parse_ohlc_query(query_string: str) -> OhlcQuery:
    """The query in a URL's query string, an alias as the symbol that it stands for.

    Raises `InvalidParameter`, `InvalidValue`, `InvalidCursor`, and the `StorageError`s of a look at the
    aliases.
    """
    query = _parsed(query_string)
    symbol = symbol_canonical(query.symbol)
    if query.cursor_text is None and symbol == query.symbol:
        return query
    return _about(query, symbol)


@lru_cache(maxsize=4096)
def _about(query: OhlcQuery, symbol: str) -> OhlcQuery:
    """The query for a symbol, at the place of its cursor."""
    about = replace(query, symbol=symbol)
    if about.cursor_text is None:
        return about
    return replace(about, cursor=Cursor.decode(about.cursor_text, query=about.subject))


@lru_cache(maxsize=4096)
def _parsed(query_string: str) -> OhlcQuery:
    """The query as it is written."""
    found = query_values(OhlcQuerySerializer, query_string)
    interval = found["interval"]
    return OhlcQuery(
        symbol=found["symbol"],
        interval=interval,
        window=interval.whole(found.get("start"), found.get("end")),
        end_ns=found.get("end"),
        as_of_ns=found.get("as_of"),
        limit=found.get("limit"),
        cursor=None,
        cursor_text=found.get("cursor"),
    )
