"""Backtests of both shipped strategies over real bars, beside backtesting.py and backtrader: fills, prices, equity.

`python -m benchmarks.next_opens DATA PYTHON [FILE]` writes a table in Markdown. DATA: the folder of real market data (see its
README.md). PYTHON: an interpreter with requirements-bench-backtests.txt. Nobody pays costs, and no volume is a limit; latency and
`settle` are the defaults. The peers are given the same rules, which `benchmarks.next_opens_peer` computes anew. backtrader
looks at the stop of a bracket only from the bar after the entry on, so breakouts differ there; all else is the same to the cent.
"""

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from benchmarks.processes import BASE_DIR
from store import open_store
from store.csv import CsvStore
from store.datasets import BARS
from store.instruments import CRYPTO, EQUITY, Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, MINUTE_NS, parse_timestamp
from trading.core.configuration import RiskConfig
from trading.core.events import Executed
from trading.engine.floor import RecordedEvent
from trading.strategies.backtest import Backtest, BacktestInputs

CASH, QUANTITY = 10_000_000, 100
_WIDE = Decimal(1_000_000)
# Limits that no order reaches, so that all programs decide the same. Latency, settle and price age are the defaults.
_CONFIG = RiskConfig(
    max_symbol_exposure=_WIDE, max_gross_exposure=_WIDE, daily_loss=Decimal(100), total_loss=Decimal(100),
    caution=Decimal(97), danger=Decimal(98), halt=Decimal(99), orders_per_minute=1_000, participation=Decimal(100),
    collar=Decimal(99),
)  # fmt: skip
_PARAMETERS: dict[str, dict[str, Any]] = {
    "crossover": {"fast": 5, "slow": 20, "quantity": QUANTITY},
    "breakout": {"entry": 20, "exit": 10, "ranges": 2, "part": 0.2},
}
# There are few hours in two days.
_OF_HOURS: dict[str, dict[str, Any]] = {
    "crossover": {"fast": 2, "slow": 5, "quantity": QUANTITY},
    "breakout": {"entry": 4, "exit": 2, "ranges": 1, "part": 0.2},
}
_RESOLUTIONS = {"1d": DAY_NS, "1h": 60 * MINUTE_NS, "1m": MINUTE_NS}


class Row(NamedTuple):
    """A bar: its start, nanoseconds UTC, prices, volume."""

    time_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Fill(NamedTuple):
    """The start of the bar that filled, and the signed quantity."""

    time_ns: int
    quantity: float
    price: float


@dataclass(frozen=True, slots=True)
class Case:
    symbol: str
    resolution: str
    rows: list[Row]

    def parameters(self, strategy: str) -> dict[str, Any]:
        return (_OF_HOURS if self.resolution == "1h" else _PARAMETERS)[strategy]


def cases(data: Path) -> Iterator[Case]:
    """Yield the bars of the symbols. Hours are of the minutes, days of the vendor's daily files; a coin has no such file."""
    new_york_ns = parse_timestamp("2013-10-07T04:00:00Z")
    minutes = {
        "IBM": _minutes(data / "equity" / "ibm_20131007_minute_trade.csv", new_york_ns, 10_000),
        "BTC-USD": [
            row
            for day in ("20180404", "20180405")
            for row in _minutes(
                data / "crypto" / f"btcusd_{day}_minute_trade.csv",
                parse_timestamp(f"{day[:4]}-{day[4:6]}-{day[6:]}"), 1,
            )
        ],
    }  # fmt: skip
    for symbol in ("IBM", "AAPL"):
        yield Case(symbol, "1d", _days(data / "equity" / f"{symbol.lower()}_daily_trade.csv"))
    for symbol, rows in minutes.items():
        for resolution in ("1h", "1m"):
            yield Case(symbol, resolution, _merged(rows, _RESOLUTIONS[resolution]))


def _days(path: Path) -> list[Row]:
    with path.open() as file:
        return [
            Row(
                parse_timestamp(f"{day[:4]}-{day[4:6]}-{day[6:8]}"),
                *(int(each) / 10_000 for each in values[:4]), float(values[4]),
            )
            for day, *values in csv.reader(file)
        ]  # fmt: skip


def _minutes(path: Path, midnight_ns: int, divisor: int) -> list[Row]:
    with path.open() as file:
        return [
            Row(midnight_ns + int(ms) * 1_000_000, *(float(each) / divisor for each in values[:4]), float(values[4]))
            for ms, *values in csv.reader(file)
            if ms.isdigit()
        ]  # fmt: skip


