"""Alpaca's latest bars, trades and quotes, and its snapshots: the newest rows of symbols, by symbol."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any

import msgspec
from msgspec import Raw

from dialects.alpaca.market_rows import BARS, QUOTES, TRADES, AlpacaRows
from dialects.alpaca.openapi import by_symbol, described_call, newest_rows, option_snapshot, row
from dialects.alpaca.options import with_greeks
from dialects.alpaca.pages import CURRENCY, FEED, OPTION_FEED, ZONES, AlpacaRowsViewSet, label_of
from stats.caching.keys import Irrelevant
from stats.delivery.answers import TakeSnapshot
from stats.market_data.answers.page import PageSnapshot
from stats.market_data.best_quotes import BestOptions
from stats.market_data.query import MARKET_CLASSES
from stats.market_data.query_parameters import Parameters, RowQuerySerializer
from stats.market_data.reports import OPTION_SNAPSHOT, NewestReport, ReportQuery, report_snapshot
from stats.parameters import SymbolList, query_values
from stats.rendering.format import TimeForm
from stats.rendering.json_rows import row_objects
from trades.instruments.services import requested_symbol
from web.lists.pages import PAGE_LIMIT
from web.requests.exceptions import InvalidParameter

# Of a report's rows, in its order: their kind, and their names in a snapshot, the newest row first.
_SNAPSHOT = (
    (TRADES, ("latestTrade",)),
    (QUOTES, ("latestQuote",)),
    (BARS, ("minuteBar",)),
    (BARS, ("dailyBar", "prevDailyBar")),
)
_MEMBERS, _OF_OPTIONS = (
    {name: kind for kind, names in parts for name in names} for parts in (_SNAPSHOT, _SNAPSHOT[:2])
)
# What is asked for: the report that has it, and the rows' place in the report; all rows for a snapshot.
_SOURCES = {"bars": ("snapshot", 2), "trades": ("latest", 0), "quotes": ("latest", 1), "snapshots": ("snapshot", None)}  # fmt: skip
# The parameters of each class.
_OWN: dict[str, Parameters] = {"equities": (FEED, CURRENCY), "options": (OPTION_FEED, "limit"), "crypto": ()}


@dataclass(frozen=True, eq=False, kw_only=True)
class AlpacaNewest(NewestReport):
    """The newest rows of symbols. labels: the symbols' names as the client wrote them. is_single: of a path with a symbol."""

    asked: Annotated[str, Irrelevant("the name has it")]
    labels: tuple[str, ...]
    is_single: bool

    @property
    def name(self) -> str:
        return f"alpaca-{self.asked}-{super().name}"

    def document(self) -> dict[str, Any]:  # type: ignore[override]
        """See `AnswerSnapshot.document`."""
        place = _SOURCES[self.asked][1]
        members = dict(zip(self.labels, self.members, strict=True))
        if place is not None:
            found = {label: _rows(_SNAPSHOT[place][0], pages[place]) for label, pages in members.items()}
            first = {label: rows[0] for label, rows in found.items() if rows}
            if self.is_single:
                return {"symbol": self.labels[0], self.asked.removesuffix("s"): first.get(self.labels[0])}
            return {self.asked: first}
        snapshot = _option_snapshot if self.query.report == OPTION_SNAPSHOT else _snapshot
        snapshots = {label: snapshot(pages) for label, pages in members.items()}
        if self.is_single:
            return {"symbol": self.labels[0], **snapshots[self.labels[0]]}
        known = {label: each for label, each in snapshots.items() if any(each.values())}
        return known if self.query.market_class == "equities" else {"snapshots": known}


def _option_snapshot(pages: tuple[PageSnapshot | None, ...]) -> Mapping[str, Any]:
    *ticks, priced = pages
    rows = [] if priced is None else priced.newest_rows
    return {**_snapshot(tuple(ticks)), **with_greeks(msgspec.json.decode(rows[0]) if rows else None)}


def _snapshot(pages: tuple[PageSnapshot | None, ...]) -> Mapping[str, Raw | None]:
    members: dict[str, Raw | None] = {}
    for (kind, names), page in zip(_SNAPSHOT, pages, strict=False):
        rows = _rows(kind, page)
        members |= {name: rows[index] if index < len(rows) else None for index, name in enumerate(names)}
    return members


def _rows(kind: AlpacaRows, page: PageSnapshot | None) -> list[Raw]:
    """Return a page's rows in Alpaca's form, the newest first."""
    if page is None:
        return []
    table = page.source.before(None, page.query.last or 1).table
    lines = row_objects(kind.table(table, zone=ZONES[page.query.market_class.path]), TimeForm.RFC3339, "\n")
    return [Raw(line) for line in reversed(lines.splitlines())]


@lru_cache(maxsize=8)
def _serializer(market_class: str, *, several: bool) -> RowQuerySerializer:
    return RowQuerySerializer((*(("symbols",) if several else ()), *_OWN[market_class]), needs_range=False)


class AlpacaNewestViewSet(AlpacaRowsViewSet):
    """The newest rows of symbols. subject: a name of `_SOURCES`."""

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        market_class, place = self.market_class, _SOURCES[self.subject][1]
        example = label_of(MARKET_CLASSES[market_class].example, market_class)
        members, summary, name = _MEMBERS, "Snapshots", "" if market_class == "equities" else "snapshots"
        each = option_snapshot(_OF_OPTIONS) if market_class == "options" else newest_rows(members)
        if place is not None:
            kind = _SNAPSHOT[place][0]
            members, summary, name = (
                {self.subject.removesuffix("s"): kind},
                f"Latest {self.subject}",
                self.subject,
            )
            each = row(kind)
        answer = newest_rows(members, example) if self.is_single else by_symbol(example, each, name=name)
        serializer = _serializer(market_class, several=not self.is_single)
        return described_call(summary, serializer, answer, is_single=self.is_single)

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> TakeSnapshot:
        """See `AnswerViewSet.parse_call`."""
        symbol, market_class = path["symbol"], path["market_class"]
        values = query_values(_serializer(market_class, several=symbol is None), query_string)
        symbols = values["symbols"] if symbol is None else SymbolList((requested_symbol(symbol),))
        if values.get("limit", PAGE_LIMIT) < len(symbols.names):
            raise InvalidParameter(
                "invalid_limit", "limit: must be at least the number of symbols: they stand in one page"
            )
        report = _SOURCES[path["subject"]][0]
        query = ReportQuery(
            OPTION_SNAPSHOT if (market_class, report) == ("options", "snapshot") else report,
            market_class,
            symbols.names,
            several=True,
            as_of_ns=None,
            best=BestOptions(),
            universe=symbols.universe,
            skips_unknown=symbol is None,
        )
        return partial(_newest_snapshot, query, path["subject"], is_single=symbol is not None)


def _newest_snapshot(query: ReportQuery, asked: str, *, is_single: bool, now_ns: int) -> AlpacaNewest:
    found = report_snapshot(query, now_ns=now_ns)
    labels = tuple(label_of(name, query.market_class) for name in query.symbols or found.query.symbols)
    return AlpacaNewest(
        query=found.query, members=found.members, universe=found.universe,
        asked=asked, labels=labels, is_single=is_single,
    )  # fmt: skip
