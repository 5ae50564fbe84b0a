"""Verifies that every record is unaltered and in its place in the chain, up to the last one in the witness files.

A finding gives the number of a record. Either the record is missing, or its hash does not fit its content and the
hash of the record before it. A finding does not say what happened (edited, moved, inserted, renumbered): compare
the record with an export or a backup.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from audit.chain.append import base_seal, chain_key
from audit.chain.links import BEGINNING, ChainKey, Head
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

CHUNK = 5_000
_NAMES = ("sequence", *AuditColumns._fields, "hash")


class FindingKind(StrEnum):
    """What is wrong with a record: it was altered, it is missing, or it cannot be verified."""

    ALTERED = "altered"
    MISSING = "missing"
    UNKNOWN = "unknown"


_SENTENCES = {
    FindingKind.ALTERED: "record {} was altered or replaced",
    FindingKind.MISSING: "record {} is missing",
    FindingKind.UNKNOWN: "what follows record {} cannot be verified",
}
_LOST = {HEAD_LOST: "the head outside was", ANCHORS_LOST: "anchors were"}


class ChainFinding(NamedTuple):
    """A finding about one record, or about what follows it. `message` is a readable sentence."""

    kind: FindingKind
    sequence: int
    message: str

    @classmethod
    def of(cls, kind: FindingKind, sequence: int, remark: str = "") -> "ChainFinding":
        """Return a finding whose message is the kind's sentence, followed by a remark."""
        sentence = _SENTENCES[kind].format(f"{sequence:,}")
        return cls(kind, sequence, f"{sentence}: {remark}" if remark else sentence)


@dataclass(slots=True)
class Evidence:
    """The content of the witness files: hashes by record number, and findings about the files themselves.

    `has_head`: there is a head file, readable or not.
    """

    hashes: dict[int, str] = field(default_factory=dict)
    findings: list[ChainFinding] = field(default_factory=list)
    has_head: bool = True

    def add_head(self, files: Witness) -> None:
        """Add the hash in the head file. Raises OSError if the anchors cannot be read."""
        try:
            note = files.read_head()
        except (OSError, UnreadableWitness) as error:
            self._add(FindingKind.UNKNOWN, 0, f"the head cannot be read: {error}")
            return
        if note is None:
            self.has_head = False
            return
        self.hashes[note.sequence] = note.hash
        if not files.has_anchor(note):
            remark = "its anchor, the last, is missing from anchors.jsonl"
            self._add(FindingKind.UNKNOWN, note.anchored, remark)

    def add_anchors(self, notes: Iterable[WitnessNote]) -> None:
        """Add the anchors, in the order in which they were written.

        A note that the database was restored invalidates the hashes of later records: they belong to another chain.
        """
        for note in notes:
            if note.kind == PUT_BACK:
                self.hashes = {
                    number: each for number, each in self.hashes.items() if number <= note.sequence
                }
                remark = (
                    f"the database was put back to {note.sequence:,} from {note.anchored:,} before {note.at}"
                )
                self._add(FindingKind.ALTERED, note.sequence + 1, remark)
            else:
                if note.kind in _LOST:
                    self._add(FindingKind.UNKNOWN, note.sequence, f"{_LOST[note.kind]} gone before {note.at}")
                self.hashes.setdefault(note.sequence, note.hash)

    def _add(self, kind: FindingKind, sequence: int, remark: str) -> None:
        self.findings.append(ChainFinding.of(kind, sequence, remark))


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
    outside, ends = evidence(chain_key()), _ends()
    start = _start(first, ends.base)
    findings = {*outside.findings, *([] if ends.finding is None else [ends.finding])}
    if first is None and (stray := AuditRecord.objects.filter(sequence__lte=start.sequence).last()):
        findings.add(
            ChainFinding.of(FindingKind.ALTERED, stray.sequence, "it lies before the chain's beginning")
        )
    records, last, finding = _verify_all_after(start, outside.hashes)
    if (finding := finding or _end_finding(last, ends.head, outside.hashes)) is not None:
        findings.add(finding)
    result = Verification(records, last)
    result.findings = sorted(
        (each for each in findings if first is None or each.sequence > start.sequence),
        key=lambda each: each.sequence,
    )
    if (headless := _headless_finding(outside, last.sequence)) is not None:
        result.findings.append(headless)
    return result


