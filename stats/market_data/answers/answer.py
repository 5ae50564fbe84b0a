"""The finished answer to a pinned query of the tree."""

from typing import Any

from stats.caching.decorator import cached
from stats.caching.entry import Entry
from stats.delivery.encoded import encoded_entry
from stats.market_data.answers.columns import selected, selected_columns
from stats.market_data.pinning.pinned import PinnedMarketData, seen_by
from stats.market_data.sources.paging import Edge, Page, first_page, page_at
from stats.paging.cursors import Cursor
from stats.rendering.document import Document
from stats.rendering.formats import FORMATS
from store.timestamps import SECOND_NS

# Names under which an entry keeps its neighbours' cursors for `Link`, which needs the request's URL.
NEXT, PREVIOUS = "next", "prev"


@cached()
def market_data_answer(pinned: PinnedMarketData, now_ns: int) -> Entry:
    """The answer in its format and encoding, computed at `now_ns`.

    An encoded one is made of the one that is not.
    """
    written = pinned.representation
    if written.encoding:
        plain = market_data_answer(pinned.unencoded, now_ns=now_ns).entry
        return encoded_entry(plain, written.encoding, pinned.etag)
    rendered_as = FORMATS[written.format]
    document = document_of(pinned)
    rendered = rendered_as.render(document, pinned.query.time_form)
    cursors = ((NEXT, document.next_cursor), (PREVIOUS, document.prev_cursor))
    return Entry(
        body=rendered.body,
        content_type=rendered_as.content_type,
        etag=pinned.etag,
        computed_at=now_ns / SECOND_NS,
        headers=(*rendered.headers, *((name, cursor) for name, cursor in cursors if cursor)),
    )


def document_of(pinned: PinnedMarketData) -> Document:
    """The page, with what stands around its rows."""
    query, source = pinned.query, pinned.source
    selected_columns(source.columns, query.fields)
    page = page_of(pinned)
    table = page.rows.table.reversed() if query.is_descending else page.rows.table
    following, preceding = page.later, page.earlier
    if query.is_descending:
        following, preceding = preceding, following
    next_cursor, prev_cursor = _cursor(pinned, following), _cursor(pinned, preceding)
    total_estimate = len(table) if following is preceding is None else _total_estimate(pinned)
    cursors = {"next_cursor": next_cursor, "prev_cursor": prev_cursor}
    return Document(
        head=_head(pinned),
        rows_name=query.form.rows_name,
        table=selected(table, query.fields),
        tail={**cursors, "total_estimate": total_estimate, **_told_of_absence(pinned, page)},
        next_cursor=next_cursor,
        prev_cursor=prev_cursor,
        bars_times=not (query.resolution.is_tick or query.form.of_instants),
    )


def _total_estimate(pinned: PinnedMarketData) -> int:
    """About how many rows are asked for, never fewer. Rows before the `last` ones do not count."""
    last, total = pinned.query.last, pinned.source.total_estimate()
    return total if last is None or pinned.query.several else min(total, last)


def _told_of_absence(pinned: PinnedMarketData, page: Page) -> dict[str, Any]:
    """Why there are no rows between a page's, if that is asked for, and why there are none at all."""
    plan = pinned.plans[0]
    told: dict[str, Any] = {}
    if plan.absences is not None:
        told["absences"] = plan.absences(_time_of(page.earlier), _time_of(page.later))
    if not len(page.rows.table):
        told["reason"] = plan.reason
    return told


def page_of(pinned: PinnedMarketData) -> Page:
    """The rows that are asked for.

    The newest ones of several symbols are all that their walk has: it begins with the first.
    """
    query, cursor = pinned.query, pinned.cursor
    if cursor is not None:
        return page_at(pinned.source, Edge(cursor.earlier, cursor.position), query.limit)
    from_end = query.is_descending or (query.last is not None and not query.several)
    return first_page(pinned.source, query.limit, from_end=from_end)


def _head(pinned: PinnedMarketData) -> dict[str, Any]:
    query = pinned.query
    named = {"symbols": list(query.symbols)} if query.several else {"symbol": query.symbols[0]}
    return {**named, **pinned.plans[0].head}


def _cursor(pinned: PinnedMarketData, edge: Edge | None) -> str | None:
    if edge is None:
        return None
    cursor = Cursor(
        edge.earlier, edge.position, seen_by(pinned), pinned.begun_ns, pinned.within, pinned.rules
    )
    return cursor.encode(pinned.query.subject)


def _time_of(edge: Edge | None) -> int | None:
    """The time of a page's first row, or of the first one behind it; None for the range's own edge."""
    return None if edge is None else edge.position.time_ns
