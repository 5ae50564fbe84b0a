"""The faults that a value can have, the interface of rules, and the rules of times, numbers and booleans."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from store.arrays import Mask
from store.declarations import Column, ColumnForm
from store.instant_text import LEAP_SECOND
from store.row_rules import LowerBound
from store.symbols import NO_SYMBOL, InvalidSymbol
from store.timestamps import (
    DAY_NS,
    EARLIEST_NS,
    LATEST_NS,
    LONGEST_TEXT,
    NO_TIMESTAMP,
    OUT_OF_RANGE,
    InvalidTimestamp,
    TimestampOutOfRange,
    parse_timestamp,
)
from web.requests.field_errors import MISSING, NOT_NULL

LARGEST_NUMBER = 2**53
ID_LENGTH = 64
WORDS_LIMIT = 32


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of error: a stable code and a message."""

    code: str
    message: str


# REQUIRED and NULL have the same messages as in all other endpoints.
REQUIRED = Fault("required", MISSING)
NULL = Fault("null", NOT_NULL)
NO_OBJECT = Fault("invalid_type", "must be an object")
NO_TIME = Fault(InvalidTimestamp.code, NO_TIMESTAMP)
NO_LEAP_SECOND = Fault(InvalidTimestamp.code, LEAP_SECOND)
TIME_OUT_OF_RANGE = Fault(TimestampOutOfRange.code, OUT_OF_RANGE)
NUMBER_OUT_OF_RANGE = Fault("out_of_range", f"must be a finite number of at most 2^53 ({LARGEST_NUMBER})")
COUNT_OUT_OF_RANGE = Fault("out_of_range", f"must be between 0 and 2^53 ({LARGEST_NUMBER})")
INVALID_SYMBOL = Fault(InvalidSymbol.code, NO_SYMBOL)
NO_CURRENCY = Fault("invalid_format", "must be three of A-Z, such as USD")
NO_DATE = Fault("invalid_date", "must be a date, or its midnight in UTC")
NO_WORD = Fault("invalid_text", f"must be 1-{ID_LENGTH} visible ASCII characters without spaces")
TOO_MANY_WORDS = Fault("too_many", f"has at most {WORDS_LIMIT} words")
NO_WORDS = Fault("invalid_text", f"is 1-{ID_LENGTH} visible ASCII characters without spaces or semicolons")

FaultMasks = list[tuple[Fault, Mask]]
# Returns whether prices may be zero or less, for all rows or for each. Called only if there are such prices.
AllowsNonpositive = Callable[[], bool | Mask]


class ValueRule(ABC):
    """The rule of one column's values. `faults`: all faults it can find; `schema`: its OpenAPI schema."""

    type_message: ClassVar[str] = "must be a string"
    faults: tuple[Fault, ...]
    schema: dict[str, Any]

    def __init__(self, column: Column) -> None:
        self.column = column
        self.invalid_type = Fault("invalid_type", self.type_message)

    @abstractmethod
    def convert(self, value: object) -> Any:
        """Return a JSON value in the column's type, or the fault of one that cannot be converted."""

    @abstractmethod
    def check_column(self, values: pa.Array, allows_nonpositive: AllowsNonpositive) -> FaultMasks:
        """Return the faults of a whole column, each with the rows that have it. Nulls have none."""

    def fault_of(self, _value: Any, _allows_nonpositive: AllowsNonpositive, /) -> Fault | None:
        """Return the first fault of a value in the column's type, or None."""
        return None

    def convert_and_check(self, value: object, allows_nonpositive: AllowsNonpositive = bool) -> Any:
        """Return a JSON value in the column's type, or its first fault."""
        converted = self.convert(value)
        return (
            converted
            if isinstance(converted, Fault)
            else self.fault_of(converted, allows_nonpositive) or converted
        )

    def normalized(self, values: pa.Array) -> pa.Array:
        """Return the values with aliases replaced by the words that are stored."""
        return values


@dataclass(frozen=True, slots=True)
class NumberCheck:
    """A fault and its test; `is_broken` takes a number or a numpy array.

    waivable: does not apply if nonpositive prices are allowed.
    """

    fault: Fault
    is_broken: Callable[[Any], Any]
    waivable: bool = False


