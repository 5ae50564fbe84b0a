"""Which reader takes a body, by its media type."""

from collections.abc import Callable

from trades.batches.row_batch import Expected, RowBatch
from trades.formats.arrow_body import read_arrow_body
from trades.formats.csv_body import read_csv_body
from trades.formats.json_rows import read_json_body, read_ndjson_body
from trades.formats.msgpack_body import read_msgpack_body

JSON = "application/json"
READERS: dict[str, Callable[[bytes, Expected], RowBatch]] = {
    JSON: read_json_body,
    "application/x-ndjson": read_ndjson_body,
    "text/csv": read_csv_body,
    "application/msgpack": read_msgpack_body,
    "application/vnd.apache.arrow.stream": read_arrow_body,
}
# In these a row need not name its symbol if the query does.
WITHOUT_SYMBOLS = frozenset(READERS) - {JSON}
