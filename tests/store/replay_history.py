"""Generated logs of several symbols and datasets, and a plain computation of what a replay of them is."""

import math
import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import Dataset
from store.market_store import MarketStore
from store.protocol import Action, Append, Dedupe, Fill, Window
from store.resolutions import Resolution
from store.walk import BEGINNING, CommitRecord, CommittedCorrection, CommittedCorrections, CommittedRows
from tests.store.builders import MINUTE, NOON, SECOND, Clock, Row, amendment, batch, cancel, correct, trade
from tests.store.known_history import HOUR

LOGS = [(TRADES, "A"), (TRADES, "B"), (QUOTES, "B"), (BARS, "A"), (CORPORATE_ACTIONS, "A")]


class Replayed(NamedTuple):
    """An item of a replay. name: the commit and the ordinal of the row or the correction; target: of the row."""

    known_ns: int
    dataset: str
    symbol: str
    row: Row
    arrival: int
    change: Action | None
    name: tuple[str, int] | None = None
    target: tuple[str, int] | None = None


def write_history(store: MarketStore, clock: Clock, chance: random.Random) -> None:
    """Send rows of all logs: live, late, early, imported and filled, with corrections of trades."""
    for number in range(16):
        dataset, symbol = chance.choice([*LOGS, *LOGS[:2], *LOGS[:2]])
        clock.now += chance.choice([1, SECOND, 2 * MINUTE])
        times = [clock.now + chance.choice(_AWAY) for _ in range(chance.randint(1, 7))]
        if dataset is not TRADES:
            rows = [_row(dataset, at, number * 10 + each, chance) for each, at in enumerate(times)]
            rows = list({(row["timestamp"], row.get("resolution")): row for row in rows}.values())
            table = pa.RecordBatch.from_pylist(rows, schema=dataset.schema)
            store.append(Append(dataset, symbol, table, "key:1", Dedupe.NONE))
            continue
        trades = [_trade(at, f"{number}-{each}", chance) for each, at in enumerate(times)]
        first = min(times)
        fill = Fill(Window(first, max(times) + 1), "other") if chance.random() < 0.2 else None
        store.append(batch(*trades, symbol=symbol, fill=fill))
        for _ in range(chance.choice([0, 0, 1, 3])):
            clock.now += chance.choice([1, 1, 3 * MINUTE])
            _correct_some(store, symbol, chance)


_AWAY = (0, -1, -SECOND, -90 * SECOND, -59 * MINUTE, -2 * HOUR, -2 * HOUR, 5, MINUTE)


def _trade(at: int, name: str, chance: random.Random) -> Row:
    received = chance.choice([None, None, at, at - MINUTE, at + 3 * SECOND, at + 2 * HOUR])
    sequence = chance.choice([None, chance.randrange(3)])
    return trade(at, chance.randint(1, 9), trade_id=name, sequence=sequence, received_at=received)


def _row(dataset: Dataset, at: int, number: int, chance: random.Random) -> Row:
    row = dict.fromkeys(dataset.schema.names)
    if dataset is QUOTES:
        return row | {
            "timestamp": at,
            "bid": float(number),
            "received_at": chance.choice([None, at + SECOND]),
        }
    if dataset is CORPORATE_ACTIONS:
        return row | {"timestamp": at + chance.choice([0, HOUR]), "kind": "split", "ratio": 2.0 + number}
    resolution = chance.choice([Resolution.parse("1m"), Resolution.parse("1h")])
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0 + number)
    start = at // resolution.length_ns * resolution.length_ns
    return row | {"timestamp": start, "resolution": resolution.value} | prices


def _correct_some(store: MarketStore, symbol: str, chance: random.Random) -> None:
    """Correct or cancel some standing trades in one commit, perhaps one of them twice."""
    rows = [
        row for row in store.log(TRADES, symbol).at().rows(Window(0, 2**62)).to_pylist() if row["trade_id"]
    ]
    corrections = []
    for row in chance.sample(rows, min(len(rows), chance.choice([1, 2]))):
        named: Row = {"trade_id": row["trade_id"]}
        new = {"price": row["price"] + 10, "sequence": chance.choice([None, 1])}
        change = chance.choice(["cancel", "correct", "correct", "twice", "undone"])
        if change != "cancel":
            corrections.append(correct(row["timestamp"], new=new, **named))
        if change == "twice":
            corrections.append(correct(row["timestamp"], new={"volume": 77.0}, **named))
        if change in ("cancel", "undone"):
            corrections.append(cancel(row["timestamp"], **named))
    if corrections:
        store.correct(amendment(*corrections, symbol=symbol))


