"""Alpaca's market-data stream: its messages over the live feed."""

from collections.abc import Mapping
from typing import Any

import msgspec

from dialects.alpaca.stream_rows import (
    DAILY_BARS,
    MINUTE_BARS,
    NEW_BAR,
    UPDATED_BAR,
    StreamRows,
    frame_of,
)
from dialects.alpaca.symbols import label_of, pair_of
from ratelimit.callers import Caller
from ratelimit.keys.api_keys import joined_key
from stats.live.channels import ALL_SYMBOLS
from stats.live.exceptions import UnknownChannel, UnknownOperation
from stats.live.frames import Message
from trades.instruments.services import requested_symbol

# Alpaca's lists of symbols, and our channels of their rows.
_CHANNELS = {
    "trades": "trades",
    "quotes": "quotes",
    "bars": MINUTE_BARS,
    "updatedBars": MINUTE_BARS,
    "dailyBars": DAILY_BARS,
    "statuses": "status",
}
_MINUTES = {"bars": NEW_BAR, "updatedBars": UPDATED_BAR}
# The `id` of the client's messages and of the feed's answers. Other documents of the feed have none.
ANSWER_ID = 1
# At these words alpaca-py ends; after other errors it connects again.
_FINAL_WORDS = {409: "insufficient subscription: "}
# By our codes, some with the action of the client's last message. All others are 400.
_CODES: Mapping[str | tuple[str, str], int] = {
    ("not_authenticated", ""): 404,
    ("not_authenticated", "auth"): 402,
    "not_authenticated": 401,
    ("malformed_message", "auth"): 403,
    "too_many_channels": 405,
    "rate_limited": 405,
    "too_many_live_connections": 406,
    "slow_consumer": 407,
    "missing_scope": 409,
    "insufficient_sensitivity": 409,
    "forbidden": 409,
    "unknown_channel": 410,
    "server_error": 500,
    "restarting": 500,
}


class MarketStream:
    """The `Wire` of Alpaca's market data: MessagePack if the handshake's Content-Type asks for it, else JSON.

    Messages are understood in both. market_class: the path of the class whose symbols it has.
    """

    def __init__(self, market_class: str, _query: str = "", content_type: str = "") -> None:
        """See `MakeWire`."""
        self._class = market_class
        self._is_packed = "msgpack" in content_type.lower()
        # The canonical symbols of the client's subscriptions by Alpaca's lists: now, and after its message.
        self._symbols: Mapping[str, frozenset[str]] = dict.fromkeys(_CHANNELS, frozenset())
        self._asked: Mapping[str, frozenset[str]] = self._symbols
        # Of the last message that was understood.
        self._action = ""

    def greeting(self, caller: Caller | None) -> bytes:
        """See `Wire`."""
        authenticated = b"" if caller is None else self.document_frame({"op": "authenticated"})
        return self._frame({"T": "success", "msg": "connected"}) + authenticated

    def request(self, body: bytes, _caller: Caller | None) -> dict[str, Any]:
        """See `Wire`."""
        self._action = ""
        # An object of JSON begins with a brace, which is a number in MessagePack.
        decode = msgspec.json.decode if body.lstrip().startswith(b"{") else msgspec.msgpack.decode
        try:
            document = decode(body, type=dict[str, str | list[str]])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UnknownOperation("a message is a map with action, and texts or lists of texts") from None
        match document:
            case {"action": "auth", "key": str(key_id), "secret": str(secret)}:
                self._action = "auth"
                return {"op": "auth", "key": joined_key(key_id, secret), "id": ANSWER_ID}
            case {"action": ("subscribe" | "unsubscribe") as action, **lists}:
                self._action = action
                self._asked = self._after(action, lists)
                channels = sorted(_channels_of(self._asked) ^ _channels_of(self._symbols))
                # Without new channels the feed has nothing to do.
                changed = {"op": action, "channels": channels} if channels else {"op": "ping"}
                return {**changed, "id": ANSWER_ID}
        raise UnknownOperation("action is auth, with key and secret, both texts, or subscribe or unsubscribe")

    def _after(self, action: str, lists: Mapping[str, str | list[str]]) -> Mapping[str, frozenset[str]]:
        """Return what the client will be subscribed to."""
        asked = dict(self._symbols)
        for name, symbols in lists.items():
            # Clients send empty lists of what they do not want, also of what is not offered.
            if name not in _CHANNELS and symbols != []:
                raise UnknownChannel(f"there are no {name[:64]}; there are {', '.join(_CHANNELS)}")
            if not isinstance(symbols, list):
                raise UnknownOperation(f"{name} is a list of symbols")
            if not symbols:
                continue
            canonical = {each if each == ALL_SYMBOLS else self._symbol(each) for each in symbols}
            asked[name] = asked[name] | canonical if action == "subscribe" else asked[name] - canonical
        return asked

    def _symbol(self, text: str) -> str:
        symbol = requested_symbol(text)
        return pair_of(symbol) if self._class == "crypto" else symbol

    def document_frame(self, document: Mapping[str, Any]) -> bytes:
        """See `Wire`."""
        operation = document["op"]
        if operation == "authenticated":
            return self._frame({"T": "success", "msg": "authenticated"})
        if operation in ("error", "closing"):
            self._leave(document.get("ch"))
            reason = document["code"]
            code = _CODES.get((reason, self._action)) or _CODES.get(reason, 400)
            message = _FINAL_WORDS.get(code, "") + document["message"]
            return self._frame({"T": "error", "code": code, "msg": message})
        if document.get("id") != ANSWER_ID:
            return b""
        self._symbols = self._asked
        lists = {
            name: [label_of(each, self._class) for each in sorted(symbols)]
            for name, symbols in self._symbols.items()
        }
        of_trades = {"corrections": lists["trades"], "cancelErrors": lists["trades"]}
        return self._frame({"T": "subscription", **lists, "lulds": [], **of_trades})

    def _frame(self, message: Mapping[str, Any]) -> bytes:
        return frame_of(message, is_packed=self._is_packed)

    def _leave(self, channel: str | None) -> None:
        """Forget the subscription to a channel that cannot be read."""
        self._symbols = {
            name: frozenset(each for each in symbols if f"{_CHANNELS[name]}:{each}" != channel)
            for name, symbols in self._symbols.items()
        }

    def frame(self, message: Message) -> bytes:
        """See `Wire`."""
        kind, _, symbol = message.channel.partition(":")
        minutes = _MINUTES if kind == MINUTE_BARS else {}
        letters = (letter for name, letter in minutes.items() if symbol in self._symbols[name])
        return message.frame(StreamRows(self._class, frozenset(letters), self._is_packed))


def _channels_of(lists: Mapping[str, frozenset[str]]) -> set[str]:
    """Return the names of our channels."""
    return {f"{_CHANNELS[name]}:{symbol}" for name, symbols in lists.items() for symbol in symbols}
