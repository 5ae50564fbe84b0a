"""The formats of a batch: `READERS` maps a media type to the function that reads a body into a checked batch."""

from collections.abc import Callable

from trades.batches.row_batch import BatchOptions, RowBatch
from trades.formats.arrow_body import read_arrow_body
from trades.formats.csv_body import read_csv_body
from trades.formats.json_body import read_json_body, read_ndjson_body
from trades.formats.msgpack_body import read_msgpack_body

JSON, CSV = "application/json", "text/csv"
READERS: dict[str, Callable[[bytes, BatchOptions], RowBatch]] = {
    JSON: read_json_body,
    "application/x-ndjson": read_ndjson_body,
    CSV: read_csv_body,
    "application/msgpack": read_msgpack_body,
    "application/vnd.apache.arrow.stream": read_arrow_body,
}
# In these formats the query may give the symbol.
WITHOUT_SYMBOLS = frozenset(READERS) - {JSON}
