"""`manage.py backtest STRATEGY SYMBOL… --from --to`."""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from store.exceptions import StorageError
from store.reading import Reader
from store.timestamps import format_timestamp
from trading.api.backtest_inputs import UnboundedBacktestInput, inputs_of_job
from trading.core.account_store import RecordedEvent
from trading.documents.figures import BacktestDocument
from trading.exceptions import TradingError
from trading.market.market import Market
from trading.strategies.backtest import BacktestInputs
from trading.strategies.catalogue import STRATEGY_NAME, StrategyError, strategy_given
from trading.strategies.grid import (
    GridRow,
    combinations_of,
    figure_text,
    grid_lines,
    grid_page,
    results_of,
    write_csv,
)
from trading.strategies.outcome import document_bytes, event_line, outcome_of
from trading.strategies.stored import store_place, stored_rows
from web.requests.exceptions import FieldError
from web.requests.field_errors import field_errors

_BAR = 40
# The options of a body's fields that are called otherwise.
_OPTIONS = {
    "strategy": "STRATEGY",
    "symbols": "SYMBOL",
    "parameters": "--set",
    "risk": "--risk",
    "config": "--limit",
    "start": "--from",
    "end": "--to",
    "as_of": "--as-of",
    "fee_basis_points": "--fee",
    "slippage_basis_points": "--slippage",
}
_FIGURES = (
    ("trades", "trades", "{:,}"),
    ("win_rate", "win rate", "{:.1%}"),
    ("pnl", "gain or loss", "{:,.2f}"),
    ("fees", "fees", "{:,.2f}"),
    ("total_r", "total R", "{:,.2f}"),
    ("profit_factor", "profit factor", "{:,.2f}"),
    ("return_pct", "return", "{:,.2f} %"),
    ("annual_return_pct", "return a year", "{:,.2f} %"),
    ("volatility_pct", "volatility a year", "{:,.2f} %"),
    ("sharpe", "Sharpe ratio", "{:,.2f}"),
    ("sortino", "Sortino ratio", "{:,.2f}"),
    ("max_dd", "largest drawdown", "{:,.2f} %"),
    ("turnover", "turnover", "{:,.2f}"),
)
_GRID_FIGURES = [each for each in _FIGURES if each[0] in {"trades", "pnl", "return_pct", "sharpe", "max_dd"}]


