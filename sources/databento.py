"""Databento's history by HTTP: one POST for the rows of a time, whose answer is a DBN file."""

import base64
import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ops.outbound.destination import Destination, Limits
from sources.asking import Shown, batch_of, errors_told, pages_of, rows_within
from sources.protocol import Estimate, SourceFailed, SourceMarket, SourcePage, SourceRefused, Wanted
from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from store.instruments import EQUITY, FUTURE
from store.protocol import Window
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp, parse_timestamp
from trades.conditions.rows import translated_rows
from trades.exceptions import ImportsError
from trades.imports.blocks import SYMBOL
from trades.imports.formats import opened_file, read_options
from trades.imports.reading import file_reading

_DATASETS = {FUTURE: "GLBX.MDP3", EQUITY: "EQUS.MINI"}
_SCHEMAS: dict[tuple[Dataset, str | None], str] = {(TRADES, None): "trades", (QUOTES, None): "mbp-1"} | {
    (BARS, each): f"ohlcv-{each}" for each in ("1s", "1m", "1h")
}
# How much time a request is for: its rows are sorted in memory.
_REQUEST_NS = {TRADES: DAY_NS, QUOTES: 3_600 * SECOND_NS, BARS: 31 * DAY_NS}
# Ticks are asked for by the time at which they were received, which is later than that of the event.
_RECEIVED_NS = 10 * SECOND_NS
# A month's letter, and one or two digits of the year; or a continuous contract.
_FUTURE = re.compile(r"[A-Z0-9]{1,4}[FGHJKMNQUVXZ][0-9]{1,2}|[A-Z0-9]{1,4}\.[cnv]\.[0-9]+")
_NAME = re.compile(r"[A-Za-z0-9 ./-]{1,32}")
_CONTINUOUS = re.compile(r".+\.[cnv]\.[0-9]+")
_LIMITS: dict[str, Any] = {"attempts": 1, "read": 300.0, "total": 3_600.0, "max_bytes": 4 * 2**30}