@dataclass
class _Version:
    row: Row
    arrival: int
    name: tuple[str, int]
    from_ns: int
    commit: int
    change: Action | None = None
    until_ns: float = math.inf
    place: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        sequence = self.row.get("sequence")
        place = 2**62 if sequence is None else sequence
        self.place = (self.row["timestamp"], place, self.arrival, self.commit)


@dataclass
class _Log:
    """The versions of a log's rows by arrival number, and which of them were cancelled."""

    dataset: Dataset
    newest: list[_Version] = field(default_factory=list)
    versions: list[_Version] = field(default_factory=list)
    cancels: list[tuple[_Version, _Version]] = field(default_factory=list)
    arrivals: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, record: CommitRecord, piece: CommittedRows) -> None:
        number, token, at_ns = record.id.number, record.id.token, record.committed_at
        for ordinal, row in enumerate(piece.rows.to_pylist(), piece.ordinal):
            arrival = self.arrivals[number, ordinal] = len(self.newest)
            known_ns = _known(self.dataset, row, at_ns)
            self.newest.append(_Version(row, arrival, (token, ordinal), known_ns, number))
            self.versions.append(self.newest[-1])

    def correct(self, record: CommitRecord, piece: CommittedCorrections) -> None:
        last: dict[int, tuple[int, CommittedCorrection]] = {}
        for ordinal, each in enumerate(piece.corrections, piece.ordinal):
            last[self.arrivals[each.target_commit, each.target_ordinal]] = ordinal, each
        at_ns = record.committed_at
        for arrival, (ordinal, each) in last.items():
            before, name = self.newest[arrival], (record.id.token, ordinal)
            before.until_ns = at_ns
            row = before.row if each.after is None else dict(each.after)
            changed = _Version(row, arrival, name, at_ns, record.id.number, each.action)
            if each.after is None:
                self.cancels.append((before, changed))
            else:
                self.newest[arrival] = changed
                self.versions.append(changed)

    def known(self) -> list[tuple[_Version, _Version]]:
        """All that was ever known, each with the version that gives its place."""
        pairs = [(each, each) for each in self.versions] + self.cancels
        return [pair for pair in pairs if pair[0].from_ns < pair[0].until_ns]


def replay_of(
    store: MarketStore, dataset: Dataset, symbol: str, window: Window, commit: int | None = None
) -> list[tuple[Any, Replayed]]:
    """What a replay has of one log, each with the key of its order, by a walk of the log."""
    log, record = _Log(dataset), None
    for piece in store.log(dataset, symbol).commits(BEGINNING, commit) if commit != 0 else ():
        if isinstance(piece, CommitRecord):
            record = piece
        elif isinstance(piece, CommittedRows):
            assert record is not None
            log.add(record, piece)
        else:
            assert record is not None
            log.correct(record, piece)
    names = {arrival: name for name, arrival in log.arrivals.items()}
    found = []
    for placed, each in log.known():
        if each.from_ns < window.end_ns and window.start_ns <= each.row["timestamp"] < window.end_ns:
            number, ordinal = names[each.arrival]
            target = store.log(dataset, symbol).at(number).commit.token, ordinal
            values = (dataset.name, symbol, each.row, each.arrival, each.change, each.name, target)
            key = (each.from_ns, dataset.name, symbol, placed.place)
            found.append((key, Replayed(each.from_ns, *values)))
    return found


def _known(dataset: Dataset, row: Row, committed_ns: int) -> int:
    at: int = row["timestamp"]
    if dataset is BARS:
        at += Resolution.parse(row["resolution"]).length_ns
    received: int | None = row.get("received_at")
    if received is not None:
        return received
    return committed_ns if committed_ns - at <= HOUR else at


def times_of(chance: random.Random) -> tuple[Window, int]:
    """A window in or around the history, and an instant of it."""
    first = NOON + chance.randrange(-HOUR, 10 * MINUTE)
    return Window(first, first + chance.randrange(1, 3 * HOUR)), NOON + chance.randrange(HOUR)
