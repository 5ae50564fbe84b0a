"""The WebSockets of dialects, by path."""

from collections.abc import Mapping

from dialects.alpaca.market_stream import MarketStream
from dialects.alpaca.trade_updates import TradeUpdates
from stats.live.wires import MakeWire

WIRES: Mapping[str, MakeWire] = {
    "/api/v2/stream": TradeUpdates,
    "/api/v2/stream/iex": lambda _query: MarketStream("equities"),
    "/api/v2/stream/sip": lambda _query: MarketStream("equities"),
    "/api/v1beta3/crypto/us": lambda _query: MarketStream("crypto"),
}
