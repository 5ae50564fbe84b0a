"""Alpaca's trade updates of what prints do to an account: a bracket's legs, and the position after each fill."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from dialects.alpaca.trade_updates import update_frames
from stats.live.frames import Message
from tests.api_client import Api
from tests.dialects.test_trading import BRACKET, ORDER, Caller
from tests.trading.calls import CallDesk
from tests.trading.desks import FREE
from trading.models import EventRow

MARKET = {name: value for name, value in ORDER.items() if name != "limit_price"} | {"type": "market"}


@pytest.fixture
def desk(api: Api) -> CallDesk:
    """Half of a print's volume fills orders."""
    return CallDesk(deposit=1_000_000, config=replace(FREE, participation=Decimal(50)))


@pytest.fixture
def call(desk: CallDesk) -> Caller:
    return Caller()


def updates_of(row: EventRow) -> list[dict[str, Any]]:
    message = Message("orders:ACC", "1", b"{}")
    message.source = row
    frames, found = update_frames(message), []
    while frames:
        length, head = frames[1], 2
        if length >= 126:
            head = 4
            length = int.from_bytes(frames[2:4])
        found.append(orjson.loads(frames[head : head + length])["data"])
        frames = frames[head + length :]
    return found


def updates(desk: CallDesk, order_id: str | None = None) -> list[dict[str, Any]]:
    rows = EventRow.objects.filter(account=desk.account).exclude(orders="").order_by("number")
    found = [each for row in rows for each in updates_of(row)]
    return [each for each in found if order_id in (None, each["order"]["id"])]


def bracket_closed_in_parts(desk: CallDesk, call: Caller) -> tuple[dict[str, Any], dict[str, Any]]:
    """30 of 100 are sold at the target, 70 by the stop. Return both legs as they were placed."""
    placed = call("POST", "/orders", BRACKET | {"qty": 100, "type": "market", "limit_price": None})
    for seconds, price, volume in ((1, 100.0, 1000), (2, 111.0, 60), (3, 89.0, 1000), (4, 88.9, 1000)):
        desk.print(seconds, price, volume)
    target, stop = placed["legs"]
    return target, stop


def test_the_stop_that_closes_the_rest_of_a_bracket_is_filled(desk: CallDesk, call: Caller) -> None:
    target, stop = bracket_closed_in_parts(desk, call)
    assert call("GET", "/positions") == []
    (parent,) = call("GET", "/orders?status=all&nested=true")
    found = {leg["id"]: leg for leg in parent["legs"]}
    closing = found[stop["id"]]
    assert (closing["status"], closing["qty"], closing["filled_qty"]) == ("filled", "70", "70")
    ended = found[target["id"]]
    assert (ended["status"], ended["filled_qty"]) == ("canceled", "30")
    assert [each["event"] for each in updates(desk, stop["id"])][-1] == "fill"
    assert [each["event"] for each in updates(desk, target["id"])][-2:] == ["partial_fill", "canceled"]


def test_a_fill_has_the_position_after_it(desk: CallDesk, call: Caller) -> None:
    bracket_closed_in_parts(desk, call)
    call("POST", "/orders", MARKET | {"qty": 5})
    desk.print(10, 88.9, 4)
    desk.print(11, 88.9, 1000)
    fills = [each for each in updates(desk) if each["event"] in ("fill", "partial_fill")]
    assert [each["position_qty"] for each in fills] == ["100", "70", "0", "2", "5"]


@pytest.mark.parametrize("volumes", [(1000,), (60, 1000)])
def test_a_leg_that_is_no_longer_held_is_new(desk: CallDesk, call: Caller, volumes: tuple[int, ...]) -> None:
    placed = call("POST", "/orders", BRACKET | {"qty": 100, "type": "market", "limit_price": None})
    for seconds, volume in enumerate(volumes, 1):
        desk.print(seconds, 100.0, volume)
    for leg in placed["legs"]:
        found = [(each["event"], each["order"]["status"]) for each in updates(desk, leg["id"])]
        assert ("new", "new") in found
        assert ("restated", "new") not in found[: found.index(("new", "new")) + 1]
    first = next(each for each in updates(desk) if "position_qty" in each)
    assert first["order"]["id"] == placed["id"]


def named(updates: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["event"], each["order"]["status"]) for each in updates]


@pytest.mark.parametrize(
    ("price", "fills", "quantity"),
    [(105.0, [], "10"), (98.0, [("partial_fill", "partially_filled")], "7")],
    ids=["unfilled", "partially filled"],
)
def test_a_replacement_repeats_no_status(
    desk: CallDesk, call: Caller, price: float, fills: list[tuple[str, str]], quantity: str
) -> None:
    old = call("POST", "/orders", ORDER | {"qty": 10})
    desk.print(1, price, 6)
    new = call("PATCH", f"/orders/{old['id']}", {"limit_price": "97"})
    desk.print(5, 105.0)
    before = [("accepted", "accepted"), ("new", "new"), *fills]
    assert named(updates(desk, old["id"])) == [
        *before,
        ("restated", before[-1][1]),
        ("pending_replace", "pending_replace"),
        ("replaced", "replaced"),
    ]
    found = updates(desk, new["id"])
    assert [event for event, _ in named(found) if event != "restated"] == ["accepted", "new"]
    assert found[-1]["order"]["qty"] == quantity


def test_a_bracket_whose_exit_ends_its_entry_restates_its_legs(desk: CallDesk, call: Caller) -> None:
    placed = call("POST", "/orders", BRACKET | {"qty": 100, "type": "market", "limit_price": None})
    target, stop = placed["legs"]
    desk.print(1, 100.0, 20)
    # The first exit ends the rest of the entry.
    desk.print(2, 111.0, 4)
    assert call("GET", f"/orders/{placed['id']}")["status"] == "canceled"
    assert named(updates(desk, target["id"])) == [
        ("held", "held"),
        ("new", "new"),
        ("restated", "new"),
        ("partial_fill", "partially_filled"),
    ]
    stops = updates(desk, stop["id"])
    assert named(stops)[:2] == [("held", "held"), ("new", "new")]
    assert {event for event, _ in named(stops)[2:]} == {"restated"}
    assert stops[-1]["order"]["qty"] == "8"
