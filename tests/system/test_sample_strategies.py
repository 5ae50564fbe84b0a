"""The shipped strategies over the sample: a backtest, an engine on the data clock, and a live one decide, order and fill alike.

The usual run has a morning of two symbols; SOAK=1 has the week. A week cannot be posted live within a test: half an hour of the
sample is, each minute of it within a second, and bars are of seconds. Both engines are killed on the way.
"""

import contextlib
import datetime as dt
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.declarations import WORD_SEPARATOR
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, format_timestamp, parse_timestamp
from tests.chance import SOAK
from tests.hostile.figures import Told
from tests.marketdata_project.front_server import eventually
from tests.marketdata_project.serve_process import MANAGE, SETTINGS
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS
from tests.system.clients import connected
from tests.system.installation import installed
from trades.sample import EQUITIES, MAX_LATENCY_NS, SEED, SymbolDay, symbol_day, trading_sessions

FRIDAY_EVENING = dt.datetime(2025, 6, 13, 23, tzinfo=dt.UTC)
DAYS, SYMBOLS = (5, EQUITIES) if SOAK else (1, EQUITIES[:2])
STRATEGIES = {"crossover": {"fast": 5, "slow": 15}, "breakout": {"entry": 10, "exit": 5}}
FAST = {
    "crossover": {"fast": 2, "slow": 4, "interval": "1s"},
    "breakout": {"entry": 2, "exit": 1, "interval": "1s"},
}
LIVE_SECONDS, KILLED_AFTER = 30, 12
LIVE_SYMBOLS = ("LIVEA", "LIVEB")
# Of a session, in the usual run.
_PART_NS = 150 * MINUTE_NS
# What is shown later than this is history. The engine that takes over needs some of it.
LATE_SECONDS = 8
_ASSIGN = """
from decimal import Decimal
from trading.core.configuration import RiskConfig
from trading.core.events import StrategyChoice
from trading.core.terms import AccountKind
from trading.models import Account
from trading.services.accounts import account_create, account_transfer
from trading.services.assigning import strategy_assign
from trading.services.control import trading_start
for name, parameters in {strategies!r}.items():
    account_create(name=name, kind=AccountKind.MARGIN, currency="USD", by="test", config=RiskConfig(**{limits!r}))
    account_transfer(name=name, transfer="first", amount=Decimal(100_000))
    account = Account.objects.get(name=name)
    trading_start(account=account, by="test")
    choice = StrategyChoice(name=name, parameters={{key: str(value) for key, value in parameters.items()}},
                            symbols={symbols!r})
    strategy_assign(account=account, strategy=choice, by="test")
"""
Row = tuple[Any, ...]


class Outcome(NamedTuple):
    """What came of a strategy.

    signals: instant, symbol, side, protective stop, whether it was accepted, and quantity. trades: those that ended:
    instant, symbol, direction, price in, price out, and quantity.
    """

    signals: list[Row]
    trades: list[Row]

    def before(self, end_ns: int) -> "Outcome":
        """What was before an instant."""
        return Outcome(
            [each for each in self.signals if each[0] < end_ns],
            [each for each in self.trades if each[0] < end_ns],
        )


