"""What is known of the chain outside of the database: hashes of its records, and when it was put back."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from audit.chain.append import chain_key
from audit.chain.findings import Finding, Kind
from audit.chain.links import ChainKey
from audit.chain.witness import ANCHORS_LOST, HEAD_LOST, PUT_BACK, Note, UnreadableWitness, Witness, witness

_LOST = {HEAD_LOST: "the head outside was", ANCHORS_LOST: "anchors were"}


@dataclass(slots=True)
class Evidence:
    """`hashes` by number, what is to be said already, and whether a head is kept, readable or not."""

    hashes: dict[int, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    has_head: bool = True

    def fork(self, sequence: int) -> Finding:
        """What is to be said of a record whose hash is not the one that is known."""
        known = sorted(self.hashes)
        place = bisect_left(known, sequence)
        agreed = known[place - 1] if place else 0
        return Finding.of(Kind.FORKED, sequence, f"the last that is known to be as it was is {agreed:,}")

    def add(self, notes: Iterable[Note]) -> None:
        """What anchors say, in their order.

        After a chain was put back, what had been known of its end is of another one.
        """
        for note in notes:
            if note.kind == PUT_BACK:
                self.hashes = {each: told for each, told in self.hashes.items() if each <= note.sequence}
                remark = (
                    f"the database was put back to {note.sequence:,} from {note.anchored:,} before {note.at}"
                )
                self.findings.append(Finding.of(Kind.FORKED, note.sequence + 1, remark))
            else:
                if note.kind in _LOST:
                    remark = f"{_LOST[note.kind]} gone before {note.at}"
                    self.findings.append(Finding.of(Kind.UNKNOWN, note.sequence, remark))
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
        found.findings.append(Finding.of(Kind.UNKNOWN, 0, f"anchors cannot be read: {first}"))
    return found


def head_finding(outside: Evidence, last: int) -> Finding | None:
    """What is to be said if no head is kept, of a chain that ends with `last`, 0 without a record.

    A chain's first record is there an instant before its head is kept, so it is looked for again.
    """
    if outside.has_head or witness(chain_key()).has_head():
        return None
    if not last and not outside.hashes:
        return Finding(Kind.UNKNOWN, 0, "there is no record and no head: nothing can be told")
    there = "records are there" if last else "anchors are there"
    return Finding.of(Kind.UNKNOWN, last, f"the head outside is missing although {there}")


def _add_head(found: Evidence, kept_by: Witness) -> None:
    try:
        kept = kept_by.kept()
    except (OSError, UnreadableWitness) as error:
        found.findings.append(Finding.of(Kind.UNKNOWN, 0, f"the head cannot be read: {error}"))
        return
    if kept is None:
        found.has_head = False
        return
    found.hashes[kept.sequence] = kept.hash
    if not kept_by.has_anchor(kept):
        remark = "its anchor, the last, is missing from anchors.jsonl"
        found.findings.append(Finding.of(Kind.UNKNOWN, kept.anchored, remark))