class Command(BaseCommand):
    help = "Runs a strategy over the past by the engine's rules. It needs no server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("strategy", metavar="STRATEGY", help="its name, or the file of your own")
        parser.add_argument("symbols", nargs="+", metavar="SYMBOL")
        parser.add_argument(
            "--from",
            dest="start",
            help="a date or time, UTC unless it has an offset (default: the first date with rows)",
        )
        parser.add_argument(
            "--to",
            dest="end",
            help="likewise, exclusive: a date means all sessions before it (default: with the bar of the newest row)",
        )
        parser.add_argument("--cash", default="100000", help="what the account begins with (default 100000)")
        parser.add_argument("--currency", default="USD")
        parser.add_argument(
            "--set",
            nargs="*",
            action="extend",
            default=[],
            metavar="NAME=VALUE",
            help="parameters of the strategy",
        )
        parser.add_argument(
            "--risk",
            choices=["none", "account"],
            default="none",
            help="account: the limits and zones that accounts usually have (default none: only those of --limit)",
        )
        parser.add_argument(
            "--limit",
            nargs="*",
            action="extend",
            default=[],
            metavar="NAME=VALUE",
            help="limits of the account, and how orders fill",
        )
        parser.add_argument("--fee", help="basis points, in the place of the fees of the class")
        parser.add_argument("--slippage", help="basis points, in the place of the slippage of the class")
        parser.add_argument("--knowledge", choices=["then", "now"], default="then")
        parser.add_argument("--as-of", help="read the rows that were stored up to then (default: now)")
        runs = parser.add_mutually_exclusive_group()
        runs.add_argument("--events", metavar="FILE", help="write each event there, a line of JSON")
        runs.add_argument(
            "--grid",
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME=VALUE,VALUE",
            help="run each combination of parameters, on all cores",
        )
        parser.add_argument("--json", action="store_true", help="print JSON only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the backtest, or a grid of backtests. Raises CommandError."""
        # What a strategy prints is no part of the answer.
        with redirect_stdout(sys.stderr):
            self._run(
                options | {name: _pairs(f"--{name}", options[name]) for name in ("set", "limit", "grid")}
            )

    def _run(self, options: Mapping[str, Any]) -> None:
        try:
            reader = stored_rows()
            if options["grid"]:
                self._run_grid(options, reader)
                return
            inputs, progress = _inputs(options, reader), self._progress(options)
            with _events_kept(options["events"]) as keep:
                document = outcome_of(inputs, reader, progress, keep=keep).document
        except (StrategyError, StorageError, TradingError, OSError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(document_bytes(document).decode())
        else:
            self.stdout.writelines(f"{line}\n" for line in _table(document))

    def _run_grid(self, options: Mapping[str, Any], reader: Reader) -> None:
        rows = _grid_rows(options, reader, self._progress(options))
        if options["json"]:
            self.stdout.write(msgspec.json.encode([row._asdict() for row in rows]).decode())
            return
        inputs = next(row.result["inputs"] for row in rows if row.result)
        fixed = {name: each for name, each in inputs["parameters"].items() if name not in options["grid"]}
        self.stdout.write(f"parameters: {_parameters_text(fixed)}")
        self.stdout.writelines(f"{line}\n" for line in grid_lines(rows, _GRID_FIGURES))
        page = Path(settings.DATA_DIR, "grids", f"{inputs['strategy']}.html").resolve()
        page.parent.mkdir(exist_ok=True)
        write_csv(page.with_suffix(".csv"), rows, _FIGURES)
        title = f"{inputs['strategy']} on {', '.join(inputs['symbols'])}"
        page.write_text(grid_page(title, rows, _GRID_FIGURES), encoding="utf-8")
        self.stdout.write(f"The page: {page.as_uri()}")

    def _progress(self, options: Mapping[str, Any]) -> Any:
        is_shown = self.stderr.isatty() and not options["json"]
        return self._show_progress if is_shown else lambda _: None

    def _show_progress(self, part: float) -> None:
        done = round(part * _BAR)
        # Without `str` Django would show it as an error: bold and red.
        self.stderr.write(f"\r{'█' * done}{'░' * (_BAR - done)} {int(part * 100):3}%", str, ending="")
        if part >= 1:
            self.stderr.write("\r" + " " * (_BAR + 6) + "\r", str, ending="")


def _inputs(options: Mapping[str, Any], reader: Reader) -> BacktestInputs:
    """Return the inputs that the options mean, judged as the body of a call is. Raises CommandError."""
    strategy = options["strategy"]
    body = {
        "strategy": strategy if _own_file(strategy) is None else strategy_given(strategy),
        "symbols": options["symbols"],
        "start": options["start"],
        "end": options["end"],
        "parameters": options["set"],
        "cash": _value(options["cash"]),
        "currency": options["currency"],
        "risk": options["risk"],
        "config": {name: _value(text) for name, text in options["limit"].items()},
        "fee_basis_points": _value(options["fee"]),
        "slippage_basis_points": _value(options["slippage"]),
        "knowledge": options["knowledge"],
        "as_of": options["as_of"],
    }
    context = {"market": Market(reader.store)}
    given = {name: value for name, value in body.items() if value is not None}
    serializer = UnboundedBacktestInput(data=given, context=context)
    if not serializer.is_valid():
        errors = field_errors(serializer.errors)
        raise CommandError("\n".join(_refusal_line(each, options["grid"]) for each in errors))
    return inputs_of_job(serializer.validated_data, reader)


def _own_file(strategy: str) -> str | None:
    """Return the strategy as it was given if that is a file; None for a name."""
    return None if STRATEGY_NAME.fullmatch(strategy) else strategy


def _grid_rows(
    options: Mapping[str, Any], reader: Reader, progress: Callable[[float], object]
) -> list[GridRow]:
    """Run each combination, and say why a combination cannot be run. Raises CommandError if none can."""
    # Rows that come meanwhile must not make the runs differ.
    as_of = options["as_of"] or format_timestamp(time.time_ns())
    inputs: list[BacktestInputs | str] = []
    if twice := options["set"].keys() & options["grid"].keys():
        raise CommandError(f"{', '.join(sorted(twice))}: give it to --set or to --grid, not to both")
    combinations = combinations_of(options["grid"])
    for each in combinations:
        try:
            inputs.append(_inputs({**options, "set": options["set"] | each, "as_of": as_of}, reader))
        except CommandError as error:
            inputs.append(str(error))
    runs = [each for each in inputs if isinstance(each, BacktestInputs)]
    if not runs:
        raise CommandError(str(inputs[0]))
    results = results_of(runs, _own_file(options["strategy"]), store_place(), progress)
    return [
        GridRow(own, None, each) if isinstance(each, str) else GridRow(own, next(results))
        for own, each in zip(combinations, inputs, strict=True)
    ]


@contextmanager
def _events_kept(path: str | None) -> Iterator[Callable[[RecordedEvent], object]]:
    """Yield what writes an event to a file, which keeps none in memory; without a path it does nothing. Raises OSError."""
    if path is None:
        yield lambda _: None
        return
    with Path(path).open("wb") as file:
        yield lambda recorded: file.write(event_line(recorded))


def _refusal_line(error: FieldError, grid: Mapping[str, str]) -> str:
    field, _, name = error.path.partition(".")
    option = _OPTIONS.get(field, f"--{field}")
    if field == "parameters" and grid and (not name or name in grid):
        option = "--grid"
    return f"{option} {name}: {error.message}" if name else f"{option}: {error.message}"


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Return the values of an option, by name. Raises CommandError if a name comes twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise CommandError(f"{text}: give NAME=VALUE")
        if name in found:
            raise CommandError(f"{option} {name} is given twice")
        found[name] = value
    return found


def _parameters_text(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items() if value is not None)


def _value(text: str | None) -> float | int | str | None:
    """Return a number as JSON has it; another text unchanged."""
    for kind in (int, float):
        with suppress(ValueError, TypeError):
            return kind(text or "")
    return text


def _table(document: BacktestDocument) -> Iterator[str]:
    inputs, figures, signals = document.inputs, document.performance, document.signals
    yield f"{inputs.strategy} on {', '.join(inputs.symbols)}, {inputs.start} to {inputs.end}"
    if document.notice:
        yield document.notice
    yield f"parameters: {_parameters_text(inputs.parameters)}; begins with {inputs.cash:,.2f} {inputs.currency}"
    refused = ", ".join(f"{count:,} by {check}" for check, count in sorted(signals.refused_by.items()))
    unfilled = ", ".join(f"{count:,} by {reason}" for reason, count in sorted(signals.unfilled_by.items()))
    lost = f"refused: {refused or 'none'}" + (f"; unfilled: {unfilled}" if unfilled else "")
    yield f"{'signals':<20} {signals.accepted + signals.refused:>14,}   {lost}"
    for name, title, form in _FIGURES:
        # Without a stop a trade has no R.
        is_known = name != "total_r" or figures.average_r is not None
        yield f"{title:<20} {figure_text(getattr(figures, name) if is_known else None, form):>14}"
    exposure = figures.exposure
    mean, largest = (figure_text(each, "{:,.2f} %") for each in (exposure.mean_pct, exposure.largest_pct))
    held = figure_text(exposure.time_in_market, "{:.1%}")
    yield f"{'exposure':<20} {mean:>14}   at most {largest}; a position was held {held} of the time"
    for each in document.positions:
        yield f"{'open at the end':<20} {each.quantity:>14,}   {each.symbol} {each.direction} at {each.average_price:,.8g}"
