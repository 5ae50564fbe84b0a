"""What Alpaca's streams understand and answer, message by message, without a server."""

import asyncio
from typing import Any
from unittest.mock import MagicMock, Mock

import msgpack  # type: ignore[import-untyped]
import orjson
import pytest
from rest_framework.exceptions import PermissionDenied

from dialects.alpaca.market_stream import MarketStream
from dialects.alpaca.stream_rows import StreamRows, frame_of
from dialects.alpaca.trade_updates import TradeUpdates
from dialects.sockets import WIRES
from ratelimit.callers import Caller
from stats.live.bar_feed import BarMessage
from stats.live.client import Client
from stats.live.exceptions import UnknownChannel, UnknownOperation
from stats.live.frames import Message
from store.market_store import MarketStore
from store.protocol import Window

KEY = {"key": "Abcdefgh", "secret": "0" * 43}
CALLER = Caller("key:1", "desk", "default", 10, frozenset(), accounts=frozenset({"ACC"}))


def stream(market_class: str = "equities") -> MarketStream:
    """The stream of a client that asks for MessagePack."""
    return MarketStream(market_class, "", "application/msgpack")


def maps(frame: bytes) -> Any:
    """The maps of a binary frame; None without a frame."""
    if not frame:
        return None
    assert frame[0] == 0x82
    return msgpack.unpackb(frame[{126: 4, 127: 10}.get(frame[1], 2) :])


def text(frame: bytes) -> Any:
    """The maps of a text frame."""
    assert frame[0] == 0x81
    return orjson.loads(frame[{126: 4, 127: 10}.get(frame[1], 2) :])


def said(wire: MarketStream, document: dict[str, Any]) -> Any:
    return maps(wire.document_frame(document))


def asked(wire: MarketStream, **message: Any) -> dict[str, Any]:
    return wire.request(msgpack.packb(message), CALLER)


def subscribed(wire: MarketStream, **lists: list[str]) -> dict[str, Any]:
    """Ask, and be answered; return what is asked of the feed."""
    request = asked(wire, action="subscribe", **lists)
    wire.document_frame({"op": "subscribed", "id": request["id"]})
    return request


def test_only_what_is_new_is_asked_of_the_feed():
    wire = stream()
    assert asked(wire, action="auth", **KEY)["key"] == f"md_Abcdefgh_{KEY['secret']}"
    request = subscribed(wire, trades=["AAPL"], bars=["AAPL"])
    assert (request["op"], request["channels"]) == ("subscribe", ["bars.1m:AAPL", "trades:AAPL"])
    assert subscribed(wire, trades=["AAPL", "MSFT"])["channels"] == ["trades:MSFT"]
    assert subscribed(wire, updatedBars=["AAPL"])["op"] == "ping"
    assert asked(wire, action="unsubscribe", bars=["AAPL"])["op"] == "ping"
    request = asked(wire, action="unsubscribe", trades=["AAPL"])
    assert (request["op"], request["channels"]) == ("unsubscribe", ["trades:AAPL"])
    (state,) = said(wire, {"op": "unsubscribed", "id": request["id"]})
    assert (state["trades"], state["corrections"]) == (["MSFT"], ["MSFT"])


def test_a_symbol_that_cannot_be_one_is_refused_and_the_connection_stays():
    client = object.__new__(Client)
    client.identity, client.connection = Mock(caller=CALLER), MagicMock(wire=stream())
    asyncio.run(client._take(msgpack.packb({"action": "subscribe", "trades": ["@X"]})))
    client.connection.end.assert_not_called()
    (error,), _ = client.connection.send.call_args
    assert error["op"] == "error"
    assert said(stream(), error)[0]["code"] == 400


def test_a_refused_message_changes_no_subscription():
    wire = stream("crypto")
    subscribed(wire, trades=["BTC/USD"])
    asked(wire, action="subscribe", trades=["ETH/USD"])
    (error,) = said(wire, {"op": "error", "code": "too_many_channels", "message": "full"})
    assert (error["T"], error["code"], error["msg"]) == ("error", 405, "full")
    request = asked(wire, action="subscribe", trades=["BTC/USD"])
    assert request["op"] == "ping"
    (state,) = said(wire, {"op": "pong", "id": request["id"]})
    assert state["trades"] == ["BTC/USD"]
    said(wire, {"op": "error", "code": "storage_error", "message": "", "ch": "trades:BTC-USD"})
    assert asked(wire, action="subscribe", trades=["BTC/USD"])["op"] == "subscribe"


