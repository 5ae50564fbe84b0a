"""Copies of logs: what an installation answers to a mirror, and the errors of a mirror.

    MirrorError
    ├── NotAMirror        the folder belongs to something else
    ├── MirrorInUse       another process copies into the folder
    ├── CopyMalformed     the answer is not a copy of the log that was asked for
    │   └── CopyCut       the answer ends too early; ask again
    └── OriginRestored    the log does not have the mirror's commit: it was restored, or the mirror was written to

An answer (`GET …/logs/{dataset}/{symbol}/copy`) is lines of JSON: a `LogStart`; for each commit a `CopiedRecord`, the
bytes of its parts as `CopiedBytes`, and `PartHashes`; a `CopyEnd`. `docs/mirror.md` describes them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from store.protocol import CommitId
from store.timestamps import SECOND_NS

LINE_BYTES = 16 * 2**20
"""The longest line of an answer that a mirror takes. A record of a batch of a million dates has some 8 MiB."""


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


class LogStart(msgspec.Struct, frozen=True, tag_field="kind", tag="log"):
    """The first line. number, hash: the log's newest commit; 0 and NUL digits without commits."""

    dataset: str
    symbol: str
    number: int
    hash: str


class CopiedRecord(msgspec.Struct, frozen=True, tag_field="kind", tag="record"):
    """A commit's line in `commits.jsonl`, without its line end."""

    line: str


class CopiedBytes(msgspec.Struct, frozen=True, tag_field="kind", tag="data"):
    """The next bytes of the commit's parts, as base64: at least one."""

    data: bytes


class PartHashes(msgspec.Struct, frozen=True, tag_field="kind", tag="sha256"):
    """The SHA-256 of each part's bytes, in order. The first part of a file has the file's header before it."""

    parts: tuple[str, ...]


class CopyEnd(msgspec.Struct, frozen=True, tag_field="kind", tag="end"):
    """The last line. number, hash: the last commit of the answer, or the one after which it was asked."""

    number: int
    hash: str


CopyLine: TypeAlias = LogStart | CopiedRecord | CopiedBytes | PartHashes | CopyEnd
_decoder: msgspec.json.Decoder[CopyLine] = msgspec.json.Decoder(CopyLine)
_encoder = msgspec.json.Encoder()


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


def encode_states(states: LogStates) -> bytes:
    """Return a document that `decode_states` reads."""
    return _encoder.encode(states)


def encode_line(line: CopyLine) -> bytes:
    """Return a line of an answer, with its line end."""
    return _encoder.encode(line) + b"\n"


def decode_states(document: bytes) -> LogStates:
    """Return what there is to copy. Raises `CopyMalformed`."""
    try:
        return _states_decoder.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CopyMalformed(f"the list of logs is not as expected: {error}") from None


def decode_lines(pieces: Iterable[bytes]) -> Iterator[CopyLine]:
    """Yield the lines of an answer up to its end, in bounded memory. Raises `CopyMalformed`, `CopyCut`."""
    rest = bytearray()
    for piece in pieces:
        rest += piece
        *lines, last = rest.split(b"\n") if b"\n" in piece else (rest,)
        for text in lines:
            line = _line(text)
            yield line
            if isinstance(line, CopyEnd):
                return
        rest = last
        if len(rest) > LINE_BYTES:
            raise CopyMalformed(f"a line has over {LINE_BYTES:,} bytes")
    raise CopyCut("the answer ends before its last line")


def _line(text: bytearray) -> CopyLine:
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CopyMalformed(f"a line is not as expected: {error}") from None
