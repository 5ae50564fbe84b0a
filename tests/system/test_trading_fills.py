"""The engine is killed again and again while prints come: orders fill exactly as the stored prints demand."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
import pytest

from store.datasets import TRADES
from store.walk import BEGINNING, CommitRecord, CommittedRows
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.system.installation import Installation
from tests.system.traders import Market, Trader, accounts_open, database, is_engine_alive, verify

pytestmark = [pytest.mark.soak, pytest.mark.seconds, pytest.mark.xdist_group("trading")]

KILLS = 20
ORDERS_EACH = 8
PRINTS_EACH = 40
ACCOUNT = "FILLED"
# What `market` orders fill at is worse than the print by the slippage of their class: 2 basis points, on the next tick.
SLIPPAGE, TICK = Decimal("0.0002"), Decimal("0.01")

Fill = tuple[str, int, Decimal, Decimal]
"""An order's client_order_id, the commit of the print, and quantity and price."""


@dataclass
class Resting:
    """An order as a client knows it. after_ns: only what is printed and known later fills it.

    is_taking: whether it is a market order, or its limit was marketable when it came.
    """

    name: str
    side: int
    limit: Decimal | None
    remaining: Decimal
    after_ns: int
    is_taking: bool

    def price(self, printed: Decimal) -> Decimal | None:
        """The price at which a print fills the order; None if it does not."""
        if self.is_taking:
            worse = printed * (1 + self.side * SLIPPAGE)
            slipped = worse.quantize(TICK, "ROUND_CEILING" if self.side > 0 else "ROUND_FLOOR")
            if self.limit is None:
                return slipped
            at_most = min(slipped * self.side, self.limit * self.side) * self.side
            return at_most if (printed - self.limit) * self.side <= 0 else None
        assert self.limit is not None
        return self.limit if (self.limit - printed) * self.side > 0 else None

    def priority(self, printed: Decimal) -> tuple[int, Decimal]:
        """Market orders first, then those that the print trades furthest through."""
        return (0, Decimal(0)) if self.limit is None else (1, (printed - self.limit) * self.side)


def test_the_prints_decide_whatever_is_killed(traded: Installation, seed: int, told: Told) -> None:
    installation, chance = traded, random.Random(seed)
    assert installation.is_complete()
    market = Market(installation, "FILLS")
    market.print((100, 10))
    accounts_open(installation, market, [ACCOUNT])
    with contextlib.closing(Trader(installation, ACCOUNT)) as trader:
        for turn in range(KILLS + 1):
            assert eventually(lambda: is_engine_alive(installation))
            for number in range(ORDERS_EACH):
                trader.submit(random_order(market, chance, f"{turn}-{number}"))
            print_some(market, chance)
            if turn < KILLS:
                os.kill(installation.served.member("marketdata engine"), signal.SIGKILL)
            print_some(market, chance)
    expected = expected_fills(installation, market)
    assert eventually(lambda: len(fills(installation)) >= len(expected))
    time.sleep(1)
    assert fills(installation) == expected
    verify(installation)
    told(
        "trading 2 engine killed while prints come",
        f"{KILLS} kills, {(KILLS + 1) * ORDERS_EACH} orders, {len(expected)} fills as expected",
    )


def random_order(market: Market, chance: random.Random, name: str) -> dict[str, Any]:
    order = market.order(chance.choice(["buy", "sell"]), chance.randint(1, 60), client_order_id=name)
    if chance.random() < 0.7:
        order |= {"type": "limit", "limit_price": chance.randint(97, 103)}
    return order


def print_some(market: Market, chance: random.Random) -> None:
    """Store prints, one in each commit, or two."""
    for _ in range(PRINTS_EACH // 2):
        prints = [(chance.randint(96, 104), chance.randint(1, 9)) for _ in range(chance.randint(1, 2))]
        market.print(*prints)
        time.sleep(chance.uniform(0, 0.02))


def expected_fills(installation: Installation, market: Market) -> list[Fill]:
    """What the stored prints demand of the accepted orders, in the prints' order."""
    orders, known_ns, commit = resting_orders(installation), 0, 0
    found: list[Fill] = []
    for piece in installation.store.log(TRADES, market.symbol).commits(BEGINNING):
        if isinstance(piece, CommitRecord):
            known_ns, commit = piece.committed_at, piece.id.number
        elif isinstance(piece, CommittedRows):
            for row in piece.rows.to_pylist():
                instant = min(row["timestamp"], known_ns)
                open_orders = [each for each in orders if each.remaining and instant > each.after_ns]
                print_ = Decimal(str(row["price"])), Decimal(str(row["volume"]))
                found += [(name, commit, *fill) for name, fill in filled(open_orders, *print_)]
    return found


def filled(
    orders: list[Resting], printed: Decimal, volume: Decimal
) -> Iterator[tuple[str, tuple[Decimal, Decimal]]]:
    """Fill orders by one print: its volume serves them once. The oldest come first."""
    for order in sorted(orders, key=lambda each: each.priority(printed)):
        price, quantity = order.price(printed), min(order.remaining, volume)
        # The market has moved beyond its limit, so that it rests from now on.
        order.is_taking = order.is_taking and (price is not None or order.limit is None)
        if price is not None and quantity:
            volume -= quantity
            order.remaining -= quantity
            yield order.name, (quantity, price)


def events(installation: Installation, name: str) -> list[dict[str, Any]]:
    with database(installation) as read:
        query = (
            "SELECT e.body FROM trading_eventrow e JOIN trading_account a ON a.id = account_id"
            " WHERE e.name = ? AND a.name = ? ORDER BY e.number"
        )
        return [orjson.loads(body) for (body,) in read.execute(query, [name, ACCOUNT])]


def resting_orders(installation: Installation) -> list[Resting]:
    return [resting(event) for event in events(installation, "order_accepted")]


def resting(event: dict[str, Any]) -> Resting:
    order = event["order"]
    side = 1 if order["side"] == "buy" else -1
    limit = Decimal(order["limit_price"]) if order.get("limit_price") else None
    return Resting(
        name=order["client_order_id"],
        side=side,
        limit=limit,
        remaining=Decimal(order["quantity"]),
        after_ns=event["matches_after_ns"],
        is_taking=limit is None or (limit - Decimal(event["reference"]["price"])) * side >= 0,
    )


def fills(installation: Installation) -> list[Fill]:
    names = {
        event["order_id"]: event["order"]["client_order_id"]
        for event in events(installation, "order_accepted")
    }
    return [
        (
            names[event["order_id"]],
            int(event["print"]["ref"]["commit"].partition("-")[0]),
            Decimal(event["quantity"]),
            Decimal(event["price"]),
        )
        for event in events(installation, "executed")
    ]
