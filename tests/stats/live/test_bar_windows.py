"""Bars that a commit changes although none of its rows lies in their interval, and bars that only time makes final."""

import random
import time
from collections.abc import Callable

import pytest
import time_machine

from store.instruments import Instrument
from store.timestamps import parse_timestamp
from tests.stats.live.channels import Client, RandomMarket, differences, is_final, rest_bars
from trades.stores import market_store

pytestmark = pytest.mark.django_db

ACME = "ACME"
Write = Callable[[RandomMarket, int], None]


def priced(market: RandomMarket, time_ns: int) -> None:
    market.send([time_ns], words=[None])


def odd_lot(market: RandomMarket, time_ns: int) -> None:
    market.send([time_ns], words=["odd_lot"])


def stored(market: RandomMarket, time_ns: int) -> None:
    market.store_bars("1m", [time_ns])


CASES: dict[str, tuple[Instrument, str, str, list[tuple[str, Write, str]]]] = {
    # The daily bar of a regular session has the prints of its UTC date; it is still Monday in New York.
    "a print of the next UTC date": (
        Instrument(ACME, exchange="XNYS", bar_policy="us_equities"), "1d", "",
        [("2025-01-06T20:00:01Z", priced, "2025-01-06T20:00:00Z"), ("2025-01-07T00:30:01Z", priced, "2025-01-07T00:30:00Z")],
    ),
    # Volume after the lunch break is credited to the morning, not to a print in the break.
    "credit over a break": (
        Instrument(ACME, exchange="XTKS", bar_policy="us_equities"), "1m", "hours=regular",
        [("2025-01-07T02:29:31Z", priced, "2025-01-07T02:29:30Z"), ("2025-01-07T03:00:01Z", priced, "2025-01-07T03:00:00Z"),
         ("2025-01-07T03:30:11Z", odd_lot, "2025-01-07T03:30:10Z")],
    ),
    # The bars that the last step compared do not tell what is before the next one's.
    "credit after a late print": (
        Instrument(ACME, bar_policy="us_equities"), "1m", "",
        [("2025-01-07T15:05:01Z", priced, "2025-01-07T15:05:00Z"), ("2025-01-07T15:05:02Z", priced, "2025-01-07T14:00:00Z"),
         ("2025-01-07T15:06:11Z", odd_lot, "2025-01-07T15:06:10Z")],
    ),
    # A stored bar after the last trade was final by the clock; with a later trade it waits for `settle`.
    "a stored bar that is final no more": (
        Instrument(ACME, settle=60), "1m", "",
        [("2025-01-07T15:00:01Z", priced, "2025-01-07T15:00:00Z"), ("2025-01-07T15:10:59Z", stored, "2025-01-07T15:10:00Z"),
         ("2025-01-07T15:11:59Z", stored, "2025-01-07T15:11:00Z"), ("2025-01-07T15:12:10Z", priced, "2025-01-07T15:12:00Z")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_bars_are_those_of_rest(default_store, name: str):
    instrument, resolution, asked, writes = CASES[name]
    with time_machine.travel(writes[0][0], tick=False) as traveller:
        market_store().set_instrument(instrument)
        market, client = began(f"bars.{resolution}:{ACME}?{asked}")
        for clock, write, time in writes:
            market.now_ns = parse_timestamp(clock)
            traveller.move_to(market.now_ns / 1e9)
            client.follow()
            write(market, parse_timestamp(time))
            client.follow()
            assert not differences(client.bars, rest_bars(client.query, now_ns=market.now_ns))


def test_a_stored_bar_becomes_final_by_the_clock(default_store):
    with time_machine.travel("2025-01-07T15:10:30Z", tick=False) as traveller:
        market_store().set_instrument(Instrument(ACME))
        market, client = began(f"bars.1m:{ACME}")
        stored(market, parse_timestamp("2025-01-07T15:10:00Z"))
        client.follow()
        assert client.feed.due_ns == parse_timestamp("2025-01-07T15:11:00Z")
        assert [*map(is_final, client.bars.values())] == [False]
        traveller.move_to("2025-01-07T15:11:00Z")
        client.follow()
        assert [*map(is_final, client.bars.values())] == [True]
        assert client.feed.due_ns is None


def began(name: str) -> tuple[RandomMarket, Client]:
    """A market at the time of the clock, and a client of a channel of its bars from the beginning."""
    market = RandomMarket(random.Random(1), ACME, time.time_ns())
    return market, Client(name)
