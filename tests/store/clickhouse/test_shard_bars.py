"""Aggregates made on the shards are those that the kernel makes of rows, bit by bit."""

import random
from typing import Any

import numpy as np
import pytest

from store.bar_policies import EVERY_PRINT
from store.bars.aggregates import COLUMNS, Aggregates
from store.clickhouse import ClickHouseStore
from store.clickhouse.row_tables import RowTables
from store.clickhouse.shard_bars import NO_BITS, BitRange
from store.datasets import TRADES
from store.exceptions import StoreUnavailable
from store.log import Snapshot
from store.window_list import WindowList
from tests.chance import each_of
from tests.store.builders import (
    DAY,
    MINUTE,
    NOON,
    SECOND,
    amendment,
    batch,
    cancel,
    correct,
    trade,
    trades_of,
)

# More bits than these have, shards do not add up.
PRICES, VOLUMES = [0.1, 3.0, 123_456.789], [0.0, 0.1, 3.0, 1e9 / 3]


def random_trade(rng: random.Random, number: int, *, sequences: bool) -> dict[str, Any]:
    at = rng.choice([0, 0, 1]) * DAY + rng.randint(0, 5 * 60) * SECOND + rng.choice([0, 1, 999_999_999])
    sequence = rng.choice([None, 5, 6, rng.getrandbits(40)]) if sequences else None
    price, volume = rng.choice(PRICES) * rng.random(), rng.choice(VOLUMES)
    return trade(at, price, volume, sequence=sequence, trade_id=f"{number}")


def same(found: Aggregates, expected: Aggregates) -> None:
    # Shards number the prints of one instant otherwise.
    for name in COLUMNS.keys() - {"first_arrival", "last_arrival"}:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def check(snapshot: Snapshot, rng: random.Random) -> None:
    start, end = NOON - MINUTE, NOON + DAY + 6 * MINUTE
    for interval in (1_000, SECOND, 10 * SECOND, MINUTE, 5 * MINUTE, 90 * SECOND, DAY):
        windows = [
            WindowList(np.array([start // interval * interval]), np.array([-(-end // interval) * interval]))
        ]
        edges = (
            sorted(rng.sample(range(start // interval, end // interval + 5), 4))
            if interval < DAY
            else [0, 1, 2, 3]
        )
        windows.append(WindowList(np.array(edges[::2]) * interval, np.array(edges[1::2]) * interval))
        for each in windows:
            same(
                snapshot.aggregates(each, interval, EVERY_PRINT),
                Snapshot.aggregates(snapshot, each, interval, EVERY_PRINT),
            )


@pytest.mark.system
@pytest.mark.xdist_group("cluster")
@pytest.mark.parametrize(("servers", "sequences"), each_of(["cluster_store", "chdb_store"], [False, True]))
def test_aggregates_of_shards_are_those_of_rows(request: pytest.FixtureRequest, servers, sequences):
    store, rng = request.getfixturevalue(servers), random.Random(7)
    rows = [random_trade(rng, number, sequences=sequences) for number in range(300)]
    for start in range(0, 300, 100):
        store.append(batch(*rows[start : start + 100]))
    (state,) = store.newest.logs(TRADES).values()
    assert len(state.notionals.shifts() or ()) == 3
    check(trades_of(store).at(), rng)
    check(trades_of(store).at(2), rng)
    chosen = rng.sample(rows, 6)
    named = [{"at": row["timestamp"], "trade_id": row["trade_id"]} for row in chosen]
    changes = [cancel(**each) for each in named[:3]]
    changes += [correct(**each, new={"price": 2.5, "volume": 1e-300}) for each in named[3:]]
    store.correct(amendment(*changes))
    for number in (1, 3, 4):
        check(trades_of(store).at(number), rng)


@pytest.mark.system
@pytest.mark.xdist_group("cluster")
def test_bars_of_a_log_without_conditions_read_no_rows(cluster_store: ClickHouseStore, monkeypatch):
    cluster_store.append(
        batch(*(trade(number * SECOND, 1.0 + number / 7, sequence=number) for number in range(200)))
    )

    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("rows were read")

    snapshot = trades_of(cluster_store).at()
    monkeypatch.setattr(RowTables, "originals", refuse)
    windows = WindowList(np.array([NOON]), np.array([NOON + 4 * MINUTE]))
    assert snapshot.aggregates(windows, MINUTE, EVERY_PRINT).trade_count.tolist() == [60, 60, 60, 20]


@pytest.mark.parametrize(
    ("values", "bits"),
    [
        ([0.0], NO_BITS),
        ([1.0, 3.0, 500.0], BitRange(9, 0)),
        ([0.75, -8.0], BitRange(4, -2)),
        ([5e-324], BitRange(-1073, -1074)),
    ],
)
def test_the_bits_of_numbers(values, bits):
    assert BitRange.of(np.array(values)) == bits


def test_parts_of_a_wide_range_are_too_many():
    assert BitRange(9, 0).shifts() == []
    assert len(BitRange(20, -40).shifts() or ()) == 1
    assert BitRange(20, -1074).shifts() is None
    assert BitRange(1000, 990).shifts() is None
