"""The formats of answers: their renderers, and one of each by name. The first is the default."""

from stats.rendering.arrow_stream import ArrowRenderer
from stats.rendering.columnar import ColumnarRenderer, MsgPackRenderer
from stats.rendering.csv_text import CsvRenderer
from stats.rendering.format import FormatRenderer
from stats.rendering.json_rows import LinesRenderer, RowsRenderer

FORMAT_RENDERERS: tuple[type[FormatRenderer], ...] = (
    RowsRenderer,
    ColumnarRenderer,
    MsgPackRenderer,
    LinesRenderer,
    CsvRenderer,
    ArrowRenderer,
)
FORMATS = {each.format: each() for each in FORMAT_RENDERERS}
