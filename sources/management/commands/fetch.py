"""`manage.py fetch SOURCE NAME…`: brings history of markets into the store."""

import math
import signal
import time
from argparse import ArgumentParser
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ops.serve.migrations import check_migrated
from sources.fetching import Fetch, FetchResult
from sources.planning import FetchOrder, FetchPlan, fetch_plan, known_orders, terms_unshown
from sources.protocol import SourceError, SourceRefused, Wanted
from sources.registry import source_named, source_names
from store.datasets import BARS, QUOTES, TRADES
from store.exceptions import StorageError
from store.instruments import default_instrument
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import InvalidTimestamp, format_timestamp, parse_timestamp
from trades.exceptions import BatchRefused

_STOPPED = 128 + signal.SIGINT
_LISTED = 50
_FAILURES = (SourceError, StorageError, BatchRefused, ImproperlyConfigured)


class Command(BaseCommand):
    """Fetches. A repeated command asks only for what is not known yet."""

    help = (
        "Fetch history from exchanges and vendors. Without arguments: everything fetched before, up to now."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add, what = parser.add_argument, parser.add_mutually_exclusive_group()
        add("source", nargs="?", help="an exchange, a vendor, or a name in SOURCES: binance")
        add("names", nargs="*", metavar="NAME", help="symbols, as the source writes them: BTC/USDT")
        add("--start", help="from when on: 2024-01-01, or an instant; UTC without offset")
        add("--end", help="up to when (default: now)")
        what.add_argument("--timeframe", help="bars of this length: 1m (default), 1h, 1d")
        what.add_argument("--trades", action="store_true", help="trades instead of bars")
        what.add_argument("--quotes", action="store_true", help="quotes instead of bars")
        add("--as", dest="symbol", help="the symbol here: for one that another source has already")
        add("--again", action="store_true", help="ask for known times again, and correct what changed")
        add("--yes", action="store_true", help="pay what the source charges without being asked")
        add("--check", action="store_true", help="ask for the newest bars, and store nothing")
        add("--sources", action="store_true", help="list the sources")
        add("--markets", action="store_true", help="list the source's markets whose names have NAME")

    def handle(self, *_: Any, source: str | None, names: list[str], **options: Any) -> None:
        """Raises CommandError with a sentence for each order that failed."""
        try:
            if options["sources"]:
                self._say(*(f"{name:<24} {source_named(name).tested}" for name in source_names()))
            elif source is not None and options["markets"]:
                self._list_markets(source, [name.upper() for name in names])
            elif source is not None and options["check"]:
                self._check(source, names, options["timeframe"] or "1m")
            else:
                check_migrated()
                self._fetch(_orders(source, names, options), yes=options["yes"])
        except KeyboardInterrupt:
            told = "stopped: what was stored stays, and the same command goes on"
            raise CommandError(told, returncode=_STOPPED) from None
        except _FAILURES as error:
            raise CommandError(str(error)) from error

    def _fetch(self, orders: list[FetchOrder], *, yes: bool) -> None:
        """Fetch one order after the other. A failed one does not keep the others from it."""
        failed: list[str] = []
        for order in orders:
            try:
                plan = fetch_plan(order, now_ns=time.time_ns())
                self._say(*_plan_lines(plan))
                if plan.cost.price and not yes:
                    _ask_to_pay(plan.cost.price)
                result = _run(plan)
                if plan.windows or result.actions:
                    self._say(_result_line(plan, result))
            except _FAILURES as error:
                failed.append(f"{order.symbol or order.name}: {error}")
        if failed:
            raise CommandError("\n".join(failed))

    def _check(self, source: str, names: list[str], resolution: str) -> None:
        made, step_ns, now_ns = source_named(source), Resolution.of_bars(resolution).length_ns, time.time_ns()
        if made.costs_money:
            raise SourceRefused(f"a check of {source} would cost money: fetch a short time instead")
        window = Window((now_ns // step_ns - 10) * step_ns, now_ns)
        for name in names or [market.name for market in islice(made.markets(), 1)]:
            wanted = Wanted(BARS, default_instrument("CHECK"), name, resolution)
            rows = sum(page.rows.num_rows for page in made.pages(wanted, window))
            self._say(f"{source} {name}: {rows} bars of {resolution} of the last 10")

    def _list_markets(self, source: str, words: list[str]) -> None:
        markets = source_named(source).markets()
        found = [each for each in markets if all(word in each.name.upper() for word in words)]
        self._say(*(f"{each.name:<24} {each.symbol:<24} {each.long_name}" for each in found[:_LISTED]))
        if len(found) > _LISTED:
            self._say(f"and {len(found) - _LISTED:,} more: name a part of the symbol")

    def _say(self, *lines: str) -> None:
        for line in lines:
            self.stdout.write(line)


def _plan_lines(plan: FetchPlan) -> list[str]:
    """Return what a fetch will do, as lines: a source's terms if they are new, symbol, window, requests, time, size."""
    order, cost, source = plan.order, plan.cost, plan.source
    lines = [terms] if (terms := terms_unshown(source)) else []
    if source.tested != "tested":
        lines.append(f"{source.name} is {source.tested}: compare a few rows with the exchange's own page")
    what = f"bars of {order.resolution}" if order.resolution else order.dataset.name
    window = f"{format_timestamp(order.window.start_ns)} to {format_timestamp(order.window.end_ns)}"
    lines.append(f"{plan.symbol}: {what} of {order.name} from {source.name}, {window}")
    size = "" if plan.bytes is None else f", {max(plan.bytes / 1e6, 0.1):,.1f} MB"
    if not plan.windows:
        lines.append("  everything is known already")
    elif cost.requests is None:
        lines.append(f"  the number of requests is not known before{size}")
    else:
        lines.append(
            f"  {_count(cost.requests, 'request')}, about {timedelta(seconds=math.ceil(cost.seconds or 0))}{size}"
        )
    return [*lines, f"  price: {cost.price}"] if cost.price else lines


def _orders(source: str | None, names: list[str], options: dict[str, Any]) -> list[FetchOrder]:
    """Return the orders of a command line. Raises SourceRefused."""
    if source is None:
        if not (orders := known_orders(now_ns=time.time_ns())):
            told = "nothing was fetched yet: manage.py fetch binance BTC/USDT --start 2024-01-01"
            raise SourceRefused(told)
        return [replace(order, again=options["again"]) for order in orders]
    if not names or not options["start"]:
        raise SourceRefused(f"name symbols and a start: manage.py fetch {source} NAME --start 2024-01-01")
    if options["symbol"] and len(names) > 1:
        raise SourceRefused("--as names one symbol: fetch one at a time")
    dataset = TRADES if options["trades"] else QUOTES if options["quotes"] else BARS
    window = Window(
        _instant("start", options), _instant("end", options) if options["end"] else time.time_ns()
    )
    try:
        resolution = Resolution.of_bars(options["timeframe"] or "1m").value if dataset is BARS else ""
    except ValueError as error:
        raise SourceRefused(f"--timeframe {options['timeframe']}: {error}") from error
    terms = (dataset, resolution, window, options["symbol"] or "", options["again"])
    return [FetchOrder(source, name, *terms) for name in dict.fromkeys(names)]


def _instant(option: str, options: dict[str, Any]) -> int:
    try:
        return parse_timestamp(options[option])
    except InvalidTimestamp as error:
        raise SourceRefused(f"--{option} {options[option]}: {error}") from error


def _ask_to_pay(price: str) -> None:
    """Raises `SourceRefused` if nobody agrees."""
    try:
        answer = input(f"Pay {price}? [y/N] ")
    except EOFError:
        raise SourceRefused("this costs money: add --yes to pay") from None
    if answer.lower() not in ("y", "yes"):
        raise SourceRefused("nothing was bought")


def _run(plan: FetchPlan) -> FetchResult:
    """Fetch, with a bar on a terminal."""
    console, name = Console(stderr=True), TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    is_quiet = not plan.windows or not console.is_terminal
    with Progress(*columns, console=console, disable=is_quiet, transient=True) as progress:
        total = sum(each.end_ns - each.start_ns for each in plan.windows) or 1
        task = progress.add_task(plan.symbol, total=total)

        def pause(seconds: float, reason: str) -> None:
            if seconds >= 1:
                console.print(f"{reason}; going on in {seconds:.0f} s", markup=False, highlight=False)
            time.sleep(seconds)

        return Fetch(plan, moved=lambda done: progress.update(task, completed=done), pause=pause).run()


def _result_line(plan: FetchPlan, result: FetchResult) -> str:
    parts = [f"{result.new:,} new rows", f"{result.known:,} known"]
    parts += [f"{result.corrected:,} corrected"] if plan.order.again or result.corrected else []
    parts += [f"{result.actions:,} new splits and dividends"] if result.actions else []
    parts += [f"{result.left_out:,} left out ({result.wrong})"] if result.left_out else []
    if result.unanswered:
        first = format_timestamp(result.unanswered[0].start_ns)
        stretches = _count(len(result.unanswered), "stretch", "es")
        parts.append(f"no answer for {stretches}, the first from {first} on")
    return f"  {plan.symbol}: {', '.join(parts)}"


def _count(number: int, name: str, plural: str = "s") -> str:
    return f"{number:,} {name}{'' if number == 1 else plural}"
