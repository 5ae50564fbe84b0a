"""The WebSockets of dialects, by path."""

from collections.abc import Mapping
from functools import partial

from dialects.alpaca.market_stream import MarketStream
from dialects.alpaca.trade_updates import TradeUpdates
from stats.live.wires import MakeWire

_EQUITIES, _CRYPTO = partial(MarketStream, "equities"), partial(MarketStream, "crypto")
# Old clients append the second path of each row to a base URL, which may end with `/api` or not.
_ALPACA: Mapping[str, MakeWire] = {
    **dict.fromkeys(("/v2/stream", "/stream"), TradeUpdates),
    **dict.fromkeys(("/v2/stream/iex", "/v2/iex", "/v2/stream/sip", "/v2/sip"), _EQUITIES),
    **dict.fromkeys(("/v1beta3/crypto/us", "/v1beta2/crypto", "/v1beta1/crypto"), _CRYPTO),
}
WIRES: Mapping[str, MakeWire] = {
    f"{prefix}{path}": make for prefix in ("/api", "") for path, make in _ALPACA.items()
}
