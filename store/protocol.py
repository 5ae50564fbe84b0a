"""The protocol of a market store, and the values that its methods take and return."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from store import lazy_pyarrow as pa
from store.declarations import Dataset
from store.instruments import Instrument
from store.timestamps import EARLIEST_NS, LATEST_NS, SECOND_NS

if TYPE_CHECKING:
    from store.walk import CommitHook, CommitPiece, LogPosition


@dataclass(frozen=True, slots=True)
class Window:
    """Event times `[start_ns, end_ns)`, nanoseconds UTC."""

    start_ns: int
    end_ns: int

    def overlaps(self, other: Window) -> bool:
        """Return whether the two have an instant in common. Neither is empty."""
        return self.start_ns < other.end_ns and other.start_ns < self.end_ns

    def within(self, other: Window) -> Window:
        """Return the part that is in another window; an empty part lies at the nearer end of the other."""
        start_ns = min(max(self.start_ns, other.start_ns), other.end_ns)
        return Window(start_ns, max(start_ns, min(self.end_ns, other.end_ns)))

    def without(self, holes: Iterable[Window]) -> list[Window]:
        """Return the parts that are in none of the holes, ascending."""
        parts, start_ns = [], self.start_ns
        for hole in sorted(holes, key=lambda each: each.start_ns):
            inside = hole.within(self)
            if inside.start_ns >= inside.end_ns:
                continue
            if start_ns < inside.start_ns:
                parts.append(Window(start_ns, inside.start_ns))
            start_ns = max(start_ns, inside.end_ns)
        return [*parts, Window(start_ns, self.end_ns)] if start_ns < self.end_ns else parts


# A sender's clock may be ahead of ours by this much.
CLOCKS_APART_NS = 60 * SECOND_NS
ALL_TIME = Window(EARLIEST_NS, LATEST_NS + 1)


@dataclass(frozen=True, slots=True)
class Completeness:
    """How far a log is known to be complete, nanoseconds UTC. Both are `ALL_TIME.start_ns` for nothing.

    newest_ns: the largest event time of all rows ever stored, also of cancelled ones; a row that is dated after its
    commit's time counts as at most `CLOCKS_APART_NS` after it. complete_until_ns: the
    largest instant up to which the feed declared to have sent everything.
    """

    newest_ns: int
    complete_until_ns: int

    def joined(self, newest_ns: int, complete_until_ns: int) -> Completeness:
        """Return the completeness after a commit with this largest event time and this declaration."""
        return Completeness(max(self.newest_ns, newest_ns), max(self.complete_until_ns, complete_until_ns))


NOTHING_COMPLETE = Completeness(ALL_TIME.start_ns, ALL_TIME.start_ns)


@dataclass(frozen=True, slots=True)
class CommitId:
    """A commit of one log: its number from 1, and its hash. If a restored log reuses a number, the hash differs."""

    number: int
    hash: str

    @property
    def token(self) -> str:
        """The commit in the form that clients see, such as `17-9f3a2c`."""
        return f"{self.number}-{self.hash[:6]}"


NO_COMMIT = CommitId(0, "0" * 64)


class Dedupe(StrEnum):
    """How duplicates are recognised.

    rows: a row is recognised by its id or, without an id, by all its columns; equal rows are counted. batch:
    only a whole batch that was accepted before is recognised. none: nothing is recognised.
    """

    ROWS = "rows"
    BATCH = "batch"
    NONE = "none"


def hash_of_key(request_key: str) -> str:
    """Return the SHA-256 of an idempotency key, in hex. The key may be a secret, so it is not stored."""
    return hashlib.sha256(request_key.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Fill:
    """What a backfill's batch answers: a window for which a secondary source was asked.

    source: its name. request: a short text of what was asked. source_commit: the source's commit token, or "".
    """

    window: Window
    source: str
    request: str = ""
    source_commit: str = ""

    def __post_init__(self) -> None:
        if self.window.start_ns >= self.window.end_ns or not self.source:
            raise ValueError("a fill needs a source, and a window that is not empty")


@dataclass(frozen=True, slots=True)
class Superseded:
    """The event times, both inclusive, from a feed's first row to its last row in a batch that replaced rows of fills.

    The commit cancelled the rows of earlier fills between them. Earlier versions left those that the batch repeated:
    since then they are the feed's own. series: the rows' values of the dataset's `series_columns`, joined by ";"; only rows of the same series meet.
    """

    first_ns: int
    last_ns: int
    series: str = ""

    def overlaps(self, window: Window) -> bool:
        """Return whether one of the times is in a window."""
        return self.first_ns < window.end_ns and self.last_ns >= window.start_ns


@dataclass(frozen=True, slots=True)
class Append:
    """A batch of rows for one log.

    rows: a record batch in the dataset's schema, in order of arrival, with at least one row unless there is a
    `complete_until_ns` or a `fill`. caller: the sender, stored in the commit. request_key: the sender's idempotency key, or
    None; only its hash is stored. complete_until_ns: the sender declares that it has sent all rows with event
    times before this instant (nanoseconds UTC); None declares nothing. A declaration that is later than all
    before makes a commit, also without new rows. fill: the rows are those that a secondary source has in the
    fill's window; None for the feed's own rows. A fill always makes a commit: without new rows it is the
    evidence that the source has no others. replaces: the rows stand afterwards, whatever is stored with their
    identity: a stored row with other values is corrected to the batch's, one that was cancelled is stored anew. Of
    several rows with one identity the last counts; the others are duplicates.
    """

    dataset: Dataset
    symbol: str
    rows: pa.RecordBatch
    caller: str
    dedupe: Dedupe = Dedupe.ROWS
    request_key: str | None = None
    complete_until_ns: int | None = None
    fill: Fill | None = None
    replaces: bool = False

    def __post_init__(self) -> None:
        if self.replaces and (
            self.fill or self.dedupe is not Dedupe.ROWS or not self.dataset.takes_replacements
        ):
            raise ValueError(
                "rows replace others if all have ids, and are recognised by them; a fill corrects nothing"
            )
        if self.fill is not None:
            self._check_fill(self.fill)
        elif not self.rows.num_rows and self.complete_until_ns is None:
            raise ValueError("a batch needs a row, complete_until_ns or a fill")

    def _check_fill(self, fill: Fill) -> None:
        if self.complete_until_ns is not None:
            raise ValueError("only the feed declares complete_until_ns, not a fill")
        times = self.rows.column(0).to_numpy()
        if len(times) and not fill.window.start_ns <= times.min() <= times.max() < fill.window.end_ns:
            raise ValueError("the rows of a fill lie in its window")

    @property
    def key_hash(self) -> str | None:
        """The hash of the idempotency key, or None."""
        return None if self.request_key is None else hash_of_key(self.request_key)


class Action(StrEnum):
    """The effect of a correction: cancel the row, or give it other values."""

    CANCEL = "cancel"
    CORRECT = "correct"


@dataclass(frozen=True, slots=True)
class Correction:
    """A cancel or a correction of the row that now has this event time and all given values.

    named: values of the dataset's `named_by` columns; None names a row without a value. new: the new values by
    column; event time and ids cannot be changed.
    """

    action: Action
    timestamp_ns: int
    named: Mapping[str, object] = field(default_factory=dict)
    new: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Amendment:
    """A batch of at least one correction for one log, in the order in which they apply.

    caller: the sender, stored in the commit. request_key: the sender's idempotency key, or None; only its hash
    is stored.
    """

    dataset: Dataset
    symbol: str
    corrections: tuple[Correction, ...]
    caller: str
    request_key: str | None = None

    @property
    def key_hash(self) -> str | None:
        """The hash of the idempotency key, or None."""
        return None if self.request_key is None else hash_of_key(self.request_key)

    def __post_init__(self) -> None:
        dataset = self.dataset
        fixed = {dataset.columns[0].name, *dataset.id_columns}.difference(dataset.corrected)
        changeable = {column.name for column in dataset.columns} - fixed
        for correction in self.corrections:
            if not set(dataset.named_by).issuperset(correction.named):
                raise ValueError(
                    f"a row is named by {sorted(dataset.named_by)}, not {sorted(correction.named)}"
                )
            if bool(correction.new) is (correction.action is Action.CANCEL):
                raise ValueError("a correct needs new values, and a cancel must have none")
            if not changeable.issuperset(correction.new):
                raise ValueError(
                    f"a correction may change {sorted(changeable)}, not {sorted(correction.new)}"
                )


DUPLICATE_ROWS_KEPT = 100
NEW_FILE_BYTES = 16 * 2**10
"""A new file counts as so many bytes more than its lines: file systems have about one inode for each 16 KiB."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of a batch. commit: the log's newest commit once the batch is known to be stored.

    duplicate_rows: the indices in the batch of the first hundred rows that were stored before (or corrections
    that were applied before). superseded: how many rows of fills the batch cancelled; None if it
    cancelled none.
    replaced: how many stored rows got the values of a row of the batch; see `Append`. stored_bytes: about how much its
    commit added to the store, with `NEW_FILE_BYTES` for each new file; 0 if this call made no commit.
    """

    received: int
    stored: int
    duplicate_rows: tuple[int, ...]
    commit: CommitId
    replayed: bool = False
    superseded: int | None = None
    stored_bytes: int = field(default=0, compare=False)
    replaced: int = 0

    @property
    def duplicates(self) -> int:
        """The number of rows of the batch that were stored before."""
        return self.received - self.stored - self.replaced


class PreparedCorrections(NamedTuple):
    """Corrections that are ready to be stored.

    searched_rows: how many stored rows and corrections were read to find those to which they may refer. store: stores
    them; see `MarketStore.correct`.
    """

    searched_rows: int
    store: Callable[[], Receipt]


class MarketStore(Protocol):
    """The methods of a backend. It keeps instruments and, for each dataset and symbol, a log of rows.

    A log consists of numbered commits. Safe for many threads and processes. `QueryableStore` adds queries that
    are computed from these methods.

    commit: a read answers as of the commit with this number; None means the newest. Reads raise `UnknownSymbol`
    for a log without a commit, and `DataDamaged` if bytes that they need are damaged. committed: hooks that the
    writing process calls with dataset, symbol and commit after each of its commits, once the commit is durable
    and visible. They run in the writing thread, in any order if several threads write. A follower that must not
    miss a commit also polls `heads`.
    """

    committed: list[CommitHook]

    @abstractmethod
    def append(self, batch: Append) -> Receipt:
        """Store a batch, all of it or nothing, durably before returning. Raises `StorageError`s."""

    @abstractmethod
    def correct(self, amendment: Amendment) -> Receipt:
        """Apply a batch of corrections, all of it or nothing, durably before returning.

        A correction sees the results of those before it. It counts as applied before if its row is already
        cancelled or already has the new values. Raises `CorrectionTargetMissing`, `CorrectionAmbiguous` and
        the other `StorageError`s.
        """

    @abstractmethod
    def rows(
        self,
        dataset: Dataset,
        symbol: str,
        window: Window,
        *,
        commit: int | None = None,
        coded_texts: bool = False,
    ) -> pa.Table:
        """Return the rows in the window by (event time, sequence, arrival), in the dataset's schema.

        coded_texts: a column of few distinct texts may be dictionary-encoded, with `int32` indices.
        """

    @abstractmethod
    def versions(
        self,
        dataset: Dataset,
        symbol: str,
        window: Window,
        *,
        commit: int | None = None,
        columns: Collection[str] | None = None,
    ) -> pa.Table:
        """Return every version of the window's rows that commits up to `commit` stored, in the order of `rows`.

        A correction stores a new version of its row. The columns are the dataset's and `arrival`, `commit`, `until`
        (see `store.rows.stored_rows`); `until` is `STANDS` if a later commit ended the version. columns: of the
        dataset's columns only event time and these; None means all.
        """

    @abstractmethod
    def row_origin(
        self, dataset: Dataset, symbol: str, *, timestamp_ns: int, arrival: int
    ) -> tuple[CommitId, int]:
        """Return the commit that stored a row first, and the row's ordinal in it.

        timestamp_ns, arrival: of a version of the row (see `versions`). Its cost does not grow with the commit's rows.
        """

    @abstractmethod
    def version(
        self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None
    ) -> CommitId:
        """Return the newest commit that touches an event date of the window; `NO_COMMIT` if none does."""

    @abstractmethod
    def head(self, dataset: Dataset, symbol: str, *, commit: int | None = None) -> CommitId:
        """Return the log's newest commit, or the commit with this number, which must exist."""

    @abstractmethod
    def completeness(self, dataset: Dataset, symbol: str, *, commit: int | None = None) -> Completeness:
        """Return how far the log is known to be complete."""

    @abstractmethod
    def fills(
        self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None
    ) -> list[tuple[int, Fill]]:
        """Return the fills whose windows overlap a window, each with its commit's number, in order of commit.

        Its cost does not grow with the number of other commits. `version` changes only with a fill's rows.
        """

    @abstractmethod
    def committed_at(self, dataset: Dataset, symbol: str, number: int) -> int:
        """Return the time of a commit, in nanoseconds UTC. number: must exist."""

    @abstractmethod
    def commit_as_of(self, dataset: Dataset, symbol: str, instant_ns: int) -> int:
        """Return the number of the newest commit made at or before an instant; 0 if there is none."""

    @abstractmethod
    def commits(
        self, dataset: Dataset, symbol: str, after: LogPosition, upto: int | None = None
    ) -> Iterator[CommitPiece]:
        """Yield the commits after a position: for each its record, then its rows or corrections in pieces.

        Rows are in order of arrival; corrections are by event date, then in the order in which they apply.
        after: `BEGINNING`, or the `position` of the last piece that was taken. upto: the number of the last
        commit; None, or a number not yet reached, means the newest commit at the call. Everything yielded is
        durable, whichever process wrote it. Raises `Resync`, also during iteration, if the log does not have
        the commit of `after`. Iteration also raises the errors of reads.
        """

    @abstractmethod
    def heads(self, dataset: Dataset, symbols: Sequence[str] | None = None) -> dict[str, Hashable]:
        """Return a token for each log of the given symbols, by default of all symbols.

        For followers of commits: a changed token tells that there is more to read in that log. For answers that are
        kept, use `change_stamp`. A log without commits may be missing. While a log's token is the same, nothing was
        committed to it. A token costs one stat call. Only tokens of the same store at the same path can be compared.
        """

    @abstractmethod
    def change_stamp(self, logs: Iterable[tuple[Dataset, str]]) -> Callable[[], Hashable]:
        """Return a function whose result changes with each commit to these logs and each declaration of an instrument.

        For answers that are kept: while the result is the same, an answer made from these logs is the newest. It does
        not tell which log changed; `heads` does. Logs are pairs of dataset and symbol; they need not exist. A call
        costs a stat call for each log and one more. The function raises `OSError`.
        """

    @abstractmethod
    def instrument(self, symbol: str, *, as_of_ns: int | None = None) -> Instrument:
        """Return an instrument by symbol or alias, as of now or an instant.

        If it was not declared by then, return its `default_instrument`.
        """

    @abstractmethod
    def canonical(self, symbol: str, on_ns: int | None = None) -> str:
        """Return an alias's symbol at an instant (nanoseconds UTC), and any other symbol unchanged.

        on_ns: None for now; then an alias that has an end is not one. Names are those of the newest declarations.
        Raises `UnknownSymbol` for a name that is an alias now, but was none at `on_ns`.
        Methods other than this and `instrument` do not take aliases.
        """

    @abstractmethod
    def declared_instruments(
        self, *, symbol: str | None = None, as_of_ns: int | None = None
    ) -> list[Instrument]:
        """Return the declared instruments (or only `symbol`'s), sorted by symbol, as of now or an instant."""

    @abstractmethod
    def declarations(self, symbol: str, *, as_of_ns: int | None = None) -> list[tuple[int, Instrument]]:
        """Return a symbol's declarations and their times (nanoseconds UTC), as of now or an instant; oldest first."""

    @abstractmethod
    def last_declared_ns(self, as_of_ns: int) -> int:
        """Return the time (nanoseconds UTC) of the last declaration up to an instant; 0 if there is none."""

    @abstractmethod
    def set_instrument(self, instrument: Instrument) -> None:
        """Declare an instrument from now on, durably and for every process. Raises `AliasTaken`."""

    @abstractmethod
    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Declare instruments with distinct symbols: all, or none if `AliasTaken` is raised."""

    @abstractmethod
    def check_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Raise the `AliasTaken` that `set_instruments` would raise.

        An alias may not be another instrument's alias at the same time. An alias without an end may not be a symbol
        with data, the symbol of one of these instruments, or the symbol of an instrument with aliases.
        """

    @abstractmethod
    def catalogue_stamp(self) -> Hashable:
        """Return a value that changes with each declaration and each symbol's first commit. It is cheap."""

    @abstractmethod
    def symbols(self, dataset: Dataset) -> list[str]:
        """Return the symbols with at least one commit, sorted."""
