"""Two hosts with a feed process each, over PostgreSQL and ClickHouse: one is cut off, the other goes on."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import pytest

from store.backends import store_at
from store.datasets import TRADES
from store.exceptions import StorageError
from store.protocol import ALL_TIME
from tests.front.front_server import eventually
from tests.patience import PROGRAM_SECONDS, is_kept
from tests.sources.live_binance import LiveBinance, Printing
from tests.system.clickhouse import Shard
from tests.system.hosts import Host, Network, network
from tests.system.postgresql import postgres_server
from tests.system.test_fetch_kill import begun

pytestmark = [pytest.mark.soak, pytest.mark.seconds, pytest.mark.xdist_group("hosts")]

RATE = 10.0
"""So slow that what the exchange sends to the host that is cut off fits into its buffer."""
GOES_ON_SECONDS = 15.0


class FedHosts:
    """The servers on a host of theirs with the exchange, and the feed processes on `feed1` and `feed2`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.network: Network = stack.enter_context(network("servers", "feed1", "feed2"))
        with self.servers.entered():
            home = folder / "shard"
            shard = Shard(home, self.servers.address, (8123, 9000, 9009))
            shard.configure([shard])
            stack.callback(shard.kill)
            shard.start()
            shard.wait()
            postgres = stack.enter_context(postgres_server(address=self.servers.address))
            self.exchange = stack.enter_context(LiveBinance(address=self.servers.address))
        self._store_url = f"clickhouse://{shard.place}/market?{urlencode({'postgres': postgres.url})}"
        self._database_url = postgres.url
        said = self._begun("feed1", "migrate", "--no-input").communicate(timeout=PROGRAM_SECONDS)[0]
        assert "OK" in said, said

    @property
    def servers(self) -> Host:
        return self.network.hosts["servers"]

    def feed(self, host: str) -> "subprocess.Popen[str]":
        process = self._begun(host, "feed", "binance", "BTC/USDT")
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        return process

    def _begun(self, host: str, *words: str) -> "subprocess.Popen[str]":
        own = self._folder / host
        own.mkdir(exist_ok=True)
        with self.network.hosts[host].entered():
            return begun(
                own, self.exchange, *words, MARKET_STORE=self._store_url, DATABASE_URL=self._database_url
            )

    def stored(self) -> list[int]:
        """The ids of the stored trades, by their times and arrival."""
        try:
            with self.servers.entered():
                rows = store_at(self._store_url).log(TRADES, "BTC-USDT").at().rows(ALL_TIME)
        except StorageError:
            return []
        return [int(each) for each in rows["trade_id"].to_pylist()]

    def is_level(self, seconds: float) -> bool:
        """Whether all trades that were sent by now are stored, in the end."""
        sent = len(self.exchange.sent["BTCUSDT"])
        return eventually(lambda: {*range(sent)}.issubset(self.stored()), seconds=seconds)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[FedHosts]:
    with ExitStack() as stack:
        yield FedHosts(tmp_path, stack)


def test_a_host_that_is_cut_off_leaves_no_hole(hosts: FedHosts):
    hosts.feed("feed1")
    assert eventually(lambda: hosts.exchange.handshakes == 1, seconds=PROGRAM_SECONDS)
    with Printing(hosts.exchange, RATE, "BTCUSDT"):
        assert eventually(lambda: bool(hosts.exchange.sent["BTCUSDT"]))
        assert hosts.is_level(PROGRAM_SECONDS)
        second = hosts.feed("feed2")
        assert second.stdout is not None
        assert "Another process feeds" in second.stdout.readline()
        assert hosts.exchange.handshakes == 1
        with hosts.network.lost(("feed1", "servers"), ("servers", "feed1")):
            cut_at = time.monotonic()
            assert hosts.is_level(PROGRAM_SECONDS)
            time.sleep(max(0, cut_at + 5 - time.monotonic()))
            assert hosts.is_level(PROGRAM_SECONDS)
            took = time.monotonic() - cut_at
        # The first host is back, and the second goes on.
        time.sleep(10)
        assert hosts.is_level(PROGRAM_SECONDS)
    assert hosts.is_level(PROGRAM_SECONDS)
    assert hosts.stored() == [*range(len(hosts.exchange.sent["BTCUSDT"]))]
    assert is_kept(GOES_ON_SECONDS, took)
