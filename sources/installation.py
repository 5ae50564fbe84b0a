"""Another installation of this project, read by the pages of its market data."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from ops.outbound.destination import Destination, Limits
from sources.asking import PAGE_ROWS, Shown, batch_of, errors_told, pages_of, rows_within
from sources.protocol import SourceMarket, SourcePage, SourceRefused, Wanted
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.query import class_of
from store.datasets import BARS, CORPORATE_ACTIONS, OPTION_QUOTES, QUOTES, TRADES
from store.declarations import WORD_SEPARATOR
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp, parse_timestamp, parse_timestamps

_NAMES = {
    TRADES: "trades", QUOTES: "quotes", OPTION_QUOTES: "quotes", BARS: "ohlcv", CORPORATE_ACTIONS: "corporate-actions"
}  # fmt: skip
_PAGE_BYTES = 64 * 2**20
# The longest ranges of pages and of reports of gaps (docs/market_data.md, docs/gaps.md).
_TICKS_NS, _BARS_NS, _DAYS_NS, _ACTIONS_NS = 3_600 * SECOND_NS, 365 * DAY_NS, 3_650 * DAY_NS, 36_500 * DAY_NS
_BARS = 8_000
# The reason of a run of intervals in which nothing is missing.
_NOBODY_TRADED = "no_trades"


class _InstallationLog(NamedTuple):
    """What is read. path: of the symbol. resolution: of bars."""

    wanted: Wanted
    path: str
    resolution: Resolution | None

    @property
    def has_dates(self) -> bool:
        """Whether its rows are bars of dates: each is stored at its date's midnight."""
        return self.resolution is not None and self.resolution.is_period

    @property
    def longest_ns(self) -> int:
        if self.resolution is None:
            return _ACTIONS_NS if self.wanted.dataset is CORPORATE_ACTIONS else _TICKS_NS
        return _DAYS_NS if self.has_dates else min(_BARS * self.resolution.length_ns, _BARS_NS)

    def bounds(self, window: Window) -> dict[str, str]:
        """Return a window as parameters."""
        width = len("2025-01-02") if self.has_dates else None
        asked = window.whole_dates() if self.has_dates else window
        return {
            "start": format_timestamp(asked.start_ns)[:width],
            "end": format_timestamp(asked.end_ns)[:width],
        }


