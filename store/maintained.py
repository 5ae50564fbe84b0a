"""The maintenance of a store: checks, statistics, and of a store with files derived files."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from store.declarations import Dataset


@dataclass(frozen=True, slots=True)
class LogFinding:
    """Damaged bytes, or a harmless leftover.

    file: empty in a store without files. offset: the position in the file where the damage, or the damaged block, begins. first_ns, last_ns: smallest
    and largest event time of the rows that cannot be served. is_harmless: no data is lost, for example because
    no commit names the bytes or this version does not know the column.
    """

    file: str
    offset: int
    message: str
    commit: int | None = None
    first_ns: int | None = None
    last_ns: int | None = None
    is_harmless: bool = False


@dataclass(slots=True)
class CheckProgress:
    """The progress of a check. bytes: the bytes read so far, of commit records and of the parts that they name."""

    commits: int = 0
    rows: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """Counts of one log.

    bytes: size of its CSV files. derived_bytes: size of its derived files; both None in a store without files. first_ns,
    last_ns: smallest and largest event time; None if there are no rows.
    """

    commits: int
    rows: int
    bytes: int | None
    derived_bytes: int | None
    first_ns: int | None
    last_ns: int | None


@dataclass(frozen=True, slots=True)
class DerivedStatistics:
    """The derived files of a log: the newest commit in them, and the numbers of segments, rows and bytes."""

    commit: int
    segments: int
    rows: int
    bytes: int


@dataclass
class LogCheck(ABC):
    """A check of one log.

    checked: what was checked so far. progress: called with each part of `size` that was checked.
    """

    checked: CheckProgress = field(default_factory=CheckProgress, kw_only=True)
    progress: Callable[[int], None] = field(default=lambda _: None, kw_only=True)

    @property
    @abstractmethod
    def size(self) -> int:
        """The size of the log's files in bytes; in a store without files the number of its rows."""

    @abstractmethod
    def findings(self) -> Iterator[LogFinding]:
        """Yield damage and harmless leftovers, in the order of the log; can be called once.

        Raises `OSError` if a file cannot be read.
        """


@dataclass(frozen=True, slots=True)
class DerivedBacklog:
    """The logs that have grown since their derived files were made.

    logs: their number. seconds: how long the first of them has waited.
    """

    logs: int = 0
    seconds: float = 0.0


class Upkeep(Protocol):
    """Background work on all logs."""

    def round(self, *, seconds: float) -> int:
        """Work for about `seconds`; return the number of logs worked on."""

    def backlog(self) -> DerivedBacklog:
        """Return the logs that the last round found and that are still to be done. Thread-safe."""


@runtime_checkable
class MaintainedStore(Protocol):
    """A store whose files need maintenance.

    Methods raise `UnknownSymbol` for a log without a folder or without a commit.
    """

    def folders(self, dataset: Dataset) -> list[str]:
        """Return the symbols that have a folder, with or without commits, sorted."""

    def derive(
        self, dataset: Dataset, symbol: str, *, rebuild: bool = False, compact: bool = False
    ) -> DerivedStatistics | None:
        """Update a log's derived files to its newest commit; return None if another process is doing it.

        rebuild: make all files anew. compact: join segments that fit into one. Raises `StoreUnavailable`, and
        `DataDamaged` if rows that must be read are damaged.
        """

    def rows_behind(self, dataset: Dataset, symbol: str) -> int:
        """Return roughly how many rows of a log are not in its derived files. Raises the errors of `derive`."""

    def accept_clock(self, until_ns: int) -> None:
        """Let all processes write with the clock as it is, after a step of it.

        until_ns: logs with commits up to this time may be written to, although they are ahead of the clock. Their next
        commits are a nanosecond apart until the clock has reached them. Raises `StoreUnavailable`.
        """

    def is_ahead_of_clock(self, newest_ns: int) -> bool:
        """Return whether a log with a newest commit of this time refuses writes, because the clock is behind it."""

    def keeper(self) -> Upkeep:
        """Return the background work that keeps all logs' derived files current."""
