"""What every market store does.

Backends are chosen by settings; nothing here knows of HTTP, Django or Redis.
"""

import hashlib
from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from store.declarations import Dataset
from store.instruments import Instrument
from store.timestamps import EARLIEST_NS, LATEST_NS


class Catalogue(Protocol):
    """Instruments as they were told to be, each telling kept with its instant.

    Safe for many threads and processes.
    """

    @abstractmethod
    def instrument(self, symbol: str, *, as_of_ns: int | None = None) -> Instrument:
        """What an instrument is, or was at an instant, by symbol or alias; untold: `default_instrument`."""
        ...

    @abstractmethod
    def canonical(self, symbol: str) -> str:
        """The symbol that an alias stands for; any other symbol is its own. Other methods take no aliases."""
        ...

    @abstractmethod
    def declared_instruments(
        self, *, symbol: str | None = None, as_of_ns: int | None = None
    ) -> list[Instrument]:
        """What was told, until now or an instant, of all instruments or of one symbol; by symbol."""
        ...

    @abstractmethod
    def last_declared_ns(self, as_of_ns: int) -> int:
        """When any instrument was last told about, until an instant, in nanoseconds UTC; 0 if never."""
        ...

    @abstractmethod
    def set_instrument(self, instrument: Instrument) -> None:
        """Make an instrument what it is from now on, durably and for every process. Raises `AliasTaken`."""
        ...

    @abstractmethod
    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """The same for many at once, no two of one symbol: all of them, or none if it raises `AliasTaken`."""
        ...

    @abstractmethod
    def check_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Raise the `AliasTaken` that setting these would raise.

        An alias may be no symbol with data, no other instrument's alias, and not its instrument's own symbol.
        """
        ...

    @abstractmethod
    def catalogue_stamp(self) -> Hashable:
        """What changes with a symbol's first commit, and with every telling of an instrument; cheap."""
        ...

    @abstractmethod
    def symbols(self, dataset: Dataset) -> list[str]:
        """The symbols with at least one commit, sorted."""
        ...


if TYPE_CHECKING:
    from store.walk import CommitHook, CommitPiece, LogPosition


@dataclass(frozen=True, slots=True)
class Window:
    """Event times `[start_ns, end_ns)`, nanoseconds UTC."""

    start_ns: int
    end_ns: int


ALL_TIME = Window(EARLIEST_NS, LATEST_NS + 1)


@dataclass(frozen=True, slots=True)
class CommitId:
    """A commit of one log: its number, from 1 on, and its hash, which tells a restored log from this one."""

    number: int
    hash: str

    @property
    def token(self) -> str:
        """As clients see it: `17-9f3a2c`."""
        return f"{self.number}-{self.hash[:6]}"


NO_COMMIT = CommitId(0, "0" * 64)


class Dedupe(StrEnum):
    """How a row that is already stored is recognised.

    rows: by its id, or without one by all its columns, counted as a multiset.
    batch: only a whole batch that was accepted before. none: never.
    """

    ROWS = "rows"
    BATCH = "batch"
    NONE = "none"


