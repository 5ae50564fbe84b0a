"""Universes: their list, the dataset `/members`, and the members that stand for the symbols of a query."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Self

import numpy as np

from stats.caching.keys import Irrelevant
from stats.delivery.answers import AnswerSnapshot, LogName
from stats.exceptions import NoData
from stats.market_data.market_report import MarketReport
from stats.market_data.plan import (
    LogGroup,
    Plan,
    SymbolQuery,
    is_known,
    joined_commit,
    log_at,
    reason_for_none,
    walk_now_ns,
)
from stats.market_data.query import MarketDataset
from stats.market_data.query_parameters import RowQuerySerializer, query_serializer
from stats.market_data.rows import Rows, WindowedSource
from stats.parameters import MEMBERS_LIMIT, query_values
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.cached_property import cached_property
from store.datasets import UNIVERSE_CHANGES
from store.exceptions import UnknownSymbol
from store.instruments import default_instrument
from store.log_views.log_view import LogView, last_row, log_coverage
from store.log_views.members import members_at, members_within, next_change_ns
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.terms import Settle
from trades.instruments.services import symbol_canonical
from trades.stores import market_store
from web.documents import AnswerDocument, Instant, about, instant_or_null, like
from web.requests.exceptions import InvalidParameter

_COLUMNS = (OutColumn("member", ColumnRole.TEXT), OutColumn("since", ColumnRole.TIME))


@dataclass(frozen=True, slots=True)
class UniverseSnapshot:
    """The members of a universe as of a commit.

    symbols: of the instruments, by the members' names. expires_ns: when others join or leave if nothing is written;
    None for never.
    """

    log: LogView
    symbols: tuple[str, ...]
    expires_ns: int | None

    @property
    def watched(self) -> frozenset[LogName]:
        """The log of the universe's changes."""
        return frozenset({(self.log.dataset, self.log.symbol)})

    def commits(self, logs: Sequence[LogView | LogGroup[Any]]) -> str:
        """Return the header `X-Commit`: the universe's commit, and one for all logs of its members."""
        name = self.log.symbol
        return f"{self.log.dataset.name}:{name}={self.log.head.token}, members:{name}={joined_commit(logs).token}"


@dataclass(frozen=True, slots=True)
class UniverseQuery:
    """A query for the members of a universe in a range; without `start_ns` for those just before its end.

    end_ns: exclusive; None for now, which counts, or for `as_of_ns` if that is earlier. as_of_ns: commits stored later
    are ignored; None for no bound. symbol_as_of_ns: when the members' names had their meaning; None for now. is_then:
    whether only changes count that were known in time.
    """

    name: str
    start_ns: int | None = None
    end_ns: int | None = None
    as_of_ns: int | None = None
    symbol_as_of_ns: int | None = None
    is_then: bool = False


def universe_snapshot(query: UniverseQuery, *, now_ns: int) -> UniverseSnapshot:
    """Return all that were members at some instant of the range. Changes after now do not count.

    Raises `UnknownSymbol` for an unknown universe, `NoData` without members, `InvalidParameter` for too many, and the
    store's errors.
    """
    log = log_at(UNIVERSE_CHANGES, query.name, query.as_of_ns)
    if log.is_empty and not is_known(query.name):
        raise UnknownSymbol(query.name)
    if query.is_then:
        log = replace(log, settle=Settle((default_instrument(query.name).settle_ns,)))
    now_ns = now_ns if query.as_of_ns is None else min(now_ns, query.as_of_ns)
    until_ns = now_ns + 1 if query.end_ns is None else min(query.end_ns, now_ns + 1)
    start_ns = until_ns if query.start_ns is None else min(query.start_ns, until_ns)
    members = members_within(log, Window(start_ns, until_ns))
    _check_count(query.name, len(members))
    named = (symbol_canonical(member, query.symbol_as_of_ns) for member in members)
    # "Now" goes on to the end of the range or to `as_of`.
    last_ns = min(
        ALL_TIME.end_ns if query.end_ns is None else query.end_ns - 1,
        ALL_TIME.end_ns if query.as_of_ns is None else query.as_of_ns,
    )
    next_ns = next_change_ns(log, until_ns)
    is_ahead = next_ns is not None and next_ns <= last_ns
    return UniverseSnapshot(log, tuple(dict.fromkeys(named)), next_ns if is_ahead else None)


def _check_count(name: str, count: int) -> None:
    """Raise `NoData` without members, `InvalidParameter` for too many."""
    if not count:
        raise NoData(f"the universe {name} has no members in the range: see …/universes/{name}/changes")
    if count > MEMBERS_LIMIT:
        raise InvalidParameter(
            "too_many_symbols", f"symbols: @{name} has {count:,} members, more than {MEMBERS_LIMIT:,}"
        )


