"""The conditions of rows: translated by a map, and counted where no meaning is known."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from store.bar_policies import BAR_POLICIES, BarPolicy
from store.datasets import TRADES
from store.declarations import WORD_SEPARATOR, Dataset
from trades.conditions.condition_map import ConditionMap

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
