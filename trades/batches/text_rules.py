"""What texts may be: words, ids, choices, lists of words, symbols."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.declarations import WORD_SEPARATOR, Column
from store.symbols import InvalidSymbol, parse_symbol
from store.text_columns import text_bytes
from trades.batches.number_rules import IntegerRule
from trades.batches.value_rule import (
    COUNT_OUT_OF_RANGE,
    ID_LENGTH,
    INVALID_SYMBOL,
    NO_WORD,
    NO_WORDS,
    TOO_MANY_WORDS,
    WORDS_LIMIT,
    AnyPrice,
    Fault,
    Found,
    ValueRule,
)

_WORD = re.compile(rf"[!-~]{{1,{ID_LENGTH}}}")


class WordRule(ValueRule):
    """Visible ASCII without spaces. The rules of other texts are made from it."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type, NO_WORD)
        self.schema = {"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": "^[!-~]+$"}

    def stored(self, said: object) -> Any:
        return said if isinstance(said, str) else self.invalid_type

    def fault(self, value: Any, any_price: AnyPrice = bool) -> Fault | None:
        return None if _WORD.fullmatch(value) else NO_WORD

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
        self.faults = (self.invalid_type, NO_WORD, COUNT_OUT_OF_RANGE)
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
        self.faults = (self.invalid_type, TOO_MANY_WORDS, NO_WORDS)
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
            return TOO_MANY_WORDS
        for word in words:
            if not isinstance(word, str):
                return self.invalid_type
            if not _WORD.fullmatch(word) or WORD_SEPARATOR in word:
                return NO_WORDS
        return None

    def are_surely_right(self, values: pa.Array) -> bool:
        return False


class SymbolRule(WordRule):
    """The name of an instrument in any case; `/` is taken as `-`."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.faults = (self.invalid_type, INVALID_SYMBOL)
        self.schema = {"type": "string", "minLength": 1, "maxLength": 32, "examples": ["AAPL"]}

    def stored(self, said: object) -> Any:
        if not isinstance(said, str):
            return self.invalid_type
        try:
            return parse_symbol(said)
        except InvalidSymbol:
            return INVALID_SYMBOL

    def fault(self, value: Any, any_price: AnyPrice = bool) -> Fault | None:
        found = self.stored(value)
        return found if isinstance(found, Fault) else None

    def are_surely_right(self, values: pa.Array) -> bool:
        return False
