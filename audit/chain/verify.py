"""Whether the chain is whole: every record in its place, unaltered, up to the end that is known outside."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain as joined
from typing import Any, NamedTuple

from audit.chain.append import base_seal, chain_key
from audit.chain.links import BEGINNING, ChainKey, Head, Link
from audit.chain.witness import (
    ANCHORS_LOST,
    HEAD_LOST,
    PUT_BACK,
    UnreadableWitness,
    Witness,
    WitnessNote,
    witness,
)
from audit.exceptions import NoSuchBeginning
from audit.models import AuditRecord, ChainEnds
from audit.records.columns import AuditColumns


class FindingKind(StrEnum):
    """What became of a record."""

    ALTERED = "altered"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    CUT_OFF = "cut off"
    FORKED = "forked"
    UNKNOWN = "unknown"


_SENTENCES = {
    FindingKind.ALTERED: "record {} was altered",
    FindingKind.MISSING: "record {} is missing",
    FindingKind.INSERTED: "record {} was inserted",
    FindingKind.REORDERED: "record {} is not in its place",
    FindingKind.CUT_OFF: "record {} and what follows were cut off",
    FindingKind.FORKED: "record {} is not the one that was written first",
    FindingKind.UNKNOWN: "what follows record {} cannot be told",
}


class ChainFinding(NamedTuple):
    """The first record that is not right, by its number, and what is known of it."""

    kind: FindingKind
    sequence: int
    message: str

    @classmethod
    def of(cls, kind: FindingKind, sequence: int, remark: str = "") -> "ChainFinding":
        """A finding in words, with a remark."""
        sentence = _SENTENCES[kind].format(f"{sequence:,}")
        return cls(kind, sequence, f"{sentence}: {remark}" if remark else sentence)


_LOST = {HEAD_LOST: "the head outside was", ANCHORS_LOST: "anchors were"}


@dataclass(slots=True)
class Evidence:
    """`hashes` by number, what is to be said already, and whether a head is kept, readable or not."""

    hashes: dict[int, str] = field(default_factory=dict)
    findings: list[ChainFinding] = field(default_factory=list)
    has_head: bool = True

    def fork(self, sequence: int) -> ChainFinding:
        """What is to be said of a record whose hash is not the one that is known."""
        known = sorted(self.hashes)
        place = bisect_left(known, sequence)
        agreed = known[place - 1] if place else 0
        return ChainFinding.of(
            FindingKind.FORKED, sequence, f"the last that is known to be as it was is {agreed:,}"
        )

    def add(self, notes: Iterable[WitnessNote]) -> None:
        """What anchors say, in their order.

        After a chain was put back, what had been known of its end is of another one.
        """
        for note in notes:
            if note.kind == PUT_BACK:
                self.hashes = {each: told for each, told in self.hashes.items() if each <= note.sequence}
                remark = (
                    f"the database was put back to {note.sequence:,} from {note.anchored:,} before {note.at}"
                )
                self.findings.append(ChainFinding.of(FindingKind.FORKED, note.sequence + 1, remark))
            else:
                if note.kind in _LOST:
                    remark = f"{_LOST[note.kind]} gone before {note.at}"
                    self.findings.append(ChainFinding.of(FindingKind.UNKNOWN, note.sequence, remark))
                self.hashes.setdefault(note.sequence, note.hash)


def evidence(key: ChainKey) -> Evidence:
    """All that is known outside of this installation's chain."""
    found, kept_by = Evidence(), witness(key)
    unreadable: list[Exception] = []
    kept: dict[int, str] = {}
    try:
        _add_head(found, kept_by)
        kept.update(found.hashes)
        found.add(kept_by.anchors(on_error=unreadable.append))
    except OSError as error:
        unreadable.append(error)
    # The head is the newest of all that is known.
    found.hashes.update(kept)
    for first in unreadable[:1]:
        found.findings.append(ChainFinding.of(FindingKind.UNKNOWN, 0, f"anchors cannot be read: {first}"))
    return found


