"""Maps of condition codes: their type, the translation of rows, and the words whose meaning is not known."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from store.bar_policies import BAR_POLICIES, BarPolicy
from store.datasets import TRADES
from store.declarations import WORD_SEPARATOR, Dataset


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


CONDITIONS = "conditions"


def has_conditions(rows: pa.RecordBatch) -> bool:
    """Return whether any row has a condition."""
    names = rows.schema.names
    return CONDITIONS in names and rows.column(CONDITIONS).null_count < rows.num_rows


def translated_rows(
    dataset: Dataset, rows: pa.RecordBatch, conditions: ConditionMap | None
) -> pa.RecordBatch:
    """Return the rows with words in place of the map's codes. Without a map they stay."""
    if conditions is None or not has_conditions(rows):
        return rows
    words = conditions.translated(dataset.name, rows.column(CONDITIONS))
    return rows.set_column(rows.schema.get_field_index(CONDITIONS), rows.schema.field(CONDITIONS), words)


def unknown_words(
    dataset: Dataset, rows: pa.RecordBatch, policy: BarPolicy, conditions: ConditionMap | None
) -> dict[str, int]:
    """Return the number of rows with each unknown word, by word.

    A bar policy that names words knows no others of trades. With a map, a code that it does not list is unknown.
    """
    known = _known_words(dataset, policy, conditions)
    if known is None:
        return {}
    counts: dict[str, int] = {}
    for each in pc.value_counts(rows.column(CONDITIONS).drop_null()).to_pylist():
        for word in {*each["values"].split(WORD_SEPARATOR)} - known:
            counts[word] = counts.get(word, 0) + each["counts"]
    return dict(sorted(counts.items()))


def rows_with(rows: pa.RecordBatch, words: Collection[str]) -> list[int]:
    """Return the indexes of the rows that have any of the words."""
    texts = rows.column(CONDITIONS).to_pylist()
    return [
        row for row, text in enumerate(texts) if text and not {*words}.isdisjoint(text.split(WORD_SEPARATOR))
    ]


def _known_words(
    dataset: Dataset, policy: BarPolicy, conditions: ConditionMap | None
) -> frozenset[str] | None:
    """Return the known words; None if every word is as good as known."""
    if dataset is TRADES and not policy.counts_every_print:
        return frozenset(policy.effects)
    if conditions is None:
        return None
    of_map = {word for code in conditions.codes[dataset.name].values() for word in code.words}
    return frozenset(of_map.union(*(each.effects for each in BAR_POLICIES.values())))
