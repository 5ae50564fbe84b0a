"""What a store with files offers its operator, beyond `MarketStore`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from store.declarations import Dataset


@dataclass(frozen=True, slots=True)
class LogFinding:
    """A byte range that is not as written, or a harmless leftover.

    offset: the first wrong byte of the file, or the nearest known position. first_ns, last_ns: event times
    of the rows that cannot be served. is_harmless: no data is lost, as with bytes that no commit names or
    columns that this version does not know.
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
    """What a check has read so far. bytes: of commit records and of the parts that they name."""

    commits: int = 0
    rows: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """Counts of one log.

    bytes: of its CSV files. derived_bytes: of files that can be rebuilt from them. first_ns, last_ns:
    smallest and largest event time; None without rows.
    """

    commits: int
    rows: int
    bytes: int
    derived_bytes: int
    first_ns: int | None
    last_ns: int | None


@dataclass(frozen=True, slots=True)
class DerivedStatistics:
    """The derived files of a log: up to which commit, and how many segments, rows and bytes."""

    commit: int
    segments: int
    rows: int
    bytes: int


class LogCheck(Protocol):
    """A check of every byte of one log. `progress` is called with the number of bytes just read."""

    checked: CheckProgress
    progress: Callable[[int], None]

    @property
    def size(self) -> int:
        """The size of the log's files in bytes."""

    def findings(self) -> Iterator[LogFinding]:
        """Yield damage and harmless leftovers while the log is read; can be called once.

        Raises `OSError` if a file cannot be read.
        """


@dataclass(frozen=True, slots=True)
class DerivedBacklog:
    """How many logs have grown since their derived files were made, and for how many seconds."""

    logs: int = 0
    seconds: float = 0.0


class Upkeep(Protocol):
    """Background work on all logs."""

    def round(self, *, seconds: float) -> int:
        """Work for about so many seconds; return the number of logs worked on."""

    def backlog(self) -> DerivedBacklog:
        """Return what the last round found and has not been done since. Thread-safe."""


@runtime_checkable
class MaintainedStore(Protocol):
    """A store whose files need maintenance.

    Raises `UnknownSymbol` for a log without a commit or a folder.
    """

    def folders(self, dataset: Dataset) -> list[str]:
        """Return the symbols that have a folder, with or without commits, sorted."""

    def check(self, dataset: Dataset, symbol: str) -> LogCheck:
        """Return a check of a log, not started."""

    def statistics(self, dataset: Dataset, symbol: str) -> LogStatistics:
        """Return the counts of a log. Raises `DataDamaged`, `StoreUnavailable`."""

    def derive(
        self, dataset: Dataset, symbol: str, *, rebuild: bool = False, compact: bool = False
    ) -> DerivedStatistics | None:
        """Bring a log's derived files up to its newest commit; return None if another process is doing it.

        rebuild: start from nothing. compact: join segments that fit into one. Raises `StoreUnavailable`, and
        `DataDamaged` if rows that must be read are damaged.
        """

    def keeper(self) -> Upkeep:
        """Return the background work that keeps all logs' derived files current."""
