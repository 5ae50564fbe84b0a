"""The query parameters of an ingest request."""

from dataclasses import dataclass
from typing import Self

from django.http import QueryDict

from trades.query_parameters import choice, single_parameters
from trades.storage.protocol import Dedupe

DEDUPE_CHOICES = [dedupe.value for dedupe in Dedupe]
UNKNOWN_CHOICES = ["refuse", "ignore"]


@dataclass(frozen=True, slots=True)
class IngestQuery:
    """How duplicates are recognised, and whether unknown fields are passed over."""

    dedupe: Dedupe
    ignore_unknown: bool

    @classmethod
    def parse(cls, query: QueryDict) -> Self:
        """Raises `InvalidParameter`."""
        values = single_parameters(query, ("dedupe", "unknown", "format"))
        return cls(
            dedupe=Dedupe(choice(values, "dedupe", DEDUPE_CHOICES, Dedupe.ROWS)),
            ignore_unknown=choice(values, "unknown", UNKNOWN_CHOICES, "refuse") == "ignore",
        )