class _NumericRule(ValueRule):
    """A rule of values held as numbers or instants."""

    checks: tuple[NumberCheck, ...]

    def fault_of(self, value: Any, allows_nonpositive: AllowsNonpositive, /) -> Fault | None:
        broken = (check for check in self.checks if check.is_broken(value))
        return next((check.fault for check in broken if not (check.waivable and allows_nonpositive())), None)

    def check_column(self, values: pa.Array, allows_nonpositive: AllowsNonpositive) -> FaultMasks:
        numbers = (values.fill_null(0) if values.null_count else values).to_numpy()
        found: FaultMasks = []
        for check in self.checks:
            mask = check.is_broken(numbers)
            if mask.any() and values.null_count:
                mask &= values.is_valid().to_numpy(zero_copy_only=False)
            if check.waivable and mask.any():
                mask &= ~np.asarray(allows_nonpositive())
            if mask.any():
                found.append((check.fault, mask))
        return found


class TimeRule(_NumericRule):
    """An instant, written as a text."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        is_date = column.form is ColumnForm.DATE
        self.checks = (NumberCheck(TIME_OUT_OF_RANGE, lambda at: (at < EARLIEST_NS) | (at > LATEST_NS)),)
        if is_date:
            self.checks += (NumberCheck(NO_DATE, lambda at: at % DAY_NS != 0),)
        self.faults = (self.invalid_type, NO_TIME, NO_LEAP_SECOND, *(check.fault for check in self.checks))
        form, example = ("date", "2025-01-02") if is_date else ("date-time", "2025-01-02T14:30:00.123456789Z")
        self.schema = {"type": "string", "format": form, "examples": [example]}

    def convert(self, value: object) -> Any:
        if not isinstance(value, str):
            return self.invalid_type
        try:
            return parse_timestamp(value[: LONGEST_TEXT + 1])  # longer texts are wrong, and slow to parse
        except InvalidTimestamp as error:
            return Fault(error.code, str(error))


class NumberRule(_NumericRule):
    """A finite number of magnitude at most 2^53. Texts and booleans are refused."""

    type_message = "must be a number"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        lower_bound = column.lower_bound
        self.checks = (NumberCheck(NUMBER_OUT_OF_RANGE, lambda number: ~(np.abs(number) <= LARGEST_NUMBER)),)
        bound = {}
        if lower_bound is not None:
            self.checks += (_bound(lower_bound),)
            bound = {"minimum" if lower_bound.zero_allowed else "exclusiveMinimum": 0}
        self.faults = (self.invalid_type, *(check.fault for check in self.checks))
        self.schema = {"type": "number", **bound, "maximum": LARGEST_NUMBER}

    def convert(self, value: object) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self.invalid_type
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:  # as a float it might be rounded to 2^53
            return NUMBER_OUT_OF_RANGE
        return value + 0.0  # minus zero is zero


def _bound(lower_bound: LowerBound) -> NumberCheck:
    fault = Fault(lower_bound.code, lower_bound.message)
    if lower_bound.zero_allowed:
        return NumberCheck(fault, lambda number: number < 0, lower_bound.waivable)
    return NumberCheck(fault, lambda number: number <= 0, lower_bound.waivable)


class IntegerRule(_NumericRule):
    """An integer from 0 to 2^53, written without a point or an exponent."""

    type_message = "must be an integer"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.checks = (NumberCheck(COUNT_OUT_OF_RANGE, lambda count: (count < 0) | (count > LARGEST_NUMBER)),)
        self.faults = (self.invalid_type, COUNT_OUT_OF_RANGE)
        self.schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER}

    def convert(self, value: object) -> Any:
        if value == math.inf:  # the JSON reader returns infinity for an integer with too many digits
            return COUNT_OUT_OF_RANGE
        if isinstance(value, bool) or not isinstance(value, int):
            return self.invalid_type
        return value if 0 <= value <= LARGEST_NUMBER else COUNT_OUT_OF_RANGE


class BooleanRule(ValueRule):
    """The literals true and false only."""

    type_message = "must be true or false"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type,)
        self.schema = {"type": "boolean"}

    def convert(self, value: object) -> Any:
        return value if isinstance(value, bool) else self.invalid_type

    def check_column(self, values: pa.Array, allows_nonpositive: AllowsNonpositive) -> FaultMasks:
        return []