class Place(NamedTuple):
    """A folder of data in which commands run."""

    data_dir: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {"DJANGO_SETTINGS_MODULE": SETTINGS, "DATA_DIR": str(self.data_dir), "REDIS_URL": ""}
        return {**os.environ, **own}

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, str(MANAGE), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def assign(self, strategies: dict[str, Any], symbols: tuple[str, ...]) -> None:
        """Open an account for each strategy, by its name, and assign it."""
        limits = {"orders_per_minute": 1_000}
        self.manage("shell", "-c", _ASSIGN.format(strategies=strategies, symbols=symbols, limits=limits))

    @contextlib.contextmanager
    def engine(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """An engine alone, which is killed at the end."""
        process = subprocess.Popen(
            [sys.executable, str(MANAGE), "trading_engine", *options], env=self.environment
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        path = self.data_dir / "marketdata.sqlite3"
        with contextlib.closing(
            sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)
        ) as read:
            return read.execute(query, arguments).fetchall()

    def is_led(self) -> bool:
        found = self.rows("SELECT leased_until_ns FROM trading_enginelease")
        return bool(found) and found[0][0] > time.time_ns()

    def executed(self) -> int:
        return int(self.rows("SELECT count(*) FROM trading_executionrow")[0][0])

    def engine_outcome(self, name: str) -> Outcome:
        """What the engine recorded for a strategy's account."""
        account = "(SELECT id FROM trading_account WHERE name = ?)"
        query = f"SELECT body FROM trading_eventrow WHERE name IN ('order_accepted', 'order_rejected') AND account_id = {account} ORDER BY number"
        events = [orjson.loads(body) for (body,) in self.rows(query, name)]
        query = f"SELECT document FROM trading_traderow WHERE account_id = {account} ORDER BY id"
        trades = [orjson.loads(body) for (body,) in self.rows(query, name)]
        return Outcome(
            [_signal(each) for each in events if not each["order"].get("reduce_only")],
            [_trade(each, each["closed_ns"]) for each in trades],
        )

    def backtest(
        self, name: str, parameters: dict[str, Any], symbols: tuple[str, ...], start_ns: int, end_ns: int
    ) -> Outcome:
        """What `manage.py backtest --json` prints of the same."""
        period = ("--from", format_timestamp(start_ns), "--to", format_timestamp(end_ns))
        values = [f"{key}={value}" for key, value in parameters.items()]
        limits = ("--limit", "orders_per_minute=1000")
        text = self.manage("backtest", name, *symbols, *period, *limits, "--json", "--set", *values)
        document = orjson.loads(text)
        return Outcome(
            [
                (
                    parse_timestamp(each["at"]),
                    *(each[key] for key in ("symbol", "side", "stop_loss")),
                    each["refused"] is None,
                    each["quantity"],
                )
                for each in document["signals"]["rows"]
            ],
            [_trade(each, parse_timestamp(each["closed_at"])) for each in document["trades"]],
        )


def _signal(event: dict[str, Any]) -> Row:
    order = event["order"]
    stop = order.get("stop_loss")
    return (
        event["submitted_ns"],
        order["symbol"],
        order["side"],
        stop and float(stop),
        event["event"] == "order_accepted",
        float(order["quantity"]),
    )


def _trade(trade: dict[str, Any], closed_ns: int) -> Row:
    amounts = (float(trade[key]) for key in ("entry_price", "exit_price", "quantity"))
    return closed_ns, trade["symbol"], trade["direction"], *amounts


def check_alike(engine: Outcome, past: Outcome, *, apart_ns: int, part: float) -> None:
    """Both have the same signals and trades.

    Trades ended at most so long after each other, and quantities differ by at most that part.
    """
    assert [each[:-1] for each in engine.signals] == [each[:-1] for each in past.signals]
    assert [each[1:-1] for each in engine.trades] == [each[1:-1] for each in past.trades]
    assert [each[0] for each in engine.trades] == pytest.approx(
        [each[0] for each in past.trades], abs=apart_ns, rel=0
    )
    for own, other in zip(engine, past, strict=True):
        assert [each[-1] for each in own] == pytest.approx([each[-1] for each in other], abs=0, rel=part)


def test_an_engine_on_the_data_clock_and_a_backtest_are_alike(tmp_path: Path, told: Told):
    place, days = Place(tmp_path), sample_days()
    begin_ns = min(int(day.time_ns[0]) for day in days) // DAY_NS * DAY_NS
    last_ns = {
        symbol: max(int(day.time_ns[-1]) for day in days if day.symbol == symbol) for symbol in SYMBOLS
    }
    store, option = CsvStore(tmp_path), ("--data-clock", format_timestamp(begin_ns))
    for symbol in SYMBOLS:
        store.set_instrument(Instrument(symbol, exchange="XNAS", currency="USD", bar_policy="us_equities"))
    place.manage("migrate")
    with place.engine(*option):
        assert eventually(place.is_led)
        place.assign(STRATEGIES, SYMBOLS)
    # The strategies see all symbols at one instant, so all rows are there before the engine takes the first.
    for day in days:
        store.append(Append(TRADES, day.symbol, batch_of_day(day), "test"))
    with place.engine(*option):
        assert eventually(lambda: place.executed() > 3)
    with place.engine(*option):
        assert eventually(lambda: places(place) == last_ns, seconds=PROGRAM_SECONDS * 5)
    for name, parameters in STRATEGIES.items():
        past = place.backtest(name, parameters, SYMBOLS, begin_ns, max(last_ns.values()) + SECOND_NS)
        end_ns = min(last_ns.values())
        check_alike(
            place.engine_outcome(name).before(end_ns), past.before(end_ns), apart_ns=MAX_LATENCY_NS, part=0
        )
        told(
            f"strategies {name} on the data clock", f"{len(past.signals)} signals, {len(past.trades)} trades"
        )
        assert len(past.signals) >= 10


def places(place: Place) -> dict[str, int]:
    query = "SELECT symbol, newest_ns FROM trading_logprogress WHERE dataset = 'trades'"
    return {symbol: newest_ns for symbol, newest_ns in place.rows(query) if symbol in SYMBOLS}


def sample_days() -> list[SymbolDay]:
    sessions = trading_sessions(now=FRIDAY_EVENING, days=DAYS)
    days = [
        (session, symbol_day(seed=SEED, symbol=symbol, session=session))
        for session in sessions
        for symbol in SYMBOLS
    ]
    return [day if SOAK else day.reported_by(session.opens + _PART_NS) for session, day in days]


def batch_of_day(day: SymbolDay) -> pa.RecordBatch:
    columns = {
        "timestamp": day.time_ns,
        "price": day.price,
        "volume": day.volume,
        "trade_id": day.trade_id,
        "conditions": [WORD_SEPARATOR.join(words) for words in day.conditions],
        "received_at": day.received_at_ns,
    }
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return pa.RecordBatch.from_pylist(
        [dict.fromkeys(TRADES.schema.names) | row for row in rows], schema=TRADES.schema
    )


@pytest.mark.seconds
def test_a_live_engine_that_is_killed_and_a_backtest_are_alike(tmp_path: Path, told: Told):
    with installed(tmp_path) as installation:
        place = Place(installation.served.data_dir)
        for symbol in LIVE_SYMBOLS:
            installation.store.set_instrument(
                Instrument(symbol, instrument_class=CRYPTO, currency="USD", tick_size=0.01, settle=2.0)
            )
        assert eventually(place.is_led)
        place.assign(FAST, LIVE_SYMBOLS)
        (begin_ns,) = place.rows("SELECT min(at_ns) FROM trading_eventrow WHERE name = 'strategy_assigned'")[
            0
        ]
        # A second engine waits until the first one is gone: it has loaded all modules then.
        with place.engine(), ThreadPoolExecutor(1) as pool:
            time.sleep(1)
            posting = pool.submit(post_sample, installation.port, installation.key)
            time.sleep(KILLED_AFTER)
            os.kill(installation.served.member("trading_engine --parent"), signal.SIGKILL)
            killed_ns = time.time_ns()
            assert eventually(lambda: killed_ns < started_ns(place) < engine_ns(place))
            outage = (time.time_ns() - killed_ns) / SECOND_NS
            end_ns, timely_ns = posting.result()
            assert eventually(lambda: engine_ns(place) > end_ns + SECOND_NS)
        # If the new engine was in time only later, a part of the outage is history, on which nothing is decided.
        until_ns = min(timely_ns, end_ns if outage < LATE_SECONDS else killed_ns - SECOND_NS)
        for name, parameters in FAST.items():
            past = place.backtest(name, parameters, LIVE_SYMBOLS, begin_ns, end_ns)
            live = place.engine_outcome(name)
            compared = len(live.before(until_ns).signals)
            told(
                f"strategies {name} live",
                f"{compared} of {len(live.signals)} signals compared, outage of {outage:.1f} s",
            )
            # A print that is being stored when a bar is shown moves the equity, of which the size is a part.
            check_alike(live.before(until_ns), past.before(until_ns), apart_ns=0, part=1e-3)
            assert len(live.signals) >= 3


def started_ns(place: Place) -> int:
    """Return when the engine began."""
    return int(place.rows("SELECT started_ns FROM trading_enginelease")[0][0])


def engine_ns(place: Place) -> int:
    """Return the engine's time."""
    (document,) = place.rows("SELECT document FROM trading_enginelease")[0]
    return parse_timestamp(orjson.loads(document)["now"])


def post_sample(port: int, key: str) -> tuple[int, int]:
    """Post half an hour of the sample within half a minute, each print at its time.

    Return when it ended, and until when each print was stored within a second: one that is being stored when its bar is
    shown is not in the bar, though its commit is dated before.
    """
    rows = moved_rows()
    begin_ns = time.time_ns()
    timely_ns = begin_ns + LIVE_SECONDS * SECOND_NS
    with connected(port, key) as client:
        while rows:
            due = [row for row in rows if begin_ns + row[0] <= time.time_ns()]
            rows = rows[len(due) :]
            for symbol in LIVE_SYMBOLS:
                trades = [
                    {**row, "timestamp": format_timestamp(begin_ns + after_ns)}
                    for after_ns, row in due
                    if row["symbol"] == symbol
                ]
                if trades:
                    reply = client.ingest_patiently(orjson.dumps({"trades": trades}))
                    assert reply.status == 200, reply.body
            if due and time.time_ns() - begin_ns - due[0][0] > SECOND_NS:
                timely_ns = min(timely_ns, begin_ns + due[0][0])
            time.sleep(0.05)
    return begin_ns + LIVE_SECONDS * SECOND_NS, timely_ns


def moved_rows() -> list[tuple[int, dict[str, Any]]]:
    """The sample's first minutes of a regular session, each within a second, with their time from the beginning."""
    (session,) = trading_sessions(now=FRIDAY_EVENING, days=1)
    found: list[tuple[int, dict[str, Any]]] = []
    for symbol, own in zip(LIVE_SYMBOLS, EQUITIES, strict=False):
        day = symbol_day(seed=SEED, symbol=own, session=session)
        for at_ns, price, volume in zip(
            day.time_ns.tolist(), day.price.tolist(), day.volume.tolist(), strict=True
        ):
            after_ns = (at_ns - session.opens) // 60
            if 0 < after_ns < LIVE_SECONDS * SECOND_NS:
                row = {"symbol": symbol, "price": price, "volume": volume, "trade_id": f"{len(found)}"}
                found.append((after_ns, row))
    return sorted(found, key=lambda each: each[0])
