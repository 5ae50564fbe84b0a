"""Verifies that every record is unaltered and in its place in the chain.

A finding gives the number of a record. Either the record is missing, or its hash does not fit its content and the
hash of the record before it. A finding does not say what happened (edited, moved, inserted, renumbered): compare
the record with an export or a backup.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from audit.chain.append import base_seal, chain_key, hash_of
from audit.chain.findings import ChainFinding, FindingKind
from audit.chain.links import BEGINNING, Head
from audit.exceptions import NoSuchBeginning
from audit.models import AuditRecord, ChainEnds
from audit.records.columns import AuditColumns

CHUNK = 5_000
_NAMES = ("sequence", *AuditColumns._fields, "hash")


@dataclass(slots=True)
class Verification:
    """The number of unaltered records, the last of them, and the findings."""

    records: int = 0
    last: Head = BEGINNING
    findings: list[ChainFinding] = field(default_factory=list)


class _Ends(NamedTuple):
    base: Head
    head: Head
    finding: ChainFinding | None


def chain_verify(*, first: int | None = None, noted: Head | None = None) -> Verification:
    """Verify all records in the database, or those from number `first` on; the record before `first` is trusted.

    noted: a head that was noted outside of the database, such as in the server's log. A chain whose end was cut off lacks
    it. So does a chain that was continued from an earlier record. Records may be added or pruned meanwhile. Reads CHUNK
    records at a time. Raises NoSuchBeginning if there is no record before `first`.
    """
    # Read them before the records: records that are added later only lengthen the chain.
    ends = _ends()
    start = _start(first, ends.base)
    findings = [ends.finding]
    if first is None and (stray := AuditRecord.objects.filter(sequence__lte=start.sequence).last()):
        remark = "it lies before the chain's beginning"
        findings.append(ChainFinding.of(FindingKind.ALTERED, stray.sequence, remark))
    records, last, finding = _verify_all_after(start)
    findings.append(finding or _end_finding(ends.head, last.sequence, "the row of the chain's ends"))
    shown = {each for each in findings if each and (first is None or each.sequence > start.sequence)}
    if (
        noted is not None
        and finding is None
        and (forked := _end_finding(noted, last.sequence, "the noted head"))
    ):
        shown.add(forked)
    return Verification(records, last, sorted(shown, key=lambda each: each.sequence))


def beginning_verify(end: int) -> ChainFinding | None:
    """Verify the records up to number `end`; return the first finding."""
    ends = _ends()
    if ends.finding is not None:
        return ends.finding
    last, finding = _verify_after(ends.base, end=end)
    if finding is None and last.sequence < end:
        return ChainFinding.of(FindingKind.MISSING, last.sequence + 1)
    return finding


def _verify_all_after(start: Head) -> tuple[int, Head, ChainFinding | None]:
    """Verify all records after `start`; return the number of valid records, the last of them, and the first finding.

    If records were pruned meanwhile, continues at the chain's new beginning.
    """
    records = 0
    while True:
        last, finding = _verify_after(start)
        records += last.sequence - start.sequence
        if finding is None or finding.kind is not FindingKind.MISSING:
            return records, last, finding
        ends = _ends()
        if ends.finding is not None or ends.base.sequence <= last.sequence:
            return records, last, finding
        start = ends.base


def _verify_after(start: Head, *, end: int | None = None) -> tuple[Head, ChainFinding | None]:
    """Verify the records after `start`, up to number `end`; return the last valid record and the first finding."""
    key_hash = chain_key().hash
    last, previous = start
    while last != end and (rows := _rows_after(last)):
        for row in rows:
            number, hash_ = last + 1, row[-1]
            if row[0] != number:
                return Head(last, previous), ChainFinding.of(FindingKind.MISSING, number)
            if key_hash(previous, number, row[1:-1]) != hash_:
                return Head(last, previous), ChainFinding.of(FindingKind.ALTERED, number)
            last, previous = number, hash_
            if last == end:
                break
    return Head(last, previous), None


def _rows_after(sequence: int) -> list[tuple[Any, ...]]:
    """Return at most CHUNK rows after a number, in order: sequence, columns, hash."""
    return list(
        AuditRecord.objects.filter(sequence__gt=sequence).order_by("sequence").values_list(*_NAMES)[:CHUNK]
    )


def _end_finding(claimed: Head, last: int, source: str) -> ChainFinding | None:
    """Compare a head that `source` names with the chain, whose last valid record is number `last`."""
    if claimed.sequence > last:
        remark = f"by {source} the records up to {claimed.sequence:,} had been written"
        return ChainFinding.of(FindingKind.MISSING, last + 1, remark)
    # A record that was pruned has no hash any more.
    if hash_of(claimed.sequence) not in {None, claimed.hash}:
        return ChainFinding.of(FindingKind.ALTERED, claimed.sequence, f"{source} has another hash")
    return None


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
