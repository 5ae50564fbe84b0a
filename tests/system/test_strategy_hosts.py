"""Two hosts that run strategies, over one PostgreSQL: one is killed, and each strategy runs once, on the other."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import psycopg
import pyarrow as pa
import pytest

from store.backends import store_at
from store.datasets import TRADES
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import parent_of, pids
from tests.patience import PROGRAM_SECONDS, is_kept
from tests.system.postgresql import postgres_server
from tests.system.test_fetch_kill import program

pytestmark = [pytest.mark.soak, pytest.mark.seconds]

TAKES_OVER_SECONDS = 8.0
NAMES = ("first", "second")
_FILE = """
from decimal import Decimal
from trading.strategies.strategy import Bar, Strategy, StrategyParameters, StrategyState

class Parameters(StrategyParameters, frozen=True):
    interval: str = "1s"

class State(StrategyState):
    bars: int = 0

class Good(Strategy):
    Parameters = Parameters
    State = State

    def on_bar(self, bar: Bar) -> None:
        if not self.broker.is_history:
            self.state.bars += 1
            self.buy(bar.symbol, Decimal(1))
"""
_ASSIGN = f"""
from decimal import Decimal
from trading.core.configuration import RiskConfig
from trading.core.events import StrategyChoice
from trading.core.terms import AccountKind
from trading.models import Account
from trading.services.accounts import account_create, account_transfer
from trading.services.assigning import strategy_assign
from trading.services.accounts import trading_start
from trading.strategies.catalogue import strategy_named
for name in {NAMES!r}:
    account_create(name=name, kind=AccountKind.MARGIN, currency="USD", by="test", config=RiskConfig())
    account_transfer(name=name, transfer="first", amount=Decimal(1_000_000))
    account = Account.objects.get(name=name)
    trading_start(account=account, by="test")
    choice = StrategyChoice(name="good", parameters={{}}, symbols=("LIVE-USD",), sha256=strategy_named("good").sha256)
    strategy_assign(account=account, strategy=choice, by="test")
"""


class Hosts:
    """Hosts with one database and one market that prints five times a second, and an engine."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder / "data", stack
        self.url = stack.enter_context(postgres_server()).url
        (self._folder / "strategies").mkdir(parents=True)
        (self._folder / "strategies" / "good.py").write_text(_FILE)
        store_at(f"csv://{self._folder}").set_instrument(
            Instrument("LIVE-USD", instrument_class=CRYPTO, currency="USD")
        )
        self._said("migrate", "--no-input")
        self.begin("trading_engine")
        ending = threading.Event()
        printing = threading.Thread(target=self._print, args=(ending,))
        stack.callback(printing.join)
        stack.callback(ending.set)
        printing.start()
        assert eventually(lambda: self.rows("SELECT 1 FROM trading_lease"), seconds=PROGRAM_SECONDS)
        self._said("shell", "-c", _ASSIGN)

    def begin(self, command: str) -> int:
        """Start a command on a host. Return its process."""
        process = program(self._folder, command, DATABASE_URL=self.url)
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        return process.pid

    def _said(self, *words: str) -> None:
        process = program(self._folder, *words, DATABASE_URL=self.url)
        said = process.communicate(timeout=PROGRAM_SECONDS)[0]
        assert process.returncode == 0, said

    def _print(self, ending: threading.Event) -> None:
        store = store_at(f"csv://{self._folder}")
        while not ending.wait(0.2):
            row = dict.fromkeys(TRADES.schema.names) | {
                "timestamp": time.time_ns(),
                "price": 100.0,
                "volume": 1e6,
            }
            batch = pa.RecordBatch.from_pylist([row], schema=TRADES.schema)
            store.append(Append(TRADES, "LIVE-USD", batch, "test"))

    def rows(self, query: str) -> "list[tuple[object, ...]]":
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def bars(self) -> list[int]:
        """How many bars each strategy has counted in its State."""
        states = self.rows("SELECT state FROM trading_runningstrategy ORDER BY id")
        return [orjson.loads(str(state))["bars"] if state else 0 for (state,) in states]

    def go_on(self) -> bool:
        """Whether each strategy is shown bars, in the end."""
        before = self.bars()
        return eventually(
            lambda: all(now > old + 2 for now, old in zip(self.bars(), before, strict=True)),
            seconds=PROGRAM_SECONDS,
        )

    def has_begun(self, host: int) -> bool:
        """Whether the process that runs strategies has loaded all that it needs. It publishes its numbers then."""
        return any(f'"pid":{host},' in path.read_text() for path in self._folder.rglob("strategies.json"))

    def processes(self, host: int) -> list[int]:
        """The processes of strategies on a host, by the process that runs them."""
        return [pid for pid in pids() if parent_of(pid) == host]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(tmp_path, stack)


def test_each_strategy_runs_once_on_the_other_host(hosts: Hosts):
    first = hosts.begin("strategies")
    assert hosts.go_on()
    second = hosts.begin("strategies")
    assert eventually(lambda: hosts.has_begun(second), seconds=PROGRAM_SECONDS)
    assert hosts.go_on()
    on_first = hosts.processes(first)
    assert (len(on_first), hosts.processes(second)) == (2, [])
    os.kill(first, signal.SIGKILL)
    began = time.monotonic()
    assert eventually(lambda: len(hosts.processes(second)) == 2)
    took = time.monotonic() - began
    assert eventually(lambda: not set(on_first) & set(pids()))
    assert hosts.go_on()
    assert is_kept(TAKES_OVER_SECONDS, took)
    # Every bar that a State has counted has one order; a strategy may place one meanwhile.
    bars = hosts.bars()
    placed = Counter(
        name
        for (name,) in hosts.rows(
            "SELECT a.name FROM trading_orderrow o JOIN trading_account a ON a.id = o.account_id"
        )
    )
    assert all(0 <= placed[name] - shown <= 2 for name, shown in zip(NAMES, bars, strict=True)), (
        placed,
        bars,
    )
