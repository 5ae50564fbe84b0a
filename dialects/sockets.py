"""The WebSockets of dialects, by path."""

from collections.abc import Mapping

from dialects.alpaca.market_stream import MarketStream
from dialects.alpaca.trade_updates import TradeUpdates
from stats.live.wires import MakeWire


def _of_equities(_query: str) -> MarketStream:
    return MarketStream("equities")


def _of_crypto(_query: str) -> MarketStream:
    return MarketStream("crypto")


WIRES: Mapping[str, MakeWire] = {
    "/api/v2/stream": TradeUpdates,
    "/api/v2/stream/iex": _of_equities,
    "/api/v2/stream/sip": _of_equities,
    "/api/v1beta3/crypto/us": _of_crypto,
}
