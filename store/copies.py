"""Copies of logs: what there is to copy, how far it is copied, and the errors of a copy.

MirrorError
├── NotAMirror        the folder belongs to something else
├── MirrorInUse       another process copies into the folder
├── CopyMalformed     the answer is not a copy of the log that was asked for
│   └── CopyCut       the answer ends too early; ask again
└── OriginRestored    the log does not have the mirror's commit: it was restored, or the mirror was written to
"""

from dataclasses import dataclass

import msgspec

from store.protocol import CommitId
from store.timestamps import SECOND_NS


class MirrorError(Exception):
    """A mirror cannot go on."""


class NotAMirror(MirrorError):
    """The folder has data that no mirror wrote, or is no folder. Choose an empty one."""


class MirrorInUse(MirrorError):
    """Another process copies into the folder. End it first."""


class CopyMalformed(MirrorError):
    """The answer is not a copy of the log that was asked for. Nothing of the wrong commit is kept."""


class CopyCut(CopyMalformed):
    """The answer ends too early. Ask again: the commits before are kept."""


class OriginRestored(MirrorError):
    """The log does not have the mirror's newest commit. Discard the copy, and copy from the beginning."""


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far a log is copied.

    head, committed_ns: the copy's newest commit and its time; origin_head, origin_ns: those of the origin. problem: why
    it is not copied further; "" if nothing is wrong.
    """

    dataset: str
    symbol: str
    head: CommitId
    committed_ns: int
    origin_head: CommitId
    origin_ns: int
    problem: str = ""

    @property
    def is_current(self) -> bool:
        """Whether the copy had all commits of the origin when that was asked."""
        return not self.problem and self.head.number >= self.origin_head.number

    @property
    def commits_behind(self) -> int:
        return max(0, self.origin_head.number - self.head.number)

    @property
    def seconds_behind(self) -> float:
        """The time from the copy's newest commit to the origin's."""
        return max(0, self.origin_ns - self.committed_ns) / SECOND_NS if self.commits_behind else 0.0


class LogState(msgspec.Struct, frozen=True):
    """The newest commit of a log. committed_at: its time, as text."""

    dataset: str
    symbol: str
    number: int
    hash: str
    committed_at: str

    @property
    def head(self) -> CommitId:
        return CommitId(self.number, self.hash)


class LogStates(msgspec.Struct, frozen=True):
    """What there is to copy. seen: changes with it."""

    seen: str
    logs: tuple[LogState, ...]


_states_decoder = msgspec.json.Decoder(LogStates)
_encoder = msgspec.json.Encoder()


def encode_states(states: LogStates) -> bytes:
    """Return a document that `decode_states` reads."""
    return _encoder.encode(states)


def decode_states(document: bytes) -> LogStates:
    """Return what there is to copy. Raises `CopyMalformed`."""
    try:
        return _states_decoder.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CopyMalformed(f"the list of logs is not as expected: {error}") from None
