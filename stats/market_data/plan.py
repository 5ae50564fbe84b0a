"""Plans. A plan holds the logs that a query for one symbol reads, each at a fixed commit, and the source of its rows.

A walk is the sequence of pages that a client reads by following cursors (see `stats.cursors`).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar

from stats.caching.keys import Irrelevant, key_parts
from stats.cursors import stored_commit
from stats.exceptions import ResyncRequired, WrongClass
from stats.market_data.documents import AbsenceDocument, NotAppliedDocument, UnadjustedDocument
from stats.market_data.query import MARKET_DATASETS, MarketClass, MarketDataQuery, class_of
from stats.market_data.rows import RowSource
from store.arrays import Integers
from store.cached_property import cached_property
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.instruments import Instrument, default_instrument
from store.log_views.log_view import LogView, empty_view, view_of
from store.protocol import ALL_TIME, NO_COMMIT, CommitId, Window
from trades.instruments.services import instrument_get, require_known_then
from trades.stores import market_store

Member = TypeVar("Member")


@dataclass(frozen=True)
class LogGroup(Generic[Member]):
    """Logs that belong together, such as those of an option chain, told as one log of a dataset that is not stored.

    symbol: the underlying, or the root. members: what the logs are of; their text is part of the key. last_change_ns: the
    last change of the logs or of any declaration. It stands for the instant in cache keys and cursors, so that calls with
    the same answer have the same key.
    """

    dataset: Dataset
    symbol: str
    members: tuple[Member, ...]
    logs: tuple[LogView, ...]
    last_change_ns: int

    @property
    def _commits(self) -> list[tuple[str, CommitId]]:
        return [(f"{log.dataset.name}:{log.symbol}", log.commit) for log in self.logs]

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256((repr(self.members) + _digest_of(self._commits)).encode()).hexdigest()

    @cached_property
    def head(self) -> CommitId:
        """The sum of the logs' commit numbers, and a hash of their newest commits."""
        return joined_commit(self.logs)

    @property
    def commit(self) -> CommitId:
        """The commit that a cursor stores: `last_change_ns`, and a hash of the members and their commits."""
        return CommitId(self.last_change_ns, self._digest)

    @property
    def key(self) -> str:
        """The text that stands for the group in cache keys."""
        return f"{self._digest[:24]}-{self.last_change_ns}"

    def check_seen(self, seen: CommitId | None) -> None:
        """Raise `ResyncRequired` if a cursor's commit is another one. None on a first page.

        So it is if a log was restored, or has a commit that had begun before the first page and was finished after it.
        """
        if seen is not None and stored_commit(self.commit) != seen:
            raise ResyncRequired(
                f"the data of the {self.dataset.name} have changed since the cursor was made; start again at the first page"
            )


def joined_commit(logs: Sequence[LogView | LogGroup[Any]]) -> CommitId:
    """Return one commit for many logs: the sum of their numbers, and a hash of them. `NO_COMMIT` without logs."""
    heads = [(f"{log.dataset.name}:{log.symbol}", log.head) for log in logs]
    return CommitId(sum(head.number for _, head in heads), _digest_of(heads)) if heads else NO_COMMIT


def _digest_of(commits: Iterable[tuple[str, CommitId]]) -> str:
    """Return a hash of the names of logs with their commits."""
    text = "".join(f"{name}={commit.number}-{commit.hash};" for name, commit in commits)
    return hashlib.sha256(text.encode()).hexdigest()


def commits_of(logs: Iterable[LogView | LogGroup[Any]], *, with_symbols: bool) -> str:
    """Return the header `X-Commit` with the logs' newest commits.

    An item is `trades=17-9f3a2c` or, with symbols, `trades:AAPL=17-9f3a2c`.
    """
    return ", ".join(
        f"{log.dataset.name}{f':{log.symbol}' if with_symbols else ''}={log.head.token}"
        for log in logs
        if log.head != NO_COMMIT
    )


def log_at(dataset: Dataset, symbol: str, as_of_ns: int | None = None) -> LogView:
    """Return a log at its newest commit, by `as_of_ns` if that is given. Without such a commit the log has no rows."""
    found = market_store().log(dataset, symbol)
    try:
        return view_of(found.at() if as_of_ns is None else found.as_of(as_of_ns))
    except UnknownSymbol:
        return empty_view(found)


def empty_log(dataset: Dataset, symbol: str) -> LogView:
    """Return a view of a log that reads nothing."""
    return empty_view(market_store().log(dataset, symbol))