def _merged(rows: list[Row], length_ns: int) -> list[Row]:
    found = []
    for start, group in groupby(rows, key=lambda row: row.time_ns // length_ns * length_ns):
        some = list(group)
        high, low = max(row.high for row in some), min(row.low for row in some)
        found.append(Row(start, some[0].open, high, low, some[-1].close, sum(row.volume for row in some)))
    return found


def own_fills(case: Case, strategy: str) -> tuple[list[Fill], float]:
    """Return the fills of this project, and the equity at the end."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        path = Path(name) / "store"
        path.mkdir()
        store = CsvStore(path)
        terms: dict[str, Any] = (
            {"instrument_class": CRYPTO}
            if "-" in case.symbol
            else {"instrument_class": EQUITY, "exchange": "XNYS"}
        )
        store.set_instrument(Instrument(case.symbol, currency="USD", tick_size=0.01, **terms))
        columns = dict.fromkeys(BARS.schema.names) | {"resolution": case.resolution}
        documents = [
            columns | dict(zip(("timestamp", *Row._fields[1:]), row._replace(volume=1e9), strict=True))
            for row in case.rows
        ]
        store.append(
            Append(BARS, case.symbol, pa.RecordBatch.from_pylist(documents, schema=BARS.schema), "bench")
        )
        inputs = BacktestInputs(
            strategy=strategy, symbols=(case.symbol,), start_ns=case.rows[0].time_ns,
            end_ns=case.rows[-1].time_ns + 2 * DAY_NS, cash=Decimal(CASH), config=_CONFIG,
            parameters=case.parameters(strategy) | {"interval": case.resolution}, fee_basis_points=Decimal(0),
            slippage_basis_points=Decimal(0), terms={case.symbol: {"lot": Decimal(1)}},
        )  # fmt: skip
        fills: list[Fill] = []

        def keep(recorded: RecordedEvent) -> None:
            event = recorded.event
            if isinstance(event, Executed):
                order = next(each for each in recorded.effects.orders if each.id == event.order_id)
                quantity = float(event.quantity) * order.terms.side.sign
                fills.append(Fill(event.print.ref.timestamp_ns, quantity, float(event.price)))

        state = Backtest(inputs, open_store(path), keep).run()
    held = sum(float(each.quantity) for each in state.positions.values())
    return fills, float(state.cash) + held * case.rows[-1].close


def peer_fills(python: str, peer: str, case: Case, strategy: str) -> tuple[list[Fill], float]:
    """Return the fills of another program, and its equity at the end."""
    asked = {"rows": case.rows, "strategy": strategy, "parameters": case.parameters(strategy), "cash": CASH}
    command = [python, "-m", "benchmarks.next_opens_peer", peer]
    done = subprocess.run(
        command, cwd=BASE_DIR, input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return [
        Fill(case.rows[bar].time_ns, quantity, price) for bar, quantity, price in answer["fills"]
    ], answer["equity"]


def table(data: Path, python: str) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| bars | strategy | program | fills | the same bar, quantity and price as here | equity at the end | less that of here |"
    yield "|---|---|---|---|---|---|---|"
    for case in cases(data):
        for strategy in _PARAMETERS:
            own, own_equity = own_fills(case, strategy)
            name = f"{case.symbol} {case.resolution} ({len(case.rows):,})"
            yield f"| {name} | {strategy} | this project | {len(own):,} | | {own_equity:,.2f} | |"
            for peer in ("backtesting.py", "backtrader"):
                fills, equity = peer_fills(python, peer, case, strategy)
                same = len({_cents(each) for each in own} & {_cents(each) for each in fills})
                yield (
                    f"| {name} | {strategy} | {peer} | {len(fills):,} | {same:,} | {equity:,.2f} "
                    f"| {equity - own_equity:,.2f} |"
                )


def _cents(fill: Fill) -> tuple[int, int, int]:
    return fill.time_ns, round(fill.quantity), round(fill.price * 100)


if __name__ == "__main__":
    with Path(sys.argv[3]).open("w") if len(sys.argv) > 3 else sys.stdout as file:
        for line in table(Path(sys.argv[1]), sys.argv[2]):
            print(line, file=file, flush=True)
