"""Bars as finished answers: what the endpoint and other apps ask for."""

import time

from http_requests.compression import Encoding
from stats.delivery.delivered import delivered, delivered_if_held
from stats.delivery.finished import Finished
from stats.ohlc.answer import ohlc_answer
from stats.ohlc.pinned import pin_ohlc
from stats.ohlc.query import parse_ohlc_query


def bars_read(
    *,
    query_string: str,
    if_none_match: str | None,
    encoding: Encoding | None = None,
    now_ns: int | None = None,
) -> Finished:
    """The bars that a URL's query asks for: 304 if the client has them, else from the cache or computed.

    They come in the content `encoding` where that makes them smaller. `now_ns` is the time of the call in
    nanoseconds since the epoch, by default the clock's. Raises `InvalidParameter`, `InvalidValue`, the
    store's `StorageError`s and every `StatsError`.
    """
    return delivered(
        ohlc_answer,
        pin_ohlc(parse_ohlc_query(query_string)),
        encoding=encoding,
        if_none_match=if_none_match,
        now_ns=time.time_ns() if now_ns is None else now_ns,
    )


def bars_read_if_held(
    *, query_string: str, if_none_match: str | None, encoding: Encoding | None = None
) -> Finished | None:
    """What `bars_read` gives now; None instead of an answer that this process does not hold in memory.

    Raises the same.
    """
    return delivered_if_held(
        ohlc_answer,
        pin_ohlc(parse_ohlc_query(query_string)),
        encoding=encoding,
        if_none_match=if_none_match,
        now_ns=time.time_ns(),
    )
