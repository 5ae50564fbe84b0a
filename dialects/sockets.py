"""The WebSockets of dialects, by path."""

from collections.abc import Mapping
from functools import partial

from dialects.alpaca.market_stream import MarketStream
from dialects.alpaca.trade_updates import TradeUpdates
from stats.live.wires import MakeWire

WIRES: Mapping[str, MakeWire] = {
    "/api/v2/stream": TradeUpdates,
    **dict.fromkeys(("/api/v2/stream/iex", "/api/v2/stream/sip"), partial(MarketStream, "equities")),
    "/api/v1beta3/crypto/us": partial(MarketStream, "crypto"),
}
