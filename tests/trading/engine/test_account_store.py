"""Accounts in memory have the events of those in the database, byte for byte; what a store does if a decision fails or is late."""

import random
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest

from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.instruments import Instrument
from store.protocol import Action, Amendment, Correction
from store.timestamps import DAY_NS, SECOND_NS
from tests.chance import SOAK, chosen_seed
from tests.trading.desks import BEGIN_NS, FREE, TradingDesk, stored
from tests.trading.engine.test_sample_week import FRIDAY_EVENING, bars_of, day_rows, shuffled
from tests.trading.recorded import record_events
from tests.trading.scripts import Input, Step, run_script
from trades.sample import EQUITIES, trading_sessions
from trades.stores import market_store
from trading.account_store import DatabaseStore
from trading.core.account import AccountState, encoded_state
from trading.core.account_store import AccountStore
from trading.core.configuration import RiskConfig, Zone
from trading.core.due import request_stop
from trading.core.events import Event, Marked, decoded
from trading.core.matching import Record
from trading.core.orders import OrderTerms, OrderType, TimeInForce
from trading.core.terms import Side
from trading.exceptions import TradingError
from trading.journal import follow
from trading.lease import engine_status
from trading.models import EventRow
from trading.services.accounts import trading_stop
from trading.services.orders import order_submit

SHARE, BARRED, FUTURE = EQUITIES[0], "BARRED", "FUT"
LOGS = [
    (dataset, symbol)
    for symbol in (SHARE, BARRED, FUTURE)
    for dataset in ((BARS if symbol == BARRED else TRADES), QUOTES, CORPORATE_ACTIONS)
]
CHUNKS, THINNED = (24, 1) if SOAK else (6, 8)


def declare() -> None:
    for symbol in (SHARE, BARRED):
        market_store().set_instrument(
            Instrument(symbol, exchange="XNAS", currency="USD", bar_policy="us_equities")
        )
    market_store().set_instrument(
        Instrument(FUTURE, instrument_class="future", currency="USD", multiplier=5.0)
    )


