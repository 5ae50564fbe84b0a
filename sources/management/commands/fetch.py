"""`manage.py fetch SOURCE NAME…`: brings history of markets into the store."""

import signal
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from sources.fetching import Fetch, FetchResult
from sources.planning import FetchOrder, FetchPlan, fetch_plan, known_orders, terms_unshown
from sources.protocol import SourceError, SourceRefused, Wanted
from sources.registry import kind_of, source_named, source_names
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
        parser.add_argument("source", nargs="?", help="an exchange, a vendor, or a name in SOURCES: binance")
        parser.add_argument(
            "names", nargs="*", metavar="NAME", help="symbols, as the source writes them: BTC/USDT"
        )
        parser.add_argument("--start", help="from when on: 2024-01-01, or an instant; UTC without offset")
        parser.add_argument("--end", help="up to when (default: now)")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--timeframe", help="bars of this length: 1m (default), 1h, 1d")
        what.add_argument("--trades", action="store_true", help="trades instead of bars")
        what.add_argument("--quotes", action="store_true", help="quotes instead of bars")
        parser.add_argument(
            "--as", dest="symbol", help="the symbol here: for one that another source has already"
        )
        parser.add_argument(
            "--again", action="store_true", help="ask for known times again, and correct what changed"
        )
        parser.add_argument(
            "--yes", action="store_true", help="pay what the source charges without being asked"
        )
        parser.add_argument("--check", action="store_true", help="ask for the newest bars, and store nothing")
        parser.add_argument("--sources", action="store_true", help="list the sources")
        parser.add_argument(
            "--markets", action="store_true", help="list the source's markets whose names have NAME"
        )

    def handle(self, *_: Any, source: str | None, names: list[str], **options: Any) -> None:
        """Raises CommandError with a sentence for each order that failed."""
        try:
            if options["sources"]:
                self._list_sources()
                return
            if source is not None and options["markets"]:
                self._list_markets(source, names)
            elif source is not None and options["check"]:
                self._check(source, names, options["timeframe"] or "1m")
            else:
                self._fetch(_orders(source, names, options), yes=options["yes"])
        except KeyboardInterrupt:
            raise CommandError(
                "stopped: what was stored stays, and the same command goes on", returncode=_STOPPED
            ) from None
        except _FAILURES as error:
            raise CommandError(str(error)) from error

    def _fetch(self, orders: list[FetchOrder], *, yes: bool) -> None:
        """Fetch one order after the other. A failed one does not keep the others from it."""
        failed: list[str] = []
        for order in orders:
            try:
                plan = fetch_plan(order, now_ns=time.time_ns())
                self._show(plan)
                if (
                    plan.cost.price
                    and not yes
                    and input(f"Pay {plan.cost.price}? [y/N] ").lower() not in ("y", "yes")
                ):
                    raise SourceRefused("nothing was bought")
                result = _run(plan)
                if plan.windows or result.actions:
                    self._say(_result_line(plan, result))
            except EOFError:
                raise SourceRefused("this costs money: add --yes to pay") from None
            except _FAILURES as error:
                failed.append(f"{order.symbol or order.name}: {error}")
        if failed:
            raise CommandError("\n".join(failed))

    def _show(self, plan: FetchPlan) -> None:
        """Print what a fetch will do, and a source's terms with the first one."""
        if terms := terms_unshown(plan.source):
            self._say(terms)
        tested = getattr(plan.source, "tested", "tested")
        if tested != "tested":
            self._say(f"{plan.source.name} is {tested}: compare a few rows with the exchange's own page")
        self._say("\n".join(plan_lines(plan)))

    def _check(self, source: str, names: list[str], resolution: str) -> None:
        made = source_named(source)
        for name in names or [market.name for _, market in zip(range(1), made.markets(), strict=False)]:
            step_ns = Resolution.of_bars(resolution).length_ns
            now_ns = time.time_ns()
            wanted = Wanted(BARS, default_instrument("CHECK"), name, resolution)
            pages = made.pages(wanted, Window(now_ns // step_ns * step_ns - 10 * step_ns, now_ns))
            rows = sum(page.rows.num_rows for page in pages)
            self._say(f"{source} {name}: {rows} bars of {resolution} of the last 10")

    def _list_sources(self) -> None:
        for name in source_names():
            tested = getattr(source_named(name), "tested", "tested") if kind_of(name) else ""
            self._say(f"{name:<24} {tested}")

    def _list_markets(self, source: str, names: list[str]) -> None:
        words = [name.upper() for name in names]
        found = [
            each
            for each in source_named(source).markets()
            if all(word in each.name.upper() for word in words)
        ]
        for market in found[:_LISTED]:
            self._say(f"{market.name:<24} {market.symbol:<24} {market.long_name}")
        if len(found) > _LISTED:
            self._say(f"and {len(found) - _LISTED:,} more: name a part of the symbol")

    def _say(self, text: str) -> None:
        self.stdout.write(text)


def plan_lines(plan: FetchPlan) -> list[str]:
    """Return what a fetch will do, as lines: symbol, window, requests, time, size."""
    order, cost = plan.order, plan.cost
    what = f"bars of {order.resolution}" if order.resolution else order.dataset.name
    window = f"{format_timestamp(order.window.start_ns)} to {format_timestamp(order.window.end_ns)}"
    lines = [f"{plan.symbol}: {what} of {order.name} from {plan.source.name}, {window}"]
    if not plan.windows:
        return [*lines, "  everything is known already"]
    size = "" if plan.bytes is None else f", {max(plan.bytes / 1e6, 0.1):,.1f} MB"
    if cost.requests is None:
        lines.append(f"  the number of requests is not known before{size}")
    else:
        lines.append(f"  {_count(cost.requests, 'request')}, about {_duration(cost.seconds or 0)}{size}")
    return [*lines, f"  price: {cost.price}"] if cost.price else lines


def _orders(source: str | None, names: list[str], options: dict[str, Any]) -> list[FetchOrder]:
    """Return the orders of a command line. Raises SourceRefused."""
    if source is None:
        if not (orders := known_orders(now_ns=time.time_ns())):
            raise SourceRefused(
                "nothing was fetched yet: manage.py fetch binance BTC/USDT --start 2024-01-01"
            )
        return [replace(order, again=options["again"]) for order in orders]
    if not names or not options["start"]:
        raise SourceRefused(f"name symbols and a start: manage.py fetch {source} NAME --start 2024-01-01")
    if options["symbol"] and len(names) > 1:
        raise SourceRefused("--as names one symbol: fetch one at a time")
    dataset = TRADES if options["trades"] else QUOTES if options["quotes"] else BARS
    try:
        start_ns = _instant("--start", options["start"])
        end_ns = _instant("--end", options["end"]) if options["end"] else time.time_ns()
        resolution = Resolution.of_bars(options["timeframe"] or "1m").value if dataset is BARS else ""
    except ValueError as error:
        raise SourceRefused(str(error)) from error
    terms = (dataset, resolution, Window(start_ns, end_ns), options["symbol"] or "", options["again"])
    return [FetchOrder(source, name, *terms) for name in dict.fromkeys(names)]


def _instant(option: str, text: str) -> int:
    try:
        return parse_timestamp(text)
    except InvalidTimestamp as error:
        raise SourceRefused(f"{option} {text}: {error}") from error


def _run(plan: FetchPlan) -> FetchResult:
    with _bar(plan) as progress:
        task = progress.add_task(
            plan.symbol, total=sum(each.end_ns - each.start_ns for each in plan.windows) or 1
        )

        def pause(seconds: float, reason: str) -> None:
            if seconds >= 1:
                progress.console.print(
                    f"{reason}; going on in {seconds:.0f} s", markup=False, highlight=False
                )
            time.sleep(seconds)

        return Fetch(plan, moved=lambda done: progress.update(task, completed=done), pause=pause).run()


@contextmanager
def _bar(plan: FetchPlan) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, disable=not plan.windows or not console.is_terminal, transient=True
    ) as bar:
        yield bar


def _result_line(plan: FetchPlan, result: FetchResult) -> str:
    parts = [f"{result.new:,} new rows", f"{result.known:,} known"]
    parts += [f"{result.corrected:,} corrected"] if plan.order.again or result.corrected else []
    parts += [f"{result.actions:,} new splits and dividends"] if result.actions else []
    parts += [f"{result.left_out:,} left out ({result.wrong})"] if result.left_out else []
    if result.unanswered:
        first = format_timestamp(result.unanswered[0].start_ns)
        parts.append(
            f"no answer for {_count(len(result.unanswered), 'stretch', 'es')}, the first from {first} on"
        )
    return f"  {plan.symbol}: {', '.join(parts)}"


def _count(number: int, name: str, plural: str = "s") -> str:
    return f"{number:,} {name}{'' if number == 1 else plural}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:,.1f} h"