def log_as_seen(dataset: Dataset, symbol: str, seen: CommitId) -> LogView:
    """Return the log at a cursor's commit.

    Raises `UnknownSymbol` if the symbol no longer exists, and `ResyncRequired` if the log no longer has the commit.
    """
    log = market_store().log(dataset, symbol)
    if not seen.number:
        return empty_view(log)
    try:
        found = log.at()
        if found.commit.number > seen.number:
            found = log.at(seen.number)
    except UnknownSymbol:
        instrument_get(symbol=symbol)
        found = log.at(NO_COMMIT)
    if stored_commit(found.commit) != seen:
        raise ResyncRequired("the log was restored since the cursor was made; start again at the first page")
    return view_of(found)


def limited_to(log: LogView, needed: Window) -> LogView:
    """Return the log at the newest commit that touches a date of a window."""
    if log.is_empty:
        return log
    newest = log.version(needed)
    return log if newest == log.commit else log.at(newest)


class Note(Protocol):
    """Tells something of a page's rows in a field after them. A frozen dataclass, because it is part of cache keys."""

    @property
    def name(self) -> str:
        """The document's field."""
        ...

    def of_page(
        self, times_ns: Integers, start_ns: int | None, end_ns: int | None
    ) -> Sequence[AbsenceDocument | NotAppliedDocument | UnadjustedDocument] | dict[str, int] | None:
        """Return a list, numbers by name, which are added for all symbols, or None to leave out the field.

        times_ns: of the page's rows of one symbol. start_ns: where the page starts; None for the start of the range.
        end_ns: where the page after it starts; None for the end of the range.
        """
        ...


@dataclass(frozen=True)
class SymbolQuery:
    """A query, limited to one of its symbols.

    logs: the logs of the datasets that `MarketDataset.logs_of` returns, see `log`. now_ns: the walk's frozen "now", or
    `as_of` if that is earlier. seen: the cursor's commits, from that of the symbol's first log on. walk_final_until_ns: up
    to where bars are final, as the walk's first page found. The last two are None on a first page.
    """

    query: MarketDataQuery
    instrument: Instrument
    logs: tuple[LogView, ...]
    now_ns: int
    seen: Sequence[CommitId] | None = None
    walk_final_until_ns: int | None = None

    @property
    def symbol(self) -> str:
        """The instrument's symbol."""
        return self.instrument.symbol

    @property
    def settle_ns(self) -> int | None:
        """The instrument's `settle` for `knowledge=then`; None for bars as they are known now."""
        return None if self.query.knowledge is None else self.instrument.settle_ns

    @property
    def end_ns(self) -> int:
        """The exclusive end of the range; `now_ns` if the query has no end."""
        return self.now_ns if self.query.end_ns is None else self.query.end_ns

    @property
    def is_ahead(self) -> bool:
        """Whether the range starts in the future."""
        return self.query.start_ns is not None and self.query.start_ns >= self.now_ns

    def check_known(self) -> None:
        """Raise `UnknownSymbol` if the symbol is unknown and the query does not skip it."""
        if not self.query.skips_unknown and not is_known(self.symbol):
            raise UnknownSymbol(self.symbol)

    def check_range(self) -> None:
        """Raise `RangeTooLarge` if the range is too long. Only first pages are checked; later pages keep the range."""
        if self.seen is None:
            self.query.check_range(self.now_ns)

    def log(self, dataset: Dataset, symbol: str, log_index: int) -> LogView:
        """Return a log at the newest commit that may be read: the cursor's, or the newest by `as_of`.

        log_index: the log's index among the plan's logs. Raises `ResyncRequired`, and `UnknownSymbol` if a cursor's
        symbol no longer exists.
        """
        if self.seen is not None:
            return log_as_seen(dataset, symbol, self.seen[log_index])
        return log_at(dataset, symbol, self.query.as_of_ns)

    def limited_to(self, log: LogView, needed: Window) -> LogView:
        """See `limited_to`. A cursor's log is returned unchanged."""
        return log if self.seen is not None else limited_to(log, needed)

    def expires_ns(self, *changes_ns: int | None) -> int | None:
        """Return a plan's `expires_ns`: the first of the instants at which it may change; None for never."""
        instants = [each for each in changes_ns if each is not None]
        if self.is_ahead and self.query.start_ns is not None:
            instants.append(self.query.start_ns + 1)
        return min(instants, default=None)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the rows of one symbol are made from; nothing is looked up later.

    source: makes the rows. range: whole intervals; cursors are bound to it. It starts with `NO_START_NS` if the query has no
    start. reason: the document's `reason` if there are no rows. logs: in the dataset's order, including empty logs.
    walk_now_ns: the walk's frozen "now", by which every page decides which intervals are over. expires_ns: the first
    instant at which the same query gets another plan if nothing is written; None for never. head: the document's fields
    between the symbol and the rows. final_until_ns: bars that end later are not final; None if rows have no `final`.
    """

    source: RowSource
    range: Window
    reason: str
    logs: Annotated[
        tuple[LogView | LogGroup[Any], ...],
        Irrelevant("those of them that rows are made from are in the source"),
    ]
    walk_now_ns: int
    expires_ns: Annotated[int | None, Irrelevant("it says how long the plan is used, not what the rows are")]
    head: tuple[tuple[str, str | float], ...] = ()
    notes: tuple[Note, ...] = ()
    final_until_ns: Annotated[int | None, Irrelevant("the source has it")] = None

    @property
    def inputs_text(self) -> str:
        """A text of everything that the rows are made from, with the commits. It is the same on all pages of a walk."""
        return repr(key_parts(self.source, of_walk=True))


# The start of the range of a query without a start. It is before all instants that a query may name.
NO_START_NS = ALL_TIME.start_ns - 1


def queried_instrument(query: MarketDataQuery, symbol: str) -> Instrument:
    """Return the symbol's instrument as it was declared at the query's `as_of`.

    Raises `WrongClass` if it belongs to another class. The class is not checked if the query has one symbol and
    its dataset accepts underlyings, which belong to other classes; nor are roots of contracts. Universes
    have the terms of an undeclared instrument.
    """
    if not query.market_class.has_instruments:
        return default_instrument(symbol)
    if query.dataset.of_roots or (query.dataset.takes_underlyings and not query.several):
        return market_store().instrument(symbol, as_of_ns=query.as_of_ns)
    return instrument_in(query.market_class, symbol, query.as_of_ns, name=query.path_name)


def is_of_class(market_class: MarketClass, symbol: str, as_of_ns: int | None) -> bool:
    """Return whether a symbol's instrument has the class as it was declared at `as_of_ns`; None for now."""
    own_class = market_store().instrument(symbol, as_of_ns=as_of_ns).instrument_class
    return market_class.instrument_class in {"", own_class}