def hash_of_key(request_key: str) -> str:
    """SHA-256 of an idempotency key, in hex. A client may have sent a secret as its key."""
    return hashlib.sha256(request_key.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Append:
    """One batch for one log.

    rows: a record batch in the dataset's schema, in order of arrival, at least one row.
    caller: who sends it, kept in the commit. request_key: the idempotency key in that caller's name, or None;
    a store keeps its hash only.
    """

    dataset: Dataset
    symbol: str
    rows: pa.RecordBatch
    caller: str
    dedupe: Dedupe = Dedupe.ROWS
    request_key: str | None = None

    @property
    def key_hash(self) -> str | None:
        """What a store keeps of the idempotency key."""
        return None if self.request_key is None else hash_of_key(self.request_key)


class Action(StrEnum):
    """What a correction does to the row that it names: takes it away, or gives it other values."""

    CANCEL = "cancel"
    CORRECT = "correct"


@dataclass(frozen=True, slots=True)
class Correction:
    """A cancel or a correction of the standing row of an event time that all given values fit.

    trade_id, or price and volume, identify the row; what else is given must fit, too. new: by column, the
    values that a corrected row gets; never those that identify it (event time, trade_id, exchange).
    """

    action: Action
    timestamp_ns: int
    trade_id: str | None = None
    exchange: str | None = None
    price: float | None = None
    volume: float | None = None
    new: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Amendment:
    """A batch of corrections for one log, at least one, in the order in which they apply.

    caller: who sends it, kept in the commit. request_key: the idempotency key in that caller's name, or None;
    a store keeps its hash only.
    """

    dataset: Dataset
    symbol: str
    corrections: tuple[Correction, ...]
    caller: str
    request_key: str | None = None

    @property
    def key_hash(self) -> str | None:
        """What a store keeps of the idempotency key."""
        return None if self.request_key is None else hash_of_key(self.request_key)

    def __post_init__(self) -> None:
        fixed = {self.dataset.columns[0].name, *self.dataset.id_columns}
        changeable = {column.name for column in self.dataset.columns} - fixed
        for correction in self.corrections:
            if bool(correction.new) is (correction.action is Action.CANCEL):
                raise ValueError("a correct has new values, and a cancel has none")
            if not changeable.issuperset(correction.new):
                raise ValueError(
                    f"a correction may change {sorted(changeable)}, not {sorted(correction.new)}"
                )


DUPLICATE_ROWS_KEPT = 100


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch. `commit` is the log's newest commit once the batch is known to be stored.

    duplicate_rows: the places in the batch of rows that were stored (of corrections that were applied)
    before, the first hundred of them.
    """

    received: int
    stored: int
    duplicate_rows: tuple[int, ...]
    commit: CommitId
    replayed: bool = False

    @property
    def duplicates(self) -> int:
        """Rows of the batch that were stored before."""
        return self.received - self.stored


class MarketStore(Catalogue, Protocol):
    """What a backend must do: keep rows of (dataset, symbol) logs, in numbered commits.

    Safe for many threads and processes at once. `QueryableStore` answers the rest over these methods.

    `commit` is a commit number: the answer is what was stored by that commit; None means the newest. Reads raise
    `UnknownSymbol` for a log without any commit, `DataDamaged` if bytes that they need are damaged.

    committed: hooks that are called in the writing process with the dataset, the symbol and the commit, after
    each commit that it made, once it is durable and visible: in the thread that called, which waits for them,
    and in any order if several threads write. Who must not miss a commit polls `heads` beside it.
    """

    committed: "list[CommitHook]"

    @abstractmethod
    def append(self, batch: Append) -> Receipt:
        """Store a batch, all of it or nothing, durably before returning. Raises `StorageError`s."""
        ...

    @abstractmethod
    def correct(self, amendment: Amendment) -> Receipt:
        """Apply a batch of corrections, all of it or nothing, durably before returning.

        A correction sees those before it. One whose row is cancelled already, or has the new values, was
        applied before. Raises `CorrectionTargetMissing`, `CorrectionAmbiguous` and the other `StorageError`s.
        """
        ...

    @abstractmethod
    def rows(self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None) -> pa.Table:
        """Rows in the window by (event time, sequence if there is one, arrival), in the dataset's schema."""
        ...

    @abstractmethod
    def version(
        self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None
    ) -> CommitId:
        """The newest commit that touches an event date of the window; `NO_COMMIT` if none does."""
        ...

    @abstractmethod
    def head(self, dataset: Dataset, symbol: str, *, commit: int | None = None) -> CommitId:
        """The log's newest commit, or the commit numbered `commit` (which must exist)."""
        ...

    @abstractmethod
    def committed_at(self, dataset: Dataset, symbol: str, number: int) -> int:
        """When the commit of a number, which must exist, was made, in nanoseconds UTC."""
        ...

    @abstractmethod
    def commit_as_of(self, dataset: Dataset, symbol: str, instant_ns: int) -> int:
        """The number of the newest commit made at or before an instant; 0 if there is none."""
        ...

    @abstractmethod
    def commits(
        self, dataset: Dataset, symbol: str, after: "LogPosition", upto: int | None = None
    ) -> Iterator["CommitPiece"]:
        """The commits behind a place, each as its record, then its rows or corrections in bounded pieces.

        In order of arrival; corrections by event date, then as they apply. after: `BEGINNING`, or the `place`
        of the piece that was taken last. upto: the number of the last commit; None, or a number that is not
        reached yet: the newest one commit the call. What is yielded is durable, whichever process wrote it.
        Raises `Resync` if the log does not have the commit of `after`, also while it is iterated; iterating
        raises like a read.
        """
        ...

    @abstractmethod
    def heads(self, dataset: Dataset, symbols: Sequence[str] | None = None) -> dict[str, Hashable]:
        """A token for each log, of all symbols or of those given; a log without commits may be missing.

        While a log's token is the same, nothing was committed to it. A token costs a stat, no reading. Tokens
        compare only with others of the same store at the same path.
        """
        ...
