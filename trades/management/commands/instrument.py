"""Says what an instrument is, and shows it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from trades.bar_policies import BAR_POLICIES
from trades.services import instrument_set
from trades.storage.exceptions import StorageError
from trades.stores import market_store
from trades.symbols import InvalidSymbol, parse_symbol


class Command(BaseCommand):
    help = "Show an instrument, or change it: a change takes effect at once everywhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("symbol")
        parser.add_argument(
            "--bar-policy",
            choices=list(BAR_POLICIES),
            help="which prints make its bars (docs/bar_policies.md)",
        )

    def handle(self, *_: Any, symbol: str, bar_policy: str | None, **__: Any) -> None:
        """Print one line. Raises CommandError for what is not a symbol, and where the store refuses."""
        try:
            symbol = parse_symbol(symbol)
            if bar_policy is None:
                instrument = market_store().instrument(symbol)
            else:
                instrument = instrument_set(symbol=symbol, bar_policy=bar_policy)
        except (InvalidSymbol, StorageError) as error:
            raise CommandError(f"{symbol}: {error}") from error
        self.stdout.write(f"{instrument.symbol}: bar policy {instrument.bar_policy}")
