"""Bars as they were known when they ended, in every store, against a plain computation over all that was sent."""

import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from store.bar_policies import BAR_POLICIES, EVERY_PRINT, US_EQUITIES, BarPolicy
from store.bars.bars import Bars
from store.datasets import BARS, TRADES
from store.log_views.grids import plain_grid
from store.log_views.known_bars import KnownLog, bars_of_logs
from store.log_views.log_view import empty_view, view_as_of
from store.protocol import ALL_TIME, Window
from store.queries import QueryableStore
from store.timestamps import DAY_NS
from tests.store.builders import (
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

SETTLE = 2 * SECOND
HOUR = 3_600 * SECOND
WINDOW = Window(NOON, NOON + 20 * MINUTE)


def then(
    store: QueryableStore, length: int = MINUTE, policy: BarPolicy = EVERY_PRINT, commit: int | None = None
) -> Bars:
    trades = view_as_of(store, TRADES, SYMBOL, commit)
    grid = plain_grid(length, lambda time_ns: time_ns // DAY_NS)
    return bars_of_logs(trades, empty_view(store, BARS, SYMBOL), grid, policy, SETTLE).bars(WINDOW)


def brief(bars: Bars) -> list[tuple[int, float, float]]:
    """(minutes after noon, close, volume) of each bar."""
    columns = (bars.time_ns.tolist(), bars.close.tolist(), bars.volume.tolist())
    return [((at - NOON) // MINUTE, close, volume) for at, close, volume in zip(*columns, strict=True)]


def send(store: QueryableStore, clock: Clock, at: int, *rows: Row) -> None:
    """Send rows so that their commit is made so many nanoseconds after noon."""
    clock.now = NOON + at
    store.append(batch(*rows))


def test_a_late_print_is_in_no_bar_that_had_ended(store: QueryableStore, clock: Clock):
    send(store, clock, 11 * SECOND, trade(10 * SECOND, 1))
    send(store, clock, 62 * SECOND, trade(50 * SECOND, 2))
    send(store, clock, 62 * SECOND + 1, trade(51 * SECOND, 3))
    assert brief(then(store)) == [(0, 2, 2)]


def test_received_at_tells_before_the_commit(store: QueryableStore, clock: Clock):
    send(store, clock, 90 * SECOND, trade(10 * SECOND, 1, received_at=NOON + 62 * SECOND))
    send(store, clock, 91 * SECOND, trade(11 * SECOND, 2, received_at=NOON + 62 * SECOND + 1))
    assert brief(then(store)) == [(0, 1, 1)]


def test_imported_history_was_known_at_its_event(store: QueryableStore, clock: Clock):
    send(store, clock, HOUR + 10 * SECOND, trade(10 * SECOND, 1))
    send(store, clock, HOUR + 20 * SECOND, trade(19 * SECOND, 2))
    assert brief(then(store)) == [(0, 2, 1)]


def test_a_correction_was_known_when_it_was_committed(store: QueryableStore, clock: Clock):
    send(store, clock, 1, trade(0, 1), trade(1, 2), trade(2 * MINUTE, 5))
    clock.now = NOON + 62 * SECOND
    store.correct(amendment(cancel(1, price=2, volume=1)))
    clock.now = NOON + 63 * SECOND
    store.correct(amendment(correct(0, price=1, volume=1, new={"price": 9.0})))
    assert brief(then(store)) == [(0, 1, 1), (2, 5, 1)]
    clock.now = NOON + 30 * 24 * HOUR
    store.correct(amendment(correct(2 * MINUTE, price=5, volume=1, new={"price": 6.0})))
    assert brief(then(store)) == [(0, 1, 1), (2, 5, 1)]


def test_as_of_leaves_out_what_was_stored_later(store: QueryableStore, clock: Clock):
    send(store, clock, 1, trade(0, 1))
    send(store, clock, HOUR * 5, trade(1, 2))
    assert [brief(then(store, commit=number)) for number in (1, 2)] == [[(0, 1, 1)], [(0, 2, 2)]]


def test_volume_is_credited_only_if_it_was_known_then(store: QueryableStore, clock: Clock):
    odd: dict[str, Any] = {"conditions": "odd_lot"}
    send(store, clock, 10 * SECOND, trade(10 * SECOND, 1))
    send(store, clock, 61 * SECOND, trade(61 * SECOND, 7, 10, **odd))
    send(store, clock, 63 * SECOND, trade(63 * SECOND, 7, 100, **odd))
    send(store, clock, 130 * SECOND, trade(121 * SECOND, 3), trade(122 * SECOND, 3, 1000, **odd))
    assert brief(then(store, policy=US_EQUITIES)) == [(0, 1, 11), (2, 3, 1001)]


def test_it_counts_which_time_told(store: QueryableStore, clock: Clock):
    send(store, clock, 10, trade(1), trade(2), trade(3, received_at=NOON))
    send(store, clock, 2 * HOUR, trade(4))
    log = KnownLog(
        view_as_of(store, TRADES, SYMBOL, None),
        plain_grid(MINUTE, lambda time_ns: time_ns // DAY_NS),
        EVERY_PRINT,
        SETTLE,
    )
    assert log.versions(WINDOW).counts() == {"received_at": 1, "committed_at": 2, "event": 1}


@dataclass
class Version:
    """A version of a row as the oracle keeps it."""

    row: Row
    arrival: int
    from_ns: int
    until_ns: float = math.inf


class Oracle:
    """All versions of all rows, each with the time from which it was known."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.standing: list[Version] = []

    def add(self, row: Row, committed_ns: int) -> None:
        at = row["timestamp"]
        known = committed_ns if abs(committed_ns - at) <= HOUR else at
        known = known if row["received_at"] is None else row["received_at"]
        version = Version(row, len(self.standing), known)
        self.versions.append(version)
        self.standing.append(version)

    def end(self, version: Version, committed_ns: int, new: Row | None) -> None:
        version.until_ns = committed_ns
        if new is not None:
            replaced = Version({**version.row, **new}, version.arrival, committed_ns)
            self.versions.append(replaced)
            self.standing[version.arrival] = replaced

    def bars(self, length: int, policy: BarPolicy) -> list[tuple[float, ...]]:
        """(start, open, high, low, close, volume, count) of each bar in the window."""

        def order(version: Version) -> int:
            sequence: int | None = version.row["sequence"]
            return 2**62 if sequence is None else sequence

        found = []
        for start in range(WINDOW.start_ns, WINDOW.end_ns, length):
            at = start + length + SETTLE
            known = sorted(
                (v for v in self.versions if v.from_ns <= at < v.until_ns),
                key=lambda v: (v.row["timestamp"], order(v), v.arrival),
            )
            bar = self._bar(known, start, length, policy, at)
            if bar is not None:
                found.append(bar)
        return found

    def _bar(
        self, known: list[Version], start: int, length: int, policy: BarPolicy, at: int
    ) -> tuple[float, ...] | None:
        def role(version: Version) -> Any:
            words = version.row["conditions"]
            return policy.role(words.split(";") if words else ())

        own = [v for v in known if start <= v.row["timestamp"] < start + length]
        priced = [v.row["price"] for v in own if role(v).sets_open_close]
        if not priced:
            return None
        ranged = [v.row["price"] for v in own if role(v).sets_high_low] or [priced[0], priced[-1]]
        counted = [v for v in own if role(v).counts_volume]
        later = [v for v in known if start + length <= v.row["timestamp"] <= at]
        next_start = min(
            (v.row["timestamp"] // length * length for v in later if role(v).sets_open_close),
            default=math.inf,
        )
        counted += [v for v in later if role(v).counts_volume and v.row["timestamp"] < next_start]
        volume = math.fsum(v.row["volume"] for v in counted)
        return start, priced[0], max(ranged), min(ranged), priced[-1], volume, len(counted)


def history(store: QueryableStore, clock: Clock, chance: random.Random) -> Oracle:
    """Send batches and corrections, live and late, and tell the oracle."""
    oracle = Oracle()
    for _ in range(12):
        rows = []
        late = chance.choice([0, SECOND, SETTLE, 90 * SECOND, 2 * HOUR])
        for _ in range(chance.randint(1, 8)):
            at = (
                NOON
                + chance.randrange(20) * MINUTE
                + chance.choice([0, 1, 59 * SECOND, 60 * SECOND - 1, chance.randrange(MINUTE)])
            )
            received = chance.choice([None, None, at + chance.choice([0, SETTLE, SETTLE + 1, 70 * SECOND])])
            words = chance.choice([None, None, "odd_lot", "cross", "extended_hours;odd_lot"])
            row = trade(
                at,
                chance.randint(90, 110),
                chance.choice([1.0, 0.1, 3.0]),
                conditions=words,
                received_at=received,
            )
            rows.append(row | {"sequence": chance.choice([None, chance.randrange(5)])})
        clock.now = max(clock.now + 1, max(row["timestamp"] for row in rows) + late)
        rows = [replace_id(row, len(oracle.standing) + n) for n, row in enumerate(rows)]
        store.append(batch(*rows))
        for row in sorted(rows, key=lambda row: row["timestamp"] // DAY_NS):
            oracle.add(row, clock.now)
        version = chance.choice(oracle.standing)
        if version.until_ns == math.inf and chance.random() < 0.6:
            clock.now += chance.choice([1, SECOND, HOUR])
            named = {"trade_id": version.row["trade_id"]}
            new = chance.choice([None, {"price": 50.0}, {"volume": 7.0}])
            at = version.row["timestamp"]
            store.correct(amendment(cancel(at, **named) if new is None else correct(at, new=new, **named)))
            oracle.end(version, clock.now, new)
    return oracle


def replace_id(row: Row, number: int) -> Row:
    return row | {"trade_id": f"t{number}"}


@pytest.mark.parametrize("seed", range(12))
def test_bars_are_those_that_were_known(store: QueryableStore, clock: Clock, seed: int):
    oracle = history(store, clock, random.Random(seed))
    for policy in BAR_POLICIES.values():
        for length in (SECOND, MINUTE, 5 * MINUTE, HOUR):
            found = then(store, length, policy)
            columns = (
                found.time_ns,
                found.open,
                found.high,
                found.low,
                found.close,
                found.volume,
                found.trade_count,
            )
            rows = [
                tuple(row) for row in np.column_stack([column.astype(object) for column in columns]).tolist()
            ]
            assert rows == oracle.bars(length, policy), (policy.name, length)


def test_versions_are_all_that_commits_stored(store: QueryableStore, clock: Clock):
    send(store, clock, 1, trade(0, 1), trade(1, 2))
    store.correct(amendment(correct(0, price=1, volume=1, new={"price": 3.0})))
    store.correct(amendment(cancel(1, price=2, volume=1)))
    names = ("price", "arrival", "commit", "until")

    def versions(commit: int | None) -> list[tuple[Any, ...]]:
        table = store.versions(TRADES, SYMBOL, ALL_TIME, commit=commit)
        return [tuple(row[name] for name in names) for row in table.to_pylist()]

    stands = 2**31 - 1
    assert versions(None) == [(1, 0, 1, 2), (3, 0, 2, stands), (2, 1, 1, 3)]
    assert versions(2) == [(1, 0, 1, 2), (3, 0, 2, stands), (2, 1, 1, stands)]
    assert versions(1) == [(1, 0, 1, stands), (2, 1, 1, stands)]
