"""What speaks against rows as they would be stored, and rows that are never stored."""

from collections.abc import Iterator
from typing import NamedTuple

from store.datasets import BARS
from store.timestamps import DAY_NS, format_timestamp
from trades.imports.blocks import RowBlock
from trades.imports.distances import distance_doubt
from trades.imports.reading import FileReading
from trades.imports.samples import Sample
from trades.imports.vendors.marketdata import MARKETDATA

_SAMPLES = 3


class UnreadColumn(NamedTuple):
    """A column that is not read. samples: up to three of its cells. note: why it may matter, or empty."""

    name: str
    samples: tuple[str, ...]
    note: str


def unread_columns(reading: FileReading, sample: Sample) -> list[UnreadColumn]:
    """Return the columns that are not read, those first that may matter most."""
    found = []
    for name in reading.layout.unread_columns:
        cells = sample.cells[name].drop_null().unique() if name in sample.cells.column_names else []
        texts = tuple(str(cell) for cell in cells[:_SAMPLES])
        found.append(UnreadColumn(name, texts, ""))
    return found


def doubts_of(reading: FileReading, sample: Sample, *, now_ns: int) -> Iterator[str]:
    """Yield why the rows may be wrong, whatever the options."""
    if not sample.rows.num_rows:
        return
    latest = sample.rows[0].to_numpy().max()
    if latest > now_ns + DAY_NS:
        yield f"a time is yet to come: {format_timestamp(int(latest))}"
    # The manifest of our own export has the resolution, however few bars a file has.
    if reading.options.dataset is BARS and not reading.options.vendor.startswith(MARKETDATA):
        doubt = distance_doubt(RowBlock(sample.rows, (), 0))
        if doubt:
            yield doubt


def refuse_wrong_rows(reading: FileReading, sample: Sample) -> None:
    """Raise `ImportRefused` for rows that are never stored."""
