"""Asks sources one after the other, until one gives rows that can be stored."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from jobs.backfills.checks import CheckedRows, Surroundings, Verdict, rows_check
from jobs.backfills.exceptions import SourceError
from jobs.backfills.sources.protocol import Fetched, Source, SourceRequest

logger = logging.getLogger(__name__)


class SourceStatement(NamedTuple):
    """What a source said when it gave nothing that can be stored."""

    source: str
    said: str


@dataclass(frozen=True, slots=True)
class FirstFetched:
    """The first answer that can be stored, or is to be shown to a person; None for both if there is none.

    told: what the sources before it said, in order. retry_after: the shortest time in seconds that a source asked
    to wait; None if none did.
    """

    fetched: Fetched | None
    checked: CheckedRows | None
    told: tuple[SourceStatement, ...]
    retry_after: float | None = None


def fetch_first(
    sources: Iterable[Source], request: SourceRequest, surroundings: Surroundings
) -> FirstFetched:
    """Ask the sources in order. Rows that are refused count as a failure of their source; quarantined ones do not."""
    told: list[SourceStatement] = []
    waits: list[float] = []
    for source in sources:
        if not source.offers(request):
            told.append(SourceStatement(source.name, "is not configured to give this"))
            continue
        try:
            fetched = source.fetch(request)
        except SourceError as error:
            told.append(SourceStatement(source.name, str(error)))
            waits += [] if error.retry_after is None else [error.retry_after]
        else:
            checked = rows_check(fetched.rows, request.dataset, request.window, surroundings)
            if checked.verdict is not Verdict.REFUSED:
                return FirstFetched(fetched, checked, tuple(told))
            told.append(SourceStatement(source.name, checked.reason))
        logger.warning("backfill of %s %s: %s: %s", request.dataset.name, request.symbol, *told[-1])
    return FirstFetched(None, None, tuple(told), min(waits, default=None))
