"""Findings of verification: which record is wrong, and how."""

from enum import StrEnum
from typing import NamedTuple


class FindingKind(StrEnum):
    """What is wrong with a record: it was altered, or it is missing."""

    ALTERED = "altered"
    MISSING = "missing"


_SENTENCES = {
    FindingKind.ALTERED: "record {} was altered or replaced",
    FindingKind.MISSING: "record {} is missing",
}


class ChainFinding(NamedTuple):
    """A finding about one record. `message` is a readable sentence."""

    kind: FindingKind
    sequence: int
    message: str

    @classmethod
    def of(cls, kind: FindingKind, sequence: int, remark: str = "") -> "ChainFinding":
        """Return a finding whose message is the kind's sentence, followed by a remark."""
        sentence = _SENTENCES[kind].format(f"{sequence:,}")
        return cls(kind, sequence, f"{sentence}: {remark}" if remark else sentence)
