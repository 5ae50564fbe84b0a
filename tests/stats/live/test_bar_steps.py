"""What follows of a channel of bars: which are final and when, what comes again on resume, and who starts anew."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import time_machine

from calendars.exceptions import NoExchange
from stats.exceptions import WrongClass
from stats.live.bar_feed import BarFeed
from stats.market_data.answers.bars_snapshot import BarPosition, bar_query
from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.expiring import expire, planned
from store.instruments import Instrument
from store.timestamps import DAY_NS, SECOND_NS, parse_timestamp
from tests.chance import chosen_seed
from tests.stats.live.channels import (
    MINUTE_NS,
    OTHER,
    Client,
    RandomMarket,
    bar_channel,
    differences,
    is_final,
    rest_bars,
)
from trades.exceptions import InvalidValue
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.system]

ACME = "ACME"
MINUTES = f"bars.1m:{ACME}"
CLOSE = "2025-01-03T21:00:00Z"


@dataclass
class Scene:
    """A market whose clock the test moves, and a client of its bars of one minute."""

    market: RandomMarket
    client: Client
    traveller: Any

    def at(self, time: str) -> None:
        """Set the clock to a time of 2025-01-03."""
        self.market.now_ns = parse_timestamp(f"2025-01-03T{time}Z")
        self.traveller.move_to(self.market.now_ns / 1e9)

    def trade(self, *times: str) -> None:
        self.market.send([parse_timestamp(f"2025-01-03T{time}Z") for time in times], words=[None])
        self.client.follow()

    def told(self) -> int:
        """How many messages come now."""
        count = len(self.client.documents)
        self.client.follow()
        return len(self.client.documents) - count

    def finals(self) -> list[bool]:
        return [is_final(bar) for _, bar in sorted(self.client.bars.items())]


@pytest.fixture
def scene(default_store, request: pytest.FixtureRequest) -> Iterator[Scene]:
    with time_machine.travel("2025-01-03T20:00:00Z", tick=False) as traveller:
        market_store().set_instruments(
            [Instrument(ACME, exchange="XNYS"), Instrument(OTHER, exchange="XNYS")]
        )
        market = RandomMarket(random.Random(chosen_seed()), ACME, parse_timestamp("2025-01-03T20:00:00Z"))
        client = Client(MINUTES)
        client.follow()
        yield Scene(market, client, traveller)


def test_a_feed_that_stops_in_mid_minute_leaves_that_bar_open(scene: Scene):
    scene.at("20:10:21")
    scene.trade("20:09:30", "20:10:20")
    assert scene.finals() == [True, False]
    scene.at("20:40:00")
    assert scene.told() == 0
    # Only the exchange's other logs may end it without a trade.
    assert scene.client.feed.due_ns == parse_timestamp(CLOSE) + 2 * SECOND_NS
    scene.trade("20:39:59")
    assert scene.finals() == [True, True, False]


def test_a_bar_becomes_final_without_a_commit_and_is_sent_again_on_resume(scene: Scene):
    scene.at("20:59:11")
    scene.trade("20:59:10")
    client = scene.client
    scene.at("21:00:00")
    assert scene.told() == 0
    assert client.feed.due_ns == parse_timestamp(CLOSE) + 2 * SECOND_NS
    scene.at("21:00:02")
    assert scene.told() == 0
    # The exchange's other logs are looked at again in the next second.
    assert client.feed.due_ns == scene.market.now_ns + SECOND_NS
    scene.at("21:00:03")
    scene.trade("20:59:20")
    token, before = client.seq, dict(client.bars)
    scene.at("21:00:04")
    scene.market.other()
    assert (scene.told(), client.seq) == (1, token)
    assert scene.finals() == [True]
    assert client.feed.due_ns is None
    assert client.resumed(token, before).bars == client.bars


@pytest.mark.parametrize("ahead", ["20:11:01.5", "20:11:50", "23:10:00"])
def test_a_row_that_is_dated_ahead_makes_no_bar_final(scene: Scene, ahead: str):
    scene.at("20:10:40")
    scene.trade("20:10:39", ahead)
    scene.at("20:11:00.3")
    assert scene.told() == 0
    scene.trade("20:10:59.9")
    assert scene.finals() == [False, False]
    scene.at("20:11:02")
    scene.trade("20:11:02")
    assert scene.finals()[0] is True


def test_the_bar_of_such_a_row_becomes_final_with_its_session(scene: Scene):
    scene.at("20:30:00")
    scene.trade("20:29:10", "20:59:10")
    scene.at("20:30:02")
    scene.trade("20:30:01")
    assert scene.client.feed.due_ns == parse_timestamp(CLOSE) + 2 * SECOND_NS
    scene.market.other()
    scene.at("21:00:02")
    scene.market.other()
    assert scene.told() == 1
    assert scene.finals() == [True] * 3


def test_another_declaration_starts_anew(scene: Scene):
    scene.at("20:10:30")
    scene.trade("20:09:30", "20:10:20")
    client = scene.client
    market_store().set_instrument(Instrument(ACME, exchange="XNYS", bar_policy="us_equities", settle=60))
    scene.trade("20:10:25")
    first, second = client.documents[-2:]
    assert (first["op"], "op" in second) == ("resync", False)
    assert client.bars == rest_bars(client.query, now_ns=scene.market.now_ns)
    market_store().set_instrument(Instrument(ACME))
    assert scene.told() == 1
    assert client.documents[-1]["op"] == "resync"
    assert scene.told() == 0


def test_the_bars_of_commits_that_are_read_together_come_once(scene: Scene):
    scene.at("20:12:10")
    times = ["20:10:20", "20:10:21", "20:10:22", "20:12:00", "20:12:01", "20:10:23", "20:12:02"]
    for time in times:
        scene.market.send([parse_timestamp(f"2025-01-03T{time}Z")], words=[None])
    assert scene.told() == 1
    assert scene.client.bars == rest_bars(scene.client.query, now_ns=scene.market.now_ns)


@pytest.mark.parametrize("policy", ["all", "us_equities"])
@pytest.mark.parametrize("resolution", ["1m", "1d", "1w", "1M"])
def test_bars_go_on_while_dates_before_expire(default_store, policy: str, resolution: str):
    with time_machine.travel("2025-01-09T20:00:00Z", tick=False) as traveller:
        market_store().set_instrument(Instrument(ACME, exchange="XNYS", bar_policy=policy))
        market = RandomMarket(random.Random(1), ACME, parse_timestamp("2025-01-09T20:00:00Z"))
        for day in range(7):
            market.send([market.now_ns - day * DAY_NS - second for second in range(4)])
        client = Client(f"bars.{resolution}:{ACME}")
        client.bars = rest_bars(client.query, now_ns=market.now_ns)
        for date in ("2025-01-07", "2025-01-09"):
            expire(market_store(), planned(market_store(), TRADES, ACME, parse_timestamp(date)))
            market.now_ns += MINUTE_NS
            traveller.move_to(market.now_ns / 1e9)
            market.live()
            client.follow()
        assert len(client.documents) >= 2
        assert not differences(client.bars, rest_bars(client.query, now_ns=market.now_ns))


@pytest.mark.parametrize(
    ("symbol", "resolution", "asked", "error"),
    [
        (ACME, "tick", "", InvalidValue),
        (ACME, "24h", "", InvalidValue),
        ("NOBODY", "1m", "", UnknownSymbol),
        (ACME, "1m", "start=2025-01-01", Exception),
        (ACME, "1m", "hours=some", Exception),
        ("CALL", "1m", "", WrongClass),
    ],
)
def test_wrong_channels_are_refused(
    default_store, symbol: str, resolution: str, asked: str, error: type[Exception]
):
    market_store().set_instruments(
        [
            Instrument(ACME),
            Instrument(
                "CALL",
                instrument_class="option",
                underlying=ACME,
                expiry="2025-01-17",
                strike=100.0,
                right="call",
            ),
        ]
    )
    with pytest.raises(error) as raised:
        bar_query(symbol, resolution, asked)
    assert raised.value.code  # type: ignore[attr-defined]


def test_hours_of_an_instrument_without_an_exchange_are_refused(default_store):
    market_store().set_instrument(Instrument(ACME, exchange="XNYS"))
    channel = bar_channel(f"{MINUTES}?hours=regular")
    market_store().set_instrument(Instrument(ACME))
    with pytest.raises(NoExchange):
        BarFeed.at(channel, BarPosition(), now_ns=0)


@pytest.mark.parametrize("asked", ["", "hours=regular&anchor=session"])
def test_the_beginning_is_a_position(scene: Scene, asked: str):
    scene.at("20:10:30")
    scene.trade("20:09:30", "20:10:20")
    client = Client(f"bars.1h:{ACME}?{asked}").resumed("0", {})
    assert not differences(client.bars, rest_bars(client.query, now_ns=scene.market.now_ns))
