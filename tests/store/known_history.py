"""A generated history of live and late trades with corrections, and what was known of it at each instant."""

import math
import random
from dataclasses import dataclass
from typing import Any

from store.bar_policies import BarPolicy
from store.market_store import MarketStore
from store.protocol import Window
from store.timestamps import DAY_NS
from tests.store.builders import MINUTE, NOON, SECOND, Clock, Row, amendment, batch, cancel, correct, trade

SETTLE = 2 * SECOND
HOUR = 3_600 * SECOND
WINDOW = Window(NOON, NOON + 20 * MINUTE)


@dataclass
class Version:
    """A version of a row as the oracle keeps it."""

    row: Row
    arrival: int
    from_ns: int
    until_ns: float = math.inf


def _order(version: Version) -> tuple[int, int, int]:
    sequence: int | None = version.row["sequence"]
    return version.row["timestamp"], 2**62 if sequence is None else sequence, version.arrival


class Oracle:
    """All versions of all rows, each with the time from which it was known."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.standing: list[Version] = []

    def add(self, row: Row, committed_ns: int) -> None:
        at = row["timestamp"]
        known = committed_ns if committed_ns - at <= HOUR else at
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

    def rows_at(self, at: int) -> list[Version]:
        """The versions that were known at an instant, in order."""
        return sorted((v for v in self.versions if v.from_ns <= at < v.until_ns), key=_order)

    def rows(self, start: int, end: int) -> list[Row]:
        """The rows of a window, each as it was known at its time plus settle."""
        known = [v for v in self.versions if v.from_ns <= v.row["timestamp"] + SETTLE < v.until_ns]
        return [v.row for v in sorted(known, key=_order) if start <= v.row["timestamp"] < end]

    def bars(self, length: int, policy: BarPolicy, at_ns: int | None = None) -> list[tuple[float, ...]]:
        """(start, open, high, low, close, volume, count) of each bar in the window, as known at its end or an instant."""

        found = []
        for start in range(WINDOW.start_ns, WINDOW.end_ns, length):
            at = start + length + SETTLE if at_ns is None else at_ns
            known = self.rows_at(at)
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


def history(store: MarketStore, clock: Clock, chance: random.Random) -> Oracle:
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
