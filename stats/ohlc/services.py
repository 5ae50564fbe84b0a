"""Bars as finished answers, for who has a URL's query and no Django."""

import time

from http_requests.compression import Encoding
from stats.delivery.delivered import delivered_if_held
from stats.delivery.finished import Finished
from stats.delivery.pinned_answer import Representation
from stats.ohlc.answer import ohlc_pin
from stats.ohlc.query import parse_ohlc_query


def bars_read_if_held(
    *, query_string: str, if_none_match: str | None, encoding: Encoding | None = None
) -> Finished | None:
    """The bars that a URL's query asks for now; None instead of an answer that this process does not hold in memory.

    Raises `InvalidParameter`, `InvalidValue`, the store's `StorageError`s and every `StatsError`.
    """
    now_ns = time.time_ns()
    bars = ohlc_pin(parse_ohlc_query(query_string), now_ns=now_ns)
    return delivered_if_held(
        bars.answer(Representation("json", encoding)), if_none_match=if_none_match, now_ns=now_ns
    )
