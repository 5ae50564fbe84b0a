"""Validation rules of text columns: words, ids, choices, lists of words, symbols."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.declarations import WORD_SEPARATOR, Column
from store.resolutions import RESOLUTION_FORM, RESOLUTION_RULE, Resolution
from store.symbols import InvalidSymbol, parse_symbol
from store.text_columns import text_bytes
from trades.batches.value_rules import (
    COUNT_OUT_OF_RANGE,
    ID_LENGTH,
    INVALID_SYMBOL,
    NO_CURRENCY,
    NO_WORD,
    NO_WORDS,
    TOO_MANY_WORDS,
    WORDS_LIMIT,
    AllowsNonpositive,
    Fault,
    FaultMasks,
    IntegerRule,
    ValueRule,
)

_CURRENCY = re.compile("[A-Z]{3}")
_WORD = re.compile(rf"[!-~]{{1,{ID_LENGTH}}}")


def resolution_schema(form: str = f"tick|{RESOLUTION_FORM}", **more: str) -> dict[str, Any]:
    """Return the schema of resolutions' names. form: a pattern."""
    return {
        "type": "string",
        "pattern": f"^({form})$",
        "examples": ["1m"],
        **more,
    }


class _TextRule(ValueRule):
    """A rule of texts, of which each distinct one is judged once."""

    def convert(self, value: object) -> Any:
        return value if isinstance(value, str) else self.invalid_type

    def check_column(self, values: pa.Array, allows_nonpositive: AllowsNonpositive) -> FaultMasks:
        if self.is_surely_valid(values):
            return []
        texts: dict[Fault, list[str]] = {}
        for text in values.unique().to_pylist():
            fault = None if text is None else self.fault_of(text, bool)
            if fault is not None:
                texts.setdefault(fault, []).append(text)
        return [
            (fault, np.asarray(pc.is_in(values, pa.array(of)), dtype=bool)) for fault, of in texts.items()
        ]

    def is_surely_valid(self, values: pa.Array) -> bool:
        """Return whether a fast check of the whole column proves it valid."""
        return False


class WordRule(_TextRule):
    """Visible ASCII without spaces."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type, NO_WORD)
        self.schema = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": "^[!-~]+$"}

    def fault_of(self, text: Any, *_: Any) -> Fault | None:
        return None if _WORD.fullmatch(text) else NO_WORD

    def is_surely_valid(self, values: pa.Array) -> bool:
        lengths = pc.min_max(pc.binary_length(values)).as_py()
        if lengths["min"] is None or not 1 <= lengths["min"] <= lengths["max"] <= ID_LENGTH:
            return lengths["min"] is None
        characters = text_bytes(values)
        return bool(characters.min() > ord(" ") and characters.max() <= ord("~"))


class IdRule(WordRule):
    """A word or an integer, stored as text."""

    type_message = "must be a string or an integer"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._count = IntegerRule(column)
        self.faults = (self.invalid_type, NO_WORD, COUNT_OUT_OF_RANGE)
        self.schema = {"oneOf": [self.schema, self._count.schema]}

    def convert(self, value: object) -> Any:
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not (isinstance(value, int) or value == math.inf):
            return self.invalid_type
        count = self._count.convert(value)
        return count if isinstance(count, Fault) else str(count)


class ChoiceRule(_TextRule):
    """One of the column's choices."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._choices = frozenset(column.choices)
        self._fault = Fault("invalid_choice", f"must be one of {', '.join(column.choices)}")
        self.faults = (self.invalid_type, self._fault)
        self.schema = {"type": "string", "enum": list(column.choices)}

    def fault_of(self, text: Any, *_: Any) -> Fault | None:
        return None if text in self._choices else self._fault


class _SpelledRule(_TextRule):
    """A text of several spellings, stored in one. Subclasses' `convert` returns that."""

    def fault_of(self, text: Any, *_: Any) -> Fault | None:
        found = self.convert(text)
        return found if isinstance(found, Fault) else None

    def normalized(self, values: pa.Array) -> pa.Array:
        encoded = values.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        spelled = [text if isinstance(found := self.convert(text), Fault) else found for text in texts]
        return values if spelled == texts else pa.array(spelled, values.type).take(encoded.indices)


class ResolutionRule(_SpelledRule):
    """The name of a bar's resolution, stored as its canonical name."""

    _FAULT = Fault("invalid_choice", f"must be {RESOLUTION_RULE}")

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type, self._FAULT)
        self.schema = resolution_schema(RESOLUTION_FORM)

    def convert(self, value: object) -> Any:
        if not isinstance(value, str):
            return self.invalid_type
        try:
            return Resolution.of_bars(value).value
        except ValueError:
            return self._FAULT


class WordsRule(_TextRule):
    """A list of words, stored as one text with semicolons. An empty list is an empty text. Unknown words are kept."""

    type_message = "must be a list of strings"

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type, TOO_MANY_WORDS, NO_WORDS)
        word = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": "^[!-:<-~]+$"}
        self.schema = {"type": "array", "maxItems": WORDS_LIMIT, "items": word}

    def convert(self, value: object) -> Any:
        if not isinstance(value, list):
            return self.invalid_type
        return self._fault_of_words(value) or WORD_SEPARATOR.join(value)

    def convert_and_check(self, value: object, allows_nonpositive: AllowsNonpositive = bool) -> Any:
        return self.convert(value)

    def fault_of(self, text: Any, *_: Any) -> Fault | None:
        return self._fault_of_words(text.split(WORD_SEPARATOR))

    def _fault_of_words(self, words: Sequence[object]) -> Fault | None:
        if len(words) > WORDS_LIMIT:
            return TOO_MANY_WORDS
        for word in words:
            if not isinstance(word, str):
                return self.invalid_type
            if not _WORD.fullmatch(word) or WORD_SEPARATOR in word:
                return NO_WORDS
        return None


class CurrencyRule(_TextRule):
    """A currency's code, as instruments have it."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type, NO_CURRENCY)
        self.schema = {"type": "string", "minLength": 3, "maxLength": 3, "pattern": f"^{_CURRENCY.pattern}$"}

    def fault_of(self, text: Any, *_: Any) -> Fault | None:
        return None if _CURRENCY.fullmatch(text) else NO_CURRENCY


class SymbolRule(_SpelledRule):
    """A symbol in any case, stored in capitals; `/` is stored as `-`."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type, INVALID_SYMBOL)
        self.schema = {"type": "string", "minLength": 1, "maxLength": 32, "examples": ["AAPL"]}

    def convert(self, value: object) -> Any:
        if not isinstance(value, str):
            return self.invalid_type
        try:
            return parse_symbol(value)
        except InvalidSymbol:
            return INVALID_SYMBOL


class MemberRule(SymbolRule):
    """A symbol, or an integer, whose digits are one."""

    type_message = IdRule.type_message

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._id = IdRule(column)
        self.faults = (self.invalid_type, COUNT_OUT_OF_RANGE, INVALID_SYMBOL)
        self.schema = {"oneOf": [self.schema, IntegerRule(column).schema]}

    def convert(self, value: object) -> Any:
        found = self._id.convert(value)
        return found if isinstance(found, Fault) else super().convert(found)
