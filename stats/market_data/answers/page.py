"""Pages: the snapshot that a page of rows is made from, and its document."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec

from stats.caching.keys import Irrelevant
from stats.cursors import PageCursor, RowPosition, fingerprint, stored_commit
from stats.delivery.answers import AnswerSnapshot, LogName
from stats.market_data.documents import PageTail
from stats.market_data.plan import (
    LogGroup,
    Plan,
    SymbolQuery,
    commits_of,
    empty_log,
    is_of_class,
    log_as_seen,
    log_at,
    queried_instrument,
)
from stats.market_data.query import MarketDataQuery
from stats.market_data.rows import ChainedSource, NewestSource, PageRows, RowSource, read_page
from stats.rendering.format import RowsDocument
from stats.rendering.table import OutColumn, Table
from store.cached_property import cached_property
from store.instruments import default_instrument
from store.log_views.log_view import LogView
from web.lists.cursors import InvalidCursor
from web.requests.exceptions import InvalidParameter
from web.requests.nearest_name import nearest_or_all
from web.requests.work import WorkKind, count_work


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


class PlannedAnswer(AnswerSnapshot):
    """The base of answers that are made from plans: they have the plans' logs, commits and validity."""

    query: Any

    @abstractmethod
    def all_plans(self) -> Iterable[Plan]:
        """Return the plans, those of one symbol together."""

    @property
    def logs(self) -> list[LogView | LogGroup[Any]]:
        """All logs of the plans."""
        return [log for plan in self.all_plans() for log in plan.logs]

    @cached_property
    def commits(self) -> str:
        logs = {(log.dataset, log.symbol): log for log in self.logs}
        with_symbols = getattr(self.query, "several", False) or len({symbol for _, symbol in logs}) > 1
        return commits_of(logs.values(), with_symbols=with_symbols)

    @property
    def watched(self) -> frozenset[LogName] | None:
        logs = self.logs
        if not all(isinstance(log, LogView) for log in logs):
            return None
        return frozenset((log.dataset, log.symbol) for log in logs)

    @property
    def expires_ns(self) -> int | None:
        """The first instant at which the same query gets another answer if nothing is written; None for never.

        A query's "now" stays at `as_of` once that is past.
        """
        expiries = [plan.expires_ns for plan in self.all_plans()]
        expires_ns = min((each for each in expiries if each is not None), default=None)
        as_of_ns = self.as_of_ns
        is_never = expires_ns is not None and as_of_ns is not None and as_of_ns < expires_ns
        return None if is_never else expires_ns


@dataclass(frozen=True, eq=False)
class PageSnapshot(PlannedAnswer):
    """A page of rows at fixed commits.

    plans: one per symbol, with everything that the rows are made from. cursor: None on a first page.
    later_columns: the answer's columns that were added to the stored datasets later; None if there are none.
    """

    query: MarketDataQuery
    plans: tuple[Plan, ...]
    cursor: Annotated[PageCursor | None, Irrelevant("the query has it as text")]
    later_columns: tuple[str, ...] | None = None

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

    def all_plans(self) -> tuple[Plan, ...]:
        """See `PlannedAnswer.all_plans`."""
        return self.plans

    @property
    def walk_now_ns(self) -> int:
        """The walk's frozen "now", by which every page decides which intervals are over."""
        changing = [plan.walk_now_ns for plan in self.plans if plan.expires_ns is not None]
        return min(changing) if changing else max(plan.walk_now_ns for plan in self.plans)

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

    def page(self) -> PageRows:
        """Read the rows of the page.

        With `last`, a query for one symbol starts at the newest page. A query for several symbols starts at the
        oldest of the `last` rows.
        """
        query, cursor = self.query, self.cursor
        if cursor is None:
            backwards = query.is_descending or (query.last is not None and not query.several)
            page = read_page(self.source, None, query.limit, backwards=backwards)
        else:
            page = read_page(self.source, cursor.position, query.limit, backwards=cursor.earlier)
        count_work(WorkKind.ROWS, len(page.rows))
        return page

    def document(self) -> RowsDocument:
        """Return the page as a document. Raises `InvalidParameter` for unknown columns."""
        query = self.query
        selected_columns(self.source.columns, query.fields)
        page = self.page()
        neighbours = self.neighbours(page)
        table = page.rows.table.reversed() if query.is_descending else page.rows.table
        return RowsDocument(
            head=self._head(),
            rows_name=query.dataset.rows_name,
            table=selected(table, query.fields),
            tail=PageTail(**neighbours, **self._notes(page)).as_json(),
            next_cursor=neighbours["next_cursor"],
            prev_cursor=neighbours["prev_cursor"],
            bars_times=not (query.resolution.is_tick or query.dataset.of_instants),
            time_form=query.time_form,
        )

    def neighbours(self, page: PageRows) -> dict[str, Any]:
        """Return `next_cursor`, `prev_cursor` and `total_estimate`, an upper bound of the number of rows.

        With `last` the estimate is at most `last` for each symbol, and `next_cursor` is None after these rows in both
        orders.
        """
        query, following, preceding = (
            self.query,
            self._cursor(page.later),
            self._cursor(page.earlier, earlier=True),
        )
        if query.is_descending:
            # The rows before the newest ones are no part of the answer.
            is_newest = query.last is not None and not query.several
            following, preceding = None if is_newest else preceding, following
        total = len(page.rows) if following is preceding is None else self.source.total_estimate()
        if query.last is not None and not query.several:
            total = min(total, query.last)
        return {"next_cursor": following, "prev_cursor": preceding, "total_estimate": total}

    def _notes(self, page: PageRows) -> dict[str, Any]:
        """Return the fields of the plans' notes, and `reason` if there are no rows. A list of several symbols names them."""
        several, fields, times_ns = self.query.several, dict[str, Any](), page.rows.time_ns
        edges = (None, None) if several else (_time_of(page.earlier), _time_of(page.later))
        # In the order of `source`.
        order = range(len(self.plans))[:: -1 if self.query.is_descending else 1]
        for symbol, index, plan in zip(self.symbols, order, self.plans, strict=True):
            for note in plan.notes:
                own_ns = times_ns[page.rows.symbol_index == index] if several else times_ns
                found = note.of_page(own_ns, *edges)
                if isinstance(found, dict):
                    counts = fields.get(note.name, {})
                    fields[note.name] = {name: count + counts.get(name, 0) for name, count in found.items()}
                elif found is not None:
                    named = (
                        [msgspec.structs.replace(each, symbol=symbol) for each in found] if several else found
                    )
                    fields.setdefault(note.name, []).extend(named)
        if not len(page.rows):
            fields["reason"] = self.plans[0].reason
        return fields

    def _head(self) -> Mapping[str, Any]:
        query = self.query
        symbols = {"symbols": list(query.symbols)} if query.several else {"symbol": query.symbols[0]}
        return {**symbols, **dict(self.plans[0].head)}

    def _cursor(self, position: RowPosition | None, *, earlier: bool = False) -> str | None:
        """Return the cursor of the page from a position on or, if `earlier`, of the last rows before it."""
        if position is None:
            return None
        commits = tuple(stored_commit(log.commit) for log in self.logs)
        final = tuple(plan.final_until_ns for plan in self.plans if plan.final_until_ns is not None)
        hashes = (self.range_hash, self.inputs_hash)
        cursor = PageCursor(earlier, position, commits, self.walk_now_ns, *hashes, final)
        return cursor.encode(self.query.walk_key)


