"""The sample on the `data` clock, with late, shuffled and corrected prints: three kills change no fill.

The usual run takes one symbol on the week's last day; SOAK=1 takes all of the week.
"""

import datetime as dt
import random
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from store.datasets import BARS, TRADES
from store.instruments import Instrument
from store.protocol import Action, Amendment, Correction
from store.timestamps import MINUTE_NS
from tests.chance import SOAK, chosen_seed
from tests.store_settings import stores_at
from tests.trading.desks import FREE, TradingDesk, stored
from tests.trading.replays import forget_accounts, kills, named_events, run_on
from trades.sample import EQUITIES, sample_day, trading_sessions
from trades.stores import market_store
from trading.core.events import Executed, OrderAccepted, decoded
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side
from trading.exceptions import TradingError
from trading.journal import follow
from trading.models import EventRow, OrderRow
from trading.services.accounts import trading_stop

pytestmark = [pytest.mark.system, pytest.mark.django_db(transaction=True)]
FRIDAY_EVENING = dt.datetime(2025, 6, 13, 23, tzinfo=dt.UTC)
DAYS, SYMBOLS = (5, EQUITIES) if SOAK else (1, EQUITIES[:1])
CHUNKS_A_DAY, SHUFFLED = 12, 20
# It has bars only: one for each minute in which DEMOA has prints.
BARRED = "BARRED"
KILLS = 3
_Row = dict[str, Any]


class Delivery(NamedTuple):
    """What comes before the strategy looks again. changed: prints that are corrected, or cancelled without a price.

    bars: of the minutes that ended.
    """

    symbol: str
    rows: list[_Row]
    bars: list[_Row]
    changed: list[tuple[_Row, float | None]]


def deliveries(seed: int) -> list[list[Delivery]]:
    """Return the sample's trades as they come: late ones with the next delivery, the others shuffled among neighbours."""
    chance = random.Random(seed)
    found: list[list[Delivery]] = []
    late: dict[str, list[_Row]] = {symbol: [] for symbol in SYMBOLS}
    for session in trading_sessions(now=FRIDAY_EVENING, days=DAYS, symbol=EQUITIES[0]):
        days = {symbol: day_rows(symbol, session) for symbol in SYMBOLS}
        all_bars = bars_of(days[SYMBOLS[0]])
        for place in range(CHUNKS_A_DAY):
            found.append([])
            for symbol, day in days.items():
                size = len(day) // CHUNKS_A_DAY
                chunk = day[place * size : (place + 1) * size]
                kept = [row for row in chunk if chance.random() > 0.03]
                rows = shuffled(kept, chance) + late[symbol]
                late[symbol] = [row for row in chunk if row not in kept]
                changed = [(row, chance.choice((None, row["price"] + 1))) for row in chance.sample(kept, 4)]
                ended_ns = chunk[-1]["timestamp"] - MINUTE_NS if symbol == SYMBOLS[0] else 0
                bars = [bar for bar in all_bars if bar["timestamp"] <= ended_ns]
                all_bars = all_bars[len(bars) :]
                found[-1].append(Delivery(symbol, rows, bars, changed))
    return found


def day_rows(symbol: str, session: Any) -> list[_Row]:
    columns = ["timestamp", "price", "volume", "trade_id", "conditions"]
    return sample_day(symbol, session).trades.select(columns).to_pylist()  # type: ignore[no-any-return]


def shuffled(rows: list[_Row], chance: random.Random) -> list[_Row]:
    parts = [rows[start : start + SHUFFLED] for start in range(0, len(rows), SHUFFLED)]
    return [row for part in parts for row in chance.sample(part, len(part))]


