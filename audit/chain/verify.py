"""Verifies that every record is unaltered and in its place in the chain, up to the one in the head file.

A finding gives the number of a record. Either the record is missing, or its hash does not fit its content and the
hash of the record before it. A finding does not say what happened (edited, moved, inserted, renumbered): compare
the record with an export or a backup.
"""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from audit.chain.append import HEAD_CONTRADICTED, base_seal, chain_key, hash_of
from audit.chain.findings import ChainFinding, FindingKind, end_finding
from audit.chain.head_file import HEAD_FILE, head_file
from audit.chain.links import BEGINNING, Head
from audit.exceptions import NoSuchBeginning
from audit.models import AuditRecord, ChainEnds
from audit.records.columns import AuditColumns

CHUNK = 5_000
_NAMES = ("sequence", *AuditColumns._fields, "hash")


@dataclass(slots=True)
class Verification:
    """The number of unaltered records, the last of them, and the findings.

    `remark` is a sentence about the verification that is not a finding.
    """

    records: int = 0
    last: Head = BEGINNING
    findings: list[ChainFinding] = field(default_factory=list)
    remark: str = ""


class _Ends(NamedTuple):
    base: Head
    head: Head
    finding: ChainFinding | None


def chain_verify(*, first: int | None = None) -> Verification:
    """Verify all records in the database, or those from number `first` on; the record before `first` is trusted.

    Records may be added or pruned meanwhile. Reads CHUNK records at a time. Raises NoSuchBeginning if there is no
    record before `first`.
    """
    # Read these before the records: records that are added later only lengthen the chain.
    outside, ends = head_file().read(), _ends()
    start = _start(first, ends.base)
    findings = [] if ends.finding is None else [ends.finding]
    if first is None and (stray := AuditRecord.objects.filter(sequence__lte=start.sequence).last()):
        remark = "it lies before the chain's beginning"
        findings.append(ChainFinding.of(FindingKind.ALTERED, stray.sequence, remark))
    records, last, finding = _verify_all_after(start)
    findings += [
        *_noted_findings(last.sequence),
        *([finding] if finding else _end_findings(last, ends.head, outside)),
    ]
    shown = {each for each in findings if first is None or each.sequence > start.sequence}
    return Verification(records, last, sorted(shown, key=lambda each: each.sequence))


def beginning_verify(end: int) -> ChainFinding | None:
    """Verify the records up to number `end` with the key alone, without the head file; return the first finding."""
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


def _end_findings(last: Head, head: Head, outside: Head | None) -> list[ChainFinding]:
    """Compare the chain's last valid record with the head in the database and with the one in the head file."""
    if last == head == BEGINNING and outside is None:
        return [
            ChainFinding(FindingKind.UNKNOWN, 0, "there is no record and no head: nothing can be verified")
        ]
    claims = {HEAD_FILE: outside, "the row of the chain's ends": head}
    findings = [
        end_finding(claimed, last=last.sequence, hash_of=hash_of, source=source)
        for source, claimed in claims.items()
    ]
    return [each for each in findings if each is not None]


def _noted_findings(last: int) -> list[ChainFinding]:
    """Return the findings that were recorded up to record `last`, when records were appended after it."""
    noted = AuditRecord.objects.filter(event=HEAD_CONTRADICTED, sequence__lte=last).values_list(
        "sequence", "detail"
    )
    return [_noted_finding(sequence, json.loads(detail)) for sequence, detail in noted]


def _noted_finding(sequence: int, detail: dict[str, Any]) -> ChainFinding:
    message = f"{detail['message']} (noted in record {sequence:,})"
    return ChainFinding(FindingKind(detail["kind"]), detail["sequence"], message)


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
