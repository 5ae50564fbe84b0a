"""Alpaca's market-data stream: its messages over the live feed."""

from collections.abc import Mapping
from typing import Any

import msgspec

from dialects.alpaca.pages import label_of
from dialects.alpaca.stream_rows import (
    DAILY_BARS,
    MINUTE_BARS,
    NEW_BAR,
    UPDATED_BAR,
    StreamRows,
    frame_of,
)
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
_AUTH, _SUBSCRIBE, _UNSUBSCRIBE = "auth", "subscribe", "unsubscribe"
# The `id` of the client's messages and of the feed's answers. Other documents of the feed have none.
ANSWER_ID = 1
_WORDS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    500: "internal error",
}
# By our codes, some with the action of the client's last message. All others are 400.
_CODES: Mapping[str | tuple[str, str], int] = {
    ("not_authenticated", ""): 404,
    ("not_authenticated", _AUTH): 402,
    "not_authenticated": 401,
    ("malformed_message", _AUTH): 403,
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
    """The `Wire` of Alpaca's market data. market_class: the path of the class whose symbols it has."""

    def __init__(self, market_class: str) -> None:
        self._class = market_class
        # The canonical symbols of the client's subscriptions by Alpaca's lists: now, and after its message.
        self._symbols: Mapping[str, frozenset[str]] = dict.fromkeys(_CHANNELS, frozenset())
        self._asked: Mapping[str, frozenset[str]] = self._symbols
        # Of the last message that was understood.
        self._action = ""

    def greeting(self, caller: Caller | None) -> bytes:
        """See `Wire`."""
        authenticated = b"" if caller is None else self.document_frame({"op": "authenticated"})
        return frame_of({"T": "success", "msg": "connected"}) + authenticated

    def request(self, body: bytes, _caller: Caller | None) -> dict[str, Any]:
        """See `Wire`."""
        self._action = ""
        try:
            document = msgspec.msgpack.decode(body, type=dict[str, str | list[str]])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UnknownOperation("a message is a map with action, and texts or lists of texts") from None
        action = document.pop("action", None)
        if action == _AUTH:
            key = _key_of(document.get("key"), document.get("secret"))
            self._action = _AUTH
            return {"op": "auth", "key": key, "id": ANSWER_ID}
        if not isinstance(action, str) or action not in (_SUBSCRIBE, _UNSUBSCRIBE):
            raise UnknownOperation(f"action is {_AUTH}, {_SUBSCRIBE} or {_UNSUBSCRIBE}")
        self._action = action
        self._asked = self._after(action, document)
        channels = sorted(_channels_of(self._asked) ^ _channels_of(self._symbols))
        if not channels:
            # The feed's channels stay the same.
            return {"op": "ping", "id": ANSWER_ID}
        return {"op": action, "channels": channels, "id": ANSWER_ID}

    def _after(self, action: str, lists: Mapping[str, str | list[str]]) -> Mapping[str, frozenset[str]]:
        """Return what the client will be subscribed to."""
        asked = dict(self._symbols)
        for name, symbols in lists.items():
            if name not in _CHANNELS:
                raise UnknownChannel(f"there are no {name[:64]}; there are {', '.join(_CHANNELS)}")
            if not isinstance(symbols, list):
                raise UnknownOperation(f"{name} is a list of symbols")
            canonical = {each if each == ALL_SYMBOLS else requested_symbol(each) for each in symbols}
            asked[name] = asked[name] | canonical if action == _SUBSCRIBE else asked[name] - canonical
        return asked

    def document_frame(self, document: Mapping[str, Any]) -> bytes:
        """See `Wire`."""
        operation = document["op"]
        if operation == "authenticated":
            return frame_of({"T": "success", "msg": "authenticated"})
        if operation in ("error", "closing"):
            self._leave(document.get("ch"))
            reason = document["code"]
            code = _CODES.get((reason, self._action)) or _CODES.get(reason, 400)
            return frame_of({"T": "error", "code": code, "msg": f"{_WORDS[code]}: {document['message']}"})
        if document.get("id") != ANSWER_ID:
            return b""
        self._symbols = self._asked
        lists = {
            name: [label_of(each, self._class) for each in sorted(symbols)]
            for name, symbols in self._symbols.items()
        }
        of_trades = {"corrections": lists["trades"], "cancelErrors": lists["trades"]}
        return frame_of({"T": "subscription", **lists, "lulds": [], **of_trades})

    def _leave(self, channel: str | None) -> None:
        """Forget the subscription to a channel that cannot be read."""
        self._symbols = {
            name: frozenset(each for each in symbols if f"{_CHANNELS[name]}:{each}" != channel)
            for name, symbols in self._symbols.items()
        }

    def frame(self, message: Message) -> bytes:
        """See `Wire`."""
        kind, _, symbol = message.channel.partition(":")
        wanted = (
            {letter for name, letter in _MINUTES.items() if symbol in self._symbols[name]}
            if kind == MINUTE_BARS
            else ()
        )
        return message.frame(StreamRows(self._class, frozenset(wanted)))


def _channels_of(lists: Mapping[str, frozenset[str]]) -> set[str]:
    """Return the names of our channels."""
    return {f"{_CHANNELS[name]}:{symbol}" for name, symbols in lists.items() for symbol in symbols}


def _key_of(key_id: object, secret: object) -> str:
    if not isinstance(key_id, str) or not isinstance(secret, str):
        raise UnknownOperation("auth has key and secret, both texts")
    return joined_key(key_id, secret)