@dataclass(frozen=True, slots=True)
class MemberReader:
    """Reads the members at an instant, by the time since when they belong, then by name.

    window: the changes up to the instant.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range says it")]

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return _COLUMNS

    def floor(self, time_ns: int) -> int:
        return time_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return window

    def rows(self, window: Window) -> Rows:
        members = members_at(self.log, self.window.end_ns)
        rows = sorted((since_ns, member) for member, since_ns in members.items())
        rows = [row for row in rows if window.start_ns <= row[0] < window.end_ns]
        values = {"member": [member for _, member in rows], "since": [since_ns for since_ns, _ in rows]}
        return Rows.of(Table.of(_COLUMNS, values), np.array(values["since"], np.int64))

    def total_estimate(self) -> int:
        return len(members_at(self.log, self.window.end_ns))


def _members_plan(symbol_query: SymbolQuery) -> Plan:
    """Make the plan for the members at the query's last instant. Raises `UnknownSymbol`."""
    (log,) = symbol_query.logs
    if log.is_empty:
        symbol_query.check_known()
    asked_ns = symbol_query.query.end_ns
    until_ns = symbol_query.now_ns + 1 if asked_ns is None else asked_ns
    window = Window(ALL_TIME.start_ns, until_ns).within(ALL_TIME)
    log = symbol_query.limited_to(log, window)
    if asked_ns is None:
        # By now all changes are known, so `knowledge=then` has no effect.
        window, next_ns = _until_last_change(log, window), next_change_ns(symbol_query.logs[0], until_ns)
    elif symbol_query.settle_ns is None:
        window, next_ns = _until_last_change(log, window), None
    else:
        (log,), next_ns = symbol_query.as_known(log), None
    return Plan(
        source=WindowedSource(MemberReader(log, window)),
        range=window,
        reason=reason_for_none(symbol_query),
        logs=(log,),
        walk_now_ns=walk_now_ns(next_ns, window.end_ns),
        expires_ns=symbol_query.expires_ns(next_ns),
    )


def _until_last_change(log: LogView, window: Window) -> Window:
    """Return the window until its last change: all instants from then on have the same members, and the same plan."""
    last = last_row(log, window.end_ns)
    return Window(window.start_ns, window.start_ns if last is None else last.column(0)[0].as_py() + 1)


MEMBER_ROWS = MarketDataset(
    name="members",
    rows_name="members",
    classes=("universes",),
    own=("knowledge",),
    resolution=Resolution.MONTH,
    columns=_COLUMNS,
    of_instants=True,
    at_one_instant=True,
    plan=_members_plan,
    logs_of=lambda _query: (UNIVERSE_CHANGES,),
)


@dataclass(frozen=True, slots=True)
class UniversesQuery:
    """A query for the list of universes. at_ns: the instant at which members are counted; None for now."""

    at_ns: int | None
    as_of_ns: int | None


class UniverseDocument(AnswerDocument):
    """A universe: its members, and its changes."""

    symbol: Annotated[str, like("SP500")]
    members: Annotated[int, like(503)]
    changes: Annotated[int, like(1_841)]
    first: Annotated[Instant | None, like("1996-01-02T00:00:00Z")]
    last: Annotated[Instant | None, like("2025-03-24T00:00:00Z")]
    head: Annotated[str, about("The newest commit, as in X-Commit.", "12-9f3a2c")]

    @classmethod
    def of(cls, log: LogView, end_ns: int) -> Self:
        """Return the document of a universe. end_ns: the end of the changes by which its members are counted."""
        found, members = log_coverage(log), len(members_at(log, end_ns))
        first, last = instant_or_null(found.first_ns), instant_or_null(found.last_ns)
        return cls(log.symbol, members, found.rows, first, last, found.head.token)


class UniversesDocument(AnswerDocument):
    """All universes."""

    universes: list[UniverseDocument]


@dataclass(frozen=True, eq=False)
class UniverseList(AnswerSnapshot):
    """All universes. ends_ns: for each log, the end of the changes by which its members are counted."""

    query: UniversesQuery
    logs: tuple[LogView, ...]
    ends_ns: tuple[int, ...]

    @property
    def name(self) -> str:
        return "universes"

    @property
    def as_of_ns(self) -> int | None:
        return self.query.as_of_ns

    @cached_property
    def commits(self) -> str:
        """The header `X-Commit`: one commit for the logs of all universes."""
        return f"{UNIVERSE_CHANGES.name}={joined_commit(self.logs).token}"

    def document(self) -> UniversesDocument:
        """See `AnswerSnapshot.document`."""
        instants = zip(self.logs, self.ends_ns, strict=True)
        return UniversesDocument([UniverseDocument.of(log, end_ns) for log, end_ns in instants])


def _serializer(_several: bool) -> RowQuerySerializer:
    """Return the serializer of a query for the list of universes."""
    return query_serializer(("at", "as_of"))


@lru_cache(maxsize=256)
def _parse(_market_class: str, _symbol: str | None, query_string: str) -> UniversesQuery:
    """Parse a URL's query string. Raises `InvalidParameter`."""
    values = query_values(_serializer(False), query_string)
    at = values.get("at")
    return UniversesQuery(at and at.instant_ns, values.get("as_of"))


def _snapshot(query: UniversesQuery, *, now_ns: int) -> UniverseList:
    """Return the list of universes at the newest commits. Raises the store's errors."""
    names = market_store().symbols(UNIVERSE_CHANGES)
    logs = tuple(
        log for name in sorted(names) if not (log := log_at(UNIVERSE_CHANGES, name, query.as_of_ns)).is_empty
    )
    at_ns = query.at_ns
    if at_ns is None:
        at_ns = now_ns if query.as_of_ns is None else min(now_ns, query.as_of_ns)
    until = Window(ALL_TIME.start_ns, at_ns + 1).within(ALL_TIME)
    return UniverseList(query, logs, tuple(_until_last_change(log, until).end_ns for log in logs))


DATASETS = (MEMBER_ROWS,)
REPORTS = (
    MarketReport(
        name="universes",
        document=UniversesDocument,
        serializer=_serializer,
        parse=_parse,
        snapshot=_snapshot,
    ),
)
