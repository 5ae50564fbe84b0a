"""What-if with the same limits gives the account's own events, byte for byte; with others those of a fresh run."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import msgspec
import pytest

from store.instruments import Instrument
from tests.chance import chosen_seed
from tests.store_settings import stores_at
from tests.trading.desks import FREE, TradingDesk, at_ns, prints
from tests.trading.replays import NAMED, forget_accounts
from trades.stores import market_store
from trading.core.acceptance import next_order_id, reject
from trading.core.account import AccountState
from trading.core.configuration import RiskConfig
from trading.core.due import request_stop
from trading.core.events import (
    STRATEGY_ALERT,
    Alert,
    OrderAccepted,
    OrderRejected,
    StrategyAssigned,
    decoded,
    encoded,
)
from trading.core.orders import OrderTerms, OrderType, TimeInForce
from trading.core.terms import TRADABLE, Side
from trading.engine.clock import WallClock
from trading.engine.engine import Engine
from trading.engine.floor import RecordedEvent
from trading.exceptions import TradingError, WhatIfTooLong
from trading.journal import open_journal
from trading.lease import engine_status
from trading.models import EngineLease, EventRow
from trading.services.accounts import account_transfer, preferences_change
from trading.services.adjusting import position_adjust
from trading.services.control import (
    execution_bust,
    halt_release,
    override_end,
    risk_override,
    trading_start,
    trading_stop,
)
from trading.services.orders import order_cancel, order_replace, position_close
from trading.strategies.live import LiveStrategies
from trading.what_if import stored
from trading.what_if.answer import what_if_document
from trading.what_if.replay import AccountReplay
from trading.what_if.stored import changed, replay_of

pytestmark = pytest.mark.django_db
PHASES, ROWS = 8, 30
# Zones are a few cents wide.
NARROW = msgspec.structs.replace(
    FREE,
    caution=Decimal("0.05"),
    danger=Decimal("0.1"),
    halt=Decimal("0.3"),
    hysteresis=Decimal("0.02"),
    stale_after_seconds=3_600,
)
STRICT = {
    "max_symbol_exposure": 4.0,
    "latency_ms": 2_500,
    "caution": 0.05,
    "danger": 0.1,
    "halt": 1.5,
    "hysteresis": 0.01,
}
Event = tuple[int, int, str]


def market(chance: random.Random, phase: int) -> None:
    price = 100.0 + chance.uniform(-1, 1)
    for symbol in ("AAA", "BBB"):
        rows = []
        for number in range(ROWS):
            price += chance.choice((-0.6, -0.2, 0.1, 0.5))
            rows.append((phase * 600 + number * 2.0, round(price, 2), chance.choice((20.0, 200.0))))
        prints(symbol, *rows)


def orders(chance: random.Random, desk: TradingDesk, phase: int) -> list[str]:
    found = []
    for number in range(4):
        limit = round(100 + chance.uniform(-2, 2), 1)
        terms: dict[str, Any] = chance.choice(
            (
                {"type": OrderType.MARKET, "time_in_force": TimeInForce.IOC},
                {"type": OrderType.LIMIT, "limit_price": limit},
                {"type": OrderType.STOP, "stop_price": limit},
                {"type": OrderType.MARKET, "take_profit": 106, "stop_loss": 94},
                {"type": OrderType.MARKET},
            )
        )
        with suppress(TradingError):
            symbol, side = chance.choice(("AAA", "BBB")), chance.choice(list(Side))
            terms = {"time_in_force": TimeInForce.GTC, **terms}
            name = f"{phase}-{number}"
            found.append(desk.order(symbol, side, chance.choice((5, 30, 80)), client_order_id=name, **terms))
    return found


def deeds(desk: TradingDesk, _: int, placed: list[str]) -> None:
    """What clients do beside orders."""
    account, state = desk.account, desk.state
    working = [each for each in placed if each in state.orders and state.orders[each].parent_id is None]
    if working:
        order_cancel(account=account, order_id=UUID(working[0]), by="test")
    for each in working[1:2]:
        terms = state.orders[each].terms
        if terms.type is OrderType.LIMIT:
            other = msgspec.structs.replace(terms, quantity=Decimal(7), client_order_id=None)
            order_replace(account=account, order_id=UUID(each), order=other, by="test")
    for position in list(state.positions.values())[:1]:
        position_close(account=account, symbol=position.symbol, strategy="", by="test")


def people(desk: TradingDesk, phase: int) -> None:
    """What people do."""
    account = desk.account
    halt_release(account=account, reason="looked", by="test")
    if phase == 2:
        account_transfer(name=desk.name, transfer="second", amount=Decimal(5_000))
        until_ns = at_ns(phase * 600 + 900)
        risk_override(account=account, risk_level=Decimal("0.5"), until_ns=until_ns, reason="calm", by="test")
        preferences_change(account=account, changes={"name": "mine"})
    if phase == 3:
        override_end(account=account, reason="as before", by="test")
        for row in account.executions.order_by("number")[:1]:
            execution_bust(account=account, execution_id=row.uuid, reason="cancelled print", by="test")
    if phase == 4:
        trading_stop(account=account, by="test", reason="lunch")
    if phase >= 6:
        trading_start(account=account, by="test")


def strategies(desk: TradingDesk, phase: int) -> None:
    """What the engine records for a strategy: an order that is refused, and at last that it failed."""
    now_ns = engine_status().now_ns
    order = OrderTerms(symbol="AAA", side=Side.BUY, quantity=Decimal(1), strategy="crossover")
    with open_journal(desk.name) as journal:
        record = journal.at(now_ns)
        reject(journal.state, record, order, TRADABLE["equity"], now_ns=now_ns, by="test", reason="no price")
        if phase == PHASES - 1:
            record(Alert(kind=STRATEGY_ALERT, message="the strategy failed"))
            record(StrategyAssigned(strategy=None, by="engine", reason="the strategy failed"))
            request_stop(journal.state, record, by="engine", reason="the strategy failed")


def calls(desk: TradingDesk, phase: int, chance: random.Random) -> None:
    """Calls that do not look at the account. What the plain limits accept, and so is recorded, is the whole of them."""
    for number in range(3):
        symbol, side = chance.choice(("AAA", "BBB")), chance.choice(list(Side))
        limit = round(100 + chance.uniform(-2, 2), 1)
        terms: dict[str, Any] = chance.choice(
            (
                {"type": OrderType.LIMIT, "limit_price": limit},
                {"type": OrderType.STOP, "stop_price": limit},
                {"take_profit": 100 + side.sign * 6, "stop_loss": 100 - side.sign * 6},
            )
        )
        quantity, strategy = chance.choice((5, 30, 80)), f"{phase}-{number}"
        terms = {"time_in_force": TimeInForce.GTC, "strategy": strategy, **(terms if number else {})}
        with suppress(TradingError):
            order_id = desk.order(symbol, side, quantity, **terms)
            if number == 2:
                order_cancel(account=desk.account, order_id=UUID(order_id), by="test")
    strategies(desk, phase)
    before = f"{phase - 1}-0"
    for position in [each for each in desk.state.positions.values() if each.strategy == before]:
        position_close(account=desk.account, symbol=position.symbol, strategy=before, by="test")
    if phase == 3:
        account_transfer(name=desk.name, transfer="second", amount=Decimal(5_000))
    if phase == PHASES - 1:
        trading_stop(account=desk.account, by="test", reason="the end")


def lively(desk: TradingDesk, phase: int, chance: random.Random) -> None:
    """Everything that clients and people do."""
    placed = orders(chance, desk, phase)
    for deed in (partial(deeds, placed=placed), people, strategies):
        with suppress(TradingError):
            deed(desk, phase)


Doing = Callable[[TradingDesk, int, random.Random], None]


def history(store: Path, settings: Any, config: RiskConfig, doing: Doing) -> TradingDesk:
    """Return an account after some phases of a market and what is done to it, in an own store."""
    forget_accounts()
    settings.MARKET_STORES = stores_at(store)
    for symbol in ("AAA", "BBB"):
        market_store().set_instrument(Instrument(symbol, currency="USD"))
    prices, chance = random.Random(chosen_seed()), random.Random(chosen_seed() + 1)
    desk = TradingDesk(config=config)
    for phase in range(PHASES):
        market(prices, phase)
        desk.run()
        desk.run()
        doing(desk, phase, random.Random(chance.random()))
    market(prices, PHASES)
    desk.run()
    desk.run()
    return desk


def own_events() -> list[Event]:
    return list(EventRow.objects.order_by("number").values_list("number", "at_ns", "body"))


def named(events: Iterable[Event]) -> list[tuple[int, str]]:
    """Events with names in the place of ids and of hashes of commits, which are of one store."""
    names: dict[str, str] = {}
    return [
        (at_ns, NAMED.sub(lambda found: names.setdefault(found[0], f"#{len(names)}"), body))
        for _, at_ns, body in events
    ]


def replay(desk: TradingDesk, limits: dict[str, Any], since_ns: int | None = None) -> AccountReplay:
    return replay_of(desk.account, limits=limits, since_ns=since_ns, until_ns=None, progress=lambda _: None)


def would_be(desk: TradingDesk, limits: dict[str, Any], since_ns: int | None = None) -> list[Event]:
    kept: list[Event] = []
    replay(desk, limits, since_ns).run_changed(
        lambda each: kept.append((each.number, each.at_ns, encoded(each.event)))
    )
    return kept


def assert_same(found: list[Any], expected: list[Any]) -> None:
    for one, other in zip(found, expected, strict=False):
        assert one == other
    assert len(found) == len(expected)


def assert_ids_follow_from_numbers(found: Iterable[Event]) -> None:
    for number, _, body in found:
        event = decoded(body)
        if isinstance(event, OrderAccepted | OrderRejected):
            assert event.order_id == next_order_id(AccountState(id="ACC", number=number - 1))


def test_with_the_same_limits_it_gives_the_account_s_own_events(tmp_path: Path, settings: Any) -> None:
    desk = history(tmp_path / "store", settings, NARROW, lively)
    expected = own_events()
    counts = Counter(decoded(body).__class__.__name__ for _, _, body in expected)
    for name in ("Executed", "OrderTriggered", "HaltLatched", "HaltReleased", "Transferred", "RiskOverridden",
                 "OverrideEnded", "ExecutionBusted", "StopRequested", "Stopped", "Preferences", "OrderRejected"):  # fmt: skip
        assert counts[name], name
    assert any(STRATEGY_ALERT in body for _, _, body in expected)
    assert any('"replaces"' in body for _, _, body in expected)
    assert_same(would_be(desk, {}), expected)
    document = what_if_document(replay(desk, {}))
    assert (document["is_same"], document["counts"]) == (
        True,
        {"refused": 0, "missing_trades": 0, "fills": 0},
    )
    assert document["was"] == document["would_be"]
    middle_ns = expected[len(expected) // 2][1]
    start = max(number for number, at_ns, _ in expected if at_ns <= middle_ns)
    assert_same(would_be(desk, {}, middle_ns), expected[start:])


def test_with_other_limits_it_is_as_a_fresh_run_with_them(tmp_path: Path, settings: Any) -> None:
    desk = history(tmp_path / "store", settings, FREE, calls)
    found, document = would_be(desk, STRICT), what_if_document(replay(desk, STRICT))
    before = own_events()
    history(tmp_path / "fresh", settings, changed(FREE, STRICT), calls)
    fresh = own_events()
    assert_same(named(found), named(fresh))
    assert_ids_follow_from_numbers(found)
    assert len(fresh) != len(before)
    assert not document["is_same"]
    assert document["counts"]["refused"] > 2
    refused = [each for each in document["refused"] if each["order"] is not None]
    assert {check["name"] for each in refused for check in each["checks"]} >= {"symbol_exposure"}
    assert not any(check["passed"] for each in refused for check in each["checks"])
    assert document["missing_trades"]
    assert document["fills"]
    assert document["would_be"]["trades"] < document["was"]["trades"]


def test_what_was_done_with_a_refused_order_does_nothing_to_another_one(default_store: Any) -> None:
    """The orders after it have the ids of others: the next one has its own."""
    market_store().set_instrument(Instrument("AAA", currency="USD"))
    prints("AAA", (0, 100, 1_000))
    desk = TradingDesk()
    desk.run()
    desk.run()
    terms: dict[str, Any] = {"type": OrderType.LIMIT, "limit_price": 90, "time_in_force": TimeInForce.GTC}
    refused = desk.order("AAA", Side.BUY, 100, **terms)
    for _ in range(3):
        desk.run()
        desk.order("AAA", Side.BUY, 1, **terms)
    order_cancel(account=desk.account, order_id=UUID(refused), by="test")
    replayed = replay(desk, {"max_symbol_exposure": 4.0})
    kept: list[RecordedEvent] = []
    inputs = replayed.run_changed(kept.append)
    state = kept[-1].state
    assert refused in state.orders
    assert (len(inputs.refused), len(state.orders)) == (1, 3)
    assert all(each.may_be_cancelled for each in state.orders.values())
    assert what_if_document(replayed)["fills"] == []


def test_what_came_by_an_adjusting_entry_is_valued_by_its_log(default_store: Any) -> None:
    market_store().set_instrument(Instrument("AAA", currency="USD"))
    desk = TradingDesk()
    prints("AAA", (0, 100, 10))
    desk.run()
    position_adjust(
        account=desk.account, symbol="AAA", strategy="", change=Decimal(100), price=Decimal(100), reason="moved in",
        by="test",
    )  # fmt: skip
    for number in range(1, 6):
        prints("AAA", (number * 10, 100 + number * 10, 10))
        desk.run()
        desk.run()
    expected = own_events()
    assert [decoded(body).__class__.__name__ for _, _, body in expected].count("Marked") >= 5
    assert_same(would_be(desk, {}), expected)
    middle_ns = expected[-3][1]
    assert_same(would_be(desk, {}, middle_ns), [each for each in expected if each[1] > middle_ns])


def test_a_replay_that_is_too_long_is_refused(tmp_path: Path, settings: Any) -> None:
    desk = history(tmp_path / "store", settings, FREE, calls)
    for name in ("MOST_EVENTS", "MOST_ROWS"):
        with mock.patch.object(stored, name, 3), mock.patch("trading.what_if.replay._ROWS_AT_ONCE", 2):
            with pytest.raises(WhatIfTooLong):
                would_be(desk, {})


def test_an_account_of_a_data_clock_is_replayed_by_it_under_a_wall_clock(
    tmp_path: Path, settings: Any
) -> None:
    desk = history(tmp_path / "store", settings, FREE, calls)
    expected, until_ns = own_events(), engine_status().now_ns
    EngineLease.objects.all().delete()
    desk.engine = Engine(LiveStrategies, WallClock())
    desk.run()
    replayed = replay_of(desk.account, limits={}, since_ns=None, until_ns=until_ns, progress=lambda _: None)
    document = what_if_document(replayed)
    assert document["is_same"]
    assert document["was"]["events"] == len(expected)
    assert document["was"]["trades"]
