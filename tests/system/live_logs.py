"""What frames of the live feed must hold by the store's own commits, and a store that is made from frames."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from store.csv.store import CsvStore
from store.declarations import ColumnForm, ColumnKind, Dataset
from store.protocol import NO_COMMIT, Action, Amendment, Append, Correction, Dedupe
from store.timestamps import parse_timestamp
from store.walk import BEGINNING, CommitRecord, CommittedCorrection, CommittedRows
from tests.memory_store import MemoryStore

ROWS, CORRECTIONS = "", "corrections"
FRAME_ROWS = 500


class Frame(NamedTuple):
    """A message with `seq`. data: its rows as JSON, one object of Python for all clients."""

    seq: str
    kind: str
    data: bytes
    complete_until: str | None

    @classmethod
    def of(cls, message: Mapping[str, Any], data: bytes | None = None) -> "Frame":
        """data: the message's rows as JSON, if somebody has made it already."""
        data = orjson.dumps(message.get("data", [])) if data is None else data
        kind = message.get("kind", ROWS)
        assert kind in {ROWS, CORRECTIONS}
        return cls(message["seq"], kind, data, message.get("complete_until"))


class Received(NamedTuple):
    """What a client has of a channel: all frames after a token."""

    began_at: str
    frames: Sequence[Frame]


class LogItems:
    """Rows and corrections of a log in the order of the feed, each with its token; a commit without any is one item."""

    def __init__(self, store: CsvStore, dataset: Dataset, symbol: str) -> None:
        self._dataset = dataset
        self.tokens: list[str] = []
        self._values: list[Any] = []
        self._counts = {NO_COMMIT.token: 0}
        for token, value in _items_of(store, dataset, symbol):
            self.tokens.append(token)
            self._values.append(value)
            self._counts[token] = self._counts[token.partition(".")[0]] = len(self.tokens)
        self._right: set[tuple[int, Frame]] = set()

    @property
    def last(self) -> str:
        return self.tokens[-1]

    def check(self, received: Received) -> None:
        """Assert that a client has each item once, in order, as it is stored, up to the last one."""
        assert received.began_at in self._counts, f"no commit {received.began_at}"
        count = self._counts[received.began_at]
        for frame in received.frames:
            # Of the thousand clients that have a frame only the first one's is compared with the store.
            if (count, frame) not in self._right:
                self._check_frame(frame, count)
                self._right.add((count, frame))
            count = self._counts[frame.seq]
        assert count == len(self.tokens), f"{len(self.tokens) - count} items are missing behind {frame.seq}"

    def _check_frame(self, frame: Frame, count: int) -> None:
        documents = orjson.loads(frame.data)
        assert len(documents) <= FRAME_ROWS
        values: list[Any] = [_stored_value(self._dataset, frame.kind, each) for each in documents]
        # A commit without rows is an item without a value.
        values = values or [None]
        after = count + len(values)
        assert self.tokens[count:after][-1:] == [frame.seq], (self.tokens[count : count + 1], frame)
        assert self._values[count:after] == values, frame.seq


def _items_of(store: CsvStore, dataset: Dataset, symbol: str) -> Iterator[tuple[str, Any]]:
    for piece in store.log(dataset, symbol).commits(BEGINNING):
        if isinstance(piece, CommitRecord):
            if not piece.length:
                yield piece.id.token, None
            continue
        values = piece.rows.to_pylist() if isinstance(piece, CommittedRows) else piece.corrections
        for ordinal, value in enumerate(values, start=piece.ordinal):
            token = f"{piece.commit.token}.{ordinal}"
            yield token, _as_dict(value) if isinstance(value, CommittedCorrection) else value


def _as_dict(correction: CommittedCorrection) -> dict[str, Any]:
    return {
        "action": correction.action.value,
        "commit": correction.target_commit,
        "ordinal": correction.target_ordinal,
        "before": dict(correction.before),
        "after": None if correction.after is None else dict(correction.after),
    }


def _stored_value(dataset: Dataset, kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A row or a correction of a frame as the store has it."""
    if kind == ROWS:
        return _stored_row(dataset, document)
    after = document["after"]
    return {
        **document,
        "before": _stored_row(dataset, document["before"]),
        "after": None if after is None else _stored_row(dataset, after),
    }


def _stored_row(dataset: Dataset, document: Mapping[str, Any]) -> dict[str, Any]:
    row = {column.name: document.get(column.name) for column in dataset.columns}
    for column in dataset.columns:
        value = row[column.name]
        if value is not None and column.kind is ColumnKind.TIME:
            row[column.name] = parse_timestamp(value)
        elif column.form is ColumnForm.WORDS:
            row[column.name] = ";".join(value) if value else None
    return row


def store_of(dataset: Dataset, symbol: str, frames: Sequence[Frame]) -> MemoryStore:
    """A store in memory to which the frames of a channel were applied, each commit as one batch."""
    store = MemoryStore()
    for _, group in groupby(frames, key=lambda frame: frame.seq.partition(".")[0]):
        _apply(store, dataset, symbol, list(group))
    return store


def _apply(store: MemoryStore, dataset: Dataset, symbol: str, frames: list[Frame]) -> None:
    values = [
        _stored_value(dataset, frame.kind, each) for frame in frames for each in orjson.loads(frame.data)
    ]
    if frames[0].kind == CORRECTIONS:
        store.correct(Amendment(dataset, symbol, tuple(map(_correction, values)), "live"))
        return
    rows = pa.RecordBatch.from_pylist(values, schema=dataset.schema)
    until = frames[-1].complete_until
    until_ns = None if until is None else parse_timestamp(until)
    store.append(Append(dataset, symbol, rows, "live", Dedupe.NONE, complete_until_ns=until_ns))


def _correction(value: Mapping[str, Any]) -> Correction:
    before, after = value["before"], value["after"]
    named = {name: before[name] for name in ("trade_id", "exchange", "price", "volume")}
    new = {} if after is None else {name: after[name] for name in after if after[name] != before[name]}
    return Correction(Action(value["action"]), before["timestamp"], named, new)
