"""Applying a walk to an empty store, in memory or of files, gives the same store at every commit."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.copying import copy_log
from store.csv import CsvStore
from store.datasets import TRADES
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Receipt, Window
from store.walk import BEGINNING, CommitRecord, LogPosition
from store.whole_commits import whole_commits
from tests.memory_store import MemoryStore
from tests.store.builders import DAY, NOON, Clock, stored
from tests.store.conftest import FoldedStore, PartlyFoldedStore
from tests.store.test_agreement import EXAMPLES, Step, outcome, steps
from tests.store.walking import flat, walk

pytestmark = pytest.mark.system

Opened = Callable[[Path, Clock], MarketStore]
WALKED: dict[str, Opened] = {
    "memory": lambda _, clock: MemoryStore(clock=clock),
    "csv": lambda folder, clock: CsvStore(folder, clock=clock),
    "csv, folded": lambda folder, clock: FoldedStore(folder, clock=clock, segment_rows=3),
    "csv, partly folded": lambda folder, clock: PartlyFoldedStore(folder, clock=clock, segment_rows=3),
}


def history(store: MarketStore, symbol: str) -> list[Any]:
    """What a store says of a log at each of its commits."""
    log = store.log(TRADES, symbol)
    days = [Window(NOON + n * DAY - DAY // 2, NOON + n * DAY + DAY // 2) for n in range(5)]
    return [
        (
            stored(store, symbol=symbol, commit=number),
            log.at(number).commit,
            log.committed_at(number),
            log.as_of(NOON + number).commit.number,
            [log.at(number).version(window) for window in (ALL_TIME, *days)],
        )
        for number in range(1, log.head.number + 1)
    ]


def check_commit_by_commit(store: MarketStore, symbol: str) -> MemoryStore:
    """Walk a log piece by piece, each time from the place behind the one before; returns what it made."""
    replica, place = MemoryStore(), BEGINNING
    for number in range(1, store.log(TRADES, symbol).head.number + 1):
        pieces = walk(store, place, number, symbol=symbol)
        head = place.commit
        replica.log(TRADES, symbol).add_commits(head, list(whole_commits(TRADES, head, pieces)))
        place = pieces[-1].position
        assert stored(replica, symbol=symbol) == stored(store, symbol=symbol, commit=number)
        assert replica.log(TRADES, symbol).head == store.log(TRADES, symbol).at(number).commit
    return replica


def keys_of(store: MarketStore, symbol: str) -> dict[tuple[str, str], tuple[str, Receipt]]:
    """By caller and hash of a key, the digest and the answer that a batch under it gets again."""
    records = (each for each in walk(store, symbol=symbol) if isinstance(each, CommitRecord))
    return {
        (each.facts.caller, each.facts.key_hash): (each.facts.digest, each.receipt)
        for each in records
        if each.facts.key_hash
    }


@pytest.mark.parametrize("opened", WALKED.values(), ids=list(WALKED))
@settings(max_examples=EXAMPLES, deadline=None)
@given(plan=steps(), data=st.data())
def test_store_built_from_commits_equals_the_original(opened: Opened, plan: list[Step], data: Any):
    clock = Clock()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        store = opened(Path(name), clock)
        for step in plan:
            clock.now += step.clock
            outcome(store, step.batch)
        for symbol in store.symbols(TRADES):
            replica = check_commit_by_commit(store, symbol)
            assert history(replica, symbol) == history(store, symbol)
            assert flat(walk(replica, symbol=symbol)) == flat(walk(store, symbol=symbol))
            assert keys_of(replica, symbol) == keys_of(store, symbol)
            files = CsvStore(Path(name) / "again")
            copy_log(replica.log(TRADES, symbol), files.log(TRADES, symbol))
            assert history(files, symbol) == history(store, symbol)
            assert flat(walk(files, symbol=symbol)) == flat(walk(store, symbol=symbol))
            check_a_place_by_chance(store, symbol, data)


def check_a_place_by_chance(store: MarketStore, symbol: str, data: Any) -> None:
    """A walk that goes on inside a commit has what the whole one has from there on."""
    whole = flat(walk(store, symbol=symbol))
    taken = data.draw(st.integers(1, len(whole)))
    last = whole[taken - 1]
    place = last.position if isinstance(last, CommitRecord) else LogPosition(last[0], last[1] + 1)
    assert flat(walk(store, place, symbol=symbol)) == whole[taken:]


@settings(max_examples=EXAMPLES, deadline=None)
@given(plan=steps(), more=steps())
def test_store_built_from_commits_continues_like_the_original(plan: list[Step], more: list[Step]):
    """Keys that come again too: both know the same digests."""
    clock = Clock()
    store, replica = MemoryStore(clock=clock), MemoryStore(clock=clock)
    for step in plan:
        outcome(store, step.batch)
    for symbol in store.symbols(TRADES):
        copy_log(store.log(TRADES, symbol), replica.log(TRADES, symbol))
    for step in [*more, *plan]:
        assert outcome(replica, step.batch) == outcome(store, step.batch)
    for symbol in store.symbols(TRADES):
        assert history(replica, symbol) == history(store, symbol)
