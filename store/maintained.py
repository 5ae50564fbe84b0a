"""The maintenance of a store: checks, statistics, and of a store with files derived files."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from store.declarations import Dataset
from store.protocol import CommitId


@dataclass(frozen=True, slots=True)
class LogFinding:
    """Damaged bytes.

    file: empty in a store without files. offset: the position in the file where the damage, or the damaged block, begins. first_ns, last_ns: smallest
    and largest event time of the rows that cannot be served.
    """

    file: str
    offset: int
    message: str
    commit: int | None = None
    first_ns: int | None = None
    last_ns: int | None = None


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


@dataclass(frozen=True, slots=True)
class LogCut:
    """What a log loses by a cut.

    head: the newest commit that stays; `NO_COMMIT` if none does. newest: the newest commit before the cut. bytes_kept, bytes:
    sizes of the file of records after and before the cut. rows, corrections: of the lost commits. first_ns: the time of the
    log's first commit. removed_ns: the time of the last lost commit that let expired rows be deleted; None if there is none.
    """

    head: CommitId
    newest: CommitId
    bytes_kept: int
    bytes: int
    rows: int
    corrections: int
    first_ns: int | None
    removed_ns: int | None

    @property
    def commits(self) -> int:
        """The number of lost commits."""
        return self.newest.number - self.head.number


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
        """Yield damage in the order of the log; can be called once.

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

    def planned_cut(self, dataset: Dataset, symbol: str, until_ns: int) -> LogCut:
        """Return what a log loses by a cut after its last commit up to an instant. Raises `DataDamaged`, `StoreUnavailable`."""

    def cut(self, dataset: Dataset, symbol: str, planned: LogCut) -> None:
        """Cut later commits off a log, and keep their records in a file beside it.

        Nothing may write to it, and no derived files be made, meanwhile. Raises `StoreUnavailable`, also if something was
        written since the cut was planned.
        """

    def keeper(self) -> Upkeep:
        """Return the background work that keeps all logs' derived files current."""
