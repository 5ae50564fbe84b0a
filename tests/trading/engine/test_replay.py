"""An engine that is killed and started again does exactly what an undisturbed one does."""

import random
from collections import Counter
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.datasets import QUOTES, TRADES
from store.instruments import Instrument
from store.protocol import Action, Amendment, Correction
from tests.chance import SOAK, chosen_seed
from tests.store_settings import stores_at
from tests.trading.desks import FREE, TradingDesk, at_ns, stored
from tests.trading.replays import forget_accounts, kills, named_events, run_on
from trades.stores import market_store
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side
from trading.exceptions import TradingError
from trading.journal import follow

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.system]
SYMBOLS = ("AAA", "BBB")
# Instruments are in another currency than the account, and its zones are a few cents wide.
NARROW = msgspec.structs.replace(FREE, caution=Decimal("0.01"), danger=Decimal("0.05"), halt=Decimal("0.9"))
PHASES, ROWS = (8, 200) if SOAK else (4, 60)


@pytest.fixture(autouse=True)
def narrow_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trading.core.configuration.HYSTERESIS", Decimal("0.005"))


def market(chance: random.Random, phase: int) -> None:
    """Store a phase of prints and quotes: shuffled, some late, some cancelled later."""
    rates = [
        {"timestamp": at_ns(phase * 600 - 1 + n * 1.7), "bid": 1 + n / 1000, "ask": 1.001 + n / 1000}
        for n in range(2 * ROWS)
    ]
    stored(QUOTES, "EUR-USD", rates)
    for symbol in SYMBOLS:
        price = 100.0
        rows: list[dict[str, Any]] = []
        for number in range(ROWS):
            price += chance.choice((-0.5, -0.1, 0, 0.1, 0.5))
            seconds = phase * 600 + number * 3 - chance.choice((0, 0, 0, 0, 2, 40))
            rows.append(
                {"timestamp": at_ns(seconds), "price": round(price, 2), "volume": chance.choice((1, 5, 20)) * 1.0,
                 "trade_id": f"{phase}.{number}"}
            )  # fmt: skip
        for start in range(0, ROWS, 20):
            part = rows[start : start + 20]
            chance.shuffle(part)
            stored(TRADES, symbol, part)
            quotes = [
                {"timestamp": row["timestamp"], "bid": row["price"] - 0.1, "ask": row["price"] + 0.1}
                for row in part[::5]
            ]
            stored(QUOTES, symbol, quotes)
        target = chance.choice(rows)
        cancel = Correction(Action.CANCEL, target["timestamp"], {"trade_id": target["trade_id"]})
        market_store().correct(Amendment(TRADES, symbol, (cancel,), "test"))


def orders(chance: random.Random, desk: TradingDesk, phase: int) -> None:
    for number in range(6):
        symbol, side = chance.choice(SYMBOLS), chance.choice(list(Side))
        limit = round(100 + chance.uniform(-3, 3), 1)
        terms: dict[str, Any] = chance.choice(
            (
                {"type": OrderType.MARKET},
                {"type": OrderType.LIMIT, "limit_price": limit},
                {"type": OrderType.STOP, "stop_price": limit},
                {"type": OrderType.MARKET, "take_profit": 104, "stop_loss": 96},
            )
        )
        with suppress(TradingError):
            desk.order(
                symbol, side, chance.choice((10, 30, 70)), time_in_force=TimeInForce.GTC,
                client_order_id=f"{phase}-{number}", **terms,
            )  # fmt: skip


def history(seed: int, store: Path, settings: Any, *, kills_in: int | None) -> tuple[list[Any], int]:
    """Return an account's events, and how often the engine was killed."""
    forget_accounts()
    settings.MARKET_STORES = stores_at(store)
    for symbol in SYMBOLS:
        market_store().set_instrument(Instrument(symbol, currency="EUR"))
    chance, faults, killed = random.Random(seed), random.Random(seed + 1), 0
    desk = TradingDesk(config=NARROW)
    follow({f"{dataset}:{symbol}": "0-000000" for dataset in ("trades", "quotes") for symbol in SYMBOLS})
    for phase in range(PHASES):
        if phase:
            orders(chance, desk, phase)
        market(chance, phase)
        with kills(faults, every=kills_in or 10**9):
            killed += run_on(desk)
    desk.check()
    return named_events(), killed


def test_an_engine_that_is_killed_does_what_an_undisturbed_one_does(tmp_path: Path, settings) -> None:
    seed = chosen_seed()
    undisturbed, _ = history(seed, tmp_path / "undisturbed", settings, kills_in=None)
    again, killed = history(seed, tmp_path / "killed", settings, kills_in=40)
    assert again == undisturbed
    counts = Counter(name for name, *_ in undisturbed)
    assert (counts["executed"] > 5, counts["marked"] > 5, killed > 2) == (True, True, True)
