"""Many accounts with open orders: memory, printed rows, decisions; and symbols that were ordered once and forgotten.

`python -m benchmarks.accounts ACCOUNTS` prints JSON. Django runs, no server and no database: states are made of events,
and the rows that are measured change nothing.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benchmarks.processes import run_python
from benchmarks.report import Note, Row, Sizes

if TYPE_CHECKING:
    from trading.core.account import AccountState

_POSITIONS, _ORDERS, _QUIET = 10, 1_000, 1_000
_NOW_NS = 1_750_000_000 * 10**9
_ROUNDS = 200
_LOGS_OF_SYMBOL = 4


def measure_accounts(sizes: Sizes) -> Iterator[Row]:
    """Yield notes: what is measured has no peer."""
    accounts = 50 if sizes.rounds > 1 else 10
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = {"DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development", "DATA_DIR": folder}
        environment, log = {**os.environ, **settings}, Path(folder) / "errors.log"
        printed = run_python("benchmarks.accounts", str(accounts), environment=environment, log=log)
    found = json.loads(printed)
    yield Note(
        f"An account with {_POSITIONS} positions and {_ORDERS:,} open orders takes {found['megabytes']:.2f} MB in each"
        f" process that holds it. Of {accounts} such accounts a printed row takes {found['nobody']:.3f} ms if nobody has"
        f" its symbol, {found['one']:.2f} ms if one account has it, with {_ORDERS // _POSITIONS} orders in it. The"
        f" checks of a preview in it take {found['judge']:.1f} ms, the copy of its state {found['copy']:.1f} ms."
    )
    yield Note(
        f"The {_LOGS_OF_SYMBOL} logs of each of {_QUIET:,} quiet symbols cost a round of the engine {found['quiet']:.0f} ms, as"
        " long as accounts hold or order them. Within a second after that only the trades are followed, for three days,"
        " of symbols that were filled."
    )


def main(accounts: int) -> None:
    """Measure, and print milliseconds and megabytes."""
    import django  # noqa: PLC0415 this process needs it, that of the benchmarks does not

    django.setup()
    print(json.dumps({**_of_accounts(accounts), "quiet": _quiet()}))


def _of_accounts(accounts: int) -> dict[str, float]:
    from trading.core.account import copied, decoded_state, encoded_state  # noqa: PLC0415
    from trading.core.events import Print, RowRef  # noqa: PLC0415
    from trading.engine.clock import DataClock  # noqa: PLC0415
    from trading.engine.desk import Desk  # noqa: PLC0415
    from trading.engine.floor import Floor  # noqa: PLC0415
    from trading.market.followed import FollowedMarket, NewestPrices  # noqa: PLC0415
    from trading.market.newest_rows import RowPrice  # noqa: PLC0415

    texts = [encoded_state(_account(number)) for number in range(accounts)]
    before = _resident()
    desk = Desk(UUID(int=1))
    for number, text in enumerate(texts):
        desk._set_state(f"A{number}", decoded_state(text))  # noqa: SLF001 as `refresh` does
    megabytes = (_resident() - before) / accounts

    def ref(symbol: str) -> RowRef:
        return RowRef(dataset="trades", symbol=symbol, commit="1-abcdef", ordinal=0, timestamp_ns=_NOW_NS)

    symbols = [*desk.symbols, "NOBODY"]
    prices = {each: NewestPrices(None, RowPrice(ref(each), Decimal(100), _NOW_NS)) for each in symbols}
    clock, market = DataClock(_NOW_NS), FollowedMarket(_store(), _prices=prices)
    floor = Floor(desk, clock, market)
    floor.pass_time(_NOW_NS)

    def printed(symbol: str) -> None:
        row = Print(ref=ref(symbol), price=Decimal(100), volume=Decimal(1), known_ns=_NOW_NS)
        floor.pass_time(_NOW_NS)
        floor.take(row)
        floor.pass_time(_NOW_NS)

    state = desk.states["A0"]
    return {
        "megabytes": megabytes,
        "nobody": _milliseconds(lambda: printed("NOBODY")),
        "one": _milliseconds(lambda: printed("A0-S0")),
        "judge": _milliseconds(lambda: _judge(state, market)),
        "copy": _milliseconds(lambda: copied(state)),
    }


def _account(number: int) -> "AccountState":
    """Return an account with positions, and orders far below the market that rest."""
    from trading.core import events  # noqa: PLC0415
    from trading.core.account import AccountState, apply  # noqa: PLC0415
    from trading.core.orders import OrderTerms, OrderType, TimeInForce  # noqa: PLC0415
    from trading.core.positions import Lot, Position  # noqa: PLC0415
    from trading.core.terms import TRADABLE, Side  # noqa: PLC0415

    terms, one, price = TRADABLE["crypto"], Decimal(1), Decimal(100)
    state = AccountState(id=f"A{number}", status="running", day="2025-06-15", marked_ns=_NOW_NS)
    state.equity = state.high_water = state.day_equity = Decimal(1_000_000)
    state.cash = state.equity - _POSITIONS * price
    for place in range(_POSITIONS):
        symbol = f"A{number}-S{place}"
        lot = Lot(execution_id=str(UUID(int=place)), opened_ns=1, quantity=one, cost=price)
        state.positions[f"{symbol}|"] = Position(
            symbol=symbol, strategy="", terms=terms, quantity=one, cost=price, lots=[lot]
        )
    for place in range(_ORDERS):
        symbol, order_id = f"A{number}-S{place % _POSITIONS}", str(UUID(int=number * _ORDERS + place))
        order = OrderTerms(
            symbol=symbol, side=Side.BUY, quantity=one, type=OrderType.LIMIT, limit_price=Decimal(50),
            time_in_force=TimeInForce.GTC, client_order_id=f"c-{place}",
        )  # fmt: skip
        accepted = events.OrderAccepted(
            order_id=order_id, order=order, terms=terms, submitted_ns=1, matches_after_ns=1, checks=(),
            reference=events.Reference(symbol=symbol, price=price, rate=one), risk_version=1,
            worth=Decimal(50), margin=Decimal(50), fee=one,
        )  # fmt: skip
        apply(state, accepted, at_ns=1)
        apply(state, events.OrderWorking(order_id=order_id), at_ns=1)
    return state


def _judge(state: "AccountState", market: Any) -> None:
    """Check an order as a preview does, without reading prices of the store."""
    from trading.core.acceptance import MarketView, judge  # noqa: PLC0415
    from trading.core.orders import OrderTerms  # noqa: PLC0415
    from trading.core.terms import TRADABLE, Side  # noqa: PLC0415

    order = OrderTerms(symbol="A0-S0", side=Side.BUY, quantity=Decimal(1))
    marks = market.marks(state, now_ns=_NOW_NS)
    view = MarketView(TRADABLE["crypto"], marks["A0-S0"], marks, heads={}, expires_ns=None)
    judge(state, order, view, now_ns=_NOW_NS)


def _quiet() -> float:
    """Return the milliseconds of a look for news in the logs of many symbols."""
    import pyarrow as pa  # noqa: PLC0415

    from store.datasets import CORPORATE_ACTIONS, QUOTES, TRADES, TRADING_STATUS  # noqa: PLC0415
    from store.protocol import Append  # noqa: PLC0415
    from trading.engine.clock import WallClock  # noqa: PLC0415
    from trading.engine.logs import FollowedLog, merged  # noqa: PLC0415

    store, datasets = _store(), (TRADES, QUOTES, CORPORATE_ACTIONS, TRADING_STATUS)
    symbols = [f"Q{number}" for number in range(_QUIET)]
    row = {"timestamp": _NOW_NS, "price": 100.0, "volume": 1.0}
    for symbol in symbols:
        batch = pa.RecordBatch.from_pylist([row], schema=TRADES.schema)
        store.append(Append(TRADES, symbol, batch, "bench"))
    logs = [
        FollowedLog.at_head(store, WallClock(), dataset, symbol) for symbol in symbols for dataset in datasets
    ]
    return _milliseconds(lambda: list(merged(logs)), rounds=5)


def _store() -> Any:
    from trades.stores import market_store  # noqa: PLC0415

    return market_store()


def _milliseconds(call: Callable[[], object], rounds: int = _ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e3 * median(times)


def _resident() -> float:
    """Return the megabytes of this process's memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main(int(sys.argv[1]))
