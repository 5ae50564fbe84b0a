"""Revisions of long random histories, in every store: they are those that a walk over all commits finds."""

import random
from typing import Any

from store.bar_policies import BAR_POLICIES, EVERY_PRINT, US_EQUITIES
from store.bars.credit import credit_dates, credit_end_ns, utc_dates
from store.datasets import TRADES
from store.exceptions import StorageError
from store.log_views.revisions import revisions_of
from store.market_store import MarketStore
from store.protocol import Amendment, Append, Correction, Window
from tests.chance import chosen_seed, examples
from tests.memory_store import MemoryStore
from tests.store.builders import (
    DAY,
    MINUTE,
    NOON,
    SECOND,
    SYMBOL,
    Clock,
    Row,
    amendment,
    batch,
    cancel,
    correct,
    trade,
)
from tests.store.revision_walk import listed, revisions_by_walk

COMMITS = 30
WORDS = (None, None, "odd_lot", "odd_lot", "extended_hours", "cash")
INTERVALS = (MINUTE // 4, MINUTE, 3 * MINUTE, 60 * MINUTE, DAY)
MIDNIGHT = NOON - DAY // 2


def new_row(chance: random.Random, name: str) -> Row:
    minute = chance.choice([0, 1, 2, 3, 5, 8, 60, 61, 62, 700, 719])
    at = NOON + chance.choice([0, 0, 0, 1, -1]) * DAY + minute * MINUTE + chance.randrange(3) * SECOND
    price, volume = chance.choice([1.0, 0.1, 2.7, -3.0]), chance.choice([0.1, 1e15, 3.3, 7.0])
    sequence = chance.choice([None, None, 1, 2])
    return trade(at, price, volume, trade_id=name, sequence=sequence, conditions=chance.choice(WORDS))


def correction(chance: random.Random, row: Row) -> Correction:
    if chance.random() < 0.4:
        return cancel(row["timestamp"], trade_id=row["trade_id"])
    new = {"price": chance.choice([1.0, 4.0]), "conditions": chance.choice(WORDS)}
    return correct(row["timestamp"], trade_id=row["trade_id"], new=new)


def history(chance: random.Random) -> list[Append | Amendment]:
    """New and late rows of three dates, a few in each batch, and corrections of any of them."""
    batches: list[Append | Amendment] = []
    sent: list[Row] = []
    for number in range(COMMITS):
        if sent and chance.random() < 0.4:
            rows = chance.sample(sent, min(len(sent), chance.randrange(1, 4)))
            batches.append(amendment(*(correction(chance, row) for row in rows)))
        else:
            rows = [new_row(chance, f"{number}-{each}") for each in range(chance.randrange(1, 6))]
            batches.append(batch(*rows))
            sent += rows
    return batches


def long_dates(time_ns):
    """Trading dates of two days, from noon on."""
    return (time_ns - NOON) // (2 * DAY)


def question(chance: random.Random, head: int) -> tuple[Window, int, dict[str, Any]]:
    """What is asked of revisions: window, interval, and the rest by name."""
    interval_ns = chance.choice(INTERVALS)
    instants = (chance.choice([MIDNIGHT - DAY, MIDNIGHT, NOON + chance.randrange(70) * MINUTE]) for _ in "se")
    start_ns, end_ns = sorted(each // interval_ns * interval_ns for each in instants)
    end_ns = chance.choice([max(end_ns, start_ns + interval_ns), MIDNIGHT + 3 * DAY])
    asked = {
        "policy": chance.choice([EVERY_PRINT, US_EQUITIES, US_EQUITIES, *BAR_POLICIES.values()]),
        "dates_of": chance.choice([utc_dates, long_dates]),
        "after": chance.choice([0, 0, chance.randrange(head)]),
    }
    return Window(start_ns, end_ns), interval_ns, asked


def outcome(store: MarketStore, each: Append | Amendment) -> int | type[StorageError]:
    try:
        return (store.correct(each) if isinstance(each, Amendment) else store.append(each)).commit.number
    except StorageError as error:  # a corrected row is cancelled
        return type(error)


def test_any_history_has_the_revisions_that_a_walk_finds(store: MarketStore, clock: Clock):
    chance, memory = random.Random(chosen_seed()), MemoryStore(clock=clock)
    for each in history(chance):
        clock.now += chance.choice([1, 1_000])
        assert outcome(store, each) == outcome(memory, each)
    count, head = 0, store.log(TRADES, SYMBOL).head.number
    for _ in range(examples(60)):
        window, interval_ns, asked = question(chance, head)
        commit = chance.choice([None, chance.randrange(head + 1)])
        trades = store.log(TRADES, SYMBOL).at(commit)
        found = listed(revisions_of(trades, window, interval_ns, **asked))
        expected = revisions_by_walk(memory, SYMBOL, window, interval_ns, commit=commit, **asked)
        assert found == expected, (window, interval_ns, commit, asked)
        count += len(found)
        dates = credit_dates(asked["policy"], interval_ns, asked["dates_of"])
        needed = Window(window.start_ns, credit_end_ns(window.end_ns, interval_ns, dates))
        assert len(found) <= 2 * trades.change_bound(needed, interval_ns, after=asked["after"])
    assert count > 30
