"""The index of a log: finds commits by number, time, event date and key.

It consists of pieces: contents under numbers, which only grow in number, and its state. Nothing is believed that was not
checked, because the pieces are never synced: any of them may be damaged, missing, or older than another one. The state
has the CRC-32 of the pieces with commits and of the buckets of hashes. A piece with parts of an event date has a CRC-32
of its own, and names the commit before its first one: so a piece that is missing between two others is noticed.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from store.arrays import Integers
from store.csv.files.commit_records import Commit, CommitLine, Part, PartKind, StoredPart
from store.expiries import NOTHING_EXPIRED, ExpiredDates
from store.protocol import ALL_TIME, NO_COMMIT, NOTHING_COMPLETE, CommitId, Completeness, Window
from store.timestamps import DAY_NS

VERSION = 2
PIECE_COMMITS = 64
BUCKETS = 1024
"""With a million commits that have keys, a bucket takes 48 KB."""

# The numbers of pieces: those of a kind are together. Parts are in order of event date and newest commit.
STATE, _BUCKET, _COMMIT, _PARTS = (kind * 2**58 for kind in range(4))
_FIRST_DATE, _COMMITS_OF_DATE = -(2**20), 2**32

Records = npt.NDArray[Any]
_TIMES = [("committed_at", "<i8"), ("line_end", "<i8"), ("newest_ns", "<i8"), ("complete_until_ns", "<i8")]
COMMITS = np.dtype([("hash", "V32"), *_TIMES])
FILLS = np.dtype([("start_ns", "<i8"), ("end_ns", "<i8"), ("commit", "<i8")])
_PIECES = np.dtype([("commit", "<i8"), ("committed_at", "<i8"), ("check", "<i8")])
_EXTENT = struct.Struct("<qqq")
_CHECK = struct.Struct("<I")
_ENTRY = struct.Struct("<16sq")
_LONG_ARRAY = 0xDC
_NO_PARTS = (0, 2**63 - 1, 2**63 - 1, -(2**63))  # the columns of a date before its first part
_PLACES = 128  # the ids of so many commits are remembered: versions of windows are asked for again and again


class IndexDamaged(Exception):
    """The index is damaged, incomplete, of another version, or of another history of the log."""


class IndexUnavailable(Exception):
    """The index cannot be read or written now: it may not be written, or there is no space; see also `IndexBusy`."""


class IndexBusy(IndexUnavailable):
    """The index is locked, or there is no file handle: it can probably be used a moment later."""


class IndexPieces(Protocol):
    """Where the pieces of an index are. generation: how often they were made again."""

    generation: int

    def between(self, first: int, last: int, limit: int = -1) -> list[tuple[int, bytes]]:
        """Return the pieces with numbers from `first` to `last`, in order. Raises `IndexDamaged`, `IndexUnavailable`."""

    def both(self, first: int, second: int) -> dict[int, bytes]:
        """Return two pieces as of one moment, if there are any. Raises as `between`."""

    def make_again(self, index: "LogIndex", error: Exception, generation: int) -> None:
        """Make the pieces of an index anew, unless that was done since. Raises `DataDamaged`, `StoreUnavailable`."""


class IndexState(msgspec.Struct, frozen=True, array_like=True):
    """The newest commit of an index and its line in the log, and arrays as bytes; see `LogIndex`."""

    version: int = VERSION
    number: int = 0
    hash: str = NO_COMMIT.hash
    previous: str = ""
    start: int = 0
    end: int = 0
    committed_at: int = 0
    rows: int = 0
    newest_ns: int = NOTHING_COMPLETE.newest_ns
    complete_until_ns: int = NOTHING_COMPLETE.complete_until_ns
    dates: bytes = b""
    pieces: bytes = b""
    checks: bytes = bytes(4 * BUCKETS)
    fills: bytes = b""
    expired: ExpiredDates = NOTHING_EXPIRED


_state_decoder = msgspec.msgpack.Decoder(IndexState)
_parts_decoder = msgspec.msgpack.Decoder(list[StoredPart])
_encode = msgspec.msgpack.encode

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _repaired(
    read: Callable[Concatenate["LogIndex", _P], _T],
) -> Callable[Concatenate["LogIndex", _P], _T]:
    """Make pieces that cannot be used again, and read once more."""

    @wraps(read)
    def repaired(self: "LogIndex", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        while True:
            generation = self.source.generation
            try:
                return read(self, *args, **kwargs)
            except (IndexDamaged, IndexUnavailable) as error:
                self.source.make_again(self, error, generation)

    return repaired


class LogIndex:
    """An index up to one commit. Commits that others have added since are in no answer.

    dates: five rows of numbers, with a column for each event date: the date in days since the epoch, its newest and its
    oldest commit, its smallest and its largest event time. fills: `FILLS`, in order of
    commit. All methods raise `DataDamaged` if the log is damaged, and `StoreUnavailable`.
    """

    def __init__(self, source: IndexPieces, state: IndexState) -> None:
        self.source = source
        self.use(state)

    def use(self, state: IndexState) -> None:
        """Use another state of the same commits, because their pieces were made again."""
        self.state = state
        self.number, self.head = state.number, CommitId(state.number, state.hash)
        self.completeness = Completeness(state.newest_ns, state.complete_until_ns)
        self.dates: Integers = np.frombuffer(state.dates, np.int64).reshape(5, -1)
        self.fills = np.frombuffer(state.fills, FILLS)
        self._pieces = np.frombuffer(state.pieces, _PIECES)
        self._places = self._known_places()

    def _known_places(self) -> dict[int, tuple[CommitId, int]]:
        return {0: (NO_COMMIT, 0), self.number: (self.head, self.state.end)}

    def newest_of(self, date: int) -> int:
        """Return the newest commit that touches a date; 0 if there is none."""
        at = place_of(self.dates, date)
        return 0 if at is None else int(self.dates[1, at])

    @_repaired
    def commits(self, first: int, last: int) -> Records:
        """Return the entries (`COMMITS`) of the commits from `first` to `last`, which must exist."""
        start, stop = self._pieces["commit"].searchsorted((first, last), "right").tolist()
        pieces = self._pieces[start - 1 : stop].tolist()
        found = dict(self.source.between(_COMMIT + pieces[0][0], _COMMIT + pieces[-1][0]))
        contents = [_checked(found.get(_COMMIT + commit), check) for commit, _, check in pieces]
        start = first - pieces[0][0]
        return np.frombuffer(b"".join(contents), COMMITS)[start : start + last - first + 1]

    def place(self, number: int) -> tuple[CommitId, int]:
        """Return the id of a commit, and the offset in the log after its line; `NO_COMMIT` and 0 for 0."""
        place = self._places.get(number)
        if place is None:
            (record,) = self.commits(number, number)
            place = CommitId(number, record["hash"].tobytes().hex()), int(record["line_end"])
            if len(self._places) > _PLACES:
                self._places = self._known_places()
            self._places[number] = place
        return place

    def commit_as_of(self, instant_ns: int) -> int:
        """Return the number of the newest commit made at or before an instant."""
        at = int(self._pieces["committed_at"].searchsorted(instant_ns, "right"))
        if not at:
            return 0
        first = int(self._pieces["commit"][at - 1])
        last = int(self._pieces["commit"][at]) - 1 if at < len(self._pieces) else self.number
        return first - 1 + int(self.commits(first, last)["committed_at"].searchsorted(instant_ns, "right"))

    @_repaired
    def find(self, *texts: str) -> int | None:
        """Return the newest number under these texts: of a "key", its caller and hash, or of a "file"."""
        if not self.number:  # there may be no file
            return None
        return self.number_of(_hash(*texts)) or None

    def number_of(self, hash_: bytes) -> int:
        """Return the newest number under a hash of texts; 0 without one. Raises `IndexDamaged`, `IndexUnavailable`."""
        content = self.bucket(_bucket(hash_))
        at = content.rfind(hash_)
        return 0 if at < 0 else int(_ENTRY.unpack_from(content, at)[1])

    def bucket(self, bucket: int) -> bytes:
        """Return the hashes in a bucket, with their numbers. Raises `IndexDamaged`, `IndexUnavailable`."""
        (check,) = _CHECK.unpack_from(self.state.checks, 4 * bucket)
        content = dict(self.source.between(_BUCKET + bucket, _BUCKET + bucket)).get(_BUCKET + bucket, b"")
        if zlib.crc32(content) == check:
            return content
        later = self.source.both(STATE, _BUCKET + bucket)  # others may have added to it
        state = decoded_state(later.get(STATE))
        if not state.pieces.startswith(self.state.pieces):
            raise IndexDamaged("the state is older than the index, or of another history")
        return _checked(later.get(_BUCKET + bucket), _CHECK.unpack_from(state.checks, 4 * bucket)[0])

    def ends_of_pieces(self) -> list[int]:
        """Return the newest commit of each piece with commits."""
        return [*(self._pieces["commit"][1:] - 1).tolist(), self.number]

    @_repaired
    def newest_at(self, date: int, commit: int) -> int:
        """Return the newest commit up to `commit` that touches a date. There must be one, and a later one."""
        for previous, parts in self._parts(date, commit, ALL_TIME, limit=1):
            return max((part.commit for part in parts if part.commit <= commit), default=previous)
        raise IndexDamaged(f"parts of the date {date} are missing")

    @_repaired
    def parts_in(self, window: Window, after: int, upto: int) -> list[StoredPart]:
        """Return the parts of commits in `(after, upto]` with times in the window, by event date, then by commit."""
        dates = dates_in(self.dates, window)
        dates = dates[0, (dates[1] > after) & (dates[2] <= upto)]
        return [
            each
            for date in dates.tolist()
            for _, parts in self._parts(date, after, window)
            for each in parts
            if is_in(each, window, after, upto)
        ]

    def _parts(
        self, date: int, after: int, window: Window, limit: int = -1
    ) -> Iterator[tuple[int, list[StoredPart]]]:
        """Yield the pieces with a date's parts after a commit, if they have times in the window.

        Yields the commit before the piece, and its parts. Checks that no piece is missing.
        """
        base, newest, reached = _PARTS + (date - _FIRST_DATE) * _COMMITS_OF_DATE, self.newest_of(date), None
        for key, content in self.source.between(base + after + 1, base + newest, limit):
            payload = _unsealed(key, content)
            previous, first_ns, last_ns = _EXTENT.unpack_from(payload)
            is_joined = previous <= after if reached is None else previous == reached
            if not is_joined:
                break
            reached = key - base
            if first_ns < window.end_ns and last_ns >= window.start_ns:
                yield previous, _parts_decoder.decode(payload[_EXTENT.size :])
        if reached != newest and limit < 0:
            raise IndexDamaged(f"parts of the date {date} are missing")


class Addition:
    """Commits that are added to an index: its new state, new pieces, and what is appended to buckets.

    keys, file_ends: the new numbers under the hashes of keys and of files.
    """

    def __init__(self, index: LogIndex, lines: Sequence[CommitLine]) -> None:
        """lines: the commits after the newest one of the index, at least one."""
        self._completeness, self._rows, self._newest = index.completeness, index.state.rows, dict[int, int]()
        self._index = index
        self.pieces: list[tuple[int, bytes]] = []
        self._directory: list[tuple[int, int, int]] = []
        self.keys: dict[bytes, int] = {}
        self._ends: dict[str, int] = {}
        for start in range(0, len(lines), PIECE_COMMITS):
            self._add(lines[start : start + PIECE_COMMITS])
        self.file_ends = {_hash("file", file): end for file, end in self._ends.items()}
        buckets: dict[int, bytearray] = {}
        for hash_, value in (self.keys | self.file_ends).items():
            buckets.setdefault(_bucket(hash_), bytearray()).extend(_ENTRY.pack(hash_, value))
        self.appended = [(_BUCKET + bucket, bytes(entries)) for bucket, entries in buckets.items()]
        checks = np.frombuffer(index.state.checks, np.uint32).copy()
        for bucket, entries in buckets.items():
            checks[bucket] = zlib.crc32(entries, int(checks[bucket]))
        self.state = self._state(lines, checks.tobytes())

    def _state(self, lines: Sequence[CommitLine], checks: bytes) -> IndexState:
        old, facts = self._index.state, [line.commit.facts for line in lines]
        windows = [(each.fill.window, each.number) for each in facts if each.fill is not None]
        fills = np.array([(window.start_ns, window.end_ns, number) for window, number in windows], FILLS)
        before, start = lines[-2][1:] if len(lines) > 1 else (self._index.head, old.end)
        return IndexState(
            number=facts[-1].number,
            hash=lines[-1].id.hash,
            previous=before.hash,
            start=start,
            end=lines[-1].end,
            committed_at=facts[-1].committed_at,
            rows=self._rows,
            newest_ns=self._completeness.newest_ns,
            complete_until_ns=self._completeness.complete_until_ns,
            dates=dates_with(self._index.dates, [line.commit for line in lines]).tobytes(),
            pieces=old.pieces + np.array(self._directory, _PIECES).tobytes(),
            checks=checks,
            fills=old.fills + fills.tobytes(),
            expired=reduce(ExpiredDates.after, facts, old.expired),
        )

    def _add(self, lines: Sequence[CommitLine]) -> None:
        records, parts = [], []
        for commit, commit_id, end in lines:
            facts = commit.facts
            self._completeness = commit.completeness_after(self._completeness)
            newest_ns, until_ns = self._completeness.newest_ns, self._completeness.complete_until_ns
            records.append((bytes.fromhex(commit_id.hash), facts.committed_at, end, newest_ns, until_ns))
            parts += stored_parts(commit.number, commit.parts, self._rows)
            self._rows += facts.rows
            for part in commit.parts:
                self._ends[part.file] = part.end
            if facts.key_hash is not None:
                self.keys[_hash("key", facts.caller, facts.key_hash)] = facts.number
        content, first = np.array(records, COMMITS).tobytes(), lines[0].commit.facts
        self._directory.append((first.number, first.committed_at, zlib.crc32(content)))
        self.pieces.append((_COMMIT + first.number, content))
        self._add_parts(parts)

    def _add_parts(self, parts: Sequence[StoredPart]) -> None:
        dates: dict[int, list[StoredPart]] = {}
        for each in parts:
            dates.setdefault(each.part.day, []).append(each)
        for date, of_date in dates.items():
            previous, newest = self._newest.get(date), of_date[-1].commit
            if previous is None:
                previous = self._index.newest_of(date)
            self._newest[date] = newest
            bounds = min(each.part.first_ns for each in of_date), max(each.part.last_ns for each in of_date)
            key = _PARTS + (date - _FIRST_DATE) * _COMMITS_OF_DATE + newest
            self.pieces.append((key, _sealed(key, _EXTENT.pack(previous, *bounds) + _encode(of_date))))


def _hash(*texts: str) -> bytes:
    return hashlib.blake2b("\0".join(texts).encode(errors="surrogatepass"), digest_size=16).digest()


def _bucket(hash_: bytes) -> int:
    return int.from_bytes(hash_[:2], "little") % BUCKETS


def _sealed(key: int, payload: bytes) -> bytes:
    return payload + _CHECK.pack(zlib.crc32(payload, zlib.crc32(b"%d" % key)))


def _unsealed(key: int, content: bytes | None) -> bytes:
    if not isinstance(content, bytes) or _sealed(key, content[: -_CHECK.size]) != content:
        raise IndexDamaged(f"piece {key} is not as written")
    return content[: -_CHECK.size]


def _checked(content: bytes | None, check: int) -> bytes:
    if not isinstance(content, bytes) or zlib.crc32(content) != check:
        raise IndexDamaged("a piece is not as written")
    return content


def encoded_state(state: IndexState) -> bytes:
    """Return the content of the piece `STATE`."""
    return _sealed(STATE, _encode(state))


def decoded_state(content: bytes | None) -> IndexState:
    """Return the state in a piece. Raises `IndexDamaged`."""
    payload = _unsealed(STATE, content)
    # After the array's length, which takes three bytes from 16 fields on.
    if payload[3 if payload[0] == _LONG_ARRAY else 1] != VERSION:
        raise IndexDamaged("it is of another version")
    return _state_decoder.decode(payload)


def stored_parts(number: int, parts: Iterable[Part], rows: int) -> list[StoredPart]:
    """Return a commit's parts. rows: the number of rows in earlier commits."""
    stored = []
    for part in parts:
        is_rows = part.kind is PartKind.ROWS
        stored.append(StoredPart(number, rows if is_rows else 0, part))
        rows += part.rows if is_rows else 0
    return stored