def deliver(chance: random.Random, rows: list[dict[str, Any]], bars: list[dict[str, Any]]) -> None:
    """Store a part of a day: prints shuffled, some late, some changed later, and quotes of some."""
    late = chance.sample(rows, len(rows) // 40)
    for symbol in (SHARE, FUTURE):
        stored(TRADES, symbol, shuffled([row for row in rows if row not in late], chance))
        quotes = [
            {"timestamp": row["timestamp"], "bid": row["price"] - 0.01, "ask": row["price"] + 0.02}
            for row in rows[::7]
        ]
        stored(QUOTES, symbol, quotes)
        if late:
            stored(TRADES, symbol, late)
        changes = tuple(
            Correction(
                Action.CANCEL if price is None else Action.CORRECT,
                row["timestamp"],
                {"trade_id": row["trade_id"]},
                new={} if price is None else {"price": price},
            )
            for row in chance.sample(rows, 4 if len(rows) > 4 else 0)
            for price in [chance.choice((None, row["price"] + 1))]
        )
        if changes:
            market_store().correct(Amendment(TRADES, symbol, changes, "test"))
    if bars:
        stored(BARS, BARRED, bars)


def orders(chance: random.Random, price: float) -> list[OrderTerms]:
    """Orders of all types, which go long and short, for a day and longer."""
    found = []
    for symbol in (SHARE, BARRED, FUTURE, SHARE):
        side = chance.choice(list(Side))
        away = Decimal(str(round(price + side.sign * chance.choice((-0.3, 0.1)), 2)))
        legs = {
            name: Decimal(str(round(price + side.sign * by, 2)))
            for name, by in (("take_profit", 0.8), ("stop_loss", -0.8))
        }
        terms: dict[str, Any] = chance.choice(
            (
                {"type": OrderType.MARKET},
                {"type": OrderType.MARKET, **legs},
                {"type": OrderType.LIMIT, "limit_price": away},
                {"type": OrderType.STOP, "stop_price": away},
                {"type": OrderType.STOP_LIMIT, "stop_price": away, "limit_price": away},
            )
        )
        in_force = chance.choice(list(TimeInForce) if terms["type"] is OrderType.MARKET else [TimeInForce.DAY, TimeInForce.GTC])  # fmt: skip
        found.append(
            OrderTerms(
                symbol=symbol, side=side, quantity=Decimal(chance.choice((10, 30))), time_in_force=in_force,
                strategy=chance.choice(("", "other")), **terms,
            )
        )  # fmt: skip
    return found


def resting() -> list[OrderTerms]:
    """Orders that never fill, so that no row is passed over."""
    return [
        OrderTerms(
            symbol=symbol, side=Side.BUY, quantity=Decimal(1), type=OrderType.LIMIT,
            limit_price=Decimal(1), time_in_force=TimeInForce.GTC, strategy="resting",
        )
        for symbol in (SHARE, BARRED, FUTURE)
    ]  # fmt: skip


def submit(desk: TradingDesk, order: OrderTerms) -> None:
    with suppress(TradingError):
        order_submit(account=desk.account, order=order, by="test")


def history(config: RiskConfig, seed: int) -> tuple[TradingDesk, list[Step]]:
    """Return an account in the database after two days of the sample, and what was done to it."""
    chance = random.Random(seed)
    declare()
    sessions = list(trading_sessions(now=FRIDAY_EVENING, days=2, symbol=EQUITIES[0]))
    actions: list[dict[str, Any]] = [
        {"timestamp": sessions[1].opens, "kind": "split", "ratio": 2.0},
        {"timestamp": sessions[1].opens - DAY_NS // 4, "kind": "dividend", "amount": 0.25, "currency": "USD"},
    ]
    for symbol in (SHARE, BARRED):
        stored(CORPORATE_ACTIONS, symbol, actions)
    desk = TradingDesk(config=config)
    steps: list[Step] = [(BEGIN_NS, opening(desk))]
    follow({f"{dataset.name}:{symbol}": "0-000000" for dataset, symbol in LOGS})
    for day, session in enumerate(sessions):
        rows = [
            row | {"price": row["price"] / (1 + day)}
            for row in day_rows(SHARE, session)[::THINNED]
            if session.opens <= row["timestamp"] < session.closes
        ]
        bars = bars_of(rows)
        # The first part is one print, because nobody wants rows before the first orders. No bar is known after it.
        first = next(n for n, row in enumerate(rows) if row["timestamp"] > session.opens + 90 * SECOND_NS)
        size = (len(rows) - first) // CHUNKS
        parts = [
            rows[first : first + 1],
            *(rows[first + 1 + n * size : first + 1 + (n + 1) * size] for n in range(CHUNKS)),
        ]
        for number, part in enumerate(parts):
            until_ns = part[-1]["timestamp"]
            ended = [bar for bar in bars if bar["timestamp"] + 60 * SECOND_NS <= until_ns]
            bars = bars[len(ended) :]
            deliver(chance, part, ended)
            desk.run()
            desk.run()
            placed: list[Input] = [*(resting() if not day and not number else ()), *orders(chance, part[-1]["price"])]  # fmt: skip
            for order in placed:
                assert isinstance(order, OrderTerms)
                submit(desk, order)
            steps.append((engine_status().now_ns, placed))
    trading_stop(account=desk.account, by="test", reason="the end")
    at_ns, last = steps.pop()
    steps.append((at_ns, [*last, partial(request_stop, by="test", reason="the end")]))
    deliver(chance, [{**row, "timestamp": row["timestamp"] + DAY_NS * 3, "trade_id": f"later-{n}"} for n, row in enumerate(rows[-400:])], [])  # fmt: skip
    desk.run()
    return desk, steps


def opening(desk: TradingDesk) -> list[Event]:
    return [decoded(row.body) for row in desk.account.events.order_by("number")]


def assert_same(found: list[tuple[int, int, str]], expected: list[tuple[int, int, str]]) -> None:
    """Compare event by event, and the first that differs member by member."""
    for one, other in zip(found, expected, strict=False):
        if one != other:
            (number, *_), bodies = one, [msgspec.json.decode(each[2]) for each in (one, other)]
            names = sorted(set().union(*bodies))
            pairs = {name: tuple(body.get(name) for body in bodies) for name in names}
            different = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
            pytest.fail(f"event {number} at {one[1]}, {other[1]}: {different or 'the instants'}")
    assert len(found) == len(expected)


@pytest.mark.django_db
def test_an_account_in_memory_has_the_events_of_one_in_the_database(default_store) -> None:
    desk, steps = history(FREE, chosen_seed())
    rows = EventRow.objects.order_by("number").values_list("number", "at_ns", "body")
    expected = list(rows)
    desk.run()
    found = run_script(market_store(), LOGS, steps, until_ns=engine_status().now_ns)
    assert_same(found, expected)
    counts = Counter(EventRow.objects.values_list("name", flat=True))
    for name in ("executed", "order_triggered", "settled", "split_applied", "dividend_paid",
                 "borrow_charged", "order_ended"):  # fmt: skip
        assert counts[name], name
    desk.check()


def mark(equity: int) -> Marked:
    return Marked(equity=Decimal(equity), marks=(), zone=Zone.NORMAL)


@pytest.mark.django_db
def test_a_decision_is_made_again_if_another_process_was_first(default_store) -> None:
    desk, seen = TradingDesk(), list[Decimal]()

    def decide(state: AccountState, record: Record) -> None:
        if not seen:
            record_events(desk.name, mark(7), at_ns=BEGIN_NS)
        seen.append(state.equity)
        record(mark(int(state.equity) + 1))

    accounts = desk.engine._accounts
    (recorded,) = accounts.act(desk.name, decide, at_ns=BEGIN_NS)
    assert seen == [100_000, 7]
    assert recorded.number == desk.account.number
    assert [state.equity for state in (accounts.states[desk.name], desk.state)] == [8, 8]
    desk.check()


def half_done(state: AccountState, record: Record) -> None:
    record(mark(7))
    raise ZeroDivisionError


@pytest.mark.django_db
def test_a_state_is_read_again_if_its_decision_fails(default_store) -> None:
    desk, store = TradingDesk(), DatabaseStore()
    before = encoded_state(desk.state)
    with pytest.raises(ZeroDivisionError):
        store.act(desk.name, half_done, at_ns=BEGIN_NS)
    # The engine goes on with other accounts.
    assert desk.engine._accounts.act(desk.name, half_done, at_ns=BEGIN_NS) == []
    assert desk.engine._accounts.failed == {desk.name}
    assert encoded_state(desk.engine._accounts.states[desk.name]) == before
    (recorded,) = store.act(desk.name, lambda _, record: record(mark(8)), at_ns=BEGIN_NS)
    assert recorded.number == desk.account.number
    assert desk.state.equity == 8
    desk.check()


def test_a_state_in_memory_is_forgotten_if_its_decision_fails() -> None:
    store = AccountStore()
    store.act("ACC", lambda _, record: record(mark(7)), at_ns=BEGIN_NS)
    with pytest.raises(ZeroDivisionError):
        store.act("ACC", half_done, at_ns=BEGIN_NS)
    assert store.states == {}


def test_the_engine_in_memory_and_backtests_import_no_django() -> None:
    program = (
        "import sys, trading.core.account_store, trading.market.views\n"
        "import trading.strategies.backtest, trading.strategies.outcome\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('django', 'rest_framework')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