@pytest.mark.parametrize(
    ("last", "reason", "code"),
    [
        ({}, "not_authenticated", 404),
        ({"action": "auth", **KEY}, "not_authenticated", 402),
        ({"action": "subscribe", "trades": ["A"]}, "not_authenticated", 401),
        ({"action": "auth", **KEY}, "malformed_message", 403),
        ({"action": "subscribe", "trades": ["A"]}, "malformed_message", 400),
        ({}, "slow_consumer", 407),
        ({}, "too_many_live_connections", 406),
        ({"action": "subscribe", "bars": ["*"]}, "unknown_channel", 410),
    ],
)
def test_errors_have_alpacas_codes(last: dict[str, Any], reason: str, code: int):
    wire = stream()
    if last:
        asked(wire, **last)
    (error,) = said(wire, {"op": "closing", "code": reason, "message": "why"})
    assert error["code"] == code


def test_alpacas_client_ends_without_a_permission():
    (error,) = said(stream(), {"op": "closing", "code": "missing_scope", "message": "why"})
    assert (error["code"], error["msg"]) == (409, "insufficient subscription: why")


@pytest.mark.parametrize(
    "message",
    [
        [],
        5,
        {"action": "dance"},
        {"action": "auth", "key": "a"},
        {"action": "subscribe", "trades": "A"},
        {1: "a"},
    ],
)
def test_what_is_no_message_is_refused(message: Any):
    wire = stream()
    with pytest.raises(UnknownOperation):
        wire.request(msgpack.packb(message), None)
    (error,) = said(wire, {"op": "closing", "code": "malformed_message", "message": "why"})
    assert error["code"] == 400


def test_what_the_feed_lacks_is_refused():
    with pytest.raises(UnknownChannel, match="lulds"):
        asked(stream(), action="subscribe", trades=["AAPL"], lulds=["AAPL"])


def test_messages_of_our_own_feed_are_not_told():
    wire = stream()
    assert said(wire, {"op": "ping"}) is None
    assert said(wire, {"op": "subscribed", "channels": {}}) is None


@pytest.mark.parametrize("instant_ns", [0, 1_735_828_200_123_456_789, -1, 2**34 * 10**9, -(10**18)])
def test_times_are_exact(instant_ns: int):
    (made,) = maps(frame_of({"t": instant_ns}, is_packed=True))
    assert made["t"].to_unix_nano() == instant_ns


JSON = {"content_type": "application/json"}


@pytest.mark.parametrize("asked_for", [{}, JSON])
@pytest.mark.parametrize("encode", [orjson.dumps, msgpack.packb])
def test_without_a_wish_for_message_pack_a_stream_speaks_json(asked_for: Any, encode: Any):
    wire = MarketStream("crypto", **asked_for)
    assert text(wire.greeting(None)) == [{"T": "success", "msg": "connected"}]
    assert wire.request(encode({"action": "auth", **KEY}), None)["op"] == "auth"
    request = wire.request(encode({"action": "subscribe", "trades": ["BTC/USD"]}), CALLER)
    assert request["channels"] == ["trades:BTC-USD"]
    assert text(wire.document_frame({"op": "subscribed", "id": request["id"]}))[0]["trades"] == ["BTC/USD"]


def test_a_stream_of_message_pack_understands_json():
    wire = stream()
    assert wire.request(orjson.dumps({"action": "auth", **KEY}), None)["op"] == "auth"
    assert maps(wire.greeting(None)) == [{"T": "success", "msg": "connected"}]


def test_rows_of_json_have_texts_as_times(default_store: MarketStore):
    row = {"timestamp": "2025-01-02T14:30:00.00000012Z", "status": "halted", "reason": None}
    message = Message("status:AAPL", "1", orjson.dumps({"data": [row]}))
    (made,) = text(message.frame(StreamRows("equities")))
    assert (made["S"], made["t"]) == ("AAPL", "2025-01-02T14:30:00.00000012Z")
    assert maps(message.frame(StreamRows("equities", is_packed=True)))[0]["t"].to_unix_nano() % 1000 == 120


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(
    "path",
    [
        "/v2/iex",
        "/v2/sip",
        "/v2/stream/iex",
        "/v1beta1/crypto",
        "/v1beta2/crypto",
        "/v1beta3/crypto/us",
        "/stream",
        "/v2/stream",
    ],
)
def test_streams_of_old_clients_have_a_wire(prefix: str, path: str):
    wire = WIRES[prefix + path]("exchanges=CBSE", "application/msgpack")
    is_of_orders = path.endswith("stream")
    assert isinstance(wire, TradeUpdates if is_of_orders else MarketStream)
    assert bool(wire.greeting(None)) != is_of_orders


def test_old_clients_send_empty_lists_of_what_is_not_offered():
    """The lists are those of alpaca-trade-api, in Python and JavaScript."""
    wire = stream("crypto")
    lists: dict[str, list[str]] = {"quotes": [], "lulds": [], "orderbooks": [], "statuses": []}
    request = asked(wire, action="subscribe", trades=["BTC/USD"], **lists)
    assert request["channels"] == ["trades:BTC-USD"]
    wire.document_frame({"op": "subscribed", "id": request["id"]})
    request = asked(wire, action="unsubscribe", trades=["BTC/USD"], **lists)
    assert (request["op"], request["channels"]) == ("unsubscribe", ["trades:BTC-USD"])


