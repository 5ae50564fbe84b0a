"""What a value of a column may be, made from the column's declaration, and what is said of one that is not.

A rule judges one value, or an Arrow array of many at once. Every code and message of a wrong value stands
here, in `store.number_bounds`, or in `store.row_rules`.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Mask
from store.declarations import WORD_SEPARATOR, Column, Form, Kind
from store.number_bounds import Above
from store.symbols import NO_SYMBOL, InvalidSymbol, parse_symbol
from store.text_columns import text_bytes
from store.timestamps import (
    DAY_NS,
    EARLIEST_NS,
    LATEST_NS,
    NO_TIMESTAMP,
    OUT_OF_RANGE,
    InvalidTimestamp,
    TimestampOutOfRange,
    parse_timestamp,
)

LARGEST_NUMBER = 2**53
ID_LENGTH = 64
WORDS_LIMIT = 32
_WORD = re.compile(rf"[!-~]{{1,{ID_LENGTH}}}")


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
_NO_SYMBOL = Fault(InvalidSymbol.code, NO_SYMBOL)
_NO_DATE = Fault("invalid_date", "must be a date, or its midnight in UTC")
_NO_WORD = Fault("invalid_text", f"must be 1-{ID_LENGTH} visible ASCII characters without spaces")
_TOO_MANY_WORDS = Fault("too_many", f"has at most {WORDS_LIMIT} words")
_NO_WORDS = Fault("invalid_text", f"is 1-{ID_LENGTH} visible ASCII characters without spaces or semicolons")

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
        is_date = column.form is Form.DATE
        self.checks = (Check(TIME_OUT_OF_RANGE, lambda at: (at < EARLIEST_NS) | (at > LATEST_NS)),)
        if is_date:
            self.checks += (Check(_NO_DATE, lambda at: at % DAY_NS != 0),)
        self.faults = (self.invalid_type, NO_TIME, *(check.fault for check in self.checks))
        form, example = ("date", "2025-01-02") if is_date else ("date-time", "2025-01-02T14:30:00.123456789Z")
        self.schema = {"type": "string", "format": form, "examples": [example]}

    def stored(self, said: object) -> Any:
        if not isinstance(said, str):
            return self.invalid_type
        try:
            return parse_timestamp(said)
        except InvalidTimestamp as error:
            return Fault(error.code, str(error))


class NumberRule(_NumericRule):
    """A finite number up to 2^53; never a text, true or false."""

    type_message = "must be a number"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        above = column.above
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


def _bound(above: Above) -> Check:
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


class WordRule(ValueRule):
    """Visible ASCII without spaces. The rules of other texts are made from it."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type, _NO_WORD)
        self.schema = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": "^[!-~]+$"}

    def stored(self, said: object) -> Any:
        return said if isinstance(said, str) else self.invalid_type

    def fault(self, value: Any, any_price: AnyPrice = bool) -> Fault | None:
        return None if _WORD.fullmatch(value) else _NO_WORD

    def found(self, values: pa.Array, any_price: AnyPrice = bool) -> Found:
        if self.are_surely_right(values):
            return []
        texts: dict[Fault, list[str]] = {}
        for text in values.unique().to_pylist():
            fault = None if text is None else self.fault(text)
            if fault is not None:
                texts.setdefault(fault, []).append(text)
        return [
            (fault, np.asarray(pc.is_in(values, pa.array(of)), dtype=bool)) for fault, of in texts.items()
        ]

    def are_surely_right(self, values: pa.Array) -> bool:
        """Whether no text needs a look of its own."""
        lengths = pc.min_max(pc.binary_length(values)).as_py()
        if lengths["min"] is None or not 1 <= lengths["min"] <= lengths["max"] <= ID_LENGTH:
            return lengths["min"] is None
        characters = text_bytes(values)
        return bool(characters.min() > ord(" ") and characters.max() <= ord("~"))


