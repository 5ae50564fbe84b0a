"""Rows in batches, and what became of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from marketdata_client.errors import BadAnswer
from marketdata_client.requests import IDEMPOTENCY_KEY, Parameter, Request, json_bytes, query_text, segment
from marketdata_client.tables import Table

_NDJSON = "application/x-ndjson"
_MOST_BATCHES_WAITING = 10
_COUNTS = ("received", "stored", "duplicates", "replaced")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of rows. stored, duplicates and replaced add up to received.

    batches: those that were answered. resumed: those of them that were answered before this start. replaced: rows that
    took the place of stored ones, with the parameter `on_conflict="replace"`.
    """

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    batches: int = 0
    resumed: int = 0
    replaced: int = 0

    def plus(self, answer: Mapping[str, Any], *, resumed: bool) -> "Ingested":
        counts = [answer.get(name, 0 if name == "replaced" else None) for name in _COUNTS]
        if not all(type(each) is int for each in counts):
            raise BadAnswer("the answer to a batch has no counts of rows")
        received, stored, duplicates, replaced = counts
        return Ingested(
            self.received + int(received or 0),
            self.stored + int(stored or 0),
            self.duplicates + int(duplicates or 0),
            self.batches + 1,
            self.resumed + resumed,
            self.replaced + int(replaced or 0),
        )


@dataclass(frozen=True, slots=True)
class Ingest:
    """Where rows of a dataset, such as `trades`, are sent. params: those of docs/ingest.md."""

    dataset: str
    params: Mapping[str, Parameter]

    @property
    def target(self) -> str:
        """Where it goes, with its parameters."""
        return f"{self._path}?{query_text(self.params)}"

    def request(self, symbol: str, body: bytes, key: str) -> Request:
        """Return the request of a batch. key: for idempotency."""
        headers = {"Content-Type": _NDJSON, IDEMPOTENCY_KEY: key}
        return Request("POST", self._path, {**self.params, "symbol": symbol}, headers, body)

    @property
    def _path(self) -> str:
        return f"/api/v1/{segment(self.dataset.replace('_', '-'))}/ingest"


def batches(rows: Iterable[Row], batch_rows: int) -> Iterator[tuple[str, bytes]]:
    """Yield a symbol and a body for each batch, in order. The same rows make the same batches.

    If many symbols have few rows each, the fullest batch goes early, so that memory is bounded.
    """
    if not 1 <= batch_rows <= 100_000:
        raise ValueError("batch_rows must be 1 to 100,000")
    waiting: dict[str, list[Row]] = {}
    total = 0
    for row in _mappings(rows):
        if not isinstance(row, Mapping):
            raise TypeError(
                "rows are dictionaries, each with its symbol, or one frame of pandas, polars or pyarrow"
            )
        symbol = row.get("symbol")
        if not isinstance(symbol, str):
            raise ValueError("each row needs its symbol")  # noqa: TRY004 the row is wrong, not its type
        batch = waiting.setdefault(symbol, [])
        batch.append(row)
        total += 1
        if len(batch) == batch_rows or total == _MOST_BATCHES_WAITING * batch_rows:
            fullest = max(waiting, key=lambda each: len(waiting[each]))
            total -= len(waiting[fullest])
            yield fullest, _body(waiting.pop(fullest))
    for symbol, batch in waiting.items():
        yield symbol, _body(batch)


def _mappings(rows: Any) -> Iterable[Row]:
    """Return the rows of a frame of pandas (without its index), polars or pyarrow; anything else as it is."""
    if hasattr(rows, "itertuples"):
        return Table(pa.Table.from_pandas(rows, preserve_index=False)).rows()
    if hasattr(rows, "to_arrow"):
        rows = rows.to_arrow()
    if isinstance(rows, pa.Table):
        return Table(rows).rows()
    return rows if not isinstance(rows, Table) else rows.rows()


def _body(batch: list[Row]) -> bytes:
    return b"".join(
        json_bytes({name: value for name, value in row.items() if name != "symbol" and value is not None})
        + b"\n"
        for row in batch
    )