def bars_of(rows: list[_Row]) -> list[_Row]:
    minutes: dict[int, list[_Row]] = {}
    for row in sorted(rows, key=lambda each: each["timestamp"]):
        minutes.setdefault(row["timestamp"] // MINUTE_NS * MINUTE_NS, []).append(row)
    return [
        {
            "timestamp": minute, "resolution": "1m", "volume": sum(row["volume"] for row in rows),
            "open": rows[0]["price"], "high": max(row["price"] for row in rows),
            "low": min(row["price"] for row in rows), "close": rows[-1]["price"],
        }
        for minute, rows in minutes.items()
    ]  # fmt: skip


def deliver(delivery: Delivery) -> None:
    symbol, rows, bars, changed = delivery
    stored(TRADES, symbol, rows)
    if bars:
        stored(BARS, BARRED, bars)
    corrections = tuple(
        Correction(Action.CANCEL if price is None else Action.CORRECT, row["timestamp"], {"trade_id": row["trade_id"]},
                   new={} if price is None else {"price": price})
        for row, price in changed
    )  # fmt: skip
    market_store().correct(Amendment(TRADES, symbol, corrections, "test"))


def strategy(desk: TradingDesk, number: int, delivery: Delivery) -> None:
    """Follow the move of the last delivery: in each direction a bracket at the market, and a limit."""
    first, last = (delivery.rows[place]["price"] for place in (0, len(delivery.rows) // 2))
    side = Side.BUY if last >= first else Side.SELL
    legs = {"take_profit": last + side.sign, "stop_loss": last - side.sign}
    orders: list[_Row] = [
        {"type": OrderType.MARKET, **{name: round(price, 2) for name, price in legs.items()}},
        {"type": OrderType.LIMIT, "limit_price": round(last - side.sign * 0.1, 2)},
    ]
    symbols = [delivery.symbol, *([BARRED] if delivery.symbol == SYMBOLS[0] else [])]
    for symbol in symbols:
        for place, terms in enumerate(orders):
            with suppress(TradingError):
                name = f"{symbol}-{number}-{place}"
                desk.order(symbol, side, 50, time_in_force=TimeInForce.GTC, client_order_id=name, **terms)


def replay(seed: int, store: Path, settings: Any, *, is_killed: bool) -> tuple[TradingDesk, int]:
    """Return the desk after the sample, and how often its engine was killed."""
    forget_accounts()
    settings.MARKET_STORES = stores_at(store)
    for symbol in (*SYMBOLS, BARRED):
        market_store().set_instrument(
            Instrument(symbol, exchange="XNAS", currency="USD", bar_policy="us_equities")
        )
    desk, faults, killed = TradingDesk(config=FREE), random.Random(seed), 0
    follow({f"trades:{symbol}": "0-000000" for symbol in SYMBOLS} | {f"bars:{BARRED}": "0-000000"})
    every = deliveries(seed)
    for number, part in enumerate(every):
        for delivery in part:
            deliver(delivery)
        if number == len(every) - 2:
            trading_stop(account=desk.account, by="test")
        is_due = is_killed and number >= len(every) * (killed + 1) // (KILLS + 1)
        with kills(faults, every=50, at_most=int(is_due and killed < KILLS)):
            killed += run_on(desk)
        for delivery in part:
            strategy(desk, number, delivery)
    desk.check()
    return desk, killed


def test_the_sample_fills_the_same_whoever_is_killed(tmp_path: Path, settings) -> None:
    seed = chosen_seed()
    replay(seed, tmp_path / "undisturbed", settings, is_killed=False)
    # A late print is no price for an engine that takes it, and one for an engine that begins again and reads the store.
    undisturbed = named_events(without="marked")
    desk, killed = replay(seed, tmp_path / "killed", settings, is_killed=True)
    assert killed == KILLS
    assert named_events(without="marked") == undisturbed
    check_kinds()
    desk.run()
    assert named_events(without="marked") == undisturbed


def check_kinds() -> None:
    """Prints and bars, legs of brackets, and a stop's closes are among what happened."""
    events = [decoded(row.body) for row in EventRow.objects.filter(name__in=["order_accepted", "executed"])]
    orders = [each for each in events if isinstance(each, OrderAccepted)]
    fills = [each for each in events if isinstance(each, Executed)]
    assert {each.leg for each in orders} >= {"take_profit", "stop_loss"}
    assert {each.print.ref.dataset for each in fills} == {"trades", "bars"}
    assert any(each.by == "stop" for each in orders)
    assert len(fills) > 30
    assert OrderRow.objects.filter(state="filled").count() > 20
    assert sum(each.fee for each in fills) > 0