def beginning_verify(end: int) -> ChainFinding | None:
    """Verify the records up to number `end` with the key alone, without witness files; return the first finding."""
    ends = _ends()
    if ends.finding is not None:
        return ends.finding
    last, finding = _verify_after(ends.base, end=end)
    if finding is None and last.sequence < end:
        return ChainFinding.of(FindingKind.MISSING, last.sequence + 1)
    return finding


def evidence(key: ChainKey) -> Evidence:
    """Read the witness files of this installation's chain."""
    result, files = Evidence(), witness(key)
    errors: list[Exception] = []
    head: dict[int, str] = {}
    try:
        result.add_head(files)
        head.update(result.hashes)
        result.add_anchors(files.anchors(on_error=errors.append))
    except OSError as error:
        errors.append(error)
    # The head is newer than all anchors.
    result.hashes.update(head)
    if errors:
        message = f"anchors cannot be read: {errors[0]}"
        result.findings.append(ChainFinding.of(FindingKind.UNKNOWN, 0, message))
    return result


def _verify_all_after(
    start: Head, outside_hashes: Mapping[int, str]
) -> tuple[int, Head, ChainFinding | None]:
    """Verify all records after `start`; return the number of valid records, the last of them, and the first finding.

    If records were pruned meanwhile, continues at the chain's new beginning.
    """
    records = 0
    while True:
        last, finding = _verify_after(start, outside_hashes=outside_hashes)
        records += last.sequence - start.sequence
        if finding is None or finding.kind is not FindingKind.MISSING:
            return records, last, finding
        ends = _ends()
        if ends.finding is not None or ends.base.sequence <= last.sequence:
            return records, last, finding
        start = ends.base


def _verify_after(
    start: Head, *, end: int | None = None, outside_hashes: Mapping[int, str] = MappingProxyType({})
) -> tuple[Head, ChainFinding | None]:
    """Verify the records after `start`, up to number `end`; return the last valid record and the first finding.

    If `outside_hashes` has a hash for a record's number, the record's hash must equal it.
    """
    hash_of = chain_key().hash
    last, previous = start
    while last != end and (rows := _rows_after(last)):
        for row in rows:
            number, hash_ = last + 1, row[-1]
            if row[0] != number:
                return Head(last, previous), ChainFinding.of(FindingKind.MISSING, number)
            if hash_of(previous, number, row[1:-1]) != hash_:
                return Head(last, previous), ChainFinding.of(FindingKind.ALTERED, number)
            if outside_hashes.get(number, hash_) != hash_:
                return Head(last, previous), _contradiction(number, outside_hashes)
            last, previous = number, hash_
            if last == end:
                break
    return Head(last, previous), None


def _rows_after(sequence: int) -> list[tuple[Any, ...]]:
    """Return at most CHUNK rows after a number, in order: sequence, columns, hash."""
    return list(
        AuditRecord.objects.filter(sequence__gt=sequence).order_by("sequence").values_list(*_NAMES)[:CHUNK]
    )


def _contradiction(sequence: int, outside_hashes: Mapping[int, str]) -> ChainFinding:
    """Return the finding for a record whose hash is not the one in the witness files."""
    agreed = max((each for each in outside_hashes if each < sequence), default=0)
    remark = (
        f"another hash is kept outside of the database; the last record that agrees with it is {agreed:,}"
    )
    return ChainFinding.of(FindingKind.ALTERED, sequence, remark)


def _end_finding(last: Head, head: Head, outside_hashes: Mapping[int, str]) -> ChainFinding | None:
    """Return a finding if records after `last`, the last valid one, are missing, or if the head has another hash."""
    reached = max((head.sequence, *outside_hashes))
    if last.sequence < reached:
        remark = f"the records up to {reached:,} had been written and were cut off"
        return ChainFinding.of(FindingKind.MISSING, last.sequence + 1, remark)
    if last.sequence == head.sequence and last.hash != head.hash:
        return ChainFinding.of(FindingKind.ALTERED, head.sequence, "the head says another hash")
    return None


def _headless_finding(outside: Evidence, last: int) -> ChainFinding | None:
    """Return a finding if there is no head file. `last` is the number of the chain's last record (0: no records).

    The first record is committed shortly before the head file is made, so this looks for the file again.
    """
    if outside.has_head or witness(chain_key()).has_head():
        return None
    if not last and not outside.hashes:
        message = "there is no record and no head: nothing can be verified"
        return ChainFinding(FindingKind.UNKNOWN, 0, message)
    there = "records are there" if last else "anchors are there"
    return ChainFinding.of(FindingKind.UNKNOWN, last, f"the head outside is missing although {there}")


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
