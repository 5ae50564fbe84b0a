"""The formats of answers, by name."""

from stats.rendering.arrow_stream import render_arrow, stream_arrow
from stats.rendering.columnar import render_columnar, render_msgpack
from stats.rendering.csv_text import render_csv, stream_csv
from stats.rendering.format import Format
from stats.rendering.json_rows import render_lines, render_rows, stream_lines

_ALL = (
    Format("json", "application/json", render_rows),
    Format("columnar", "application/vnd.marketdata.columnar+json", render_columnar),
    Format("msgpack", "application/msgpack", render_msgpack),
    Format("ndjson", "application/x-ndjson", render_lines, has_envelope=False, stream=stream_lines),
    Format("csv", "text/csv", render_csv, has_envelope=False, stream=stream_csv),
    Format(
        "arrow",
        "application/vnd.apache.arrow.stream",
        render_arrow,
        has_envelope=False,
        stream=stream_arrow,
    ),
)
FORMATS = {each.name: each for each in _ALL}