def is_in(stored: StoredPart, window: Window, after: int, upto: int) -> bool:
    """Return whether a part is of a commit in `(after, upto]` and has times in the window."""
    part = stored.part
    return after < stored.commit <= upto and part.first_ns < window.end_ns and part.last_ns >= window.start_ns


def dates_in(dates: Integers, window: Window) -> Integers:
    """Return the columns of a table of dates that a window touches."""
    first, last = window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS
    return dates[:, dates[0].searchsorted(first) : dates[0].searchsorted(last, "right")]


def place_of(dates: Integers, day: int) -> int | None:
    """Return the column of a date in a table of dates; None if it has no parts."""
    at = int(dates[0].searchsorted(day))
    return at if at < dates.shape[1] and dates[0, at] == day else None


def dates_with(dates: Integers, commits: Sequence[Commit]) -> Integers:
    """Return a table of dates with the parts of later commits added; see `LogIndex`."""
    parts = [
        (part.day, commit.number, part.first_ns, part.last_ns) for commit in commits for part in commit.parts
    ]
    new_days = sorted(day for day in {part[0] for part in parts} if place_of(dates, day) is None)
    if new_days:
        columns = np.array([(day, *_NO_PARTS) for day in new_days]).T
        dates = np.insert(dates, dates[0].searchsorted(new_days), columns, axis=1)
    else:
        dates = dates.copy()
    days, numbers, firsts, lasts = np.array(parts, np.int64).reshape(-1, 4).T
    at = dates[0].searchsorted(days)
    dates[1, at] = numbers  # ascending, so that the last one remains
    np.minimum.at(dates[2], at, numbers)
    np.minimum.at(dates[3], at, firsts)
    np.maximum.at(dates[4], at, lasts)
    return dates
