"""A replay of random logs, in every store, against a plain computation over their commits."""

import random

import numpy as np
import pyarrow as pa
import pytest

from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.log_views.log_view import LogView, view_of
from store.market_store import MarketStore
from store.protocol import ALL_TIME
from store.reading import replay as replays
from store.reading import replay_log
from store.reading.replay import MarketReplay
from store.reading.replay_log import CHANGES
from store.timestamps import LATEST_NS
from tests.store.builders import NOON, Clock, batch, trade
from tests.store.replay_history import LOGS, Replayed, replay_of, times_of, write_history

pytestmark = pytest.mark.system
# Rows in memory, the fewest of a chunk, rows looked at.
SIZES = ((1, 1, 1), (9, 3, 10), (1 << 17, 1 << 10, 1 << 18))


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_has_all_that_was_known_in_order(
    store: MarketStore, clock: Clock, seed: int, monkeypatch: pytest.MonkeyPatch
):
    chance = random.Random(seed)
    write_history(store, clock, chance)
    window, as_of_ns = times_of(chance)
    for replayed, until_ns, sizes in (
        (ALL_TIME, None, SIZES[seed % 3]),
        (window, None, SIZES[(seed + 1) % 3]),
        (ALL_TIME, as_of_ns, SIZES[seed % 2]),
    ):
        set_sizes(monkeypatch, sizes)
        views = views_as_of(store, until_ns)
        wanted = [
            each
            for view in views
            for each in replay_of(store, view.dataset, view.symbol, replayed, view.commit.number)
        ]
        has_names = replayed != ALL_TIME  # each is a look-up
        replay = MarketReplay([(each, each.dataset.schema.names) for each in views], replayed)
        in_order = [item for _, item in sorted(wanted, key=lambda each: each[0])]
        assert items_of(replay, has_names=has_names) == [
            item if has_names else item._replace(name=None, target=None) for item in in_order
        ]


@pytest.mark.parametrize("seed", range(2))
def test_who_takes_a_replay_knows_at_each_instant_what_was_known(store: MarketStore, clock: Clock, seed: int):
    chance = random.Random(seed)
    write_history(store, clock, chance)
    views = views_as_of(store, None)
    rows = [
        row
        for part in MarketReplay([(view, ["timestamp"]) for view in views], ALL_TIME)
        for row in part.rows()
    ]
    for at in sorted(chance.choice(rows)[0] + chance.choice([-1, 0]) for _ in range(9)):
        for view in views:
            known: dict[int, int] = {}
            for known_ns, *log, row in rows:
                if log == [view.dataset.name, view.symbol] and known_ns <= at:
                    known[row.arrival] = row.timestamp  # type: ignore[attr-defined]
                    if row.change == "cancel":  # type: ignore[attr-defined]
                        del known[row.arrival]  # type: ignore[attr-defined]
            versions = view.versions(ALL_TIME)
            is_known = view.known_times(versions).at(np.full(versions.num_rows, at))
            wanted = versions.filter(pa.array(is_known)).column("timestamp").to_pylist()
            assert sorted(known.values()) == wanted


def test_late_rows_do_not_keep_what_came_with_them_in_memory(store: MarketStore, clock: Clock):
    write_history(store, clock, random.Random(1))
    (view, *_) = views_as_of(store, None)
    rows = replay_log.known_rows(view, ALL_TIME, ["timestamp", "price"], 2**63 - 1)
    late = rows.without_first(len(rows) - 2)
    assert (len(late), late.in_memory) == (2, 2)
    assert late.table.to_pylist() == rows.table.slice(len(rows) - 2).to_pylist()
    most = rows.without_first(1)
    assert (len(most), most.in_memory) == (len(rows) - 1, len(rows))


def test_instants_that_are_centuries_apart_are_in_order(store: MarketStore):
    centuries = [trade(0), trade(1), trade(2, received_at=LATEST_NS), trade(3, received_at=1)]
    for symbol in "AB":
        store.append(batch(*centuries, symbol=symbol))
    views = [view_of(store.log(TRADES, symbol).at()) for symbol in "BA"]
    (part,) = MarketReplay([(view, ["timestamp"]) for view in views], ALL_TIME)
    found = [(known_ns, symbol, row[0] - NOON) for known_ns, _, symbol, row in part.rows()]
    wanted = [(1, 3), (NOON, 0), (NOON, 1), (LATEST_NS, 2)]
    assert sorted(found) == sorted((at, symbol, place) for at, place in wanted for symbol in "AB")
    assert [each[:2] for each in found] == sorted(each[:2] for each in found)


def set_sizes(monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int, int]) -> None:
    monkeypatch.setattr(replays, "ROWS_AT_ONCE", sizes[0])
    monkeypatch.setattr(replays, "_LEAST_ROWS", sizes[1])
    monkeypatch.setattr(replay_log, "ROWS_AT_ONCE", sizes[2])


def views_as_of(store: MarketStore, instant_ns: int | None) -> list[LogView]:
    """The logs that exist, as of an instant; None for now."""
    views = []
    for dataset, symbol in LOGS:
        try:
            commit = (
                None if instant_ns is None else store.log(dataset, symbol).as_of(instant_ns).commit.number
            )
            views.append(view_of(store.log(dataset, symbol).at(commit)))
        except UnknownSymbol:
            continue
    return views


def items_of(replay: MarketReplay, *, has_names: bool) -> list[Replayed]:
    """All that a replay has, by its columns; `rows` must agree."""
    items = []
    for part in replay:
        assert len(part) == len(part.log) == len(part.row)
        rows = list(part.rows())
        columns = {log: part.of(log) for log in part.present}
        places = zip(part.known_ns.tolist(), part.log.tolist(), part.row.tolist(), rows, strict=True)
        for known_ns, log, row, (at, dataset, symbol, values) in places:
            of_log = columns[log]
            change = CHANGES[of_log.change[row]]
            assert (known_ns, dataset, symbol) == (at, *replay.logs[log])
            arrival = int(of_log.arrival[row])
            assert values[-2:] == (arrival, change)
            stored = of_log.table.slice(row, 1).to_pylist()[0]
            assert tuple(stored.values()) == values[:-2]
            item = Replayed(known_ns, dataset, symbol, stored, arrival, change)
            if has_names:
                item = item._replace(name=of_log.stored_name(row), target=of_log.target(row))
            items.append(item)
    return items
