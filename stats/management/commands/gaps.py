"""`manage.py gaps SYMBOL…`: list what is missing; with `--exchange`, the silence of an exchange."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import track
from rich.table import Table

from calendars.schedule import Hours
from stats.exceptions import READ_ERRORS
from stats.market_data.gaps import (
    GapDocument,
    gaps_found,
    parse_gaps_query,
)
from stats.market_data.ohlcv.found_gaps import Gap
from stats.market_data.silence import Silence, exchange_silence
from store.instruments import GAP_RULES
from store.timestamps import format_timestamp
from web.requests.exceptions import RequestError

_EPOCH = date(1970, 1, 1)
_QUERY = ("start", "end", "resolution", "hours", "rule", "as_of")


class Command(BaseCommand):
    help = "List the intervals in which trades of symbols are missing. See docs/gaps.md."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("symbols", nargs="*", metavar="SYMBOL", help="or @UNIVERSE")
        parser.add_argument("--start", help="default: the first row")
        parser.add_argument("--end", help="exclusive; default: now")
        parser.add_argument("--resolution", help="such as 1m; default: 1d")
        parser.add_argument(
            "--hours", choices=list(Hours), help="default: regular, of instruments with an exchange"
        )
        parser.add_argument("--rule", choices=GAP_RULES, help="default: each instrument's gap_rule")
        parser.add_argument("--as-of", help="ignore what was stored after this instant")
        parser.add_argument("--exchange", metavar="MIC", help="when no symbol of this exchange had a trade")
        parser.add_argument("--date", type=date.fromisoformat, help="with --exchange: the trading date")
        parser.add_argument("--json", action="store_true", help="print a line of JSON for each gap")

    def handle(self, *_: Any, symbols: list[str], **options: Any) -> None:
        """Print the gaps. Raises `CommandError` for wrong arguments and unknown symbols."""
        if bool(symbols) == bool(options["exchange"]) or bool(options["exchange"]) != bool(options["date"]):
            raise CommandError("name symbols, or --exchange with --date")
        try:
            if symbols:
                self._print_gaps(symbols, options)
            else:
                self._print_silence(options)
        except (RequestError, *READ_ERRORS) as error:
            raise CommandError(str(error)) from error

    def _print_gaps(self, symbols: list[str], options: dict[str, Any]) -> None:
        given = {name: options[name] for name in _QUERY if options[name]}
        found: list[tuple[str, Gap]] = []
        for symbol in track(symbols, console=Console(stderr=True), transient=True):
            query = parse_gaps_query("", None, urlencode({"symbols": symbol, **given}))
            found += gaps_found(query, now_ns=time.time_ns())
        if options["json"]:
            self._print_lines({"symbol": symbol, **GapDocument.of(gap).as_json()} for symbol, gap in found)
            return
        rows = [
            (symbol, _text(gap.start_ns), _text(gap.end_ns), f"{gap.expected_bars:,}", _figures(gap))
            for symbol, gap in found
        ]
        self._print_table(("symbol", "start", "end", "bars", "judged by"), rows)

    def _print_silence(self, options: dict[str, Any]) -> None:
        day = (options["date"] - _EPOCH).days
        found = exchange_silence(options["exchange"], day, now_ns=time.time_ns())
        if options["json"]:
            self._print_lines(_silence_document(each) for each in found)
            return
        rows = [
            (_text(each.start_ns), _text(each.end_ns), f"{each.expected_trades:,.0f}", f"{each.symbols:,}")
            for each in found
        ]
        self._print_table(("start", "end", "expected trades", "symbols"), rows)

    def _print_lines(self, documents: Iterable[dict[str, Any]]) -> None:
        for document in documents:
            self.stdout.write(json.dumps(document))

    def _print_table(self, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        if not rows:
            self.stdout.write("no gaps")
            return
        table = Table(*names, box=None)
        for row in rows:
            table.add_row(*row)
        Console(file=self.stdout, width=180).print(table)  # type: ignore[arg-type] # it has `write`


def _text(instant_ns: int) -> str:
    return format_timestamp(instant_ns)


def _figures(gap: Gap) -> str:
    """Return what a gap was judged by, in words."""
    figures = gap.figures
    words = [f"{figures['empty_dates']:,} empty dates"] if "empty_dates" in figures else []
    if "minutes" in figures:
        words.append(
            f"{figures['expected_trades']:,.0f} trades expected, longest run {figures['longest_empty_minutes']} min"
        )
    return "; ".join(words)


def _silence_document(silence: Silence) -> dict[str, Any]:
    times = {"start": _text(silence.start_ns), "end": _text(silence.end_ns)}
    return {**times, **{name: value for name, value in asdict(silence).items() if not name.endswith("_ns")}}
