"""Asks sources one after the other, until one gives rows that can be stored."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from jobs.backfills.exceptions import SourceError
from jobs.backfills.sources.protocol import Fetched, Source, SourceRequest
from sources.protocol import SourceFailed
from sources.row_checks import rows_check
from store.declarations import Dataset

logger = logging.getLogger(__name__)


class SourceStatement(NamedTuple):
    """What a source said when it gave nothing that can be stored."""

    source: str
    said: str


@dataclass(frozen=True, slots=True)
class FirstFetched:
    """The first answer that can be stored, and its rows as they are to be stored; None for both if there is none.

    told: what the sources before it said, in order. retry_after: the shortest time in seconds that a source asked
    to wait; None if none did.
    """

    fetched: Fetched | None
    rows: pa.RecordBatch | None
    told: tuple[SourceStatement, ...]
    retry_after: float | None = None


def fetch_first(sources: Iterable[Source], request: SourceRequest) -> FirstFetched:
    """Ask the sources in order. Rows that are refused count as a failure of their source."""
    allows_nonpositive = request.instrument.allow_nonpositive_price
    told: list[SourceStatement] = []
    waits: list[float] = []
    for source in sources:
        if not source.offers(request):
            told.append(SourceStatement(source.name, "is not configured to give this"))
            continue
        try:
            fetched = source.fetch(request)
            rows = _in_one_batch(fetched.rows, request.dataset)
            rows = rows_check(rows, request.dataset, request.window, allows_nonpositive=allows_nonpositive)
            return FirstFetched(fetched, rows, tuple(told))
        except (SourceError, SourceFailed) as error:
            told.append(SourceStatement(source.name, str(error)))
            waits += [] if error.retry_after is None else [error.retry_after]
        logger.warning("backfill of %s %s: %s: %s", request.dataset.name, request.symbol, *told[-1])
    return FirstFetched(None, None, tuple(told), min(waits, default=None))


def _in_one_batch(rows: pa.Table, dataset: Dataset) -> pa.RecordBatch:
    batches = rows.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=dataset.schema)
