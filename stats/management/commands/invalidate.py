"""`manage.py invalidate SYMBOL`: drop the cached answers of a symbol."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stats.caching.response_cache import RESPONSE_CACHE
from store.exceptions import StorageError
from store.symbols import InvalidSymbol, parse_symbol
from trades.instruments.services import symbol_canonical


class Command(BaseCommand):
    help = "Drop the cached answers of a symbol, so that they are computed again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("symbol")

    def handle(self, *_args: Any, symbol: str, **_options: Any) -> None:
        """Drop the answers and print one line. Raises `CommandError` for an invalid symbol or an error of the store."""
        try:
            symbol = symbol_canonical(parse_symbol(symbol))
        except (InvalidSymbol, StorageError) as error:
            raise CommandError(f"{symbol}: {error}") from error
        count = RESPONSE_CACHE.drop(symbol)
        if count is None:
            self.stdout.write(
                f"{symbol}: nothing dropped, Redis is away. Run this again when it is back, unless it lost its data."
            )
        else:
            self.stdout.write(f"{symbol}: {count} entries dropped.")
