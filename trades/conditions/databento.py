"""Databento's flags, a bit field in every market data record. They describe records; they are not sale conditions."""

from store.datasets import QUOTES, TRADES
from trades.conditions.condition_map import ConditionMap, codes_of

_FLAGS = codes_of(
    """
    0   -                  No flag
    128 -                  F_LAST: the last record of the venue's event
    64  -                  F_TOB: a top-of-book record
    32  snapshot           F_SNAPSHOT: from a replay, such as a snapshot server
    16  -                  F_MBP: an aggregated price level
    8   bad_receive_time   F_BAD_TS_RECV: ts_recv is inaccurate
    4   maybe_bad_book     F_MAYBE_BAD_BOOK: after an unrecoverable gap in the channel
    2   publisher_specific F_PUBLISHER_SPECIFIC: an event of the publisher
    """
)

DATABENTO = ConditionMap(
    "databento",
    "Databento Binary Encoding, bit set flags (https://docs.rs/dbn, module flags)",
    "dbn 0.56.0",
    {TRADES.name: _FLAGS, QUOTES.name: _FLAGS},
    is_bit_field=True,
)
