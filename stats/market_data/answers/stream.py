"""Streams: all rows of a range, read and sent in pieces, in bounded memory."""

import hashlib
from collections.abc import Generator, Iterator, Sequence
from itertools import chain

import pyarrow as pa

from stats.cursors import RowPosition
from stats.market_data.answers.page import PageSnapshot, selected, selected_columns
from stats.market_data.rows import Rows
from stats.rendering.format import StreamEncoder
from stats.rendering.formats import FORMATS
from store.timestamps import format_timestamp
from web.requests.compression import Encoding, compressed_pieces
from web.requests.conditional import NOT_STORED
from web.requests.exceptions import InvalidParameter
from web.requests.work import WorkKind, count_work

# Rows per piece. The first piece is small, so that it is sent early. Each further piece has `_GROWTH` times as
# many rows, up to the maximum.
_FIRST_ROWS = 256
_MOST_ROWS = 8_192
_GROWTH = 4


class RowStream:
    """All rows of a page's range, in a format that can be streamed. Iterating yields the body in pieces.

    encoding: how the body is compressed; None if it is not. Each piece can be decoded when it arrives.
    The constructor makes the first piece, so it raises the errors of the first rows. It raises
    `InvalidParameter` if the query asks for a trailer and the format has none. Later errors are raised by the
    iterator; the body is then incomplete.
    """

    def __init__(self, page: PageSnapshot, format_name: str, encoding: Encoding | None = None) -> None:
        self._page = page
        self._format = FORMATS[format_name]
        self._encoding = encoding
        self._pieces = compressed_pieces(self._body(self._encoder()), encoding)
        self._first = next(self._pieces)

    @property
    def content_type(self) -> str:
        """The format's content type."""
        return self._format.content_type

    @property
    def headers(self) -> dict[str, str]:
        """The response headers."""
        as_of_ns = self._page.as_of_ns
        as_of = {} if as_of_ns is None else {"X-As-Of": format_timestamp(as_of_ns)}
        encoded = {} if self._encoding is None else {"Content-Encoding": self._encoding}
        return {
            "X-Commit": self._page.commits,
            **NOT_STORED,
            **encoded,
            **as_of,
        }

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return chain((self._first,), self._pieces)

    def close(self) -> None:
        """End the iteration, and return unused memory to the operating system."""
        self._pieces.close()
        pa.default_memory_pool().release_unused()

    def _encoder(self) -> StreamEncoder:
        assert self._format.stream is not None  # noqa: S101 formats without a stream are not negotiated
        query = self._page.query
        columns = selected_columns(self._page.source.columns, query.fields)
        encoder = self._format.stream(columns, query.time_form)
        if query.with_trailer and encoder.trailer({}) is None:
            raise InvalidParameter(
                "conflicting_parameters",
                f"trailer: {self._format.format} has no trailer; ask for ndjson or arrow",
            )
        return encoder

    def _body(self, encoder: StreamEncoder) -> Generator[bytes | memoryview]:
        """Yield the pieces of the body: its beginning with the first rows, more rows, and its end.

        While a piece is sent, its rows are not kept in memory.
        """
        with_trailer = self._page.query.with_trailer
        digest, total = hashlib.sha256(), 0
        position: RowPosition | None = None
        for number, count in enumerate(_sizes()):
            rows, position = self._part(position, count)
            total += len(rows)
            count_work(WorkKind.ROWS, len(rows))
            pieces: Sequence[bytes | memoryview] = self._encoded(encoder, rows)
            del rows
            if number == 0:
                pieces = [b"".join((encoder.begin(), *pieces))]
            for piece in pieces:
                if with_trailer:
                    digest.update(piece)
                yield piece
            if position is None:
                break
        trailer = {"end": True, "rows": total, "sha256": digest.hexdigest(), "commit": self._page.commits}
        yield (encoder.trailer(trailer) or b"" if with_trailer else b"") + encoder.end()

    def _encoded(self, encoder: StreamEncoder, rows: Rows) -> Sequence[memoryview]:
        table = rows.table.reversed() if self._page.query.is_descending else rows.table
        return encoder.rows(selected(table, self._page.query.fields))

    def _part(self, position: RowPosition | None, count: int) -> tuple[Rows, RowPosition | None]:
        """Return the next `count` rows, in ascending order, and the position of the next part.

        The position is None after the last rows.
        """
        source = self._page.source
        if self._page.query.is_descending:
            rows = source.before(position, count)
            return rows, rows.position(0) if len(rows) == count else None
        rows = source.after(position, count + 1)
        return rows[:count], rows.position(count) if len(rows) > count else None


def _sizes() -> Iterator[int]:
    """Yield the number of rows of each piece."""
    count = _FIRST_ROWS
    while True:
        yield count
        count = min(count * _GROWTH, _MOST_ROWS)