class IdRule(WordRule):
    """A word, or a whole number, which is kept as its text."""

    type_message = "must be a string or an integer"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._count = IntegerRule(column)
        self.faults = (self.invalid_type, _NO_WORD, COUNT_OUT_OF_RANGE)
        self.schema = {"oneOf": [self.schema, self._count.schema]}

    def stored(self, said: object) -> Any:
        if isinstance(said, str):
            return said
        if isinstance(said, bool) or not (isinstance(said, int) or said == math.inf):
            return self.invalid_type
        count = self._count.stored(said)
        return count if isinstance(count, Fault) else str(count)


class ChoiceRule(WordRule):
    """One of a few words, stored in its first spelling."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._aliases = dict(column.aliases)
        self._choices = frozenset(column.choices)
        self._fault = Fault("invalid_choice", f"must be one of {', '.join(column.choices)}")
        self.faults = (self.invalid_type, self._fault)
        self.schema = {"type": "string", "enum": [*column.choices, *self._aliases]}

    def stored(self, said: object) -> Any:
        return self._aliases.get(said, said) if isinstance(said, str) else self.invalid_type

    def fault(self, value: Any, any_price: AnyPrice = bool) -> Fault | None:
        return None if value in self._choices else self._fault

    def are_surely_right(self, values: pa.Array) -> bool:
        return False

    def in_one_spelling(self, values: pa.Array) -> pa.Array:
        for alias, word in self.column.aliases:
            values = pc.if_else(pc.equal(values, alias), word, values)
        return values


class WordsRule(WordRule):
    """Words, held as one text with semicolons between; unknown ones are kept. No words are an empty text."""

    type_message = "must be a list of strings"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type, _TOO_MANY_WORDS, _NO_WORDS)
        word = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": "^[!-:<-~]+$"}
        self.schema = {"type": "array", "maxItems": WORDS_LIMIT, "items": word}

    def stored(self, said: object) -> Any:
        if not isinstance(said, list):
            return self.invalid_type
        return self._fault_of_words(said) or WORD_SEPARATOR.join(said)

    def judged(self, said: object, any_price: AnyPrice = bool) -> Any:
        return self.stored(said)

    def fault(self, value: Any, any_price: AnyPrice = bool) -> Fault | None:
        return self._fault_of_words(value.split(WORD_SEPARATOR))

    def _fault_of_words(self, words: Sequence[object]) -> Fault | None:
        if len(words) > WORDS_LIMIT:
            return _TOO_MANY_WORDS
        for word in words:
            if not isinstance(word, str):
                return self.invalid_type
            if not _WORD.fullmatch(word) or WORD_SEPARATOR in word:
                return _NO_WORDS
        return None

    def are_surely_right(self, values: pa.Array) -> bool:
        return False


class SymbolRule(WordRule):
    """The name of an instrument in any case; `/` is taken as `-`."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type, _NO_SYMBOL)
        self.schema = {"type": "string", "minLength": 1, "maxLength": 32, "examples": ["AAPL"]}

    def stored(self, said: object) -> Any:
        if not isinstance(said, str):
            return self.invalid_type
        try:
            return parse_symbol(said)
        except InvalidSymbol:
            return _NO_SYMBOL

    def fault(self, value: Any, any_price: AnyPrice = bool) -> Fault | None:
        found = self.stored(value)
        return found if isinstance(found, Fault) else None

    def are_surely_right(self, values: pa.Array) -> bool:
        return False


_RULES: dict[tuple[Kind, Form], type[ValueRule]] = {
    (Kind.TIME, Form.PLAIN): TimeRule,
    (Kind.TIME, Form.DATE): TimeRule,
    (Kind.NUMBER, Form.PLAIN): NumberRule,
    (Kind.INTEGER, Form.PLAIN): IntegerRule,
    (Kind.BOOLEAN, Form.PLAIN): BooleanRule,
    (Kind.TEXT, Form.PLAIN): WordRule,
    (Kind.TEXT, Form.ID): IdRule,
    (Kind.TEXT, Form.WORDS): WordsRule,
    (Kind.TEXT, Form.SYMBOL): SymbolRule,
}


@cache
def rule_of(column: Column) -> ValueRule:
    """The rule of a column's values."""
    return ChoiceRule(column) if column.choices else _RULES[column.kind, column.form](column)