def head_finding(outside: Evidence, last: int) -> ChainFinding | None:
    """What is to be said if no head is kept, of a chain that ends with `last`, 0 without a record.

    A chain's first record is there an instant before its head is kept, so it is looked for again.
    """
    if outside.has_head or witness(chain_key()).has_head():
        return None
    if not last and not outside.hashes:
        return ChainFinding(FindingKind.UNKNOWN, 0, "there is no record and no head: nothing can be told")
    there = "records are there" if last else "anchors are there"
    return ChainFinding.of(FindingKind.UNKNOWN, last, f"the head outside is missing although {there}")


def _add_head(found: Evidence, kept_by: Witness) -> None:
    try:
        kept = kept_by.kept()
    except (OSError, UnreadableWitness) as error:
        found.findings.append(ChainFinding.of(FindingKind.UNKNOWN, 0, f"the head cannot be read: {error}"))
        return
    if kept is None:
        found.has_head = False
        return
    found.hashes[kept.sequence] = kept.hash
    if not kept_by.has_anchor(kept):
        remark = "its anchor, the last, is missing from anchors.jsonl"
        found.findings.append(ChainFinding.of(FindingKind.UNKNOWN, kept.anchored, remark))


CHUNK = 5_000
# How far the place of a record that is not in its own is looked for.
SEARCHED = 10_000
_NAMES = ("sequence", *AuditColumns._fields, "hash")

Row = tuple[Any, ...]


@dataclass(slots=True)
class Verification:
    """What was found, the first first; how many are in order, and the last; what else is to be said."""

    records: int = 0
    last: Head = BEGINNING
    findings: list[ChainFinding] = field(default_factory=list)
    remark: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing to be said."""
        return not self.findings


class _Ends(NamedTuple):
    base: Head
    head: Head
    finding: ChainFinding | None


def chain_verify(
    *, first: int | None = None, report: Callable[[int], object] = lambda _: None
) -> Verification:
    """Verify all records in the database, or those from `first` on.

    The one before `first` is believed. Records that are added meanwhile do no harm. Memory is bounded:
    records are read in chunks; `report` is told how many were verified after each. Raises NoSuchBeginning.
    """
    key = chain_key()
    # What is known outside and of the ends comes first: what is added later is only more than that.
    outside, ends = evidence(key), _ends()
    start = _start(first, ends.base)
    found = Verification(last=start)
    if ends.finding is not None:
        found.findings.append(ends.finding)
    if first is None and (stray := AuditRecord.objects.filter(sequence__lte=start.sequence).last()):
        found.findings.append(
            ChainFinding.of(FindingKind.INSERTED, stray.sequence, "before the chain's beginning")
        )
    wrong = _walked_from(key, found, outside, report) or _ended(found, ends.head, outside)
    everything = {*found.findings, *outside.findings, *([] if wrong is None else [wrong])}
    found.findings = sorted(
        (each for each in everything if first is None or each.sequence > start.sequence),
        key=lambda each: each.sequence,
    )
    if (headless := head_finding(outside, found.last.sequence)) is not None:
        found.findings.append(headless)
    return found


def beginning_verify(end: int) -> ChainFinding | None:
    """What is wrong first with the chain's records up to `end`, by their key alone."""
    ends = _ends()
    if ends.finding is not None:
        return ends.finding
    key, (last, previous) = chain_key(), ends.base
    while last < end and (rows := rows_after(last)):
        for row in rows:
            if last == end:
                break
            if row[0] != last + 1:
                return ChainFinding.of(FindingKind.MISSING, last + 1)
            if key.hash(previous, last + 1, row[1:-1]) != row[-1]:
                return _classified(key, Head(last, previous), row)
            last, previous = row[0], row[-1]
    return ChainFinding.of(FindingKind.MISSING, last + 1) if last < end else None


def link_of(row: Row) -> Link:
    """A row of `_NAMES` as a link."""
    sequence, *columns, hash_ = row
    return Link(sequence, AuditColumns(*columns), hash_)


def rows_after(sequence: int) -> list[Row]:
    """The rows that follow a place, in order: sequence, columns, hash."""
    return list(
        AuditRecord.objects.filter(sequence__gt=sequence).order_by("sequence").values_list(*_NAMES)[:CHUNK]
    )


def _walked_from(
    key: ChainKey, found: Verification, outside: Evidence, report: Callable[[int], object]
) -> ChainFinding | None:
    """The same as `_walked`, going on where the chain begins by then if records are pruned meanwhile."""
    while (wrong := _walked(key, found, outside, report)) is not None and wrong.kind is FindingKind.MISSING:
        ends = _ends()
        if ends.finding is not None or ends.base.sequence <= found.last.sequence:
            break
        found.last = ends.base
    return wrong


