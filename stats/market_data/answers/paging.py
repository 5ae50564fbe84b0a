"""Reads one page of a source's rows, and finds its neighbouring pages."""

from dataclasses import dataclass

from stats.cursors import RowPosition
from stats.market_data.rows import Rows, RowSource


@dataclass(frozen=True, slots=True)
class PageEdge:
    """Where a page begins: it has the rows from `position` on or, if `earlier`, the last rows before it."""

    earlier: bool
    position: RowPosition


@dataclass(frozen=True, slots=True)
class PageRows:
    """The rows of a page, ascending. earlier, later: the neighbouring pages in time; None if there is none."""

    rows: Rows
    earlier: PageEdge | None
    later: PageEdge | None


def page_at(source: RowSource, edge: PageEdge, limit: int) -> PageRows:
    """The page at an edge that came from another page, which has the rows on the edge's other side."""
    rows, further = _read(source, edge.position, limit, earlier=edge.earlier)
    back = PageEdge(not edge.earlier, edge.position)
    return PageRows(rows, further, back) if edge.earlier else PageRows(rows, back, further)


def first_page(source: RowSource, limit: int, *, from_end: bool) -> PageRows:
    """The page at the start of a source; with `from_end` the page at its end."""
    rows, further = _read(source, None, limit, earlier=from_end)
    return PageRows(rows, further, None) if from_end else PageRows(rows, None, further)


def _read(
    source: RowSource, position: RowPosition | None, limit: int, *, earlier: bool
) -> tuple[Rows, PageEdge | None]:
    """Return at most `limit` rows, and the edge of the next page in the same direction; None if there is none."""
    if earlier:
        rows = source.before(position, limit + 1)
        shown = rows[max(len(rows) - limit, 0) :]
        return shown, PageEdge(True, shown.position(0)) if len(rows) > limit else None
    rows = source.after(position, limit + 1)
    return rows[:limit], PageEdge(False, rows.position(limit)) if len(rows) > limit else None
