"""What verification finds. Pure."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What became of a record."""

    ALTERED = "altered"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    CUT_OFF = "cut off"
    FORKED = "forked"
    UNKNOWN = "unknown"


_SENTENCES = {
    Kind.ALTERED: "record {} was altered",
    Kind.MISSING: "record {} is missing",
    Kind.INSERTED: "record {} was inserted",
    Kind.REORDERED: "record {} is not in its place",
    Kind.CUT_OFF: "record {} and what follows were cut off",
    Kind.FORKED: "record {} is not the one that was written first",
    Kind.UNKNOWN: "what follows record {} cannot be told",
}


class Finding(NamedTuple):
    """The first record that is not right, by its number, and what is known of it."""

    kind: Kind
    sequence: int
    message: str

    @classmethod
    def of(cls, kind: Kind, sequence: int, remark: str = "") -> "Finding":
        """A finding in words, with a remark."""
        sentence = _SENTENCES[kind].format(f"{sequence:,}")
        return cls(kind, sequence, f"{sentence}: {remark}" if remark else sentence)
