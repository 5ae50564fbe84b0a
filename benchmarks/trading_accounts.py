"""The accounts of the benchmark of trading, made in a process of their own beside the server that runs.

`python -m benchmarks.trading_accounts ORDERS` declares the symbols, stores a print of each, opens and starts the accounts, has
`FULL` fill ORDERS orders, and prints the keys of the clients as JSON. The orders' events go through the account store, which
writes all rows that follow from them; only the engine and HTTP are left out.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from uuid import uuid4

import msgspec

SYMBOLS = [f"COIN{number:02}" for number in range(20)]
# Of which only the measured prints come.
FILLED_SYMBOL = "FILL"
EMPTY, FULL, FILLED, STOPPED = "EMPTY", "FULL", "FILLED", "STOPPED"
PRICE, VOLUME = 100.0, 10_000
_DEPOSIT = Decimal(10_000_000)
_FREE = Decimal(1_000)
_ORDERS_A_TRANSACTION = 1_000
_KEYS = 8
_ENGINE_SECONDS = 60
_SECOND_NS = 10**9


def make(orders: int) -> list[str]:
    """Make everything, and return the keys."""
    _instruments_declare()
    for name in (EMPTY, FULL, FILLED, STOPPED):
        _account_open(name)
    _fill(orders)
    return _keys()


def _instruments_declare() -> None:
    """Declare instruments that trade at all hours, and print each once."""
    import pyarrow as pa  # noqa: PLC0415

    from store.datasets import TRADES  # noqa: PLC0415
    from store.instruments import Instrument  # noqa: PLC0415
    from store.protocol import Append  # noqa: PLC0415
    from trades.stores import market_store  # noqa: PLC0415

    for symbol in (*SYMBOLS, FILLED_SYMBOL):
        market_store().set_instrument(Instrument(symbol, instrument_class="crypto", currency="USD"))
        row = {"timestamp": time.time_ns(), "price": PRICE, "volume": float(VOLUME)}
        batch = pa.RecordBatch.from_pylist([row], schema=TRADES.schema)
        market_store().append(Append(TRADES, symbol, batch, "bench"))


def _account_open(name: str) -> None:
    """Open an account with money and wide limits, and start it."""
    from trading.core.configuration import RiskConfig  # noqa: PLC0415
    from trading.core.terms import AccountKind  # noqa: PLC0415
    from trading.services.accounts import (  # noqa: PLC0415
        account_create,
        account_transfer,
        trading_start,
    )

    config = RiskConfig(max_symbol_exposure=_FREE, max_gross_exposure=_FREE, orders_per_minute=1_000_000)
    account = account_create(name=name, kind=AccountKind.MARGIN, currency="USD", by="bench", config=config)
    account_transfer(name=name, transfer=str(uuid4()), amount=_DEPOSIT)
    _engine_awaited()
    trading_start(account=account, by="bench")


def _engine_awaited() -> None:
    from trading.exceptions import EngineUnavailable  # noqa: PLC0415
    from trading.lease import require_engine  # noqa: PLC0415

    for _ in range(_ENGINE_SECONDS):
        with suppress(EngineUnavailable):
            require_engine()
            return
        time.sleep(1)
    require_engine()


def _fill(orders: int) -> None:
    """Accept and fill orders of the account `FULL`, one a second until now, that buy and sell a coin by turns."""
    from django.db import transaction  # noqa: PLC0415

    from trading.account_store import DatabaseStore  # noqa: PLC0415
    from trading.core.account_store import Decision  # noqa: PLC0415
    from trading.core.events import Event, Executed, OrderAccepted, OrderWorking, Print, decoded  # noqa: PLC0415
    from trading.core.orders import OrderTerms, OrderType, TimeInForce  # noqa: PLC0415
    from trading.core.terms import Side  # noqa: PLC0415
    from trading.models import Account, EventRow  # noqa: PLC0415
    from trading.services.orders import order_submit  # noqa: PLC0415

    terms = OrderTerms(
        symbol=SYMBOLS[0],
        side=Side.BUY,
        quantity=Decimal(1),
        type=OrderType.LIMIT,
        limit_price=Decimal(50),
        time_in_force=TimeInForce.IOC,
        strategy="bench",
    )
    account = Account.objects.get(name=FULL)
    done = order_submit(account=account, order=terms, by="bench")
    pattern = decoded(EventRow.objects.get(account=account, number=done.number).body)
    assert isinstance(pattern, OrderAccepted)
    row = pattern.reference.refs[0]

    def events(number: int) -> Iterator[Event]:
        accepted = msgspec.structs.replace(
            pattern,
            order_id=str(uuid4()),
            order=msgspec.structs.replace(terms, side=(Side.BUY, Side.SELL)[number % 2]),
        )
        yield accepted
        yield OrderWorking(order_id=accepted.order_id)
        yield Executed(
            execution_id=str(uuid4()),
            order_id=accepted.order_id,
            quantity=terms.quantity,
            price=Decimal(100 + number % 7),
            fee=Decimal("0.1"),
            slippage=Decimal(0),
            rate=Decimal(1),
            print=Print(ref=row, price=Decimal(100), volume=Decimal(VOLUME), known_ns=row.timestamp_ns),
            capacity=Decimal(VOLUME),
            position=terms.quantity * (1 - number % 2),
        )

    def fill(number: int) -> Decision:
        return lambda _, record: [record(event) for event in events(number)]

    began_ns = time.time_ns() - orders * _SECOND_NS
    store = DatabaseStore()
    for first in range(0, orders, _ORDERS_A_TRANSACTION):
        with transaction.atomic():
            for number in range(first, min(first + _ORDERS_A_TRANSACTION, orders)):
                store.act(FULL, fill(number), at_ns=began_ns + number * _SECOND_NS)


def _keys() -> list[str]:
    from django.utils import timezone  # noqa: PLC0415

    from ratelimit.keys.services import key_create  # noqa: PLC0415

    return [
        key_create(
            name=f"trader{number}",
            now=timezone.now(),
            actor="bench",
            tier="internal",
            scopes=["market:read", "market:write", "trading:read", "trading:write"],
            accounts=["*"],
            sensitivity="confidential",
            trading_rate=1_000,
        ).key
        for number in range(_KEYS)
    ]


def main(orders: int) -> None:
    """Make everything; print the keys."""
    import django  # noqa: PLC0415 this process needs it, that of the benchmarks does not

    django.setup()
    print(json.dumps(make(orders)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
