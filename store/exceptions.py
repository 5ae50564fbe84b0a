"""What a store can refuse.

StorageError
├── UnknownSymbol                 nothing was ever stored under this symbol
├── NotStored                     the batch is refused; correct it
│   ├── IdConflict                an id is already taken by other values
│   ├── CorrectionTargetMissing   no standing row is what a correction names
│   ├── CorrectionAmbiguous       several rows that differ are what a correction names
│   ├── RequestKeyReused          the idempotency key was used for another batch
│   └── AliasTaken                an alias of an instrument means something else already
├── RequestInProgress             the same idempotency key is being written right now; retry soon
└── StoreUnavailable              try again later
    ├── StoreBusy                 another process holds the log's lock for too long
    ├── StoreFull                 no space is left; an operator must act
    ├── OutcomeUnknown            the batch may or may not be stored; retry it, duplicates are recognised
    └── DataDamaged               stored bytes are not what was written; an operator must act

`store.walk.Resync` is none of them: a follower must begin anew, and no request is refused with it.
"""

from typing import ClassVar


class StorageError(Exception):
    """Anything that a store refuses. What a client can meet has a stable `code`."""

    code: ClassVar[str]


class UnknownSymbol(StorageError):
    """Nothing was ever stored under this symbol. Ask for another, or ingest it first."""

    code = "unknown_symbol"

    def __init__(self, symbol: str) -> None:
        super().__init__(f"nothing is stored under the symbol {symbol}")
        self.symbol = symbol


class NotStored(StorageError):
    """The batch is refused as it stands; the caller must change it."""


class IdConflict(NotStored):
    """Rows use an id that other values have taken. The caller must correct them."""

    code = "trade_id_conflict"

    def __init__(self, rows: list[int]) -> None:
        super().__init__(
            "a row's id is taken by a stored row, or an earlier row of this batch, with other values"
        )
        self.rows = rows


class CorrectionTargetMissing(NotStored):
    """No standing row is what a correction names.

    The caller must correct it; `rows` are the corrections' places.
    """

    code = "correction_target_not_found"

    def __init__(self, rows: list[int]) -> None:
        super().__init__("no stored row is the one that the correction names")
        self.rows = rows


class CorrectionAmbiguous(NotStored):
    """Rows that differ are what a correction names.

    The caller must say more; `rows` are the corrections' places.
    """

    code = "correction_ambiguous"

    def __init__(self, rows: list[int]) -> None:
        super().__init__(
            "several stored rows, which differ, are what the correction names; say more of the row"
        )
        self.rows = rows


class RequestKeyReused(NotStored):
    """The idempotency key belongs to another batch. The caller must choose a new key."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request body")


class AliasTaken(NotStored):
    """An alias means another instrument.

    Choose another one; `index` is the instrument's among those told at once.
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
        super().__init__("a request with this Idempotency-Key is still running")


class StoreUnavailable(StorageError):
    """The store cannot be read or written now. Retry later; nothing of the batch was stored."""

    code = "store_unavailable"


class StoreBusy(StoreUnavailable):
    """The log's lock could not be had in time. Retry."""

    code = "store_busy"


class StoreFull(StoreUnavailable):
    """No space is left on the device, or a file may not grow. An operator must make room; then retry."""

    code = "store_full"


class OutcomeUnknown(StoreUnavailable):
    """The commit could not be confirmed. Retry: if it did get through, its rows are recognised."""

    code = "outcome_unknown"


class DataDamaged(StoreUnavailable):
    """Stored bytes fail their checksum. An operator must restore them; what does not need them is served."""

    code = "data_damaged"