def test_symbols_of_other_classes_are_not_sent(default_store: MarketStore):
    message = Message("trades:AAPL", "1", orjson.dumps({"ch": "trades:AAPL", "data": []}))
    assert (
        message.frame(StreamRows("crypto", is_packed=True))
        == message.frame(StreamRows("equities", is_packed=True))
        == b""
    )
    quote = {
        "timestamp": "2025-01-02T14:30:00.00000012Z",
        "bid": None,
        "bid_size": None,
        "ask": 2.5,
        "ask_size": 3,
    }
    message = Message(
        "quotes:AAPL", "1", orjson.dumps({"data": [quote | {"exchange": "XNYS", "conditions": None}]})
    )
    (made,) = maps(message.frame(StreamRows("equities", is_packed=True)))
    assert made.pop("t").to_unix_nano() == 1_735_828_200_000_000_120
    assert made == {
        "T": "q", "S": "AAPL", "ax": "N", "bx": "N", "ap": 2.5, "as": 3, "bp": 0, "bs": 0, "c": [],
    }  # fmt: skip
    assert message.frame(StreamRows("crypto", is_packed=True)) == b""
    halt = {"timestamp": "1969-12-31T23:59:59Z", "status": "halted", "reason": None}
    message = Message("status:AAPL", "1", orjson.dumps({"data": [halt]}))
    assert maps(message.frame(StreamRows("equities", is_packed=True)))[0]["t"].to_unix_nano() == -(10**9)


def test_an_unknown_volume_of_a_bar_is_0(default_store: MarketStore):
    bar: dict[str, Any] = {
        "timestamp": "2025-01-02T14:30:00Z",
        "vwap": None,
        "trade_count": None,
        "volume": None,
        "final": True,
    }
    bar |= dict.fromkeys(("open", "high", "low", "close"), 5)
    window = Window(0, 1)
    message = BarMessage("bars.1m:AAPL", "1", orjson.dumps({"data": [bar]}), window, has_final=True)
    (made,) = maps(message.frame(StreamRows("equities", frozenset("b"), is_packed=True)))
    assert (made["v"], made["vw"], made["n"], made["c"]) == (0, None, None, 5)


def updates(wire: TradeUpdates, caller: Caller | None, **message: Any) -> dict[str, Any]:
    return wire.request(orjson.dumps(message), caller)


def told(wire: TradeUpdates, document: dict[str, Any]) -> Any:
    frame = wire.document_frame(document)
    return orjson.loads(frame[2 if frame[1] < 126 else 4 :])


def test_trade_updates_are_those_of_the_keys_account():
    wire = TradeUpdates()
    key = {"key_id": KEY["key"], "secret_key": KEY["secret"]}
    request = updates(wire, None, action="authenticate", data=key)
    assert (request["op"], request["key"]) == ("auth", f"md_Abcdefgh_{KEY['secret']}")
    refused = told(wire, {"op": "closing", "code": "not_authenticated", "message": "no"})
    assert refused["data"]["status"] == "unauthorized"
    assert told(wire, {"op": "authenticated"})["data"]["status"] == "authorized"
    request = updates(wire, CALLER, action="listen", data={"streams": ["trade_updates"]})
    assert request["channels"] == ["orders:ACC"]
    assert told(wire, {"op": "subscribed", "id": 1}) == {
        "stream": "listening",
        "data": {"streams": ["trade_updates"]},
    }
    request = updates(wire, CALLER, action="listen", data={"streams": []})
    assert (request["op"], request["channels"]) == ("unsubscribe", ["orders:ACC"])


def test_old_and_new_clients_of_trade_updates_are_understood():
    wire = TradeUpdates()
    assert updates(wire, None, action="auth", **KEY)["key"] == f"md_Abcdefgh_{KEY['secret']}"
    streams = {"streams": ["trade_updates", "account_updates"]}
    assert updates(wire, CALLER, action="unlisten", data=streams)["op"] == "ping"
    assert updates(wire, CALLER, action="listen", data=streams)["op"] == "subscribe"
    assert updates(wire, CALLER, action="unlisten", data={"streams": ["other"]})["op"] == "ping"
    assert updates(wire, CALLER, action="unlisten", data=streams)["op"] == "unsubscribe"


@pytest.mark.parametrize("accounts", [{"*"}, {"A", "B"}, set()])
def test_a_key_without_one_account_gets_no_trade_updates(accounts: set[str]):
    caller = Caller("key:1", "desk", "default", 10, frozenset(), accounts=frozenset(accounts))
    with pytest.raises(PermissionDenied):
        updates(TradeUpdates(), caller, action="listen", data={"streams": ["trade_updates"]})
