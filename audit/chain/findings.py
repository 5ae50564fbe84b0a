"""Findings of verification: which record is wrong, and how."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from audit.chain.links import Head


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


def end_finding(
    claimed: Head | None, *, last: int, hash_of: Callable[[int], str | None], source: str
) -> ChainFinding | None:
    """Compare the head that `source` names with the chain, whose last record is number `last`.

    claimed: None if it cannot be read. `hash_of` returns the hash of a record, or None if there is no record of that
    number: it was pruned.
    """
    if claimed is None:
        return ChainFinding.of(FindingKind.UNKNOWN, last, f"{source} is missing or damaged")
    if claimed.sequence > last:
        remark = f"by {source} the records up to {claimed.sequence:,} had been written"
        return ChainFinding.of(FindingKind.MISSING, last + 1, remark)
    if hash_of(claimed.sequence) not in {None, claimed.hash}:
        return ChainFinding.of(FindingKind.ALTERED, claimed.sequence, f"{source} has another hash")
    return None
