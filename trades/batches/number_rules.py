"""What times, numbers, integers and flags may be."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from store.declarations import Column, ColumnForm
from store.row_rules import LowerBound
from store.timestamps import DAY_NS, EARLIEST_NS, LATEST_NS, LONGEST_TEXT, InvalidTimestamp, parse_timestamp
from trades.batches.value_rule import (
    COUNT_OUT_OF_RANGE,
    LARGEST_NUMBER,
    NO_DATE,
    NO_TIME,
    NUMBER_OUT_OF_RANGE,
    TIME_OUT_OF_RANGE,
    AnyPrice,
    Fault,
    Found,
    ValueRule,
)


@dataclass(frozen=True, slots=True)
class Check:
    """What a number must not be; `is_broken` takes one, or a numpy array of many."""

    fault: Fault
    is_broken: Callable[[Any], Any]
    waivable: bool = False


class _NumericRule(ValueRule):
    """Of what is held as a number or an instant."""

    checks: tuple[Check, ...]

    def fault(self, value: Any, any_price: AnyPrice = bool) -> Fault | None:
        broken = (check for check in self.checks if check.is_broken(value))
        return next((check.fault for check in broken if not (check.waivable and any_price())), None)

    def found(self, values: pa.Array, any_price: AnyPrice = bool) -> Found:
        numbers = (values.fill_null(0) if values.null_count else values).to_numpy()
        found: Found = []
        for check in self.checks:
            mask = check.is_broken(numbers)
            if mask.any() and values.null_count:
                mask &= values.is_valid().to_numpy(zero_copy_only=False)
            if check.waivable and mask.any():
                mask &= ~np.asarray(any_price())
            if mask.any():
                found.append((check.fault, mask))
        return found


class TimeRule(_NumericRule):
    """An instant, said as a text."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        is_date = column.form is ColumnForm.DATE
        self.checks = (Check(TIME_OUT_OF_RANGE, lambda at: (at < EARLIEST_NS) | (at > LATEST_NS)),)
        if is_date:
            self.checks += (Check(NO_DATE, lambda at: at % DAY_NS != 0),)
        self.faults = (self.invalid_type, NO_TIME, *(check.fault for check in self.checks))
        form, example = ("date", "2025-01-02") if is_date else ("date-time", "2025-01-02T14:30:00.123456789Z")
        self.schema = {"type": "string", "format": form, "examples": [example]}

    def stored(self, said: object) -> Any:
        if not isinstance(said, str):
            return self.invalid_type
        try:
            return parse_timestamp(said[: LONGEST_TEXT + 1])  # what is longer is none, and costs
        except InvalidTimestamp as error:
            return Fault(error.code, str(error))


class NumberRule(_NumericRule):
    """A finite number up to 2^53; never a text, true or false."""

    type_message = "must be a number"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        above = column.lower_bound
        self.checks = (Check(NUMBER_OUT_OF_RANGE, lambda number: ~(np.abs(number) <= LARGEST_NUMBER)),)
        bound = {}
        if above is not None:
            self.checks += (_bound(above),)
            bound = {"minimum" if above.zero_allowed else "exclusiveMinimum": 0}
        self.faults = (self.invalid_type, *(check.fault for check in self.checks))
        self.schema = {"type": "number", **bound, "maximum": LARGEST_NUMBER}

    def stored(self, said: object) -> Any:
        if isinstance(said, bool) or not isinstance(said, int | float):
            return self.invalid_type
        if isinstance(said, int) and abs(said) > LARGEST_NUMBER:  # it may come down to it by becoming a float
            return NUMBER_OUT_OF_RANGE
        return said + 0.0  # minus zero is zero


def _bound(above: LowerBound) -> Check:
    fault = Fault(above.code, above.message)
    if above.zero_allowed:
        return Check(fault, lambda number: number < 0, above.waivable)
    return Check(fault, lambda number: number <= 0, above.waivable)


class IntegerRule(_NumericRule):
    """A whole number written without a point or an exponent, 0 to 2^53."""

    type_message = "must be an integer"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.checks = (Check(COUNT_OUT_OF_RANGE, lambda count: (count < 0) | (count > LARGEST_NUMBER)),)
        self.faults = (self.invalid_type, COUNT_OUT_OF_RANGE)
        self.schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER}

    def stored(self, said: object) -> Any:
        if said == math.inf:  # what JSON's reader makes of an integer that is too long
            return COUNT_OUT_OF_RANGE
        if isinstance(said, bool) or not isinstance(said, int):
            return self.invalid_type
        return said if 0 <= said <= LARGEST_NUMBER else COUNT_OUT_OF_RANGE


class BooleanRule(ValueRule):
    """True or false, nothing that stands for it."""

    type_message = "must be true or false"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type,)
        self.schema = {"type": "boolean"}

    def stored(self, said: object) -> Any:
        return said if isinstance(said, bool) else self.invalid_type

    def fault(self, value: Any, any_price: AnyPrice = bool) -> Fault | None:
        return None

    def found(self, values: pa.Array, any_price: AnyPrice = bool) -> Found:
        return []
