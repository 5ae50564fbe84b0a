"""Alpaca's stream of trade updates: the orders of the key's account, in JSON."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from rest_framework.exceptions import PermissionDenied

from dialects.alpaca.market_stream import ANSWER_ID
from dialects.alpaca.orders import alpaca_order
from ratelimit.callers import ALL_ACCOUNTS, Caller
from ratelimit.keys.api_keys import joined_key
from stats.live.accounts import ORDERS_KIND
from stats.live.exceptions import UnknownOperation
from stats.live.frames import Message
from stats.live.sockets import text_frame
from store.timestamps import format_timestamp
from trading.core.amounts import plain
from trading.core.events import (
    CancelRequested,
    Event,
    Executed,
    OrderAccepted,
    OrderEnded,
    OrderRejected,
    OrderWorking,
    decoded,
)
from trading.core.orders import Order, OrderState
from trading.models import EventRow
from web.requests.json_document import read_json

UPDATES = "trade_updates"
# Events that give the order that they name another status. All other changes are called "restated".
_STATUS_EVENTS = (OrderAccepted, OrderWorking, OrderRejected, OrderEnded)


class TradeUpdates:
    """The `Wire` of trade updates. A key stands for an account, so it may have one account only."""

    def __init__(self, _query: str = "", _content_type: str = "") -> None:
        """See `MakeWire`."""
        self._is_authenticated = False
        self._streams: list[str] = []

    def greeting(self, caller: Caller | None) -> bytes:
        """See `Wire`."""
        self._is_authenticated = caller is not None
        return b""

    def request(self, body: bytes, caller: Caller | None) -> dict[str, Any]:
        """See `Wire`."""
        document = read_json(body)
        match document:
            case {"action": "authenticate", "data": {"key_id": str(key_id), "secret_key": str(secret)}}:
                return {"op": "auth", "key": joined_key(key_id, secret), "id": ANSWER_ID}
            case {"action": "listen", "data": {"streams": list(streams)}}:
                return self._listen(UPDATES in streams, caller)
            case {"action": "unlisten", "data": {"streams": list(streams)}}:
                return self._listen(bool(self._streams) and UPDATES not in streams, caller)
            case {"action": "auth", "key": str(key_id), "secret": str(secret)}:
                return {"op": "auth", "key": joined_key(key_id, secret), "id": ANSWER_ID}
        raise UnknownOperation(
            "a message has the action authenticate, with key_id and secret_key, or listen or unlisten, with streams"
        )

    def _listen(self, is_wanted: bool, caller: Caller | None) -> dict[str, Any]:
        is_new = is_wanted != bool(self._streams)
        self._streams = [UPDATES] if is_wanted else []
        if caller is None or not is_new:
            return {"op": "ping", "id": ANSWER_ID}
        operation = "subscribe" if is_wanted else "unsubscribe"
        return {"op": operation, "channels": [f"{ORDERS_KIND}:{_account_of(caller)}"], "id": ANSWER_ID}

    def document_frame(self, document: Mapping[str, Any]) -> bytes:
        """See `Wire`."""
        operation = document["op"]
        if operation == "authenticated":
            self._is_authenticated = True
            return _frame("authorization", {"status": "authorized", "action": "authenticate"})
        if operation in ("error", "closing"):
            return self._refusal(operation, document["message"])
        if document.get("id") != ANSWER_ID:
            return b""
        return _frame("listening", {"streams": self._streams})

    def _refusal(self, operation: str, message: str) -> bytes:
        if not self._is_authenticated:
            status = {"status": "unauthorized", "action": "authenticate"}
            return _frame("authorization", {**status, "error": message})
        if operation == "closing":
            return _frame("error", {"error": message})
        self._streams = []
        return _frame("listening", {"streams": [], "error": message})

    def frame(self, message: Message) -> bytes:
        """See `Wire`."""
        return message.frame(update_frames)


def update_frames(message: Message) -> bytes:
    """Return a frame for each order that an event has changed. See `stats.live.frames.Encode`."""
    row = message.source
    return b"" if row is None else b"".join(_frame(UPDATES, each) for each in _updates(row))


def _updates(row: EventRow) -> Iterator[dict[str, Any]]:
    event = decoded(row.body)
    orders = {order.id: order for order in msgspec.json.decode(row.orders, type=list[Order])}
    released_by = ""
    if isinstance(event, Executed):
        filled = orders.pop(event.order_id)
        if filled.filled == event.quantity:
            # Its first fill makes legs that were held new orders.
            released_by = filled.id
        amounts = {
            "price": plain(event.price),
            "qty": plain(event.quantity),
            "position_qty": plain(event.position),
        }
        name = "fill" if filled.state is OrderState.FILLED else "partial_fill"
        yield {"event": name, "execution_id": event.execution_id, **amounts, **_changed(filled, row)}
    for order in orders.values():
        if order.is_held and isinstance(event, OrderWorking):
            # The client sees no change: the leg was held, and is.
            continue
        update = _changed(order, row)
        is_moved = order.parent_id == released_by or _gives_status(event, order)
        yield {"event": update["order"]["status"] if is_moved else "restated", **update}


def _gives_status(event: Event, order: Order) -> bool:
    """Return whether an event gave this changed order its status. It also changes a replaced order's successor, or legs."""
    if isinstance(event, _STATUS_EVENTS):
        return order.id == event.order_id
    return isinstance(event, CancelRequested)


def _changed(order: Order, row: EventRow) -> dict[str, Any]:
    return {"timestamp": format_timestamp(row.at_ns), "order": alpaca_order(order).as_json()}


def _account_of(caller: Caller) -> str:
    """Return the account of a caller. Raises PermissionDenied."""
    if len(caller.accounts) != 1 or ALL_ACCOUNTS in caller.accounts:
        message = "here a key stands for an account, so use a key of one account"
        raise PermissionDenied(message, "forbidden")
    (account,) = caller.accounts
    return account


def _frame(stream: str, data: Mapping[str, Any]) -> bytes:
    return text_frame(msgspec.json.encode({"stream": stream, "data": data}))
