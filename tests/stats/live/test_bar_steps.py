"""The steps of a channel of bars: what is joined, what comes again on resume, what needs no commit, and who starts anew."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import time_machine

from calendars.exceptions import NoExchange
from stats.exceptions import WrongClass
from stats.live.bar_feed import BarFeed, BarPosition, merged_steps
from stats.market_data.answers.bars_snapshot import bar_query
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from store.protocol import NO_COMMIT
from store.timestamps import SECOND_NS, parse_timestamp
from tests.chance import SOAK, chosen_seed
from tests.stats.live.channels import (
    MINUTE_NS,
    OTHER,
    Bar,
    Client,
    RandomMarket,
    bars_of,
    differences,
    is_final,
    rest_bars,
)
from trades.exceptions import InvalidValue
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.system]

ACME = "ACME"
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
        self.client.follow(self.market.now_ns + SECOND_NS)

    def finals(self) -> list[bool]:
        return [is_final(bar) for _, bar in sorted(self.client.bars.items())]


@pytest.fixture
def scene(default_store, request: pytest.FixtureRequest) -> Iterator[Scene]:
    with time_machine.travel("2025-01-03T20:00:00Z", tick=False) as traveller:
        market_store().set_instruments(
            [Instrument(ACME, exchange="XNYS"), Instrument(OTHER, exchange="XNYS")]
        )
        market = RandomMarket(random.Random(chosen_seed()), ACME, parse_timestamp("2025-01-03T20:00:00Z"))
        feed = BarFeed.at(bar_query(ACME, "1m"), BarPosition(), now_ns=market.now_ns)
        yield Scene(market, Client(feed), traveller)


def test_a_feed_that_stops_in_mid_minute_leaves_that_bar_open(scene: Scene):
    scene.at("20:10:21")
    scene.trade("20:09:30", "20:10:20")
    assert scene.finals() == [True, False]
    scene.at("20:40:00")
    assert scene.client.feed.settle(now_ns=scene.market.now_ns) is None
    # Only the exchange's other logs may end it without a trade.
    assert scene.client.feed.due_ns == parse_timestamp(CLOSE) + 2 * SECOND_NS
    scene.trade("20:39:59")
    assert scene.finals() == [True, True, False]


def test_a_bar_becomes_final_without_a_commit_and_is_told_again_on_resume(scene: Scene):
    scene.at("20:59:11")
    scene.trade("20:59:10")
    client, query = scene.client, bar_query(ACME, "1m")
    assert client.feed.due_ns == parse_timestamp(CLOSE)
    assert client.feed.settle(now_ns=client.feed.due_ns) is None
    assert client.feed.due_ns == parse_timestamp(CLOSE) + 2 * SECOND_NS
    scene.at("21:00:02")
    assert client.feed.settle(now_ns=scene.market.now_ns) is None
    # The exchange's other logs are looked at again in the next second.
    assert client.feed.due_ns == scene.market.now_ns + SECOND_NS
    scene.at("21:00:03")
    scene.trade("20:59:20")
    position, committed_at = client.feed.position, client.feed.committed_at
    scene.at("21:00:04")
    scene.market.other()
    client.take(client.feed.settle(now_ns=scene.market.now_ns))
    assert (scene.finals(), client.feed.position) == ([True], position)
    assert client.feed.due_ns is None
    assert client.steps[-1].is_lossless
    assert client.feed.settle(now_ns=scene.market.now_ns + MINUTE_NS) is None
    again = BarFeed.resumed(query, position, committed_at=committed_at)
    step = again.settle(now_ns=scene.market.now_ns)
    assert step is not None
    assert bars_of(step.rows) == client.bars


@pytest.mark.parametrize("ahead", ["20:11:01.5", "20:11:50", "23:10:00"])
def test_a_row_that_is_dated_ahead_makes_no_bar_final(scene: Scene, ahead: str):
    scene.at("20:10:40")
    scene.trade("20:10:39", ahead)
    scene.at("20:11:00.3")
    assert scene.client.feed.settle(now_ns=scene.market.now_ns) is None
    scene.trade("20:10:59.9")
    assert scene.finals() == [False, False]
    scene.at("20:11:02")
    scene.trade("20:11:02")
    assert scene.finals()[0] is True
    told = [bar for step in scene.client.steps for bar in bars_of(step.rows).values()]
    assert [bar for bar in told if is_final(bar)] == [scene.client.bars[min(scene.client.bars)]]


def test_the_bar_of_such_a_row_becomes_final_with_its_session(scene: Scene):
    scene.at("20:30:00")
    scene.trade("20:29:10", "20:59:10")
    scene.at("20:30:02")
    scene.trade("20:30:01")
    assert scene.client.feed.due_ns == parse_timestamp(CLOSE) + 2 * SECOND_NS
    scene.market.other()
    scene.at("21:00:02")
    scene.market.other()
    scene.client.take(scene.client.feed.settle(now_ns=scene.market.now_ns))
    assert scene.finals() == [True] * 3


def test_another_declaration_starts_anew(scene: Scene):
    scene.at("20:10:30")
    scene.trade("20:09:30", "20:10:20")
    client, query = scene.client, bar_query(ACME, "1m")
    market_store().set_instrument(Instrument(ACME, exchange="XNYS", bar_policy="us_equities", settle=60))
    scene.trade("20:10:25")
    first, second = client.steps[-2:]
    assert (first.is_resync, len(first.rows), bool(first)) == (True, 0, True)
    assert first.position.trades.number == second.position.trades.number - 1
    # From the position of the message a client reads by REST, and goes on.
    rest = rest_bars(query, now_ns=scene.market.now_ns, as_of_ns=client.feed.committed_at)
    assert not differences(client.bars | {time_ns: rest[time_ns] for time_ns in rest}, rest)
    assert bars_of(second.rows).items() <= rest.items()
    market_store().set_instrument(Instrument(ACME))
    step = client.feed.settle(now_ns=scene.market.now_ns)
    assert step is not None
    assert step.is_resync
    assert client.feed.settle(now_ns=scene.market.now_ns) is None


def test_updates_of_open_bars_are_joined_and_a_final_bar_is_not(scene: Scene):
    scene.at("20:12:10")
    times = ["20:10:20", "20:10:21", "20:10:22", "20:12:00", "20:12:01", "20:10:23", "20:12:02"]
    for time in times:
        scene.market.send([parse_timestamp(f"2025-01-03T{time}Z")], words=[None])
    scene.client.follow(scene.market.now_ns)
    # The late trade of 20:10:23 changes a final bar.
    assert [step.position.trades.number for step in scene.client.steps] == [5, 7]
    assert [step.is_lossless for step in scene.client.steps] == [True, True]


@pytest.mark.parametrize("policy", ["all", "us_equities"])
@pytest.mark.parametrize("resolution", ["1m", "1h"])
def test_who_resumes_from_any_token_gets_every_final_bar(default_store, policy: str, resolution: str):
    chance = random.Random(f"{chosen_seed()}{policy}{resolution}")
    with time_machine.travel("2025-01-03T17:00:00Z", tick=False) as traveller:
        market_store().set_instrument(Instrument(ACME, bar_policy=policy))
        market = RandomMarket(chance, ACME, parse_timestamp("2025-01-03T17:00:00Z"), with_bars=False)
        query = bar_query(ACME, resolution)
        live = Client(BarFeed.at(query, BarPosition(), now_ns=market.now_ns))
        states: list[tuple[BarPosition, int, dict[int, Bar]]] = [(BarPosition(), 0, {})]
        for _ in range(200 if SOAK else 25):
            market.now_ns += chance.choice([SECOND_NS, 40 * SECOND_NS, 3 * MINUTE_NS])
            traveller.move_to(market.now_ns / 1e9)
            market.act()
            live.follow(market.now_ns)
            if live.feed.position != states[-1][0]:
                states.append((live.feed.position, live.feed.committed_at, dict(live.bars)))
        live.take(live.feed.settle(now_ns=market.now_ns))
        for start in [0, *chance.sample(range(len(states)), 4)]:
            position, committed_at, bars = states[start]
            client = Client(
                BarFeed.resumed(query, position, committed_at=committed_at), dict(bars), is_resumed=True
            )
            client.follow(market.now_ns)
            client.take(client.feed.settle(now_ns=market.now_ns))
            assert client.feed.position == live.feed.position
            assert not differences(client.bars, live.bars)
            assert len(client.steps) < len(states) - start or start > len(states) - 5
            told = {*bars.items(), *(item for step in client.steps for item in bars_of(step.rows).items())}
            finals = {item for *_, state in states[start:] for item in state.items() if is_final(item[1])}
            assert finals <= told


def test_two_steps_merged_are_both(scene: Scene):
    for minute in range(10, 40):
        scene.at(f"20:{minute}:30")
        for act in (scene.market.live, scene.market.late, scene.market.amend):
            act()
            scene.client.follow(scene.market.now_ns)
    steps = [step for step in scene.client.steps if step]
    for first, second in itertools.pairwise(steps):
        merged, before = merged_steps(first, second), dict.fromkeys(first.removed, ())
        one, two = Client(scene.client.feed, dict(before)), Client(scene.client.feed, dict(before))
        applied(one, merged)
        applied(two, first)
        applied(two, second)
        assert one.bars == two.bars
        assert (merged.position, merged.committed_at) == (second.position, second.committed_at)


def applied(client: Client, step: Any) -> None:
    client.bars |= bars_of(step.rows)
    for time_ns in step.removed:
        client.bars.pop(time_ns, None)


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
    market_store().set_instrument(Instrument(ACME))
    query = bar_query(ACME, "1m", "hours=regular")
    with pytest.raises(NoExchange):
        BarFeed.at(query, BarPosition(NO_COMMIT, NO_COMMIT), now_ns=0)


@pytest.mark.parametrize("asked", ["", "hours=regular&anchor=session"])
def test_the_beginning_is_a_position(scene: Scene, asked: str):
    scene.at("20:10:30")
    scene.trade("20:09:30", "20:10:20")
    query = bar_query(ACME, "1h", asked)
    client = Client(BarFeed.resumed(query, BarPosition(), committed_at=0))
    client.follow(scene.market.now_ns)
    assert not differences(client.bars, rest_bars(query, now_ns=scene.market.now_ns))