def instrument_in(market_class: MarketClass, symbol: str, as_of_ns: int | None, *, name: str) -> Instrument:
    """Return the symbol's instrument as it was declared at `as_of_ns`; None for now.

    name: the path's end, such as `ohlcv`, `ohlcv/stream` or `latest`, for the message. Raises `WrongClass` if the
    symbol is known and its instrument has another class, `NotKnownThen` if it was not known then.
    """
    instrument = market_store().instrument(symbol, as_of_ns=as_of_ns)
    if market_class.instrument_class not in {"", instrument.instrument_class} and is_known(symbol):
        require_known_then(symbol, as_of_ns)
        # Rows may be older than their first declaration: before it, a symbol is of that one's class, too.
        if as_of_ns is not None and not market_store().declarations(symbol, as_of_ns=as_of_ns):
            instrument = next((first for _, first in market_store().declarations(symbol)), instrument)
            if market_class.instrument_class == instrument.instrument_class:
                return instrument
        own_class = class_of(instrument.instrument_class)
        path = f"/api/v1/market-data/{own_class.path}/{symbol}"
        raise WrongClass(
            f"{symbol} is of the class {instrument.instrument_class}: see {path}/{_nearest(name, market_class, own_class)}"
            f" (or declare its class: PUT /api/v1/instruments/{symbol})"
        )
    return instrument


def _nearest(name: str, asked: MarketClass, own: MarketClass) -> str:
    """Return the end of a path in a symbol's own class: the same, without a stream that it lacks, or its first dataset."""
    dataset, _, stream = name.partition("/")
    if dataset in asked.datasets and dataset not in own.datasets:
        dataset = own.datasets[0]
    return f"{dataset}/{stream}" if stream and MARKET_DATASETS[dataset].has_stream else dataset


def is_known(symbol: str) -> bool:
    """Return whether the symbol has rows or was declared."""
    try:
        instrument_get(symbol=symbol)
    except UnknownSymbol:
        return False
    return True


def reason_for_none(symbol_query: SymbolQuery) -> str:
    """Return the document's `reason` for a range without rows. The symbol must be known."""
    return "not_yet" if symbol_query.is_ahead else "no_data"


def walk_now_ns(next_change_ns: int | None, range_end_ns: int) -> int:
    """Return a plan's `walk_now_ns`.

    next_change_ns: when its rows first change if nothing is written; None for never. Then the end of the range stands for
    "now".
    """
    return range_end_ns if next_change_ns is None else next_change_ns - 1


def rows_left(asked: Window, log: LogView) -> Window:
    """Return a plan's range for a read of rows: one without a start begins with the first that have not expired.

    Raises `Expired` if rows of the range have.
    """
    log.snapshot.check_readable(asked)
    return since(asked, log.snapshot.expired.before_ns)


def since(asked: Window, first_ns: int) -> Window:
    """Return a plan's range as a window that starts at `first_ns` if the query has no start. It may be empty."""
    start_ns = first_ns if asked.start_ns == NO_START_NS else asked.start_ns
    return Window(start_ns, max(start_ns, asked.end_ns))
