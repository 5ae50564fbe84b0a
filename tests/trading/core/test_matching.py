"""Which prints and bars fill which orders, at which price, and how much of them."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.trading.core.folded import these
from tests.trading.core.paper import MS_NS, PLAIN, SECOND_NS, VOLUME, Paper, dec, fills, order_of
from trading.core.configuration import FillRule, RiskConfig
from trading.core.events import Executed
from trading.core.orders import OrderState, TimeInForce
from trading.core.terms import Slippage

SLIPPING = replace(PLAIN, slippage=Slippage(basis_points=Decimal(10)))
_IOC, _FOK = TimeInForce.IOC, TimeInForce.FOK
_TOUCH = RiskConfig(fill=FillRule.TOUCH)

# The market is at 100 when the order comes. Slippage is 0.1 %, the collar 5 %. Prints, and the price of the fill by the last one.
_PRICES: dict[str, tuple[dict[str, Any], list[object], object]] = {
    "market_buy": ({"signed": 10}, [100], "100.10"),
    "market_sell": ({"signed": -10}, [100], "99.90"),
    "market_rounds_slippage_to_the_worse_tick": ({"signed": 10}, ["100.01"], "100.12"),
    "market_up_to_its_collar": ({"signed": 10}, ["104.99"], "105.00"),
    "market_at_its_collar": ({"signed": 10}, [105], "105"),
    "market_beyond_its_collar": ({"signed": 10}, ["105.01"], None),
    "market_after_the_price_came_back": ({"signed": 10}, [106, 104], "104.11"),
    "market_sell_beyond_its_collar": ({"signed": -10}, ["94.99"], None),
    "limit_above": ({"signed": 10, "limit": 99}, ["99.01"], None),
    "limit_touched": ({"signed": 10, "limit": 99}, [99], None),
    "limit_traded_through": ({"signed": 10, "limit": 99}, ["98.99"], 99),
    "limit_far_through_gets_no_better_price": ({"signed": 10, "limit": 99}, [90], 99),
    "sell_limit_below": ({"signed": -10, "limit": 101}, ["100.99"], None),
    "sell_limit_touched": ({"signed": -10, "limit": 101}, [101], None),
    "sell_limit_traded_through": ({"signed": -10, "limit": 101}, ["101.01"], 101),
    "marketable_limit": ({"signed": 10, "limit": 101}, [100], "100.10"),
    "marketable_limit_up_to_its_limit": ({"signed": 10, "limit": 101}, ["100.95"], 101),
    "marketable_limit_at_its_limit": ({"signed": 10, "limit": 101}, [101], 101),
    "marketable_limit_beyond": ({"signed": 10, "limit": 101}, ["101.01"], None),
    "marketable_limit_rests_once_the_market_was_beyond": ({"signed": 10, "limit": 101}, [102, 101], None),
    "and_fills_at_its_limit": ({"signed": 10, "limit": 101}, [102, 100], 101),
    "marketable_sell_limit": ({"signed": -10, "limit": 99}, [100], "99.90"),
    "stop_not_reached": ({"signed": 10, "stop": 105}, ["104.99", "104.99"], None),
    "stop_waits_for_the_latency": ({"signed": 10, "stop": 105}, [105], None),
    "stop_is_then_a_market_order": ({"signed": 10, "stop": 105}, [105, 104], "104.11"),
    "stop_beyond": ({"signed": 10, "stop": 105}, [107, 108], "108.11"),
    "stop_has_a_collar_of_its_stop_price": ({"signed": 10, "stop": 105}, [105, "110.26"], None),
    "stop_at_its_collar": ({"signed": 10, "stop": 105}, [105, "110.25"], "110.25"),
    "stop_does_not_follow_a_gap": ({"signed": 10, "stop": 105}, [150, 150], None),
    "stop_that_the_market_is_beyond": ({"signed": 10, "stop": 1}, [100, 101], "101.11"),
    "its_collar_is_of_the_market": ({"signed": 10, "stop": 1}, [100, "105.01"], None),
    "sell_stop": ({"signed": -10, "stop": 95}, [95, 94], "93.90"),
    "sell_stop_not_reached": ({"signed": -10, "stop": 95}, ["95.01", "95.01"], None),
    "stop_limit_waits_for_the_latency": ({"signed": 10, "stop": 105, "limit": 106}, [105], None),
    "stop_limit_is_then_marketable": ({"signed": 10, "stop": 101, "limit": 105}, [101, "101.20"], "101.31"),
    "stop_limit_at_its_limit": ({"signed": 10, "stop": 105, "limit": 106}, [105, 106], 106),
    "stop_limit_beyond_its_limit": ({"signed": 10, "stop": 105, "limit": 106}, [105, "106.01"], None),
    "stop_limit_rests_once_the_market_was_beyond": (
        {"signed": 10, "stop": 105, "limit": 106},
        [105, 107, 106],
        None,
    ),
    "sell_stop_limit_is_then_marketable": ({"signed": -10, "stop": 95, "limit": 90}, [95, 94], "93.90"),
    "stop_limit": ({"signed": 10, "stop": 105, "limit": 106}, [105, "105.99"], 106),
    "stop_limit_untriggered": ({"signed": 10, "stop": 105, "limit": 106}, [104, 103], None),
}


@pytest.mark.parametrize(("order", "prints", "expected"), _PRICES.values(), ids=_PRICES.keys())
def test_price(order: dict[str, Any], prints: list[object], expected: object) -> None:
    paper = Paper(terms=SLIPPING)
    paper.accept(order_of(**order))
    for price in prints[:-1]:
        assert paper.print(price) == []
    found = [each.price for each in paper.print(prints[-1])]
    assert found == ([] if expected is None else [dec(expected)])


@pytest.mark.parametrize(
    ("signed", "market", "expected"),
    [(-10, "1.00", "0.9990"), (-10, "1.01", "1.00"), (10, "0.9990", "1.0000"), (10, "0.9999", "1.01")],
)
def test_slippage_across_a_dollar_is_rounded_to_the_tick_of_the_fill(
    signed: int, market: str, expected: str
) -> None:
    paper = Paper(terms=SLIPPING)
    paper.accept(order_of(signed), price=market)
    assert [each.price for each in paper.print(market)] == [dec(expected)]


def test_touch_fills_at_the_limit() -> None:
    paper = Paper(config=_TOUCH)
    paper.accept(order_of(10, limit=99))
    assert paper.print("99.01") == []
    assert fills(paper.print(99)) == [(10, 99)]


def test_order_that_reduces_has_no_collar() -> None:
    paper = Paper()
    paper.buy_and_hold(20)
    paper.accept(order_of(-10, reduce_only=True))
    paper.accept(order_of(-10, stop=90, reduce_only=True))
    assert fills(paper.print(50)) == [(10, 50)]
    assert fills(paper.print(30)) == [(10, 30)]


def test_slippage_is_what_the_price_is_worse_than_the_print() -> None:
    paper = Paper(terms=SLIPPING)
    for signed in (10, -10):
        paper.accept(order_of(signed))
    assert [each.slippage for each in paper.print(100)] == [dec("0.10"), dec("0.10")]
    paper.accept(order_of(10, limit=99))
    assert [each.slippage for each in paper.print(98)] == [0]


@pytest.mark.parametrize(
    ("time_in_force", "volumes", "quantities", "ends"),
    [
        (TimeInForce.GTC, [500, 500, 500], [50, 50], []),
        (TimeInForce.DAY, [500, 500, 500], [50, 50], []),
        (_IOC, [500, 500], [50], [("cancelled", "immediate")]),
        (_IOC, [1000], [100], []),
        (_IOC, [9, 1000], [], [("cancelled", "immediate")]),
        (_FOK, [999, 1000], [], [("cancelled", "immediate")]),
        (_FOK, [1000], [100], []),
    ],
)
def test_time_in_force(
    time_in_force: TimeInForce, volumes: list[int], quantities: list[int], ends: list[tuple[str, str]]
) -> None:
    paper = Paper()
    paper.accept(order_of(100, time_in_force=time_in_force))
    found = [int(each.quantity) for volume in volumes for each in paper.print(100, volume)]
    assert (found, paper.ends()) == (quantities, ends)


@pytest.mark.parametrize("time_in_force", [_IOC, _FOK])
def test_immediate_limit_that_the_print_does_not_reach_ends(time_in_force: TimeInForce) -> None:
    paper = Paper()
    paper.accept(order_of(100, limit=99, time_in_force=time_in_force))
    assert paper.print(100) == []
    assert (paper.ends(), paper.state.orders) == ([("cancelled", "immediate")], {})


@pytest.mark.parametrize(
    ("at", "known", "is_filled"),
    [(-1, -1, False), (-1, 1000, False), (0, 0, False), (50, 50, False), (50, 1000, False), (51, 51, True), (2000, 51, True)],
)  # fmt: skip
def test_latency(at: int, known: int, is_filled: bool) -> None:
    """Instants in milliseconds after the order; the latency is 50 ms."""
    paper = Paper()
    paper.accept(order_of(10))
    begin_ns = paper.now_ns
    found = paper.print(100, at_ns=begin_ns + at * MS_NS, known_ns=begin_ns + known * MS_NS)
    assert bool(found) is is_filled


def test_print_a_nanosecond_after_the_latency_fills() -> None:
    paper = Paper()
    paper.accept(order_of(10))
    assert paper.print(100, known_ns=paper.now_ns + 50 * MS_NS + 1)


def test_print_that_is_not_eligible_does_nothing() -> None:
    paper = Paper()
    for order in (order_of(10), order_of(10, stop=101), order_of(10, time_in_force=_IOC)):
        paper.accept(order)
    # Time alone lets orders work.
    paper.wait(0)
    before = len(paper.events)
    assert paper.print(120, is_eligible=False) == []
    assert paper.bar(120, 120, 90, 100, is_eligible=False) == []
    assert [type(event).__name__ for event, _ in paper.events[before:]] == ["OrderEnded"]
    assert paper.ends() == [("cancelled", "no_print")]


@pytest.mark.parametrize(
    ("participation", "volume", "expected"),
    [(10, 1000, 100), (10, 1009, 100), (10, 9, 0), (10, 10, 1), ("0.5", 1000, 5), (100, 7, 7)],
)
def test_participation(participation: object, volume: int, expected: int) -> None:
    paper = Paper(config=RiskConfig(participation=dec(participation)))
    paper.accept(order_of(500))
    assert sum(each.quantity for each in paper.print(100, volume)) == expected


def test_orders_of_an_account_share_a_print() -> None:
    papers = [Paper(), Paper()]
    for paper in papers:
        paper.accept(order_of(60))
        paper.accept(order_of(60, strategy="swing"))
        paper.accept(order_of(-60))
    found = [fills(paper.print(100)) for paper in papers]
    assert found == [[(60, 100), (40, 100)]] * 2
    assert [each.capacity for each in papers[0].print(100)] == [100, 80]


def test_print_serves_first_market_orders_then_what_it_trades_furthest_through_then_the_oldest() -> None:
    paper = Paper()
    limits = [paper.accept(order_of(40, limit=limit)) for limit in (98, 99, 99)]
    market = paper.accept(order_of(10))
    paper.accept(order_of(-40, limit=101))
    found = paper.print(97)
    assert [(each.order_id, int(each.quantity)) for each in found] == [
        (market, 10), (limits[1], 40), (limits[2], 40), (limits[0], 10),
    ]  # fmt: skip


def test_cancel_takes_effect_after_the_latency() -> None:
    paper = Paper()
    orders = [paper.accept(order_of(200)) for _ in range(2)]
    paper.print(100, 500)
    paper.cancel(orders[0])
    paper.cancel(orders[1])
    cancelled_ns = paper.now_ns + 50 * MS_NS
    paper.now_ns = cancelled_ns - SECOND_NS
    assert fills(paper.print(100)) == [(100, 100)]
    assert paper.order(orders[0]).state is OrderState.PENDING_CANCEL
    paper.now_ns = cancelled_ns - SECOND_NS + 1
    assert paper.print(100) == []
    assert paper.ends() == [("cancelled", "client")] * 2


def test_order_that_is_filled_while_its_cancel_waits_is_filled() -> None:
    paper = Paper()
    order_id = paper.accept(order_of(100))
    paper.wait()
    paper.cancel(order_id)
    paper.now_ns += 10 * MS_NS - SECOND_NS
    assert fills(paper.print(100)) == [(100, 100)]
    assert (paper.ends(), paper.state.orders) == ([], {})


def test_print_at_the_end_of_the_session_does_not_fill() -> None:
    paper = Paper()
    ends_ns = paper.now_ns + 10 * SECOND_NS
    paper.accept(order_of(200), expires_ns=ends_ns)
    paper.now_ns = ends_ns
    assert paper.print(100, at_ns=ends_ns) == []
    # It was printed before the end, and is known a second later.
    paper.now_ns = ends_ns
    assert fills(paper.print(100, at_ns=ends_ns - 1)) == [(100, 100)]
    assert paper.print(100, at_ns=ends_ns - 1) == []
    assert paper.ends() == [("expired", "session")]


def test_same_row_gives_the_same_execution_id() -> None:
    papers = [Paper(), Paper()]
    ids = set()
    for paper in papers:
        paper.accept(order_of(10))
        ids |= {each.execution_id for each in paper.print(100)}
    assert len(ids) == 1


# The market is at 100 when the order comes. A bar, and the price of the fill.
_BARS: dict[str, tuple[dict[str, Any], tuple[object, ...], object]] = {
    "market_at_the_next_open": ({"signed": 10}, (101, 105, 99, 104), "101.11"),
    "market_beyond_its_collar_at_the_open": ({"signed": 10}, (106, 107, "105.50", 106), None),
    "market_that_comes_back_to_its_collar": ({"signed": 10}, (106, 107, 104, 104), 105),
    "market_up_to_its_collar": ({"signed": 10}, ("104.99", 107, 104, 104), 105),
    "limit_touched": ({"signed": 10, "limit": 99}, (100, 101, 99, 100), None),
    "limit_traded_through": ({"signed": 10, "limit": 99}, (100, 101, "98.99", 100), 99),
    "limit_with_a_gap_at_the_open": ({"signed": 10, "limit": 99}, (97, 98, 96, 97), 97),
    "sell_limit_with_a_gap": ({"signed": -10, "limit": 101}, (103, 104, 102, 103), 103),
    "marketable_limit": ({"signed": 10, "limit": 101}, (100, 105, 99, 104), "100.10"),
    "marketable_limit_up_to_its_limit": ({"signed": 10, "limit": 101}, (101, 105, 99, 104), 101),
    "marketable_limit_inside": ({"signed": 10, "limit": 101}, (102, 105, 99, 104), 101),
    "stop": ({"signed": 10, "stop": 105}, (100, 106, 99, 104), "105.11"),
    "stop_with_a_gap": ({"signed": 10, "stop": 105}, (107, 109, 106, 108), "107.11"),
    "stop_beyond_its_collar": ({"signed": 10, "stop": 105}, (111, 112, 110, 111), None),
    "stop_not_reached": ({"signed": 10, "stop": 105}, (100, "104.99", 99, 104), None),
    "stop_limit_fills_later": ({"signed": 10, "stop": 105, "limit": 106}, (100, 108, 99, 104), None),
}


@pytest.mark.parametrize(("order", "bar", "expected"), _BARS.values(), ids=_BARS.keys())
def test_price_by_a_bar(order: dict[str, Any], bar: tuple[object, ...], expected: object) -> None:
    paper = Paper(terms=SLIPPING)
    paper.accept(order_of(**order))
    assert [each.price for each in paper.bar(*bar)] == ([] if expected is None else [dec(expected)])


def test_slippage_of_a_stop_is_of_the_price_that_triggered_it() -> None:
    paper = Paper(terms=SLIPPING)
    paper.accept(order_of(10, stop=105))
    assert [each.slippage for each in paper.bar(100, 106, 99, 104)] == [dec("0.11")]


def test_bar_that_began_before_the_order_does_not_fill_it() -> None:
    paper = Paper()
    paper.wait()
    paper.accept(order_of(10), matches_after_ns=paper.now_ns + SECOND_NS + 1)
    assert paper.bar(100, 101, 99, 100) == []
    assert paper.bar(100, 101, 99, 100)


def test_bar_before_a_cancel_was_known_fills() -> None:
    paper = Paper()
    order_id = paper.accept(order_of(10))
    paper.wait(0)
    paper.cancel(order_id)
    cancelled_ns = paper.now_ns + 50 * MS_NS
    begin_ns = paper.now_ns
    paper.now_ns = cancelled_ns - 60 * SECOND_NS
    paper.state.orders[order_id].matches_after_ns = begin_ns - 60 * SECOND_NS
    assert paper.bar(100, 101, 99, 100)


def test_bar_serves_at_most_the_participation() -> None:
    paper = Paper()
    paper.accept(order_of(150))
    found = [fills(paper.bar(100, 101, 99, 100, volume=VOLUME)) for _ in range(3)]
    assert found == [[(100, 100)], [(50, 100)], []]


def test_bar_without_volume_fills_orders_whole() -> None:
    paper = Paper()
    paper.accept(order_of(10_000))
    paper.accept(order_of(150))
    (first, second) = paper.bar(100, 101, 99, 100, volume=None)
    assert fills([first, second]) == [(10_000, 100), (150, 100)]
    assert (first.capacity, first.print.volume) == (None, None)
    assert msgspec.json.decode(msgspec.json.encode(first), type=Executed) == first


def test_bar_with_a_volume_of_zero_fills_nothing() -> None:
    paper = Paper()
    paper.accept(order_of(150))
    assert not paper.bar(100, 101, 99, 100, volume=0)


def test_stop_comes_before_the_target_and_both_are_ambiguous() -> None:
    paper = Paper()
    paper.buy_and_hold(10)
    paper.accept(order_of(-10, limit=105, reduce_only=True))
    paper.accept(order_of(-10, stop=95, reduce_only=True))
    (found,) = paper.bar(100, 106, 94, 100)
    assert these(found.price, found.is_ambiguous) == (95, True)
    assert paper.ends() == [("cancelled", "position_closed")]


def test_what_fills_at_the_open_comes_before_a_stop_inside() -> None:
    paper = Paper()
    paper.buy_and_hold(10)
    paper.accept(order_of(-10, stop=95, reduce_only=True))
    paper.accept(order_of(-10, limit=105, reduce_only=True))
    (found,) = paper.bar(107, 108, 94, 100)
    assert these(found.price, found.is_ambiguous) == (107, False)
    paper.buy_and_hold(10)
    paper.accept(order_of(-10, stop=95, reduce_only=True))
    paper.accept(order_of(-10, reduce_only=True))
    assert [each.price for each in paper.bar(100, 101, 94, 95)] == [100]


def test_stop_limit_fills_by_a_later_bar() -> None:
    paper = Paper()
    paper.accept(order_of(10, stop=105, limit=106))
    assert paper.bar(100, 106, 99, 104) == []
    assert fills(paper.bar(104, 107, 103, 104)) == [(10, 104)]


def test_legs_of_a_bracket_fill_by_the_bar_of_their_parent() -> None:
    paper = Paper()
    paper.accept(order_of(10, take_profit=105, stop_loss=95))
    assert fills(paper.bar(100, 104, 96, 100)) == [(10, 100)]
    assert fills(paper.bar(100, 106, 96, 100)) == [(10, 105)]
    paper.accept(order_of(10, take_profit=105, stop_loss=95))
    assert fills(paper.bar(100, 106, 94, 100)) == [(10, 100), (10, 95)]
    assert paper.state.orders == {}


def test_what_a_bar_triggers_and_leaves_fills_at_the_next_open() -> None:
    """A stop that finds less volume than it needs, and a stop-limit, miss no bar."""
    paper = Paper(terms=SLIPPING)
    paper.accept(order_of(150, stop=105))
    paper.accept(order_of(10, stop=105, limit=110, strategy="other"))
    assert fills(paper.bar(100, 106, 99, 104)) == [(100, dec("105.11"))]
    next_ns = paper.now_ns
    paper.now_ns -= SECOND_NS
    found = paper.bar(104, 104, 103, 103)
    assert fills(found) == [(50, dec("104.11")), (10, dec("104.11"))]
    assert {each.print.ref.timestamp_ns for each in found} == {next_ns}
