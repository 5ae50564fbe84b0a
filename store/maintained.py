"""What a store that keeps files does for its operator, beyond `MarketStore`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from store.declarations import Dataset


@dataclass(frozen=True, slots=True)
class LogFinding:
    """Something that is not as written.

    offset: the first wrong byte of the file, or the nearest that can be told. first_ns, last_ns: the event
    times of the rows that cannot be served. is_harmless: nothing is lost; bytes that no commit names, columns
    that this version does not know.
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
    """What was looked at so far. bytes: of commit records and of the parts that they name."""

    commits: int = 0
    rows: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """Counts of one log. bytes: of its CSV files; derived_bytes: of what can be built again from them.

    first_ns, last_ns: the smallest and largest event time of its rows; None without rows.
    """

    commits: int
    rows: int
    bytes: int
    derived_bytes: int
    first_ns: int | None
    last_ns: int | None


@dataclass(frozen=True, slots=True)
class DerivedStatistics:
    """What the derived files of a log hold: up to which commit, in how many segments, rows and bytes."""

    commit: int
    segments: int
    rows: int
    bytes: int


class LogCheck(Protocol):
    """A check of every byte of one log. `progress` is told how many bytes were looked at more."""

    checked: CheckProgress
    progress: Callable[[int], None]

    @property
    def size(self) -> int:
        """Bytes of the log's files."""
        ...

    def findings(self) -> Iterator[LogFinding]:
        """Damage and harmless leftovers, found as they are asked for, once.

        Raises `OSError` for what cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class DerivedBacklog:
    """How many logs have grown since their derived files were made, and for how many seconds that is known."""

    logs: int = 0
    seconds: float = 0.0


class Upkeep(Protocol):
    """Background work on all logs."""

    def round(self, *, seconds: float) -> int:
        """Work for about so many seconds; on how many logs."""
        ...

    def backlog(self) -> DerivedBacklog:
        """What the last round found and was not done since. Thread safe."""
        ...


@runtime_checkable
class MaintainedStore(Protocol):
    """A store with files to look after.

    Raises `UnknownSymbol` for a log without any commit, or without a folder.
    """

    def folders(self, dataset: Dataset) -> list[str]:
        """The symbols that have a folder, also one in which no commit is found; sorted."""
        ...

    def check(self, dataset: Dataset, symbol: str) -> LogCheck:
        """A check of a log, not begun."""
        ...

    def statistics(self, dataset: Dataset, symbol: str) -> LogStatistics:
        """What a log holds. Raises `DataDamaged`, `StoreUnavailable`."""
        ...

    def derive(
        self, dataset: Dataset, symbol: str, *, rebuild: bool = False, compact: bool = False
    ) -> DerivedStatistics | None:
        """Bring the derived files of a log up to its newest commit; None if another process is at it.

        rebuild: begin anew. compact: join what fits together. Raises `StoreUnavailable`, and `DataDamaged` if
        rows that are to be read are damaged.
        """
        ...

    def keeper(self) -> Upkeep:
        """What keeps the derived files of all logs current."""
        ...
