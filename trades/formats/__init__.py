"""The formats of a batch: `READERS` maps a media type to the function that reads a body into a valid batch."""

from collections.abc import Callable
from functools import partial

from trades.batches.row_batch import BatchOptions, RowBatch
from trades.batches.serializers import read_batch
from trades.formats.arrow_body import arrow_columns
from trades.formats.csv_body import csv_columns
from trades.formats.json_body import json_document, ndjson_columns
from trades.formats.msgpack_body import msgpack_document

JSON, CSV = "application/json", "text/csv"
READERS: dict[str, Callable[[bytes, BatchOptions], RowBatch]] = {
    JSON: partial(read_batch, json_document),
    "application/x-ndjson": partial(read_batch, ndjson_columns),
    CSV: partial(read_batch, csv_columns),
    "application/msgpack": partial(read_batch, msgpack_document),
    "application/vnd.apache.arrow.stream": partial(read_batch, arrow_columns),
}
# In these formats the query may give the symbol.
WITHOUT_SYMBOLS = frozenset(READERS) - {JSON}
