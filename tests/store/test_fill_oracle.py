"""Batches of a feed and fills in any order, against a model of lists: the rows at every commit, and the bars of them."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from store.copying import copy_log
from store.csv import CsvStore
from store.csv.writing.batch import PreparedAmendment, PreparedBatch, PreparedRequest
from store.csv.writing.group_commit import PendingCommit
from store.datasets import TRADES
from store.exceptions import IdConflict
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Correction, Fill, Window
from tests.chance import examples
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
    bars_of_rows,
    batch,
    cancel,
    correct,
    open_log,
    stored,
    trade,
)
from tests.store.conftest import STORES

pytestmark = pytest.mark.system

TIMES = [*(n * SECOND for n in range(6)), MINUTE, DAY, DAY + 1, DAY + 2]


@dataclass(eq=False)
class Known:
    """A row: all its values so far, whether a fill stored it, and whether it stands."""

    states: list[Row]
    of_fill: bool
    stands: bool = True

    @property
    def time(self) -> int:
        time_ns: int = self.states[0]["timestamp"]
        return time_ns

    def has_id_of(self, row: Row) -> bool:
        own = self.states[0]
        return bool(row["trade_id"]) and all(own[name] == row[name] for name in ("timestamp", "trade_id"))


@dataclass
class Model:
    """All rows in order of arrival, and those that stood at each commit."""

    rows: list[Known] = field(default_factory=list)
    commits: list[list[Row]] = field(default_factory=lambda: [[]])

    def send(self, rows: Sequence[Row], *, is_fill: bool) -> tuple[int, int | None] | None:
        """How many rows are stored, and how many superseded; None if the batch is refused."""
        replaced = [] if is_fill else [known for known in self.rows if self.is_replaced(known, rows)]
        counted = [known for known in self.rows if not known.of_fill or (is_fill and known.stands)]
        new: list[Known] = []
        for row in rows:
            same_id = [known for known in [*counted, *new] if known.has_id_of(row)]
            if row["trade_id"] and same_id:
                if not is_fill and not any(row in known.states for known in same_id):
                    return None
                continue
            found = next((k for k in counted if not row["trade_id"] and k.states[0] == row), None)
            if found is not None:
                counted.remove(found)
            else:
                new.append(Known([row], is_fill))
        for known in replaced:
            known.stands = False
        self.rows += sorted(new, key=lambda known: known.time // DAY)
        if new or is_fill or replaced:
            self.commit()
        return len(new), len(replaced) or None

    def is_replaced(self, known: Known, rows: Sequence[Row]) -> bool:
        first, last = min(row["timestamp"] for row in rows), max(row["timestamp"] for row in rows)
        return known.of_fill and known.stands and first <= known.time <= last

    def commit(self) -> None:
        ordered = sorted((k for k in self.rows if k.stands), key=lambda known: known.time)
        self.commits.append([known.states[-1] for known in ordered])

    def standing(self, row: Row) -> Known | None:
        """The row that a correction of these values changes; None if it may be one of several."""
        named = ("timestamp", "price", "volume")
        found = [k for k in self.rows if k.stands and all(k.states[-1][n] == row[n] for n in named)]
        return found[-1] if found and all(k.states[-1] == found[-1].states[-1] for k in found) else None


trades = st.builds(
    trade,
    st.sampled_from(TIMES),
    st.sampled_from([1.0, 2.0]),
    st.just(1.0),
    trade_id=st.sampled_from([None, None, None, "a", "b"]),
)
batches = st.lists(trades, min_size=1, max_size=5)
windows = st.tuples(st.sampled_from(TIMES), st.sampled_from([*TIMES[1:], DAY + 3])).filter(
    lambda ends: ends[0] < ends[1]
)
steps = st.one_of(
    st.tuples(st.just("feed"), batches),
    st.tuples(st.just("feed"), batches),
    st.tuples(windows, batches),
    st.tuples(windows, batches),
    st.tuples(st.just("cancel"), trades),
    st.tuples(st.just("correct"), trades),
    st.tuples(st.just("again"), st.integers(0, 20)),
    st.tuples(st.just("restart"), st.none()),
)


@dataclass
class Played:
    """A store and its model, step by step."""

    folder: Path
    name: str
    clock: Clock = field(default_factory=Clock)
    model: Model = field(default_factory=Model)
    sent: list[list[Row]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.store: MarketStore = STORES[self.name](self.folder, self.clock)

    def play(self, kind: Any, value: Any) -> None:
        self.clock.now += SECOND
        if kind == "restart":
            if self.name != "memory":
                self.open()
        elif kind == "again":
            if self.sent:
                self.append(self.sent[value % len(self.sent)], None)
        elif kind in ("cancel", "correct"):
            self.correct(kind, value)
        elif kind == "feed":
            self.sent.append(value)
            self.append(value, None)
        else:
            window = Window(NOON + kind[0], NOON + kind[1])
            inside = [row for row in value if window.start_ns <= row["timestamp"] < window.end_ns]
            self.sent.append(inside or value)
            self.append(inside, Fill(window, "other"))

    def append(self, rows: list[Row], fill: Fill | None) -> None:
        expected = self.model.send(rows, is_fill=fill is not None)
        if expected is None:
            with pytest.raises(IdConflict):
                self.store.append(batch(*rows))
            return
        receipt = self.store.append(batch(*rows, fill=fill))
        assert (receipt.stored, receipt.superseded) == expected
        assert receipt.commit.number == len(self.model.commits) - 1

    def correct(self, kind: str, row: Row) -> None:
        known = self.model.standing(row)
        if known is None:
            return
        named = {"price": row["price"], "volume": row["volume"]}
        if kind == "cancel":
            self.change(cancel(row["timestamp"], **named))
            known.stands = False
        else:
            self.change(correct(row["timestamp"], **named, new={"price": 3.0}))
            known.states.append({**known.states[-1], "price": 3.0})
        self.model.commit()

    def change(self, correction: Correction) -> None:
        self.store.correct(amendment(correction))

    def check(self) -> None:
        for number, rows in enumerate(self.model.commits):
            if len(self.model.commits) == 1:
                return
            assert stored(self.store, commit=number) == rows
            expected = bars_of_rows(self.store.log(TRADES, SYMBOL).at(number).rows(ALL_TIME), MINUTE)
            bars = self.store.log(TRADES, SYMBOL).at(number).bars(ALL_TIME, MINUTE)
            assert (bars.volume.tolist(), bars.close.tolist()) == (
                expected.volume.tolist(),
                expected.close.tolist(),
            )
        replica = MemoryStore()
        copy_log(self.store.log(TRADES, SYMBOL), replica.log(TRADES, SYMBOL))
        assert stored(replica) == self.model.commits[-1]


def a(at: int, price: float) -> Row:
    """A trade with the id `a`."""
    return trade(at, price, trade_id="a")


ALL = (0, 2 * DAY)
THREE = [trade(SECOND, 1.0), trade(2 * SECOND, 2.0), a(3 * SECOND, 3.0)]
AROUND = [trade(0, 9.0), trade(5 * SECOND, 9.0)]


@pytest.mark.parametrize("name", list(STORES))
# What took the place of a fill's rows stays when a later batch passes over it.
@example(plan=[(ALL, THREE), ("feed", THREE), ("feed", AROUND), ("feed", THREE)])
# A superseded row that the feed sends later is stored, with the same values or others; a later fill brings it back.
@example(plan=[(ALL, THREE), ("feed", AROUND), ("feed", [THREE[1], a(3 * SECOND, 3.5)]), ("again", 2)])
@example(plan=[(ALL, THREE), ("feed", AROUND), (ALL, THREE)])
# A row of the feed is a duplicate of its own, and replaces those of the fill.
@example(plan=[("feed", THREE), (ALL, THREE), ("feed", THREE[:1]), (ALL, [a(DAY - 2, 8.0), a(0, 8.0)])])
@example(plan=[("feed", [trade(1)]), (ALL, [trade(1), trade(1)]), ("feed", [trade(1)])])
# Then other values of an id are in conflict with it.
@example(plan=[(ALL, [a(1, 1.0)]), ("feed", [a(1, 1.0)]), ("feed", [a(1, 2.0)])])
# Dates between the first and the last row are passed over.
@example(plan=[(ALL, [trade(1), trade(DAY), trade(2 * DAY - 1)]), ("feed", [trade(2), trade(2 * DAY - 2)])])
@settings(max_examples=examples(40), deadline=None)
@given(plan=st.lists(steps, min_size=1, max_size=12))
def test_rows_at_every_commit_are_those_of_the_model(name: str, plan: list[tuple[Any, Any]]):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        played = Played(Path(folder), name)
        for kind, value in plan:
            played.play(kind, value)
        played.check()


# Within one group: a fill, a cancel and a correction of its rows, and batches that pass over them.
GROUP = [
    ((0, MINUTE), [trade(n * SECOND, 1.0) for n in range(5)]),
    ("cancel", trade(0, 1.0)),
    ("correct", trade(SECOND, 1.0)),
    ("feed", [trade(0, 1.0), trade(3 * SECOND, 2.0)]),
    ("feed", [trade(SECOND, 1.0), trade(4 * SECOND, 1.0)]),
]


@example(groups=[GROUP])
@settings(max_examples=examples(50), deadline=None)
@given(groups=st.lists(st.lists(steps, min_size=1, max_size=6), min_size=1, max_size=4))
def test_batches_that_are_written_together_are_those_of_the_model(groups: list[list[tuple[Any, Any]]]):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        played = GroupPlayed(Path(folder), "csv")
        for group in groups:
            for kind, value in group:
                if kind != "restart":
                    played.play(kind, value)
            played.write()
        played.check()


@dataclass
class GroupPlayed(Played):
    """The same with batches that one thread writes for others."""

    waiting: list[tuple[PreparedRequest, Any]] = field(default_factory=list)

    def append(self, rows: list[Row], fill: Fill | None) -> None:
        expected = self.model.send(rows, is_fill=fill is not None)
        self.waiting.append((PreparedBatch.of(batch(*rows, fill=fill)), expected))

    def change(self, correction: Correction) -> None:
        assert isinstance(self.store, CsvStore)
        self.waiting.append((PreparedAmendment.of(amendment(correction)), (1, None)))

    def write(self) -> None:
        assert isinstance(self.store, CsvStore)
        group = [PendingCommit(request) for request, _ in self.waiting]
        open_log(self.store).writer._write_group(group)
        for each, (_, expected) in zip(group, self.waiting, strict=True):
            if expected is None:
                assert isinstance(each.error, IdConflict)
                continue
            receipt = each.receipt
            assert receipt is not None, each.error
            assert (receipt.stored, receipt.superseded) == expected
        self.waiting = []
