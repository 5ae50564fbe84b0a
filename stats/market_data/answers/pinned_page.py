"""Pinned pages: pages of rows at fixed commits, and the documents made from them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from stats.caching.keys import Irrelevant
from stats.cursors import PageCursor, RowPosition, fingerprint, seen_commits
from stats.delivery.answers import AnswerSnapshot, LogName
from stats.exceptions import RangeTooLarge
from stats.market_data.documents import KnowledgeDocument, PageTail
from stats.market_data.pinned_logs import PinnedLog, commits_of
from stats.market_data.plan import Plan
from stats.market_data.query import MarketDataQuery
from stats.market_data.rows import ChainedSource, NewestSource, Rows, RowSource
from stats.market_data.universes import UniverseSnapshot
from stats.rendering.format import Document, TimeForm
from stats.rendering.json_rows import row_objects
from stats.rendering.table import OutColumn, Table
from store.cached_property import cached_property
from store.log_views.log_view import LogView
from store.rows.knowledge import KnownBy
from web.requests.exceptions import InvalidParameter
from web.requests.nearest_name import nearest_or_all
from web.requests.work import WorkKind, count_work


@dataclass(frozen=True, slots=True)
class PageEdge:
    """The edge of a page: the page has the rows from `position` on or, if `earlier`, the last rows before it."""

    earlier: bool
    position: RowPosition


@dataclass(frozen=True, slots=True)
class PageRows:
    """The rows of a page, ascending.

    earlier, later: the edges of the pages before and after it in time; None if there is no such page.
    """

    rows: Rows
    earlier: PageEdge | None
    later: PageEdge | None


def read_page(source: RowSource, edge: PageEdge | None, limit: int, *, from_end: bool) -> PageRows:
    """Read the page at an edge. Without an edge, read the first page or, with `from_end`, the last page."""
    position = None if edge is None else edge.position
    previous = None if edge is None else PageEdge(not edge.earlier, edge.position)
    if edge.earlier if edge is not None else from_end:
        rows = source.before(position, limit + 1)
        has_more, rows = len(rows) > limit, rows[max(len(rows) - limit, 0) :]
        return PageRows(rows, PageEdge(True, rows.position(0)) if has_more else None, previous)
    rows = source.after(position, limit + 1)
    following = PageEdge(False, rows.position(limit)) if len(rows) > limit else None
    return PageRows(rows[:limit], previous, following)


def selected_columns(columns: Sequence[OutColumn], names: Sequence[str] | None) -> tuple[OutColumn, ...]:
    """Return the named columns in the order of `names`; None for all.

    Raises `InvalidParameter` for unknown names.
    """
    by_name = {column.name: column for column in columns}
    for name in names or ():
        if name not in by_name:
            hint = nearest_or_all(name, by_name)
            raise InvalidParameter(
                "unknown_column", f"fields: {name[:64]} is not a column of this dataset{hint}"
            )
    return tuple(columns) if names is None else tuple(by_name[name] for name in names)


def selected(table: Table, names: Sequence[str] | None) -> Table:
    """Return the table with only the named columns, which must exist; None for all."""
    return table if names is None else table.select(names)


@dataclass(frozen=True, eq=False)
class PageSnapshot(AnswerSnapshot):
    """A page of rows at fixed commits.

    plans: one per symbol, with everything that the rows are made from. cursor: None on a first page.
    later_columns: the answer's columns that were added to the stored datasets later; None if there are none.
    universe: the universe whose members the symbols are; None for symbols that were given.
    """

    query: MarketDataQuery
    plans: tuple[Plan, ...]
    cursor: Annotated[PageCursor | None, Irrelevant("the query has it as text")]
    later_columns: tuple[str, ...] | None = None
    universe: Annotated[UniverseSnapshot | None, Irrelevant("the query names it, and has its members")] = None

    @property
    def name(self) -> str:
        return f"{self.query.market_class.path}-{self.query.dataset.name}"

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.query.symbols

    @property
    def end_ns(self) -> int | None:
        return self.query.end_ns

    @property
    def is_period(self) -> bool:
        return self.query.resolution.is_period

    @property
    def as_of_ns(self) -> int | None:
        return self.query.as_of_ns

    @property
    def logs(self) -> list[PinnedLog]:
        """All logs of the plans."""
        return [log for plan in self.plans for log in plan.logs]

    @cached_property
    def commits(self) -> str:
        logs = self.logs
        if self.universe is not None:
            return self.universe.commits(logs)
        with_symbols = self.query.several or len({log.symbol for log in logs}) > 1
        return commits_of(logs, with_symbols=with_symbols)

    @property
    def watched(self) -> frozenset[LogName] | None:
        logs = self.logs
        if not all(isinstance(log, LogView) for log in logs):
            return None
        of_universe: frozenset[LogName] = self.universe.watched if self.universe else frozenset()
        return of_universe.union((log.dataset, log.symbol) for log in logs)

    @property
    def expires_ns(self) -> int | None:
        """The first instant at which the same query gets another answer if nothing is written; None for never.

        A query's "now" stays at `as_of` once that is past.
        """
        expiries = [plan.validity.expires_ns for plan in self.plans]
        expiries += [self.universe.expires_ns] if self.universe else []
        expires_ns = min((each for each in expiries if each is not None), default=None)
        as_of_ns = self.as_of_ns
        is_never = expires_ns is not None and as_of_ns is not None and as_of_ns < expires_ns
        return None if is_never else expires_ns

    @property
    def walk_now_ns(self) -> int:
        """The walk's frozen "now", by which every page decides which intervals are over."""
        validities = [plan.validity for plan in self.plans]
        changing = [each.walk_now_ns for each in validities if each.expires_ns is not None]
        return min(changing) if changing else max(each.walk_now_ns for each in validities)

    @property
    def range_hash(self) -> bytes:
        """A hash of the walk's range, as a cursor stores it."""
        return fingerprint(repr([plan.range for plan in self.plans]))

    @property
    def inputs_hash(self) -> bytes:
        """A hash of everything that the walk's rows are made from, as a cursor stores it."""
        return fingerprint(repr([plan.inputs_text for plan in self.plans]))

    @cached_property
    def source(self) -> RowSource:
        """The source of the rows of all symbols."""
        if not self.query.several:
            return self.plans[0].source
        last, sources = self.query.last, tuple(plan.source for plan in self.plans)
        if last is not None:
            sources = tuple(NewestSource(source, last) for source in sources)
        # A descending page is read from the end, so the first symbol comes last there.
        step = -1 if self.query.is_descending else 1
        return ChainedSource(self.query.symbols[::step], sources[::step])

    @cached_property
    def newest_rows(self) -> list[msgspec.Raw]:
        """The rows of a query with `last` as JSON objects, the newest first.

        Reports read them. A page outlives the reports on it: a commit to one log leaves the pages of others.
        """
        table = self.source.before(None, self.query.last or 1).table
        lines = row_objects(table, TimeForm.RFC3339, "\n").splitlines()
        return [msgspec.Raw(line) for line in reversed(lines)]

    def page(self) -> PageRows:
        """Read the rows of the page.

        With `last`, a query for one symbol starts at the newest page. A query for several symbols starts at the
        oldest of the `last` rows.
        """
        query, cursor = self.query, self.cursor
        edge = None if cursor is None else PageEdge(cursor.earlier, cursor.position)
        from_end = query.is_descending or (query.last is not None and not query.several)
        page = read_page(self.source, edge, query.limit, from_end=from_end)
        count_work(WorkKind.ROWS, len(page.rows))
        return page

    def document(self) -> Document:
        """Return the page as a document. Raises `InvalidParameter` for unknown columns."""
        query = self.query
        selected_columns(self.source.columns, query.fields)
        page = self.page()
        neighbours = self.neighbours(page)
        table = page.rows.table.reversed() if query.is_descending else page.rows.table
        return Document(
            head=self._head(),
            rows_name=query.dataset.rows_name,
            table=selected(table, query.fields),
            tail=PageTail(**neighbours, **self._not_applied(page), **self._absence(page)).as_json(),
            next_cursor=neighbours["next_cursor"],
            prev_cursor=neighbours["prev_cursor"],
            bars_times=not (query.resolution.is_tick or query.dataset.of_instants),
            time_form=query.time_form,
        )

    def neighbours(self, page: PageRows) -> dict[str, Any]:
        """Return `next_cursor`, `prev_cursor` and `total_estimate`, an upper bound of the number of rows.

        With `last` the estimate is at most `last` for each symbol. Raises `RangeTooLarge` if the rows of a universe
        do not fit into one page.
        """
        if self.universe is not None and (page.earlier or page.later):
            raise RangeTooLarge(
                f"the members of @{self.query.universe} have more than {self.query.limit:,} rows: ask for a shorter"
                " range, for the newest rows with last=, or for the members one by one"
            )
        query, (following, preceding) = self.query, (page.later, page.earlier)
        if query.is_descending:
            following, preceding = preceding, following
        total = len(page.rows) if following is preceding is None else self.source.total_estimate()
        if query.last is not None and not query.several:
            total = min(total, query.last)
        return {
            "next_cursor": self._cursor(following),
            "prev_cursor": self._cursor(preceding),
            "total_estimate": total,
        }

    def _not_applied(self, page: PageRows) -> dict[str, Any]:
        """Return `not_applied`, if corporate actions were not applied; with `symbol` if the query has several."""
        start_ns = None if self.query.several else _time_of(page.earlier)
        found = [
            msgspec.structs.replace(each, symbol=symbol) if self.query.several else each
            for symbol, plan in zip(self.symbols, self.plans, strict=True)
            if plan.not_applied is not None
            for each in plan.not_applied.not_applied_after(start_ns)
        ]
        return {"not_applied": found} if found else {}

    def _absence(self, page: PageRows) -> dict[str, Any]:
        """Return `absences` and `knowledge`, if the query asks for them, and `reason`, if there are no rows."""
        plan, fields = self.plans[0], dict[str, Any]()
        if plan.knowledge is not None:
            counts = Counter[str]()
            # In the order of `source`.
            for index, each in enumerate(self.plans[:: -1 if self.query.is_descending else 1]):
                labels = page.rows.time_ns[page.rows.symbol_index == index]
                if each.knowledge is not None and len(labels):
                    counts.update(each.knowledge.of_rows(int(labels[0]), int(labels[-1])))
            fields["knowledge"] = KnowledgeDocument(*(counts[name.value] for name in KnownBy))
        if plan.absences is not None:
            fields["absences"] = plan.absences.of_page(_time_of(page.earlier), _time_of(page.later))
        if not len(page.rows):
            fields["reason"] = plan.reason
        return fields

    def _head(self) -> Mapping[str, Any]:
        query = self.query
        symbols = {"symbols": list(query.symbols)} if query.several else {"symbol": query.symbols[0]}
        return {**symbols, **dict(self.plans[0].head)}

    def _cursor(self, edge: PageEdge | None) -> str | None:
        if edge is None:
            return None
        commits = seen_commits([log.commit for log in self.logs])
        final = tuple(plan.final_until_ns for plan in self.plans if plan.final_until_ns is not None)
        hashes = (self.range_hash, self.inputs_hash)
        cursor = PageCursor(edge.earlier, edge.position, commits, self.walk_now_ns, *hashes, final)
        return cursor.encode(self.query.subject)


def _time_of(edge: PageEdge | None) -> int | None:
    """Return an edge's time; None without an edge."""
    return None if edge is None else edge.position.time_ns
