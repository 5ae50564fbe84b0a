"""The query parameters of an ingest request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from django.http import QueryDict

from http_requests.exceptions import InvalidParameter
from http_requests.parameters import choice, single_parameters
from store.declarations import Dataset
from store.protocol import Dedupe
from trades.named_symbol import named_symbol

DEDUPE_CHOICES = [dedupe.value for dedupe in Dedupe]
UNKNOWN_CHOICES = ["refuse", "ignore"]


@dataclass(frozen=True, slots=True)
class IngestQuery:
    """How duplicates are recognised, whether unknown fields are passed over, what is given for every row."""

    dedupe: Dedupe
    ignore_unknown: bool
    given: Mapping[str, str]

    @classmethod
    def parse(cls, query: QueryDict, dataset: Dataset, *, takes_symbol: bool) -> Self:
        """Raises `InvalidParameter`, and `InvalidValue` for a symbol that can be none."""
        if "symbol" in query and not takes_symbol:
            raise InvalidParameter(
                "unknown_parameter",
                "the parameter symbol is for the other formats: in JSON every row names its symbol",
            )
        of_rows = [name for name in ("symbol" if takes_symbol else None, dataset.query_column) if name]
        values = single_parameters(query, ("dedupe", "unknown", "format", *of_rows))
        return cls(
            dedupe=Dedupe(choice(values, "dedupe", DEDUPE_CHOICES, Dedupe.ROWS)),
            ignore_unknown=choice(values, "unknown", UNKNOWN_CHOICES, "refuse") == "ignore",
            given={name: _given(values, dataset, name) for name in of_rows if name in values},
        )


def _given(values: dict[str, str], dataset: Dataset, name: str) -> str:
    """A value for every row, in its one spelling."""
    if name == "symbol":
        return named_symbol(values[name])
    column = dataset.column(name)
    aliases = dict(column.aliases)
    word = choice(values, name, (*column.choices, *aliases), "")
    return aliases.get(word, word)
