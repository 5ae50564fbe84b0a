"""What a log's history answers with: a commit's parts, an event date in short, a request that was stored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from store.csv.parts.commit import Part, PartKind
from store.protocol import Receipt

_LOAD_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part with the number of its commit, and the arrival number of its first row (0 for corrections)."""

    commit: int
    first_arrival: int
    part: Part


@dataclass(frozen=True, slots=True)
class Day:
    """An event date with rows: the number of its newest commit, the smallest and the largest event time."""

    newest: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A batch that was stored under an idempotency key."""

    digest: str
    receipt: Receipt


def of_kind(parts: Iterable[StoredPart], kind: PartKind) -> list[StoredPart]:
    """Those of the parts that are of a kind, in their order."""
    return [stored for stored in parts if stored.part.kind == kind]


def loads_of(parts: Iterable[StoredPart]) -> Iterator[list[StoredPart]]:
    """The parts in their order, about 16 MiB at a time; two of one commit that are neighbours stay together."""
    load: list[StoredPart] = []
    size = 0
    for stored in parts:
        if size >= _LOAD_BYTES and stored.commit != load[-1].commit:
            yield load
            load, size = [], 0
        load.append(stored)
        size += stored.part.length
    if load:
        yield load