def _walked(
    key: ChainKey, found: Verification, outside: Evidence, report: Callable[[int], object]
) -> ChainFinding | None:
    """Go through the records after `found.last`; the first that is not right."""
    hash_of, known, (last, previous) = key.hash, outside.hashes, found.last
    while rows := rows_after(last):
        for row in rows:
            sequence, hash_ = row[0], row[-1]
            if sequence != last + 1:
                return _stopped(found, last, previous, ChainFinding.of(FindingKind.MISSING, last + 1))
            if hash_of(previous, last + 1, row[1:-1]) != hash_:
                return _stopped(found, last, previous, _classified(key, Head(last, previous), row))
            if last + 1 in known and known[last + 1] != hash_:
                return _stopped(found, last, previous, outside.fork(last + 1))
            last, previous = last + 1, hash_
        _stopped(found, last, previous, None)
        report(found.records)
    return None


def _stopped(
    found: Verification, last: int, previous: str, finding: ChainFinding | None
) -> ChainFinding | None:
    found.records += last - found.last.sequence
    found.last = Head(last, previous)
    return finding


def _ended(found: Verification, head: Head, outside: Evidence) -> ChainFinding | None:
    """What the ends say of a chain that is right as far as it goes."""
    reached = max((head.sequence, *outside.hashes))
    if found.last.sequence < reached:
        return ChainFinding.of(
            FindingKind.CUT_OFF, found.last.sequence + 1, f"record {reached} had been written"
        )
    if found.last.sequence == head.sequence and found.last.hash != head.hash:
        return ChainFinding.of(FindingKind.ALTERED, head.sequence, "the head says another hash")
    return None


def _classified(key: ChainKey, before: Head, row: Row) -> ChainFinding:
    """What became of the record after `before`, where another is in its place."""
    sequence = before.sequence + 1
    this = link_of(row)
    rest = _following(sequence)
    following = next(rest, None)
    if following is None:
        return ChainFinding.of(FindingKind.ALTERED, sequence)
    if _is(key, before.hash, sequence, following):
        swapped = _is(key, following.hash, sequence + 1, this)
        return ChainFinding.of(FindingKind.REORDERED if swapped else FindingKind.INSERTED, sequence)
    if any(_is(key, this.hash, sequence + 1 + gap, following) for gap in range(1, SEARCHED)):
        return ChainFinding.of(FindingKind.MISSING, sequence, "those after it were numbered anew")
    if any(_is(key, before.hash, sequence, link) for link in rest):
        return ChainFinding.of(FindingKind.REORDERED, sequence)
    return ChainFinding.of(FindingKind.ALTERED, sequence)


def _is(key: ChainKey, previous: str, sequence: int, link: Link) -> bool:
    """Whether a record was written after `previous` with this number, whatever number it bears now."""
    return key.hash(previous, sequence, link.columns) == link.hash


def _following(sequence: int) -> Iterator[Link]:
    chunks: Iterable[list[Row]] = (rows_after(sequence + start) for start in range(0, SEARCHED, CHUNK))
    return map(link_of, joined.from_iterable(chunks))


def _start(first: int | None, base: Head) -> Head:
    if first is None or first <= base.sequence + 1:
        return base
    before = AuditRecord.objects.filter(sequence=first - 1).values_list("sequence", "hash").first()
    if before is None:
        raise NoSuchBeginning(f"there is no record {first - 1}, which record {first} would follow")
    return Head(*before)


def _ends() -> _Ends:
    ends = ChainEnds.objects.first()
    if ends is None:
        lost = ChainFinding.of(FindingKind.ALTERED, 0, "the row of the chain's ends is gone")
        return _Ends(BEGINNING, BEGINNING, lost if AuditRecord.objects.exists() else None)
    base, head = Head(ends.base_sequence, ends.base_hash), Head(ends.head_sequence, ends.head_hash)
    forged = ChainFinding.of(FindingKind.ALTERED, base.sequence, "the chain's beginning was not set here")
    return _Ends(base, head, None if base_seal(base) == ends.base_seal else forged)
