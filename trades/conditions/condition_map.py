"""The type of a condition map, and the translation of a column."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from store.declarations import WORD_SEPARATOR


@dataclass(frozen=True, slots=True)
class ConditionCode:
    """A vendor's code: its meaning in the vendor's list, and the words that replace it; none says nothing."""

    meaning: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class ConditionMap:
    """A vendor's condition codes.

    source, version: the public list of the codes, and its version or the day on which it was read. codes: by
    dataset, the codes of its rows. is_bit_field: a code is an integer, the sum of listed codes.
    """

    name: str
    source: str
    version: str
    codes: Mapping[str, Mapping[str, ConditionCode]]
    is_bit_field: bool = False

    def translated(self, dataset: str, conditions: pa.Array) -> pa.Array:
        """Return a column of joined codes as joined words. A code that is not listed stays. Nulls stay nulls."""
        if conditions.null_count == len(conditions):
            return conditions
        encoded = pc.dictionary_encode(conditions)
        texts = [self._text(self.codes[dataset], text) for text in encoded.dictionary.to_pylist()]
        return pa.array(texts, pa.string()).take(encoded.indices)

    def _text(self, codes: Mapping[str, ConditionCode], text: str) -> str | None:
        """Return the words of joined codes, each word once; None if there is none."""
        found = [self._words(codes, code) for code in text.split(WORD_SEPARATOR)]
        return WORD_SEPARATOR.join(dict.fromkeys(word for words in found for word in words)) or None

    def _words(self, codes: Mapping[str, ConditionCode], code: str) -> Iterable[str]:
        if code in codes:
            return codes[code].words
        if not self.is_bit_field or not code.isdecimal():
            return (code,)
        bits = [bit for bit in codes if int(code) & int(bit)]
        if sum(map(int, bits)) != int(code):
            return (code,)
        return (word for bit in bits for word in codes[bit].words)


def codes_of(rows: str) -> dict[str, ConditionCode]:
    """Read a table with a code, its words (`;` between them, `-` for none) and its meaning in each line."""
    table = {}
    for row in rows.strip().splitlines():
        code, words, meaning = row.split(maxsplit=2)
        table[code] = ConditionCode(meaning, () if words == "-" else tuple(words.split(WORD_SEPARATOR)))
    return table
