"""What is said of wrong values, in one table, and what a rule of a column's values is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from store.arrays import Mask
from store.declarations import Column
from store.symbols import NO_SYMBOL, InvalidSymbol
from store.timestamps import NO_TIMESTAMP, OUT_OF_RANGE, InvalidTimestamp, TimestampOutOfRange

LARGEST_NUMBER = 2**53
ID_LENGTH = 64
WORDS_LIMIT = 32


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to be wrong: a stable code and a sentence."""

    code: str
    message: str


# In Django REST Framework's words, which all other endpoints use.
REQUIRED = Fault("required", "This field is required.")
NULL = Fault("null", "This field may not be null.")
NO_OBJECT = Fault("invalid_type", "must be an object")
NO_TIME = Fault(InvalidTimestamp.code, NO_TIMESTAMP)
TIME_OUT_OF_RANGE = Fault(TimestampOutOfRange.code, OUT_OF_RANGE)
NUMBER_OUT_OF_RANGE = Fault("out_of_range", f"must be a finite number of at most 2^53 ({LARGEST_NUMBER})")
COUNT_OUT_OF_RANGE = Fault("out_of_range", f"must be between 0 and 2^53 ({LARGEST_NUMBER})")
INVALID_SYMBOL = Fault(InvalidSymbol.code, NO_SYMBOL)
NO_DATE = Fault("invalid_date", "must be a date, or its midnight in UTC")
NO_WORD = Fault("invalid_text", f"must be 1-{ID_LENGTH} visible ASCII characters without spaces")
TOO_MANY_WORDS = Fault("too_many", f"has at most {WORDS_LIMIT} words")
NO_WORDS = Fault("invalid_text", f"is 1-{ID_LENGTH} visible ASCII characters without spaces or semicolons")

Found = list[tuple[Fault, Mask]]
# Whether prices may be zero or less: of all rows, or of each. Asked only if there are such prices.
AnyPrice = Callable[[], bool | Mask]


class ValueRule(ABC):
    """What the values of one column may be. `faults`: every way to be wrong; `schema`: as OpenAPI says it."""

    type_message: ClassVar[str] = "must be a string"
    faults: tuple[Fault, ...]
    schema: dict[str, Any]

    def __init__(self, column: Column) -> None:
        self.column = column
        self.invalid_type = Fault("invalid_type", self.type_message)

    @abstractmethod
    def stored(self, said: object) -> Any:
        """A value of JSON as the column holds it, or the fault that keeps it from being one."""

    @abstractmethod
    def fault(self, value: Any, any_price: AnyPrice = bool) -> Fault | None:
        """What is wrong with one value of the column's type; None if nothing is."""

    @abstractmethod
    def found(self, values: pa.Array, any_price: AnyPrice = bool) -> Found:
        """What is wrong with which values of the column's type; nothing ever is with nulls."""

    def judged(self, said: object, any_price: AnyPrice = bool) -> Any:
        """A value of JSON as the column holds it, or what is wrong with it."""
        value = self.stored(said)
        return value if isinstance(value, Fault) else self.fault(value, any_price) or value

    def in_one_spelling(self, values: pa.Array) -> pa.Array:
        """The values as they are stored."""
        return values
