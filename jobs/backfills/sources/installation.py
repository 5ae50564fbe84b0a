"""Another installation of this project, read by its verified Arrow streams."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from jobs.backfills.exceptions import NotOffered, SourceError, SourceFailed
from jobs.backfills.sources.arrow_stream import VerifiedArrowStream
from jobs.backfills.sources.known_absence import known_windows, window_terms
from jobs.backfills.sources.protocol import Fetched, Offer, SourceRequest
from jobs.backfills.sources.row_spool import RowSpool
from ops.outbound.destination import Destination, DestinationAnswer, Limits
from ops.outbound.exceptions import (
    DestinationUnavailable,
    OutboundError,
    UnexpectedStatus,
)
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.query import class_of
from store.datasets import OPTION_QUOTES, QUOTES, TRADES
from store.declarations import Dataset
from trades.exceptions import BatchRefused
from trades.formats.arrow_values import typed_values

_STREAMS = {TRADES: "trades", QUOTES: "quotes", OPTION_QUOTES: "quotes"}
# What another installation says if it has no such rows.
_UNKNOWN = frozenset({"unknown_symbol", "not_known_then", "no_data", "wrong_class", "not_found"})


class Installation:
    """Another installation, by the URL before its `/api/v1`. It gives trades, quotes and quotes of options.

    key: an API key with the scope `market:read`. limits: see `ops.outbound.destination.Limits`. offer: see `Offer`.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        key: str = "",
        limits: Mapping[str, Any] | None = None,
        offer: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.name = name
        self._offer = Offer(**(offer or {}))
        headers = {"X-API-Key": key} if key else {}
        self._destination = Destination(name, url, headers=headers, limits=Limits(**(limits or {})))

    def offers(self, request: SourceRequest) -> bool:
        """See `Source`."""
        return _path(request) is not None and self._offer.includes(request)

    def fetch(self, request: SourceRequest) -> Fetched:
        """See `Source`."""
        path, stream = _path(request), _STREAMS.get(request.dataset)
        if path is None:
            raise NotOffered(self.name, f"an installation streams no {request.dataset.name} of this class")
        terms = {**window_terms(request.window), "format": "arrow", "trailer": "1"}
        try:
            with self._destination.stream(f"{path}/{stream}/stream", params=terms) as answer:
                rows, commit = self._rows(request.dataset, answer)
            # Asked last: a good answer before each bad stream would keep the circuit breaker closed.
            is_told = request.dataset is TRADES
            answered = known_windows(self._destination, path, request.window, commit) if is_told else ()
        except OutboundError as error:
            raise self._told(error) from error
        return Fetched(self.name, rows, commit, answered)

    def _rows(self, dataset: Dataset, answer: DestinationAnswer) -> tuple[pa.Table, str]:
        stream = VerifiedArrowStream(self.name, answer.pieces)
        with RowSpool(dataset.schema) as spool:
            for batch in stream:
                spool.write(self._in_schema(dataset, batch))
            if stream.commit != answer.headers.get("X-Commit", ""):
                raise SourceFailed(self.name, "the trailer is of other commits than the answer's headers")
            return spool.table(), stream.commit

    def _in_schema(self, dataset: Dataset, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch of an answer in the dataset's schema; columns of a newer version are left out."""
        arrays = []
        for column in dataset.columns:
            if column.name not in batch.schema.names:
                arrays.append(pa.nulls(batch.num_rows, dataset.schema.field(column.name).type))
                continue
            try:
                typed = typed_values(column, batch.column(column.name))
            except BatchRefused as error:
                raise SourceFailed(self.name, f"the column {column.name} has another type") from error
            if typed.faults:
                raise SourceFailed(self.name, f"{column.name} {typed.faults[0][0].message}")
            arrays.append(typed.values)
        return pa.record_batch(arrays, schema=dataset.schema)

    def _told(self, error: OutboundError) -> SourceError:
        if isinstance(error, UnexpectedStatus):
            kind = NotOffered if error.code in _UNKNOWN else SourceFailed
            return kind(self.name, f"answered {error.status} {error.code}".rstrip())
        text = str(error).removeprefix(f"{self.name}: ")
        retry_after = error.retry_after if isinstance(error, DestinationUnavailable) else None
        return SourceFailed(self.name, text, retry_after)


def _path(request: SourceRequest) -> str | None:
    """Return the path of the symbol; None if no stream has the rows."""
    stream, market_class = _STREAMS.get(request.dataset), class_of(request.instrument.instrument_class)
    is_of_class = stream == "trades" or request.dataset is market_class.quotes
    if stream is None or not is_of_class or market_class.path not in MARKET_DATASETS[stream].classes:
        return None
    return f"/api/v1/market-data/{market_class.path}/{quote(request.symbol, safe='')}"
