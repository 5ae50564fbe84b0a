"""Bars as finished answers: what the endpoints and other apps ask for."""

import time
from http import HTTPStatus

from stats.caching.conditional import is_current
from stats.caching.tiers import Cached
from stats.finished import Finished
from stats.ohlc import PinnedOhlc, ohlc_answer, pin_ohlc
from stats.ohlc_query import parse_ohlc_query
from trades.timestamps import SECOND_NS, format_timestamp

_VARY = "Accept, Accept-Encoding, Authorization, X-API-Key"
# A commit under way may still carry an instant that has just passed.
_SETTLED_NS = 60 * SECOND_NS
_IMMUTABLE_SECONDS = 31_536_000


def bars_read(
    *, query_string: str, if_none_match: str | None, only_held: bool = False, now_ns: int | None = None
) -> Finished | None:
    """The bars that a URL's query string asks for: 304 if the client has them, else from the cache or computed.

    With `only_held` None instead of an answer that this process does not hold in memory. `now_ns` is the time of
    the call in nanoseconds since the epoch, by default the clock's. Raises `InvalidParameter`, `InvalidValue`,
    the store's `StorageError`s and every `StatsError`.
    """
    pinned = pin_ohlc(parse_ohlc_query(query_string))
    now_ns = time.time_ns() if now_ns is None else now_ns
    validity = {"ETag": pinned.etag, **_validity(pinned, now_ns)}
    if is_current(if_none_match, pinned.etag):
        return Finished(HTTPStatus.NOT_MODIFIED, {"X-Cache": "revalidated", **validity})
    cached = ohlc_answer.held(pinned) if only_held else ohlc_answer(pinned, now_ns=now_ns)
    if cached is None:
        return None
    headers = {"Content-Type": cached.entry.content_type, **_origin(cached, now_ns), **validity}
    return Finished(HTTPStatus.OK, headers, cached.entry.body)


def _origin(cached: Cached, now_ns: int) -> dict[str, str]:
    age = max(0, int(now_ns / SECOND_NS - cached.entry.computed_at))
    return {"X-Cache": cached.outcome.value, "Age": str(age)}


def _validity(pinned: PinnedOhlc, now_ns: int) -> dict[str, str]:
    as_of_ns = pinned.query.as_of_ns
    headers = {"Cache-Control": "private, no-cache", "Vary": _VARY, "X-Commit": f"trades={pinned.head.token}"}
    if as_of_ns is not None:
        headers["X-As-Of"] = format_timestamp(as_of_ns)
        if as_of_ns < now_ns - _SETTLED_NS:
            headers["Cache-Control"] = f"private, max-age={_IMMUTABLE_SECONDS}, immutable"
    return headers
