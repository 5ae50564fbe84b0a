"""Whether the chain is whole: every record in its place, unaltered, up to the end that is known outside."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain as joined
from typing import Any, NamedTuple

from audit.chain.append import base_seal, chain_key
from audit.chain.evidence import Evidence, evidence, head_finding
from audit.chain.findings import Finding, Kind
from audit.chain.links import BEGINNING, ChainKey, Head, Link
from audit.exceptions import NoSuchBeginning
from audit.models import AuditRecord, ChainEnds
from audit.records.columns import Columns

CHUNK = 5_000
# How far the place of a record that is not in its own is looked for.
SEARCHED = 10_000
_NAMES = ("sequence", *Columns._fields, "hash")

Row = tuple[Any, ...]


@dataclass(slots=True)
class Verification:
    """What was found, the first first; how many are in order, and the last; what else is to be said."""

    records: int = 0
    last: Head = BEGINNING
    findings: list[Finding] = field(default_factory=list)
    remark: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing to be said."""
        return not self.findings


class _Ends(NamedTuple):
    base: Head
    head: Head
    finding: Finding | None


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
        found.findings.append(Finding.of(Kind.INSERTED, stray.sequence, "before the chain's beginning"))
    wrong = _walked_from(key, found, outside, report) or _ended(found, ends.head, outside)
    everything = {*found.findings, *outside.findings, *([] if wrong is None else [wrong])}
    found.findings = sorted(
        (each for each in everything if first is None or each.sequence > start.sequence),
        key=lambda each: each.sequence,
    )
    if (headless := head_finding(outside, found.last.sequence)) is not None:
        found.findings.append(headless)
    return found


def beginning_verify(end: int) -> Finding | None:
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
                return Finding.of(Kind.MISSING, last + 1)
            if key.hash(previous, last + 1, row[1:-1]) != row[-1]:
                return _classified(key, Head(last, previous), row)
            last, previous = row[0], row[-1]
    return Finding.of(Kind.MISSING, last + 1) if last < end else None


def link_of(row: Row) -> Link:
    """A row of `_NAMES` as a link."""
    sequence, *columns, hash_ = row
    return Link(sequence, Columns(*columns), hash_)


def rows_after(sequence: int) -> list[Row]:
    """The rows that follow a place, in order: sequence, columns, hash."""
    return list(
        AuditRecord.objects.filter(sequence__gt=sequence).order_by("sequence").values_list(*_NAMES)[:CHUNK]
    )


def _walked_from(
    key: ChainKey, found: Verification, outside: Evidence, report: Callable[[int], object]
) -> Finding | None:
    """The same as `_walked`, going on where the chain begins by then if records are pruned meanwhile."""
    while (wrong := _walked(key, found, outside, report)) is not None and wrong.kind is Kind.MISSING:
        ends = _ends()
        if ends.finding is not None or ends.base.sequence <= found.last.sequence:
            break
        found.last = ends.base
    return wrong


def _walked(
    key: ChainKey, found: Verification, outside: Evidence, report: Callable[[int], object]
) -> Finding | None:
    """Go through the records after `found.last`; the first that is not right."""
    hash_of, known, (last, previous) = key.hash, outside.hashes, found.last
    while rows := rows_after(last):
        for row in rows:
            sequence, hash_ = row[0], row[-1]
            if sequence != last + 1:
                return _stopped(found, last, previous, Finding.of(Kind.MISSING, last + 1))
            if hash_of(previous, last + 1, row[1:-1]) != hash_:
                return _stopped(found, last, previous, _classified(key, Head(last, previous), row))
            if last + 1 in known and known[last + 1] != hash_:
                return _stopped(found, last, previous, outside.fork(last + 1))
            last, previous = last + 1, hash_
        _stopped(found, last, previous, None)
        report(found.records)
    return None


def _stopped(found: Verification, last: int, previous: str, finding: Finding | None) -> Finding | None:
    found.records += last - found.last.sequence
    found.last = Head(last, previous)
    return finding


def _ended(found: Verification, head: Head, outside: Evidence) -> Finding | None:
    """What the ends say of a chain that is right as far as it goes."""
    reached = max((head.sequence, *outside.hashes))
    if found.last.sequence < reached:
        return Finding.of(Kind.CUT_OFF, found.last.sequence + 1, f"record {reached} had been written")
    if found.last.sequence == head.sequence and found.last.hash != head.hash:
        return Finding.of(Kind.ALTERED, head.sequence, "the head says another hash")
    return None


def _classified(key: ChainKey, before: Head, row: Row) -> Finding:
    """What became of the record after `before`, where another is in its place."""
    sequence = before.sequence + 1
    this = link_of(row)
    rest = _following(sequence)
    following = next(rest, None)
    if following is None:
        return Finding.of(Kind.ALTERED, sequence)
    if _is(key, before.hash, sequence, following):
        swapped = _is(key, following.hash, sequence + 1, this)
        return Finding.of(Kind.REORDERED if swapped else Kind.INSERTED, sequence)
    if any(_is(key, this.hash, sequence + 1 + gap, following) for gap in range(1, SEARCHED)):
        return Finding.of(Kind.MISSING, sequence, "those after it were numbered anew")
    if any(_is(key, before.hash, sequence, link) for link in rest):
        return Finding.of(Kind.REORDERED, sequence)
    return Finding.of(Kind.ALTERED, sequence)


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
        lost = Finding.of(Kind.ALTERED, 0, "the row of the chain's ends is gone")
        return _Ends(BEGINNING, BEGINNING, lost if AuditRecord.objects.exists() else None)
    base, head = Head(ends.base_sequence, ends.base_hash), Head(ends.head_sequence, ends.head_hash)
    forged = Finding.of(Kind.ALTERED, base.sequence, "the chain's beginning was not set here")
    return _Ends(base, head, None if base_seal(base) == ends.base_seal else forged)
