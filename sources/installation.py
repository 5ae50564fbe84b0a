"""Another installation of this project, read by the pages of its market data."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from sources.asking import HttpSource, Shown, batch_of, pages_of, parts_of, rows_within
from sources.protocol import PAGE_ROWS, SourceMarket, SourcePage, Wanted
from stats.market_data.query import class_of
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import WORD_SEPARATOR
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp, parse_timestamp, parse_timestamps

_NAMES = {TRADES: "trades", QUOTES: "quotes", BARS: "ohlcv", CORPORATE_ACTIONS: "corporate-actions"}
# The longest ranges of pages and of reports of gaps (docs/market_data.md, docs/gaps.md).
_TICKS_NS, _YEAR_NS, _BARS = 3_600 * SECOND_NS, 365 * DAY_NS, 8_000
# The reason of a run of intervals in which nothing is missing.
_NOBODY_TRADED = "no_trades"


class Installation(HttpSource):
    """Another installation, by the URL before its `/api/v1`. It gives trades, quotes, bars and corporate actions.

    key: with the scope `market:read`.
    """

    terms = "The rows are another installation's: the terms of the sources that it had them from apply."
    usual_limits = {}
    must_have_key = False
    refusals = {403: "the key in {setting} lacks the scope market:read"}

    def _headers_of(self, key: str) -> dict[str, str]:
        return {"X-API-Key": key}

    def refusal(self, wanted: Wanted) -> str:
        return "" if wanted.dataset in _NAMES else f"an installation has no pages of {wanted.dataset.name}"

    def _markets(self) -> Iterator[SourceMarket]:
        for document, *_ in self._documents("/api/v1/instruments", {"limit": str(PAGE_ROWS)}):
            yield from map(_market, document["instruments"])

    def _pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """Where the other installation has a gap itself, or no rows before or after, nothing is answered."""
        longest_ns = _TICKS_NS if wanted.dataset in (TRADES, QUOTES) else _YEAR_NS
        if wanted.resolution is not None:
            longest_ns = min(longest_ns, _BARS * wanted.bar_ns)
        for year in parts_of(window.within(self._stored(wanted)), _YEAR_NS):
            holes = self._holes(wanted, year)
            for part in parts_of(year, longest_ns):
                known_ns = part.start_ns
                for page in pages_of(self.name, self._shown(wanted, part), part.start_ns):
                    yield from _without(page, holes)
                    known_ns = page.answered.end_ns
                if known_ns < part.end_ns:
                    return

    def _stored(self, wanted: Wanted) -> Window:
        """Return where the other installation has rows; an empty window if it has none."""
        names = {TRADES.name, BARS.name} if wanted.dataset is BARS else {wanted.dataset.name}
        document, *_ = next(self._documents(f"{_path(wanted)}/coverage", {}))
        stored = [each for each in document["datasets"] if each["dataset"] in names]
        first = min((parse_timestamp(each["first"]) for each in stored), default=0)
        last = max((parse_timestamp(each["last"]) for each in stored), default=-1)
        if wanted.resolution is not None:
            resolution = Resolution.of_bars(wanted.resolution)
            first = int(resolution.start_ns(resolution.number_of(np.array([first])))[0])
        return Window(first, last + 1)

    def _holes(self, wanted: Wanted, window: Window) -> list[Window]:
        """Return the gaps of the other installation, in which the absence of a row means nothing."""
        if wanted.dataset not in (TRADES, BARS):
            return []
        terms = {**_bounds(wanted, window), "resolution": wanted.resolution or "1m", "hours": "all"}
        document, *_ = next(self._documents(f"{_path(wanted)}/gaps", terms))
        gaps = [each for each in document["gaps"] if each["reason"] != _NOBODY_TRADED]
        holes = [Window(parse_timestamp(each["start"]), parse_timestamp(each["end"])) for each in gaps]
        return [each.whole_dates() for each in holes] if wanted.is_dated else holes

    def _shown(self, wanted: Wanted, window: Window) -> Iterator[Shown]:
        """Yield the rows of each page. They end before the first bar that is not final."""
        terms = {**_bounds(wanted, window), "format": "columnar", "time": "ns", "limit": str(PAGE_ROWS)}
        if wanted.resolution is not None:
            terms |= {"resolution": wanted.resolution, "partial": "exclude"}
        for document, is_last, commit in self._documents(f"{_path(wanted)}/{_NAMES[wanted.dataset]}", terms):
            rows, is_final = _rows(wanted, document)
            yield Shown(rows_within(rows, window), window.end_ns if is_last and is_final else None, commit)
            if not is_final:
                return


def _path(wanted: Wanted) -> str:
    market_class = class_of(wanted.instrument.instrument_class)
    return f"/api/v1/market-data/{market_class.path}/{quote(wanted.name, safe='')}"


def _bounds(wanted: Wanted, window: Window) -> dict[str, str]:
    """Return a window as parameters."""
    width = len("2025-01-02") if wanted.is_dated else None
    asked = window.whole_dates() if wanted.is_dated else window
    return {"start": format_timestamp(asked.start_ns)[:width], "end": format_timestamp(asked.end_ns)[:width]}


def _rows(wanted: Wanted, document: Mapping[str, Any]) -> tuple[pa.RecordBatch, bool]:
    """Return the rows of a page in the dataset's schema, up to the first bar that is not final, and whether all are final."""
    times = parse_timestamps(document["date"]).tolist() if "date" in document else document["timestamps"]
    columns = {**document, "timestamp": times, "resolution": [wanted.resolution] * len(times)}
    if "conditions" in document:
        columns["conditions"] = [each and WORD_SEPARATOR.join(each) for each in document["conditions"]]
    final = document.get("final", [])
    count = final.index(False) if False in final else len(times)
    return batch_of(wanted.dataset, columns).slice(0, count), count == len(times)


def _without(page: SourcePage, holes: Sequence[Window]) -> Iterator[SourcePage]:
    """Yield the parts of a page outside of holes. A row inside is kept, in a part of its own."""
    inside = [hole for hole in holes if hole.overlaps(page.answered)]
    kept = [Window(each, each + 1) for each in page.rows.column(0).to_pylist()] if inside else []
    for known in page.answered.without(part for hole in inside for part in hole.without(kept)):
        yield page._replace(rows=rows_within(page.rows, known), answered=known)


def _market(row: Mapping[str, Any]) -> SourceMarket:
    tick = None if row["tick_size"] is None else Decimal(str(row["tick_size"]))
    symbol, name = row["symbol"], row["name"] or ""
    return SourceMarket(symbol, symbol, row["class"], name, row["currency"], tick, row["exchange"])
