"""The bars of a live channel are those of REST at the same commit, after each commit and from each token."""

import random

import pytest
import time_machine

from stats.live import bar_feed
from stats.live.frames import FRAME_ROWS
from store.instruments import Instrument
from store.timestamps import SECOND_NS, parse_timestamp
from tests.chance import SOAK, cases_of, chosen_seed
from tests.stats.live.channels import (
    HOUR_NS,
    MINUTE_NS,
    OTHER,
    Bar,
    Client,
    RandomMarket,
    differences,
    is_final,
    rest_bars,
)
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.system]

ACME = "ACME"
INSTRUMENTS = {
    "plain": Instrument(ACME),
    "listed": Instrument(ACME, exchange="XNYS"),
    "credits": Instrument(ACME, bar_policy="us_equities"),
    "credits-listed": Instrument(ACME, bar_policy="us_equities", exchange="XNYS"),
    "tokyo": Instrument(ACME, bar_policy="us_equities", exchange="XTKS", settle=30),
}
ASKED = ["", "hours=regular", "hours=extended&anchor=session", "session=utc", "session=exchange&hours=all"]
RESOLUTIONS = ["1s", "1m", "7m", "5h", "1d", "2w"]
# Before the open in New York; in the session; around its close; the evening of that date; on a Sunday; in Tokyo's session.
STARTS = [
    "2025-01-03T14:29:00Z",
    "2025-01-03T17:00:00Z",
    "2025-01-03T20:57:00Z",
    "2025-01-07T00:20:00Z",
    "2025-01-05T22:00:00Z",
    "2025-01-06T02:20:00Z",
]


def without_finals_due(client: Client, rest: dict[int, Bar], now_ns: int) -> dict[int, Bar]:
    """The client's bars; final as by REST if the exchange's other logs, looked at once a second, are due within one."""
    due_ns = client.feed.due_ns
    if due_ns is None or due_ns > now_ns + SECOND_NS:
        return client.bars
    finals = {time_ns: bar for time_ns, bar in rest.items() if is_final(bar)}
    return {
        time_ns: finals[time_ns] if {**bar, "final": True} == finals.get(time_ns) else bar
        for time_ns, bar in client.bars.items()
    }


@pytest.mark.parametrize(
    ("kind", "asked", "resolution", "with_bars"), cases_of(INSTRUMENTS, ASKED, RESOLUTIONS, [False, True])
)
def test_after_each_commit_and_from_each_token_the_bars_are_those_of_rest(
    default_store, monkeypatch, *, kind, asked, resolution, with_bars
):
    if INSTRUMENTS[kind].exchange is None and asked not in {"", "session=utc"}:
        pytest.skip("needs sessions")
    chance = random.Random(f"{chosen_seed()}{kind}{asked}{resolution}{with_bars}")
    monkeypatch.setattr(bar_feed, "FRAME_ROWS", chance.choice([FRAME_ROWS, 2]))
    clock = chance.choice(STARTS)
    with time_machine.travel(clock, tick=False) as traveller:
        market_store().set_instruments(
            [INSTRUMENTS[kind], Instrument(OTHER, exchange=INSTRUMENTS[kind].exchange)]
        )
        market = RandomMarket(chance, ACME, parse_timestamp(clock), with_bars)
        client = Client(f"bars.{resolution}:{ACME}?{asked}")
        states: list[tuple[str, dict[int, Bar]]] = [("0", {})]
        for _ in range(100 if SOAK else 6):
            market.now_ns += chance.choice(
                [0, SECOND_NS, 7 * SECOND_NS, MINUTE_NS, 20 * MINUTE_NS, 3 * HOUR_NS]
            )
            traveller.move_to(market.now_ns / 1e9)
            client.follow()
            assert not differences(client.bars, rest_bars(client.query, now_ns=market.now_ns))
            market.act()
            client.follow()
            rest = rest_bars(client.query, now_ns=market.now_ns)
            assert not differences(without_finals_due(client, rest, market.now_ns), rest)
            states.append((client.seq, dict(client.bars)))
        rest = rest_bars(client.query, now_ns=market.now_ns)
        for token, bars in chance.sample(states, 4):
            assert not differences(client.resumed(token, bars).bars, rest)
