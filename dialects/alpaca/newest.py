"""Alpaca's latest bars, trades and quotes, and its snapshots: the newest rows of symbols, by symbol."""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import msgspec
from msgspec import Raw

from dialects.alpaca.market_rows import BARS, KINDS, QUOTES, TRADES, AlpacaRows
from dialects.alpaca.openapi import by_symbol, described_call, newest_rows, option_snapshot, row
from dialects.alpaca.options import with_greeks
from dialects.alpaca.pages import CURRENCY, FEED, OPTION_FEED, AlpacaRowsViewSet
from dialects.alpaca.symbols import ZONES, label_of, pairs_of
from stats.delivery.answers import ParsedCall
from stats.market_data.query import MARKET_CLASSES
from stats.market_data.query_parameters import Parameters, RowQuerySerializer
from stats.market_data.reports import OPTION_SNAPSHOT, NewestReport, NewestRows, ReportQuery, report_snapshot
from stats.parameters import query_values
from stats.rendering.format import TimeForm
from stats.rendering.json_rows import row_objects
from trades.instruments.services import requested_symbol
from web.lists.pages import PAGE_LIMIT
from web.requests.exceptions import InvalidParameter

# The parts of each report, in its order: the kind of rows, and their members, the newest first.
_SNAPSHOT = (
    (TRADES, ("latestTrade",)),
    (QUOTES, ("latestQuote",)),
    (BARS, ("minuteBar",)),
    (BARS, ("dailyBar", "prevDailyBar")),
)
_PARTS = {
    **{kind.dataset.name: ((kind, (name.removesuffix("s"),)),) for name, kind in KINDS.items()},
    "snapshot": _SNAPSHOT,
    OPTION_SNAPSHOT: _SNAPSHOT[:2],
}
# The parameters of each class.
_OWN: dict[str, Parameters] = {"equities": (FEED, CURRENCY), "options": (OPTION_FEED, "limit"), "crypto": ()}


@dataclass(frozen=True, eq=False, kw_only=True)
class AlpacaNewest(NewestReport):
    """The newest rows of symbols. labels: the symbols' names as the client wrote them. is_single: of a path with a symbol."""

    labels: tuple[str, ...]
    is_single: bool

    @property
    def name(self) -> str:
        return f"alpaca-newest-{super().name}"

    def document(self) -> dict[str, Any]:  # type: ignore[override]
        """See `AnswerSnapshot.document`."""
        report = self.query.report
        members = [_members(report, rows, ZONES[self.query.market_class]) for rows in self.members]
        if self.is_single:
            return {"symbol": self.labels[0], **members[0]}
        known = {label: each for label, each in zip(self.labels, members, strict=True) if any(each.values())}
        (kind, names), *more = _PARTS[report]
        if not more:
            return {kind.name: {label: each[names[0]] for label, each in known.items()}}
        return known if self.query.market_class == "equities" else {"snapshots": known}


def _members(report: str, newest: tuple[NewestRows | None, ...], zone: str) -> dict[str, Any]:
    """Return the members of a symbol's snapshot. A latest row is a snapshot with one member."""
    members: dict[str, Any] = {}
    for (kind, names), each in zip(_PARTS[report], newest, strict=False):
        rows = [] if each is None else _rows(kind, each, zone)
        members |= {name: rows[index] if index < len(rows) else None for index, name in enumerate(names)}
    if report == OPTION_SNAPSHOT:
        priced = newest[-1].objects if newest[-1] else ()
        members |= with_greeks(msgspec.json.decode(priced[0]) if priced else None)
    return members


def _rows(kind: AlpacaRows, newest: NewestRows, zone: str) -> list[Raw]:
    """Return rows in Alpaca's form, the newest first."""
    lines = row_objects(kind.table(newest.table, zone=zone), TimeForm.RFC3339, "\n")
    return [Raw(line) for line in reversed(lines.splitlines())]


@lru_cache(maxsize=8)
def _serializer(market_class: str, *, several: bool) -> RowQuerySerializer:
    return RowQuerySerializer((*(("symbols",) if several else ()), *_OWN[market_class]), needs_range=False)


def _report(market_class: str, subject: str) -> str:
    """Return the name of the report that has what a route's subject names."""
    if subject in KINDS:
        return KINDS[subject].dataset.name
    return OPTION_SNAPSHOT if market_class == "options" else "snapshot"


class AlpacaNewestViewSet(AlpacaRowsViewSet):
    """The newest rows of symbols. subject: `snapshots`, or the name of a kind of rows."""

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        market_class, subject = self.market_class, self.subject
        example = label_of(MARKET_CLASSES[market_class].example, market_class)
        members = {name: kind for kind, names in _PARTS[_report(market_class, subject)] for name in names}
        each = option_snapshot(members) if market_class == "options" else newest_rows(members)
        summary, name = "Snapshots", "" if market_class == "equities" else subject
        if subject in KINDS:
            each, summary, name = row(KINDS[subject]), f"Latest {subject}", subject
        answer = newest_rows(members, example) if self.is_single else by_symbol(example, each, name=name)
        serializer = _serializer(market_class, several=not self.is_single)
        return described_call(summary, serializer, answer, is_single=self.is_single)

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> ParsedCall:
        """See `AnswerViewSet.parse_call`."""
        symbol, market_class = path["symbol"], path["market_class"]
        values = query_values(_serializer(market_class, several=symbol is None), query_string)
        symbols = values["symbols"] if symbol is None else (requested_symbol(symbol),)
        if values.get("limit", PAGE_LIMIT) < len(symbols):
            raise InvalidParameter(
                "invalid_limit", "limit: must be at least the number of symbols: they stand in one page"
            )
        query = ReportQuery(
            _report(market_class, path["subject"]),
            market_class,
            symbols,
            several=True,
            as_of_ns=None,
            skips_unknown=symbol is None,
            two_sided=True,
        )
        return ParsedCall(partial(_newest_snapshot, query, is_single=symbol is not None))


def _newest_snapshot(query: ReportQuery, *, is_single: bool, now_ns: int) -> AlpacaNewest:
    query = replace(query, symbols=pairs_of(query.symbols, query.market_class))
    found = report_snapshot(query, now_ns=now_ns)
    labels = tuple(label_of(name, query.market_class) for name in query.symbols)
    return AlpacaNewest(
        query=found.query, members=found.members,
        labels=labels, is_single=is_single,
    )  # fmt: skip