def _time_of(position: RowPosition | None) -> int | None:
    return None if position is None else position.time_ns


def page_snapshot(query: MarketDataQuery, *, now_ns: int) -> PageSnapshot:
    """Return the page that answers a query: at the newest commits or, with a cursor, at the cursor's commits.

    Raises `UnknownSymbol`, `WrongClass`, `ResyncRequired`, `InvalidCursor` and the errors of the dataset's plan.
    """
    symbols = queried_symbols(query)
    if symbols != query.symbols or query.symbol_as_of_ns is not None:
        query = replace(query, symbols=symbols, symbol_as_of_ns=None)
    cursor = PageCursor.decode(query.cursor, query=query.walk_key) if query.cursor else None
    plans = tuple(map(query.dataset.plan, _symbol_queries(query, cursor, now_ns)))
    later_names = {name for plan in plans for log in plan.logs for name in log.dataset.later_names}
    columns = tuple(column.name for column in query.dataset.columns if column.name in later_names)
    page = PageSnapshot(query, plans, cursor, columns or None)
    if cursor:
        cursor.check(page.range_hash, page.inputs_hash)
    return page


def _symbol_queries(query: MarketDataQuery, cursor: PageCursor | None, now_ns: int) -> list[SymbolQuery]:
    """Return the query for each symbol, with the symbol's logs unless the plan chooses its logs itself."""
    stored_datasets = query.dataset.logs_of(query)
    log_count = len(stored_datasets) or query.dataset.log_count
    if cursor and len(cursor.commits) != len(query.symbols) * log_count:
        raise InvalidCursor("the cursor does not fit the query: start again at the first page")
    walk_now_ns = now_ns if cursor is None else cursor.walk_now_ns
    query_now_ns = walk_now_ns if query.as_of_ns is None else min(walk_now_ns, query.as_of_ns)
    symbol_queries = []
    for index, symbol in enumerate(query.symbols):
        seen = None if cursor is None else cursor.commits[index * log_count :]
        if query.skips_unknown and not is_of_class(query.market_class, symbol, query.as_of_ns):
            instrument = default_instrument(symbol)
            logs = tuple(empty_log(each, symbol) for each in stored_datasets)
        else:
            instrument = queried_instrument(query, symbol)
            logs = tuple(
                log_at(each, symbol, query.as_of_ns)
                if seen is None
                else log_as_seen(each, symbol, seen[log_index])
                for log_index, each in enumerate(stored_datasets)
            )
        final_until_ns = cursor.final_until_ns[index] if cursor and cursor.final_until_ns else None
        symbol_queries.append(SymbolQuery(query, instrument, logs, query_now_ns, seen, final_until_ns))
    return symbol_queries


def queried_symbols(query: MarketDataQuery) -> tuple[str, ...]:
    """Return the symbols' canonical names, now or at `symbol_as_of`.

    Raises `InvalidParameter` if two of them name the same instrument.
    """
    canonical = tuple(query.market_class.canonical(symbol, query.symbol_as_of_ns) for symbol in query.symbols)
    if len(set(canonical)) < len(canonical):
        raise InvalidParameter("repeated_symbol", "symbols: two of them name the same instrument")
    return canonical