class Databento:
    """Bars, trades and quotes of futures and US shares. Every request of rows costs money.

    key: an API key. dataset: Databento's, for all symbols; without it that of the class. url: before `/v0`. limits: see
    `ops.outbound.destination.Limits`.
    """

    terms = "Databento's terms apply: the data are for your own use. Every request costs money: the price is shown first."
    tested = "read in its documentation, tested with files that its library wrote"
    ids_are_sequential = False
    costs_money = True

    def __init__(
        self,
        name: str,
        *,
        key: str = "",
        dataset: str = "",
        url: str = "https://hist.databento.com",
        limits: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self._dataset = name, dataset
        headers = {"Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"} if key else {}
        self._destination = Destination(
            name, url, headers=headers, limits=Limits(**{**_LIMITS, **(limits or {})})
        )
        setting = f"SOURCE_KEY_{name.upper()}"
        self._needs_key = "" if key else f"{name} needs a key: set {setting}"
        self._refusals = {
            401: f"{name} does not know the key in {setting}",
            402: f"the account of the key in {setting} has no money left",
        }

    def refusal(self, wanted: Wanted) -> str:
        """See `Source`."""
        cls = wanted.instrument.instrument_class
        if cls not in _DATASETS or wanted.dataset not in _REQUEST_NS:
            return f"{self.name} is asked for no {wanted.dataset.name} of the class {cls}: import its files"
        if (wanted.dataset, wanted.resolution) not in _SCHEMAS:
            return f"{self.name} has bars of 1s, 1m and 1h: its days are those of UTC, and days of sessions are made of these"
        return self._needs_key

    def markets(self) -> Iterator[SourceMarket]:
        """See `Source`. A list would cost money, so there is none: see `market`."""
        return iter(())

    def market(self, name: str) -> SourceMarket:
        """See `Source`. A name such as `ESZ5` or `ES.c.0` is a future's.

        Raises SourceRefused for a list of names, or for all: their rows would be one symbol's.
        """
        if not _NAME.fullmatch(name):
            raise SourceRefused(f"{self.name}: {name} is not the name of one instrument")
        cls = FUTURE if _FUTURE.fullmatch(name) else EQUITY
        return SourceMarket(name, name, cls, currency="USD")

    def estimate(self, wanted: Wanted, window: Window) -> Estimate:
        """See `Source`. Asks for the number of rows and the price, which is free."""
        with errors_told(self.name, self._refusals):
            window = self._available(wanted, window)
            if window.start_ns >= window.end_ns:
                return Estimate(0, 0)
            terms = self._terms(wanted, window)
            dollars, _ = self._destination.get_json("/v0/metadata.get_cost", params=terms)
            rows, _ = self._destination.get_json("/v0/metadata.get_record_count", params=terms)
            price = "" if dollars == 0 else f"{math.ceil(dollars * 100) / 100:,.2f} USD"
        return Estimate(len(list(_parts(wanted, window))), rows, None, price)

    def pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """See `Source`. After the last row nothing is known: asking again for no rows costs nothing."""
        if refusal := self.refusal(wanted):
            raise SourceRefused(refusal)
        with errors_told(self.name, self._refusals):
            window = self._available(wanted, window)
            yield from pages_of(self.name, self._shown(wanted, window), window.start_ns)

    def _shown(self, wanted: Wanted, window: Window) -> Iterator[Shown]:
        last_ns = window.start_ns - 1
        for part in _parts(wanted, window):
            rows = rows_within(self._rows(wanted, part), part)
            last_ns = rows.column(0)[-1].as_py() if rows.num_rows else last_ns
            yield Shown(rows, last_ns)
        yield Shown(batch_of(wanted.dataset, {"timestamp": []}), last_ns + 1)

    def _available(self, wanted: Wanted, window: Window) -> Window:
        """Return the part of a window for which the dataset is there."""
        terms = {"dataset": self._dataset_of(wanted)}
        document, _ = self._destination.get_json("/v0/metadata.get_dataset_range", params=terms)
        end_ns = parse_timestamp(document["end"]) - _margin_ns(wanted)
        return Window(window.start_ns, max(window.start_ns, min(window.end_ns, end_ns)))

    def _dataset_of(self, wanted: Wanted) -> str:
        return self._dataset or _DATASETS[wanted.instrument.instrument_class]

    def _terms(self, wanted: Wanted, window: Window) -> dict[str, str]:
        return {
            "dataset": self._dataset_of(wanted),
            "symbols": wanted.name,
            "schema": _SCHEMAS[wanted.dataset, wanted.resolution],
            "stype_in": "continuous" if _CONTINUOUS.fullmatch(wanted.name) else "raw_symbol",
            "start": format_timestamp(window.start_ns),
            "end": format_timestamp(window.end_ns + _margin_ns(wanted)),
        }

    def _rows(self, wanted: Wanted, window: Window) -> pa.RecordBatch:
        """Return the rows that were received in a window or soon after, by event time."""
        form = self._terms(wanted, window) | {
            "stype_out": "instrument_id",
            "encoding": "dbn",
            "compression": "zstd",
        }
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


def _parts(wanted: Wanted, window: Window) -> Iterator[Window]:
    length_ns = _REQUEST_NS[wanted.dataset]
    for start_ns in range(window.start_ns, window.end_ns, length_ns):
        yield Window(start_ns, min(start_ns + length_ns, window.end_ns))


def _read(wanted: Wanted, path: Path) -> pa.RecordBatch:
    """Return the rows of a DBN file by event time. Raises `ImportsError`s."""
    file = opened_file(path)
    if not file.names:  # a file without records
        return batch_of(wanted.dataset, {"timestamp": []})
    # All records are of the symbol that was asked for. A spelling such as ES.c.0 is no symbol of ours.
    options = read_options(file, "databento", dataset=wanted.dataset, symbol=wanted.instrument.symbol)
    options = replace(options, columns={**options.columns, SYMBOL: ""})
    blocks = file_reading(file, options).parser(skip_bad=False).blocks(file)
    tables = [block.rows.select(wanted.dataset.schema.names) for block in blocks]
    table = (
        pa.concat_tables([wanted.dataset.schema.empty_table(), *tables]).sort_by("timestamp").combine_chunks()
    )
    batch = pa.record_batch(
        [table[name].combine_chunks() for name in table.column_names], schema=wanted.dataset.schema
    )
    return translated_rows(wanted.dataset, batch, options.conditions)
