"""Real feed processes before a fake Binance with faults: what it sent is what is stored, once and in order."""

import logging
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.backends import store_at
from store.datasets import TRADES
from store.exceptions import StorageError
from store.protocol import ALL_TIME
from tests.chance import chosen_seed
from tests.front.front_server import eventually
from tests.migrated_database import place_database
from tests.patience import PROGRAM_SECONDS, is_kept
from tests.sources.live_binance import LiveBinance, Printing
from tests.system.installation import SHORT_FEED
from tests.system.test_fetch_kill import begun

pytestmark = pytest.mark.system
RATE = 40.0
NAMES = ("BTCUSDT", "ETHUSDT")
logger = logging.getLogger(__name__)


class FedExchange:
    """A fake exchange, a data folder, and the feed processes over it."""

    def __init__(self, folder: Path, exchange: LiveBinance) -> None:
        self.folder, self.exchange = folder, exchange
        self.feeds: list[subprocess.Popen[str]] = []
        place_database(folder)

    def first_feed(self) -> "subprocess.Popen[str]":
        """Begin a feed and wait until it is connected. It stores nothing from before the minute of its start."""
        first = self.feed()
        assert eventually(lambda: self.exchange.handshakes == 1, seconds=PROGRAM_SECONDS)
        return first

    def feed(self, *options: str) -> "subprocess.Popen[str]":
        words = ("feed", "binance", "BTC/USDT", "ETH/USDT")
        self.feeds.append(begun(self.folder, self.exchange, *words, *options, **SHORT_FEED))
        return self.feeds[-1]

    def stored(self, name: str) -> list[int]:
        """The ids of the stored trades, by their times and arrival."""
        try:
            rows = store_at(self.folder).log(TRADES, name.replace("USDT", "-USDT")).at().rows(ALL_TIME)
        except StorageError:
            return []
        return [int(each) for each in rows["trade_id"].to_pylist()]

    def is_level(self) -> bool:
        """Whether all trades that were sent by now are stored, in the end."""
        assert eventually(lambda: all(self.exchange.sent[name] for name in NAMES))
        sent = {name: {*range(len(self.exchange.sent[name]))} for name in NAMES}
        return eventually(
            lambda: all(ids.issubset(self.stored(name)) for name, ids in sent.items()),
            seconds=PROGRAM_SECONDS,
        )

    def check(self) -> None:
        """What was sent is what is stored: none is missing, none is there twice, all are in order."""
        assert self.is_level()
        for name in NAMES:
            assert self.stored(name) == [*range(len(self.exchange.sent[name]))]

    def end(self) -> None:
        for each in self.feeds:
            each.kill()
            each.wait()
            if each.stdout is not None:
                each.stdout.close()


@pytest.fixture
def fed(tmp_path: Path) -> Iterator[FedExchange]:
    with LiveBinance() as exchange:
        made = FedExchange(tmp_path, exchange)
        try:
            yield made
        finally:
            made.end()


def test_faults_lose_no_trade_and_double_none(fed: FedExchange) -> None:
    fed.first_feed()
    with Printing(fed.exchange, RATE, *NAMES):
        assert fed.is_level()
        for fault in FAULTS:
            fault(fed)
            assert fed.is_level(), fault
    fed.check()


@pytest.mark.seconds
def test_another_process_goes_on_within_fifteen_seconds(fed: FedExchange) -> None:
    first = fed.first_feed()
    with Printing(fed.exchange, RATE, *NAMES):
        assert fed.is_level()
        second = fed.feed()
        assert second.stdout is not None
        assert "Another process feeds" in second.stdout.readline()
        assert fed.exchange.handshakes == 1
        first.kill()
        killed_at = time.monotonic()
        assert fed.is_level()
        assert is_kept(15, time.monotonic() - killed_at)
    fed.check()


def test_a_feed_ends_at_once_while_its_source_does_not_answer(fed: FedExchange) -> None:
    feed = fed.first_feed()
    fed.exchange.delay = 60.0
    asked = len(fed.exchange.calls)
    fed.exchange.cut()
    assert eventually(lambda: len(fed.exchange.calls) > asked)
    feed.terminate()
    assert feed.wait(timeout=10) == 0


@pytest.mark.soak
def test_an_hour_of_faults_loses_no_trade(fed: FedExchange) -> None:
    """FEED_SOAK_SECONDS: how long; an hour by default."""
    chance = random.Random(chosen_seed())
    until = time.monotonic() + float(os.environ.get("FEED_SOAK_SECONDS", "3600"))
    behind = 0.0
    fed.first_feed()
    with Printing(fed.exchange, RATE, *NAMES):
        assert fed.is_level()
        while time.monotonic() < until:
            chance.choice(FAULTS)(fed)
            began = time.monotonic()
            assert fed.is_level()
            behind = max(behind, time.monotonic() - began)
    fed.check()
    logger.info(
        "%d trades, level again after %.1f s at most", sum(map(len, fed.exchange.sent.values())), behind
    )


def cut(fed: FedExchange) -> None:
    fed.exchange.cut()


def lost_ids(fed: FedExchange) -> None:
    fed.exchange.is_losing = True
    time.sleep(0.5)
    fed.exchange.is_losing = False


def dead_subscription(fed: FedExchange) -> None:
    """The connection answers pings, and nothing else comes, until it is opened again."""
    fed.exchange.is_losing = True
    connections = fed.exchange.handshakes
    assert eventually(lambda: fed.exchange.handshakes > connections, seconds=PROGRAM_SECONDS)
    fed.exchange.is_losing = False


def silence(fed: FedExchange) -> None:
    """Nothing comes, also no pong, until there is another connection."""
    fed.exchange.is_silent = True
    connections = fed.exchange.handshakes
    assert eventually(lambda: fed.exchange.handshakes > connections, seconds=PROGRAM_SECONDS)
    fed.exchange.is_silent = False


def too_many_requests(fed: FedExchange) -> None:
    """The connection is cut while history answers 429."""
    fed.exchange.status, fed.exchange.failing, fed.exchange.retry_after = 429, 2, 1
    fed.exchange.cut()


def refused_country(fed: FedExchange) -> None:
    fed.exchange.refuses_sockets = 451
    fed.exchange.cut()
    time.sleep(1)
    fed.exchange.refuses_sockets = 0


def refused_history(fed: FedExchange) -> None:
    fed.exchange.status, fed.exchange.failing = 451, 2
    fed.exchange.cut()


def away(fed: FedExchange) -> None:
    fed.exchange.is_away = True
    fed.exchange.cut()
    time.sleep(3)
    fed.exchange.is_away = False


def full_disk(fed: FedExchange) -> None:
    (fed.folder / "full").touch()
    time.sleep(2)
    (fed.folder / "full").unlink()


def stepped_clock(fed: FedExchange) -> None:
    (fed.folder / "clock").write_text("5")
    time.sleep(1.5)
    (fed.folder / "clock").write_text("0")


def killed(fed: FedExchange) -> None:
    fed.feeds[-1].kill()
    fed.feeds[-1].communicate()
    time.sleep(1)
    fed.feed()


FAULTS = (
    cut,
    lost_ids,
    silence,
    dead_subscription,
    too_many_requests,
    refused_country,
    refused_history,
    away,
    full_disk,
    stepped_clock,
    killed,
)
