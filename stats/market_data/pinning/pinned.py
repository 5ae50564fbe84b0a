"""A query of the tree fixed to commits, in one representation: what the cache knows it by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from http_requests.compression import Encoding
from http_requests.conditional import etag_of
from http_requests.exceptions import InvalidParameter
from listing.exceptions import InvalidCursor
from stats.caching.keys import CacheKey
from stats.market_data.pinning.logs import Pinned, Snapshot
from stats.market_data.pinning.plan import Asked, KeyParts, MarketDataset, Plan, listed
from stats.market_data.queries.query import MarketDataQuery
from stats.market_data.sources.newest import NewestSource
from stats.market_data.sources.rows import ChainedSource, Source
from stats.paging.cursors import Cursor, SeenCommit, fingerprint, seen_commits
from store.protocol import NO_COMMIT
from trades.services.instruments import symbol_canonical


@dataclass(frozen=True, slots=True)
class Representation:
    """How an answer is written; without an encoding as it is."""

    format: str
    encoding: Encoding | None = None


@dataclass(frozen=True)
class PinnedMarketData:
    """What is asked for, the plan of each symbol, and how it is to be written.

    cursor: None on a first page. volume_kinds: of each symbol, whether its volumes are whole.
    """

    query: MarketDataQuery
    plans: tuple[Plan, ...]
    cursor: Cursor | None
    representation: Representation
    volume_kinds: tuple[str, ...]

    @property
    def logs(self) -> list[Pinned]:
        """All logs that the answer reads."""
        return [log for plan in self.plans for log in plan.logs]

    @cached_property
    def source(self) -> Source:
        """The rows."""
        if not self.query.several:
            return self.plans[0].source
        last, sources = self.query.last, tuple(plan.source for plan in self.plans)
        if last is not None:
            sources = tuple(NewestSource(source, last) for source in sources)
        return ChainedSource(self.query.symbols, sources)

    @property
    def begun_ns(self) -> int:
        """The instant that stands for now on all pages of the walk: the same rows are final then as are now, of every symbol."""
        open_ = [plan.begun_ns for plan in self.plans if plan.is_open]
        return min(open_) if open_ else max(plan.begun_ns for plan in self.plans)

    @property
    def within(self) -> bytes:
        """What a cursor is bound to beside the query."""
        return _within(self.plans)

    @property
    def rules(self) -> bytes:
        """What was told of the instruments when the walk began."""
        return _rules(self.plans)

    @property
    def unencoded(self) -> "PinnedMarketData":
        """The same, written as it is."""
        return replace(self, representation=replace(self.representation, encoding=None))

    @property
    def cache_symbol(self) -> str:
        return ",".join(self.query.symbols)

    @property
    def cache_end_ns(self) -> int | None:
        return self.query.end_ns

    @property
    def cache_coarse(self) -> bool:
        return self.query.resolution.is_period

    @property
    def as_of_ns(self) -> int | None:
        return self.query.as_of_ns

    @cached_property
    def etag(self) -> str:
        return etag_of(self.cache_key)

    @property
    def commits(self) -> str:
        """What the header `X-Commit` says."""
        return commits_of(self.logs, named=self.query.several or len({log.symbol for log in self.logs}) > 1)

    @cached_property
    def cache_key(self) -> str:
        query, written = self.query, self.representation
        return str(
            CacheKey(
                symbol=self.cache_symbol,
                dataset=f"{query.market_class.path}-{query.form.name}",
                parameters=self._key_parameters(),
                version=",".join(log.version for log in self.logs if not log.is_empty) or "none",
                representation=written.format + (f"+{written.encoding}" if written.encoding else ""),
            )
        )

    def _later_columns(self) -> list[str]:
        """The answer's columns that stored datasets had not always: before, it was another answer."""
        later = {name for log in self.logs for name in log.dataset.later_names}
        return [column.name for column in self.query.form.columns if column.name in later]

    def _key_parameters(self) -> KeyParts:
        """What the answer depends on beside commits and representation: of the query, then of each plan."""
        query = self.query
        return (
            ("resolution", query.resolution.value),
            ("limit", None if query.last and not query.several else query.limit),
            ("last", query.last),
            ("cursor", query.cursor),
            ("sort", "desc" if query.is_descending else None),
            ("several", int(query.several)),
            ("fields", ",".join(query.fields) if query.fields else None),
            ("later", ",".join(self._later_columns()) or None),
            ("time", query.time_form),
            ("as_of", query.as_of_ns),
            ("hours", query.hours.value),
            ("coverage", int(query.with_coverage)),
            *((name, repr(value)) for name, value in query.inputs),
            ("volume", ",".join(kind[0] for kind in self.volume_kinds)),
            *(
                (f"{name}{place or ''}", value)
                for place, plan in enumerate(self.plans)
                for name, value in (*plan.key, ("reason", plan.reason))
            ),
        )


def pin(
    dataset: MarketDataset, query: MarketDataQuery, representation: Representation, *, now_ns: int
) -> PinnedMarketData:
    """Fix the commits that an answer is of: those of the walk's first page, or the newest.

    Raises `UnknownSymbol`, `WrongClass`, `Resync`, `InvalidCursor` and what the dataset refuses.
    """
    query = replace(query, symbols=_canonical(query.symbols))
    cursor = Cursor.decode(query.cursor, query=query.subject) if query.cursor else None
    if cursor and len(cursor.commits) != len(query.symbols) * dataset.log_count:
        raise InvalidCursor("the cursor is not one of ours")
    begun_ns = cursor.begun_ns if cursor else now_ns
    plans: list[Plan] = []
    kinds: list[str] = []
    for place, symbol in enumerate(query.symbols):
        seen = cursor.commits[place * dataset.log_count :] if cursor else None
        as_known = begun_ns if query.as_of_ns is None else min(begun_ns, query.as_of_ns)
        asked = Asked(query, listed(query, symbol), Snapshot(query.as_of_ns, seen), as_known)
        plans.append(dataset.plan(asked))
        kinds.append(asked.instrument.volume_kind)
    if cursor:
        cursor.check(_within(plans), _rules(plans))
    return PinnedMarketData(query, tuple(plans), cursor, representation, tuple(kinds))


def _canonical(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """The symbols by their own names. Raises `InvalidParameter` for two names of one."""
    canonical = tuple(map(symbol_canonical, symbols))
    if len(set(canonical)) < len(canonical):
        raise InvalidParameter("repeated_symbol", "symbols: two of the names are of one instrument")
    return canonical


def _within(plans: Sequence[Plan]) -> bytes:
    """The range of a walk, in whole intervals."""
    return fingerprint(repr([plan.range_key for plan in plans]))


def _rules(plans: Sequence[Plan]) -> bytes:
    """By which policies, calendars and settings the rows of a walk are made."""
    return fingerprint(repr([plan.rules_key for plan in plans]))


def seen_by(pinned: PinnedMarketData) -> tuple[SeenCommit, ...]:
    """What the cursors of a page keep of its logs."""
    return seen_commits([log.at for log in pinned.logs])


def commits_of(logs: Iterable[Pinned], *, named: bool) -> str:
    """The newest commit of each log as clients see it: `trades=17-9f3a2c`; with its symbol if `named`."""
    return ", ".join(
        f"{log.dataset.name}{f':{log.symbol}' if named else ''}={log.head.token}"
        for log in logs
        if log.head != NO_COMMIT
    )
