"""What is stored of a symbol at all: `/coverage`."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import orjson

from stats.caching.keys import Irrelevant
from stats.delivery.pinned_answer import Content
from stats.market_data.pinning.logs import Snapshot, commits_of
from stats.market_data.pinning.plan import check_known, instrument_in
from stats.market_data.queries.classes import MARKET_CLASSES
from stats.market_data.reports.newest import ReportQuery
from stats.rendering.format import Rendered
from store.datasets import DATASETS
from store.log_views.log_view import LogView, log_coverage
from store.timestamps import format_timestamp
from trades.services.instruments import symbol_canonical

COVERAGE = "coverage"


@dataclass(frozen=True, eq=False)
class CoverageReport(Content):
    """Of each log of a symbol the first and the last time, and how many rows and commits there are.

    logs: those that have a commit.
    """

    query: ReportQuery
    symbol: Annotated[str, Irrelevant("the key has it")]
    logs: tuple[LogView, ...]

    @property
    def name(self) -> str:
        return f"{self.query.market_class}-{COVERAGE}"

    @property
    def symbols(self) -> tuple[str, ...]:
        return (self.symbol,)

    @property
    def as_of_ns(self) -> int | None:
        return self.query.as_of_ns

    @cached_property
    def commits(self) -> str:
        return commits_of(self.logs, named=False)

    def rendered(self, _format_name: str) -> Rendered:
        """See `Content.rendered`."""
        return Rendered(orjson.dumps({"symbol": self.symbol, "datasets": [_row(log) for log in self.logs]}))


def coverage_pin(query: ReportQuery) -> CoverageReport:
    """The coverage of a symbol as of its newest commits. Raises `UnknownSymbol`, `WrongClass` and the store's errors."""
    symbol = symbol_canonical(query.symbols[0])
    instrument_in(MARKET_CLASSES[query.market_class], symbol, query.as_of_ns, name=COVERAGE)
    snapshot = Snapshot(query.as_of_ns, None)
    logs = tuple(
        log for dataset in DATASETS.values() if not (log := snapshot.log(dataset, symbol, 0)).is_empty
    )
    if not logs:
        check_known(symbol)
    return CoverageReport(query, symbol, logs)


def _row(log: LogView) -> dict[str, str | int | None]:
    found = log_coverage(log)
    return {
        "dataset": log.dataset.name,
        "first": _text(found.first_ns),
        "last": _text(found.last_ns),
        "rows": found.rows,
        "commits": found.commits,
        "head": found.head.token,
    }


def _text(instant_ns: int | None) -> str | None:
    return None if instant_ns is None else format_timestamp(instant_ns)
