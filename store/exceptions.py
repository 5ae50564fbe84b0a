"""The errors of a store.

StorageError
├── UnknownSymbol                 nothing was ever stored under this symbol
├── NotKnownThen                  the symbol was first known after the `as_of`
├── Expired                       the rows of these dates have expired; the message says what is left
├── NotStored                     the batch is refused; correct it
│   ├── IdConflict                an id is already taken by other values
│   ├── CorrectionTargetMissing   no stored row matches a correction
│   ├── CorrectionAmbiguous       several different rows match a correction
│   ├── CorrectedRowInvalid       a row would break a rule of its dataset after a correction
│   ├── RequestKeyReused          the idempotency key was used for another batch
│   └── AliasTaken                an alias belongs to another instrument
├── RequestInProgress             the same idempotency key is being written right now; retry soon
└── StoreUnavailable              try again later
    ├── StoreBusy                 another process held the log's lock for too long
    │   └── CommitConflict        another commit came first; read it, and try again
    ├── LogAheadOfClock           the log's newest commit is in the future; wait, or an operator must act
    ├── OtherVersion              another version wrote the data; run that version, or begin anew
    ├── StoreFull                 no space is left; an operator must act
    ├── OutcomeUnknown            the batch may or may not be stored; retry it, duplicates are recognised
    └── DataDamaged               stored bytes are not as written; an operator must restore them

`store.walk.Resync` is not a `StorageError`: it tells a follower, or a reader of several pages, to start over.
"""

from typing import ClassVar


class StorageError(Exception):
    """Base class. Errors that a client can meet have a stable `code`."""

    code: ClassVar[str]


class UnknownSymbol(StorageError):
    """Nothing was ever stored under this symbol. Ask for another one, or ingest it first."""

    code = "unknown_symbol"

    def __init__(self, symbol: str) -> None:
        super().__init__(f"nothing is stored under the symbol {symbol}")
        self.symbol = symbol


class NotKnownThen(StorageError):
    """Nothing was known of the symbol at the `as_of`. Ask for a later one; the message names the first instant."""

    code = "not_known_then"


class Expired(StorageError):
    """Rows of these dates have expired. Ask for later ones, or for what is left; the message names both.

    before_ns: the instant (nanoseconds UTC) before which rows have expired.
    """

    code = "expired"

    def __init__(self, message: str, before_ns: int) -> None:
        super().__init__(message, before_ns)
        self.before_ns = before_ns

    def __str__(self) -> str:
        return str(self.args[0])


class NotStored(StorageError):
    """The batch is refused. The caller must change it."""


class IdConflict(NotStored):
    """Rows have an id that is stored with other values. The caller must correct them.

    rows: their indices in the batch.
    """

    code = "trade_id_conflict"

    def __init__(self, rows: list[int]) -> None:
        super().__init__(
            "a row's id is taken by a stored row, or an earlier row of this batch, with other values"
        )
        self.rows = rows


class CorrectionTargetMissing(NotStored):
    """No stored row that is not cancelled matches a correction. The caller must correct it.

    rows: the corrections' indices in the batch.
    """

    code = "correction_target_not_found"

    def __init__(self, rows: list[int]) -> None:
        super().__init__(
            "no stored row matches the correction: check the event time, the id, price and volume"
        )
        self.rows = rows


class CorrectionAmbiguous(NotStored):
    """Several different rows match a correction. The caller must give more of the row's values.

    rows: the corrections' indices in the batch.
    """

    code = "correction_ambiguous"

    def __init__(self, rows: list[int]) -> None:
        super().__init__("several different stored rows match the correction: name more of the row's values")
        self.rows = rows


class CorrectedRowInvalid(NotStored):
    """A row would break a rule of its dataset after a correction. The caller must correct the correction.

    rows: the corrections' indices in the batch. code: the rule's.
    """

    def __init__(self, rows: list[int], code: str, message: str) -> None:
        super().__init__(f"after the correction: {message}")
        self.rows = rows
        self.code = code  # type: ignore[misc]  # of each rule


class RequestKeyReused(NotStored):
    """The idempotency key was used for another batch. The caller must choose a new key."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request body: choose a new key")


class AliasTaken(NotStored):
    """An alias belongs to another instrument. Choose another alias.

    index: the instrument's index in the request.
    """

    code = "alias_taken"

    def __init__(self, index: int, alias: str, reason: str) -> None:
        super().__init__(f"{alias} cannot be used: {reason}")
        self.index = index
        self.alias = alias


class RequestInProgress(StorageError):
    """A request with this idempotency key is being written. Retry in a moment."""

    code = "in_progress"

    def __init__(self) -> None:
        super().__init__("a request with this Idempotency-Key is still running: retry in a moment")


class StoreUnavailable(StorageError):
    """The store cannot be read or written now; nothing was stored. Retry later."""

    code = "store_unavailable"


class StoreBusy(StoreUnavailable):
    """Another process held the log's lock for too long. Retry."""

    code = "store_busy"


class CommitConflict(StoreBusy):
    """The log has a newer commit than the one on which the batch depends. Read it, and retry."""

    def __init__(self) -> None:
        super().__init__("another commit came first: retry")


class LogAheadOfClock(StoreUnavailable):
    """The log's newest commit is further ahead of the clock than it may be. Wait, or an operator must act."""

    code = "log_ahead_of_clock"


class OtherVersion(StoreUnavailable):
    """Another version of this program wrote a folder or a database. Run that version, or begin with empty ones.

    where: the folder, or `The database`. reason: what this version does not know of it.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"{self.where} was written by another version: {self.reason}. Run the version that wrote it, or begin with"
            " an empty folder and database (docs/versions.md)."
        )


class StoreFull(StoreUnavailable):
    """The disk is full, or a file may not grow. An operator must free space; then retry."""

    code = "store_full"


class OutcomeUnknown(StoreUnavailable):
    """The disk did not confirm the commit. Retry: rows that were stored are recognised as duplicates."""

    code = "outcome_unknown"


class DataDamaged(StoreUnavailable):
    """Stored bytes fail their checksum. An operator must restore them; reads that do not need them still work."""

    code = "data_damaged"
