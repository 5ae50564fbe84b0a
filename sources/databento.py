"""Databento's history by HTTP: one POST for the rows of a time, whose answer is a DBN file."""

import base64
import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from sources.asking import HttpSource, Shown, batch_of, pages_of, parts_of, rows_within
from sources.protocol import Estimate, SourceFailed, SourceMarket, SourcePage, SourceRefused, Wanted
from store.datasets import BARS, QUOTES, TRADES
from store.instruments import EQUITY, FUTURE
from store.protocol import Window
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp, parse_timestamp
from trades.conditions.condition_map import translated_rows
from trades.exceptions import ImportsError
from trades.imports.blocks import SYMBOL
from trades.imports.formats import opened_file, read_options
from trades.imports.reading import file_reading

_DATASETS = {FUTURE: "GLBX.MDP3", EQUITY: "EQUS.MINI"}
# How much time a request is for: its rows are sorted in memory.
_REQUEST_NS = {TRADES: DAY_NS, QUOTES: 3_600 * SECOND_NS, BARS: 31 * DAY_NS}
# Ticks are asked for by the time at which they were received, which is later than that of the event.
_RECEIVED_NS = 10 * SECOND_NS
_CONTINUOUS = re.compile(r"[A-Z0-9]{1,4}\.[cnv]\.[0-9]+")
# A month's letter, and one or two digits of the year; or a continuous contract.
_FUTURE = re.compile(rf"[A-Z0-9]{{1,4}}[FGHJKMNQUVXZ][0-9]{{1,2}}|{_CONTINUOUS.pattern}")
_NAME = re.compile(r"[A-Za-z0-9 ./-]{1,32}")


class Databento(HttpSource):
    """Bars, trades and quotes of futures and US shares. Every request of rows costs money.

    dataset: Databento's, for all symbols; without it that of the class. url: before `/v0`.
    """

    terms = "Databento's terms apply: the data are for your own use. Every request costs money: the price is shown first."
    tested = "read in its documentation, tested with files that its library wrote"
    costs_money = True
    usual_limits = {"attempts": 1, "read": 300.0, "total": 3_600.0, "max_bytes": 4 * 2**30}
    # Its days are those of UTC, not of sessions.
    timeframes = {each: f"ohlcv-{each}" for each in ("1s", "1m", "1h")}

    usual_url = "https://hist.databento.com"
    refusals = {402: "the account of the key in {setting} has no money left"}

    def __init__(self, name: str, *, dataset: str = "", **members: Any) -> None:
        super().__init__(name, **members)
        self._dataset = dataset

    def _headers_of(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"}

    def refusal(self, wanted: Wanted) -> str:
        cls = wanted.instrument.instrument_class
        if cls not in _DATASETS or wanted.dataset not in _REQUEST_NS:
            return f"{self.name} is asked for no {wanted.dataset.name} of the class {cls}: import its files"
        return super().refusal(wanted)

    def market(self, name: str) -> SourceMarket:
        """See `Source`. A list would cost money. A name such as `ESZ5` or `ES.c.0` is a future's.

        Raises SourceRefused for a list of names, or for all: their rows would be one symbol's.
        """
        if not _NAME.fullmatch(name):
            raise SourceRefused(f"{self.name}: {name} is not the name of one instrument")
        return SourceMarket(name, name, FUTURE if _FUTURE.fullmatch(name) else EQUITY, currency="USD")

    def estimate(self, wanted: Wanted, windows: Sequence[Window]) -> Estimate:
        """See `Source`. Asks for the number of rows and the price, which is free."""
        requests, rows, dollars = 0, 0, 0.0
        with self._errors_told():
            for window in (self._available(wanted, each) for each in windows):
                if window.start_ns < window.end_ns:
                    terms = self._terms(wanted, window)
                    dollars += self._destination.get_json("/v0/metadata.get_cost", params=terms)[0]
                    rows += self._destination.get_json("/v0/metadata.get_record_count", params=terms)[0]
                    requests += len(list(parts_of(window, _REQUEST_NS[wanted.dataset])))
        return Estimate(requests, rows, None, f"{math.ceil(dollars * 100) / 100:,.2f} USD" if dollars else "")

    def _pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """After the last row nothing is answered: asking again for no rows costs nothing."""
        window = self._available(wanted, window)
        parts = parts_of(window, _REQUEST_NS[wanted.dataset])
        shown = (Shown(rows_within(self._rows(wanted, part), part)) for part in parts)
        yield from pages_of(self.name, shown, window.start_ns)

    def _available(self, wanted: Wanted, window: Window) -> Window:
        """Return the part of a window for which the dataset is there."""
        terms = {"dataset": self._terms(wanted, window)["dataset"]}
        document, _ = self._destination.get_json("/v0/metadata.get_dataset_range", params=terms)
        end_ns = parse_timestamp(document["end"]) - _margin_ns(wanted)
        return Window(window.start_ns, max(window.start_ns, min(window.end_ns, end_ns)))

    def _terms(self, wanted: Wanted, window: Window) -> dict[str, str]:
        schema = {TRADES: "trades", QUOTES: "mbp-1"}.get(wanted.dataset)
        return {
            "dataset": self._dataset or _DATASETS[wanted.instrument.instrument_class],
            "symbols": wanted.name,
            "schema": schema or self.timeframes[wanted.resolution or ""],
            "stype_in": "continuous" if _CONTINUOUS.fullmatch(wanted.name) else "raw_symbol",
            "start": format_timestamp(window.start_ns),
            "end": format_timestamp(window.end_ns + _margin_ns(wanted)),
        }

    def _rows(self, wanted: Wanted, window: Window) -> pa.RecordBatch:
        """Return the rows that were received in a window or soon after, by event time."""
        form = self._terms(wanted, window) | {
            "stype_out": "instrument_id", "encoding": "dbn", "compression": "zstd"
        }  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "rows.dbn.zst")
            with (
                self._destination.stream("/v0/timeseries.get_range", form=form) as answer,
                path.open("wb") as file,
            ):
                file.writelines(answer.pieces)
            try:
                return _read(wanted, path)
            except (ImportsError, OSError) as error:
                raise SourceFailed(f"{self.name}: {str(error).replace(f'{folder}/', '')}") from error


def _margin_ns(wanted: Wanted) -> int:
    return 0 if wanted.dataset is BARS else _RECEIVED_NS


def _read(wanted: Wanted, path: Path) -> pa.RecordBatch:
    """Return the rows of a DBN file by event time. Raises `ImportsError`s."""
    file = opened_file(path)
    if not file.names:  # a file without records
        return batch_of(wanted.dataset, {"timestamp": []})
    # All records are of the symbol that was asked for. A spelling such as ES.c.0 is no symbol of ours.
    options = read_options(file, "databento", dataset=wanted.dataset, symbol=wanted.instrument.symbol)
    options = replace(options, columns={**options.columns, SYMBOL: ""})
    blocks = file_reading(file, options).parser(skip_bad=False).blocks(file)
    empty = wanted.dataset.schema.empty_table()
    tables = [empty, *(block.rows.select(empty.schema.names).cast(empty.schema) for block in blocks)]
    batches = pa.concat_tables(tables).sort_by("timestamp").combine_chunks().to_batches()
    rows = batches[0] if batches else batch_of(wanted.dataset, {"timestamp": []})
    return translated_rows(wanted.dataset, rows, options.conditions)
