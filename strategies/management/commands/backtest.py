"""`manage.py backtest STRATEGY SYMBOL… --from --to`."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from stats.market_data.intervals.regular_days import regular_days
from store import open_store
from store.exceptions import StorageError
from store.reading import Reader
from store.timestamps import format_timestamp, parse_timestamp
from strategies.backtest import BacktestInputs
from strategies.catalogue import SHIPPED
from strategies.exceptions import StrategyError
from strategies.honesty import Decision, Honesty, honesty_of
from strategies.outcome import document_bytes, outcome_of
from trading.core.configuration import RiskConfig
from trading.exceptions import TradingError

_BAR = 40
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


class Command(BaseCommand):
    help = "Runs a strategy over the past by the engine's rules. It needs no server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("strategy", choices=sorted(SHIPPED))
        parser.add_argument("symbols", nargs="+", metavar="SYMBOL")
        parser.add_argument(
            "--from", dest="start", required=True, help="a date or time, UTC unless it has an offset"
        )
        parser.add_argument("--to", dest="end", required=True, help="likewise, exclusive")
        parser.add_argument("--cash", default="100000", help="what the account begins with (default 100000)")
        parser.add_argument("--currency", default="USD")
        parser.add_argument(
            "--set", nargs="*", default=[], metavar="NAME=VALUE", help="parameters of the strategy"
        )
        parser.add_argument(
            "--limit", nargs="*", default=[], metavar="NAME=VALUE", help="limits of the account"
        )
        parser.add_argument("--fee", help="basis points, in the place of the fees of the class")
        parser.add_argument("--slippage", help="basis points, in the place of the slippage of the class")
        parser.add_argument("--knowledge", choices=["then", "now"], default="then")
        parser.add_argument(
            "--honesty", action="store_true", help="show what the strategy owes to later knowledge"
        )
        parser.add_argument("--json", action="store_true", help="print JSON only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the backtest. Raises CommandError."""
        try:
            reader = open_store(settings.DATA_DIR, sessions=regular_days)
            inputs = _inputs(options, reader)
            if options["honesty"]:
                self._print_honesty(honesty_of(inputs, reader, self._progress(options)))
                return
            document = outcome_of(inputs, reader, self._progress(options)).document
        except (StrategyError, StorageError, TradingError, ValueError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(document_bytes(document).decode())
        else:
            self.stdout.writelines(f"{line}\n" for line in _table(document))

    def _progress(self, options: Mapping[str, Any]) -> Any:
        return float if options["json"] or not sys.stderr.isatty() else self._show_progress

    def _show_progress(self, part: float) -> None:
        done = round(part * _BAR)
        self.stderr.write(f"\r{'█' * done}{'░' * (_BAR - done)} {part:4.0%}", ending="")
        if part >= 1:
            self.stderr.write("\r" + " " * (_BAR + 6) + "\r", ending="")

    def _print_honesty(self, found: Honesty) -> None:
        if found.first is None:
            self.stdout.write(
                f"The {found.same:,} decisions are the same: nothing was used that was known later."
            )
            return
        now, then = found.first
        self.stdout.writelines(
            f"{line}\n"
            for line in (
                f"{found.same:,} decisions are the same. The first that differs:",
                f"  with what is known now:   {_decided(now)}",
                f"  with what was known then: {_decided(then)}",
                f"Equity at the end: {found.equity_now:,.2f} now, {found.equity_then:,.2f} then.",
                f"{found.unknowable:,.2f} of it could not have been known.",
            )
        )


def _inputs(options: Mapping[str, Any], reader: Reader) -> BacktestInputs:
    limits = dict(_pair(each) for each in options["limit"])
    return BacktestInputs(
        strategy=options["strategy"],
        symbols=tuple(dict.fromkeys(reader.symbol(each) for each in options["symbols"])),
        start_ns=parse_timestamp(options["start"]),
        end_ns=parse_timestamp(options["end"]),
        parameters=dict(_pair(each) for each in options["set"]),
        cash=_decimal("cash", options["cash"]),
        currency=options["currency"],
        config=msgspec.convert(limits, RiskConfig, strict=False),
        fee_basis_points=_decimal_or_none("fee", options["fee"]),
        slippage_basis_points=_decimal_or_none("slippage", options["slippage"]),
        knowledge=options["knowledge"],
    )


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise CommandError(f"{text}: give NAME=VALUE")
    return name, value


def _decimal_or_none(name: str, text: str | None) -> Decimal | None:
    return None if text is None else _decimal(name, text)


def _decimal(name: str, text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise CommandError(f"{name} {text} is no number") from None


def _table(document: Mapping[str, Any]) -> Iterator[str]:
    inputs, figures = document["inputs"], document["performance"]
    yield f"{inputs['strategy']} on {', '.join(inputs['symbols'])}, {inputs['from']} to {inputs['to']}"
    given = ", ".join(f"{name}={value}" for name, value in inputs["parameters"].items() if value is not None)
    yield f"parameters: {given}; begins with {inputs['cash']:,.2f} {inputs['currency']}"
    signals = document["signals"]
    refused = ", ".join(f"{count:,} by {check}" for check, count in sorted(signals["refused_by"].items()))
    yield f"{'signals':<20} {signals['accepted'] + signals['refused']:>14,}   refused: {refused or 'none'}"
    for name, title, form in _FIGURES:
        value = figures[name]
        yield f"{title:<20} {'-' if value is None else form.format(value):>14}"


def _decided(decision: Decision | None) -> str:
    if decision is None:
        return "nothing"
    at = format_timestamp(decision.at_ns)
    if decision.order is None:
        return f"{at} cancel {decision.cancelled} orders"
    return f"{at} {decision.order.side} {decision.order.quantity} {decision.order.symbol}"
