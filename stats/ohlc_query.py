"""A query for bars, parsed once at the border."""

from dataclasses import dataclass, replace
from functools import lru_cache

from django.http import QueryDict

from stats.cursors import Cursor
from stats.intervals import Interval
from stats.serializers import OhlcQuerySerializer
from trades.exceptions import InvalidParameter, InvalidValue
from trades.field_errors import field_errors
from trades.query_parameters import single_parameters
from trades.storage.protocol import Window

_KNOWN = (*OhlcQuerySerializer().fields, "format")
# How DRF's own code is called here, and which codes speak of well-formed values that name nothing we have.
_CODES = {"required": "missing_parameter"}
_UNPROCESSABLE = {"invalid_symbol", "unknown_interval"}


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

    @property
    def is_paged(self) -> bool:
        """Whether the answer is a page, with cursors."""
        return self.limit is not None or self.cursor is not None

    @property
    def subject(self) -> str:
        """What a walk through pages is about: all but the page's place and size."""
        return repr((self.symbol, self.interval.value, self.window, self.as_of_ns))


@lru_cache(maxsize=4096)
def parse_ohlc_query(query_string: str) -> OhlcQuery:
    """The query in a URL's query string. Raises `InvalidParameter`, `InvalidValue` and `InvalidCursor`."""
    values = single_parameters(QueryDict(query_string), _KNOWN)
    serializer = OhlcQuerySerializer(data=values)
    if not serializer.is_valid():
        raise _refusal(serializer.errors)
    found = serializer.validated_data
    interval = found["interval"]
    query = OhlcQuery(
        symbol=found["symbol"],
        interval=interval,
        window=interval.whole(found.get("start"), found.get("end")),
        end_ns=found.get("end"),
        as_of_ns=found.get("as_of"),
        limit=found.get("limit"),
        cursor=None,
    )
    if "cursor" not in found:
        return query
    return replace(query, cursor=Cursor.decode(found["cursor"], query=query.subject))


def _refusal(errors: object) -> InvalidParameter | InvalidValue:
    """The error for what the serializer found: the first one speaks for all."""
    found = list(field_errors(errors))
    first = found[0]
    kind = InvalidValue if all(error.code in _UNPROCESSABLE for error in found) else InvalidParameter
    return kind(
        _CODES.get(first.code, first.code),
        f"{first.path}: {first.message}" if first.path else first.message,
        found,
    )
