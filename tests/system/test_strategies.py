"""Strategies of a running installation: one that fails disturbs nobody, and one that is killed goes on with its State."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.patience import is_kept
from tests.system.clients import connected
from tests.system.installation import Installation, installed
from tests.system.traders import Market, accounts_open, database, orders_of, trader_key, verify

pytestmark = pytest.mark.seconds
ANSWER_SECONDS = 10
OWN_BYTES = 40 * 2**20
FILLS = 60
LATER_SECONDS = 0.1
"""So much longer may the slowest fill take while strategies fail."""

_BEGIN = """
import time
from decimal import Decimal
from trading.strategies.strategy import Bar, Strategy, StrategyParameters, StrategyState

class Parameters(StrategyParameters, frozen=True):
    interval: str = "1s"

class State(StrategyState):
    bars: int = 0

"""
_CLASS = """
class {title}(Strategy):
    Parameters = Parameters
    State = State

    def on_bar(self, bar: Bar) -> None:
        {does}
"""
DOES = {
    "good": "self.state.bars += 1; self.state.bars % 3 or self.buy(bar.symbol, Decimal(1))",
    "sleeps": "time.sleep(1e9)",
    "loops": "while True: pass",
    "raises": "raise ValueError('no volume')",
    "floods": "for _ in range(1_000_000): self.buy(bar.symbol, Decimal(1))",
    "eats": "self.eaten = [bytearray(2**20) for _ in range(100_000)]",
}
BAD = {
    "sleeps": f"it did not answer within {ANSWER_SECONDS} seconds",
    "loops": f"it did not answer within {ANSWER_SECONDS} seconds",
    "raises": "raises.py, line 18: ValueError: no volume",
    "floods": "floods.py, line 18: RuntimeError: the strategy places, closes or cancels more than 100 times at once",
    "eats": "MemoryError",
}
_ASSIGN = """
from trading.core.events import StrategyChoice
from trading.models import Account
from trading.services.assigning import strategy_assign
from trading.strategies.catalogue import strategy_named
for name in {names!r}:
    choice = StrategyChoice(name=name, parameters={{}}, symbols=({symbol!r},), sha256=strategy_named(name).sha256)
    strategy_assign(account=Account.objects.get(name=name), strategy=choice, by="test")
"""


class Site:
    """An installation whose market prints five times a second, with an account for each strategy, and one for a trader."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        folder = installation.served.data_dir / "strategies"
        folder.mkdir(exist_ok=True)
        for name, does in DOES.items():
            (folder / f"{name}.py").write_text(_BEGIN + _CLASS.format(title=name.title(), does=does))
        self.market = Market(installation, "LIVE-USD")
        self.market.print((100, 1e6))
        accounts_open(installation, self.market, ["trader", *DOES])

    @contextlib.contextmanager
    def prints(self) -> Iterator[None]:
        """The market prints meanwhile."""
        ending = threading.Event()

        def run() -> None:
            while not ending.wait(0.2):
                self.market.print((100, 1e6))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def assign(self, *names: str) -> None:
        self.installation.served.manage("shell", "-c", _ASSIGN.format(names=names, symbol=self.market.symbol))

    def strategy(self, account: str) -> dict[str, Any]:
        """The strategy in the account's document."""
        with connected(self.installation.port, self.installation.key) as client:
            found: dict[str, Any] = orjson.loads(client.get(f"/api/v1/accounts/{account}").body)["strategy"]
        return found

    def bars(self, account: str) -> int:
        """How many bars a strategy has counted in its State."""
        with database(self.installation) as read:
            found = read.execute(
                "SELECT state FROM trading_runningstrategy JOIN trading_account a ON a.id = account_id"
                " WHERE a.name = ?",
                [account],
            ).fetchone()
        return int(orjson.loads(found[0])["bars"]) if found and found[0] else 0

    def process(self, account: str) -> int | None:
        members = self.installation.served.members()
        title = f"marketdata strategy {account}"
        return next((pid for pid, command in members.items() if title in command), None)

    def fill_seconds(self) -> list[float]:
        """How long after each of some trades the trader's market order is filled, in order of length."""
        taken = []
        with connected(self.installation.port, trader_key(self.installation, "trader")) as client:
            for number in range(FILLS):
                body = self.market.order("buy" if number % 2 else "sell")
                headers = {"Content-Type": "application/json", "Idempotency-Key": f"fill-{uuid4()}"}
                reply = client.call("POST", "/api/v1/accounts/trader/orders", orjson.dumps(body), headers)
                assert reply.status == 201, reply.body
                order = orjson.loads(reply.body)["id"]
                began = time.monotonic()
                with database(self.installation) as read:
                    query = "SELECT count(*) FROM trading_executionrow WHERE order_id = ?"
                    assert eventually(lambda: read.execute(query, [order.replace("-", "")]).fetchone()[0])  # noqa: B023
                taken.append(time.monotonic() - began)
        return sorted(taken)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with installed(tmp_path, STRATEGY_SECONDS=str(ANSWER_SECONDS)) as installation:
        yield Site(installation)


def own_bytes(pid: int) -> int:
    """The memory of a process that no other process shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_", "Swap:")))


def test_strategies_that_fail_disturb_nobody(site: Site, told: Told):
    with site.prints():
        site.assign("good")
        assert eventually(lambda: site.bars("good") > 3)
        before = site.fill_seconds()
        site.assign(*BAD)
        during = site.fill_seconds()
        for name, words in BAD.items():
            assert eventually(lambda: site.strategy(name)["state"] == "failed"), name  # noqa: B023
            assert words in site.strategy(name)["failure"]
            assert eventually(lambda: site.process(name) is None)  # noqa: B023
            assert orders_of(site.installation, name) == {}
        good = site.bars("good")
        assert eventually(lambda: site.bars("good") > good)
    told("fills, the slowest", f"{before[-1]:.3f} s before, {during[-1]:.3f} s while strategies fail")
    assert is_kept(before[-1] + LATER_SECONDS, during[-1])
    verify(site.installation)


def test_one_that_is_killed_goes_on_with_its_state(site: Site, told: Told):
    with site.prints():
        site.assign("good")
        for _ in range(3):
            assert eventually(lambda: site.process("good") is not None)
            pid, bars = site.process("good"), site.bars("good")
            assert eventually(lambda: site.bars("good") > bars + 3)  # noqa: B023
            assert pid is not None
            told("memory of a strategy's process", f"{own_bytes(pid) / 2**20:.1f} MiB of its own")
            assert is_kept(OWN_BYTES, own_bytes(pid))
            site.installation.kill(pid)
        # And those of the process that runs all of them.
        supervisor = site.installation.served.member("marketdata strategies")
        site.installation.kill(supervisor)
        assert eventually(lambda: site.process("good") not in (None, pid))
        bars = site.bars("good")
        assert eventually(lambda: site.bars("good") > bars + 3)
    ids = sorted(orders_of(site.installation, "good").values())
    assert len(ids) == len(set(ids)) >= site.bars("good") // 3 > 3
    verify(site.installation)
