"""One page of a source's rows, and where its neighbours begin."""

from dataclasses import dataclass

from stats.cursors import Position
from stats.market_data.rows import Rows, Source


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a neighbouring page begins: rows from the position on, or, if `earlier`, the ones just before it."""

    earlier: bool
    position: Position


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in ascending order, and the pages before and after them in time; None where there is none."""

    rows: Rows
    earlier: Edge | None
    later: Edge | None


def page_at(source: Source, edge: Edge, limit: int) -> Page:
    """The page at an edge that another page gave: on its other side there are rows, or it would not be one."""
    rows, further = _read(source, edge.position, limit, earlier=edge.earlier)
    back = Edge(not edge.earlier, edge.position)
    return Page(rows, further, back) if edge.earlier else Page(rows, back, further)


def first_page(source: Source, limit: int, *, from_end: bool) -> Page:
    """The first page of all rows, or the last one."""
    rows, further = _read(source, None, limit, earlier=from_end)
    return Page(rows, further, None) if from_end else Page(rows, None, further)


def _read(
    source: Source, position: Position | None, limit: int, *, earlier: bool
) -> tuple[Rows, Edge | None]:
    """At most `limit` rows, and the edge of what lies beyond them in the direction of reading."""
    if earlier:
        rows = source.before(position, limit + 1)
        shown = rows[max(len(rows) - limit, 0) :]
        return shown, Edge(True, shown.position(0)) if len(rows) > limit else None
    rows = source.after(position, limit + 1)
    return rows[:limit], Edge(False, rows.position(limit)) if len(rows) > limit else None