class Installation:
    """Another installation, by the URL before its `/api/v1`. It gives trades, quotes, bars and corporate actions.

    key: an API key with the scope `market:read`. limits: see `ops.outbound.destination.Limits`.
    """

    terms = "The rows are another installation's: the terms of the sources that it had them from apply."
    ids_are_sequential = False

    def __init__(
        self, name: str, *, url: str, key: str = "", limits: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        headers = {"X-API-Key": key} if key else {}
        self._destination = Destination(name, url, headers=headers, limits=Limits(**(limits or {})))
        self._refusals = {
            401: f"{name} does not know the key: set SOURCE_KEY_{name.upper()} to a key of that installation",
            403: f"the key of {name} may not read this: it needs the scope market:read",
        }

    def refusal(self, wanted: Wanted) -> str:
        """See `Source`."""
        market_class, name = class_of(wanted.instrument.instrument_class), _NAMES.get(wanted.dataset)
        is_of_class = name != "quotes" or wanted.dataset is market_class.quotes
        if name is None or not is_of_class or market_class.path not in MARKET_DATASETS[name].classes:
            return f"an installation has no pages of {wanted.dataset.name} of this class"
        return ""

    def markets(self) -> Iterator[SourceMarket]:
        """See `Source`."""
        terms = {"limit": str(PAGE_ROWS)}
        with errors_told(self.name, self._refusals):
            while True:
                document, _ = self._document("/api/v1/instruments", terms)
                yield from map(_market, document["instruments"])
                if not document["next_cursor"]:
                    return
                terms["cursor"] = document["next_cursor"]

    def pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """See `Source`. Where the other installation has a gap itself, or no rows before or after, nothing is answered."""
        if refusal := self.refusal(wanted):
            raise SourceRefused(refusal)
        market_class = class_of(wanted.instrument.instrument_class)
        path = f"/api/v1/market-data/{market_class.path}/{quote(wanted.name, safe='')}"
        log = _InstallationLog(
            wanted, path, Resolution.of_bars(wanted.resolution) if wanted.resolution else None
        )
        with errors_told(self.name, self._refusals):
            for year in _parts(window.within(self._stored(log)), _BARS_NS):
                holes = self._holes(log, year)
                for part in _parts(year, log.longest_ns):
                    known_ns = part.start_ns
                    for page in pages_of(self.name, self._shown(log, part), part.start_ns):
                        yield from _without(page, holes)
                        known_ns = page.answered.end_ns
                    if known_ns < part.end_ns:
                        return

    def _document(self, path: str, terms: Mapping[str, str]) -> tuple[Any, str]:
        """Return a JSON document, and its commit."""
        document, headers = self._destination.get_json(path, params=terms, max_bytes=_PAGE_BYTES)
        return document, headers.get("X-Commit", "")

    def _stored(self, log: _InstallationLog) -> Window:
        """Return where the other installation has rows; an empty window if it has none."""
        names = {TRADES.name, BARS.name} if log.wanted.dataset is BARS else {log.wanted.dataset.name}
        document, _ = self._document(f"{log.path}/coverage", {})
        stored = [each for each in document["datasets"] if each["dataset"] in names]
        first = min((parse_timestamp(each["first"]) for each in stored), default=0)
        last = max((parse_timestamp(each["last"]) for each in stored), default=-1)
        if log.resolution is not None:
            first = int(log.resolution.start_ns(log.resolution.number_of(np.array([first])))[0])
        return Window(first, last + 1)

    def _holes(self, log: _InstallationLog, window: Window) -> list[Window]:
        """Return the gaps of the other installation, in which the absence of a row means nothing."""
        if log.wanted.dataset not in (TRADES, BARS):
            return []
        resolution = log.resolution.value if log.resolution else "1m"
        terms = {**log.bounds(window), "resolution": resolution, "hours": "all"}
        gaps = self._document(f"{log.path}/gaps", terms)[0]["gaps"]
        holes = (
            Window(parse_timestamp(each["start"]), parse_timestamp(each["end"]))
            for each in gaps
            if each["reason"] != _NOBODY_TRADED
        )
        return [each.whole_dates() if log.has_dates else each for each in holes]

    def _shown(self, log: _InstallationLog, window: Window) -> Iterator[Shown]:
        """Yield the rows of each page. They end before the first bar that is not final."""
        terms = {**log.bounds(window), "format": "columnar", "time": "ns", "limit": str(PAGE_ROWS)}
        if log.resolution is not None:
            terms |= {"resolution": log.resolution.value, "partial": "exclude"}
        until_ns = window.start_ns
        while True:
            document, commit = self._document(f"{log.path}/{_NAMES[log.wanted.dataset]}", terms)
            rows, is_final = _rows(log.wanted, document)
            rows, cursor = rows_within(rows, window), document["next_cursor"]
            if cursor is None and is_final:
                until_ns = window.end_ns
            elif rows.num_rows:
                until_ns = rows.column(0)[-1].as_py() + (not is_final)
            yield Shown(rows, until_ns, commit)
            if cursor is None or not is_final:
                return
            terms["cursor"] = cursor


def _rows(wanted: Wanted, document: Mapping[str, Any]) -> tuple[pa.RecordBatch, bool]:
    """Return the rows of a page in the dataset's schema, up to the first bar that is not final, and whether all are final."""
    times = parse_timestamps(document["date"]).tolist() if "date" in document else document["timestamps"]
    columns = {**document, "timestamp": times, "resolution": [wanted.resolution] * len(times)}
    if "conditions" in document:
        columns["conditions"] = [each and WORD_SEPARATOR.join(each) for each in document["conditions"]]
    final = document.get("final", [])
    count = final.index(False) if False in final else len(times)
    return batch_of(wanted.dataset, columns).slice(0, count), count == len(times)


def _parts(window: Window, longest_ns: int) -> Iterator[Window]:
    for start_ns in range(window.start_ns, window.end_ns, longest_ns):
        yield Window(start_ns, min(start_ns + longest_ns, window.end_ns))


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
