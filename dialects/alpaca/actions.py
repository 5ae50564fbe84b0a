"""Alpaca's corporate actions: those of stored splits and dividends."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from dialects.alpaca.pages import (
    PAGE_TOKEN,
    AlpacaAnswer,
    AlpacaRowsViewSet,
    LastInstantField,
    parameter,
    query_of_walk,
)
from stats.delivery.answers import ParsedCall
from stats.market_data.answers.page import page_snapshot
from stats.market_data.query import MARKET_DATASETS, MarketDataQuery
from stats.market_data.query_parameters import RowQuerySerializer
from stats.parameters import BoundField, FieldNamesField, query_values
from store.timestamps import DAY_NS
from web.endpoints import Access
from web.requests.exceptions import InvalidParameter

TYPES = ("cash_dividend", "forward_split", "reverse_split")
"""Those that a stored action has all members of. Others need another company's symbol."""


_IDS = uuid5(NAMESPACE_URL, "corporate-actions")
_SERIALIZER = RowQuerySerializer(
    (
        "symbols",
        parameter(
            "types", FieldNamesField, f"Some of {', '.join(TYPES)}, separated by commas. Default: all."
        ),
        parameter("start", BoundField, "The first ex-date. Default: today."),
        parameter("end", LastInstantField, "The last ex-date. Default: today."),
        "limit",
        PAGE_TOKEN,
        "sort",
    ),
    needs_range=False,
)


def action_of(row: Mapping[str, Any], symbol: str) -> tuple[str, dict[str, Any]] | None:
    """Return a stored action's type and its document in Alpaca's form; None if it has no type of `TYPES`."""
    kind, ratio = row["kind"], row["ratio"]
    day = np.datetime64(row["timestamp"], "ns").astype("M8[D]").item().isoformat()
    key = f"{symbol} {kind} {day} {row['action_id'] or ''}"
    common = {"id": str(uuid5(_IDS, key)), "symbol": symbol, "ex_date": day, "process_date": day}
    if kind == "split":
        split = {**common, "new_rate": ratio, "old_rate": 1}
        if ratio >= 1:
            return "forward_split", {**split, "cusip": ""}
        return "reverse_split", {**split, "old_cusip": "", "new_cusip": ""}
    if kind in {"dividend", "special_dividend"}:
        paid = {
            "rate": row["amount"],
            "currency": row["currency"],
            "special": kind != "dividend",
            "foreign": False,
        }
        return "cash_dividend", {**common, "cusip": "", **paid}
    return None


@dataclass(frozen=True, eq=False)
class AlpacaActions(AlpacaAnswer):
    """A page of corporate actions. It has fewer than asked for where types are left out."""

    types: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """See `AnswerSnapshot.document`."""
        page = self.page.page()
        # A descending page is read from the end, where the first symbol comes last.
        order = -1 if self.query.is_descending else 1
        indices, rows = page.rows.symbol_index.tolist(), page.rows.table.data.to_pylist()
        found = defaultdict(list)
        for index, row in zip(indices[::order], rows[::order], strict=True):
            typed = action_of(row, self.page.symbols[::order][index])
            if typed is not None and typed[0] in self.types:
                found[f"{typed[0]}s"].append(typed[1])
        return {"corporate_actions": found, "next_page_token": self.page.neighbours(page)["next_cursor"]}


def _snapshot(query: MarketDataQuery, types: tuple[str, ...], *, now_ns: int) -> AlpacaActions:
    today_ns = now_ns // DAY_NS * DAY_NS
    start_ns = today_ns if query.start_ns is None else query.start_ns
    end_ns = today_ns + DAY_NS if query.end_ns is None else query.end_ns
    if start_ns >= end_ns:
        raise InvalidParameter("invalid_range", "start must not be after end")
    until_ns = today_ns + DAY_NS if None in (query.start_ns, query.end_ns) else None
    query = replace(query, start_ns=start_ns, end_ns=end_ns)
    return AlpacaActions(query, page_snapshot(query, now_ns=now_ns), types, until_ns=until_ns)


class AlpacaActionsViewSet(AlpacaRowsViewSet):
    """Corporate actions."""

    access = {"retrieve": Access("market:read", cost="page")}
    # Not of the document of v1, below whose prefix its clients expect it.
    schema = None  # type: ignore[assignment]

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> ParsedCall:
        """See `AnswerViewSet.parse_call`."""
        values = query_values(_SERIALIZER, query_string)
        types = values.get("types", TYPES)
        if not set(types) <= set(TYPES):
            raise InvalidParameter("invalid_parameter", f"types: only {', '.join(TYPES)} are known here")
        start, end = (values[name].instant_ns if name in values else None for name in ("start", "end"))
        query = query_of_walk(
            MARKET_DATASETS["corporate-actions"],
            "equities",
            None,
            values,
            start_ns=start and start // DAY_NS * DAY_NS,
            end_ns=end and -(-end // DAY_NS) * DAY_NS,
        )
        return ParsedCall(partial(_snapshot, query, types))
