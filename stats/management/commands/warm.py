import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stats.caching.response_cache import RESPONSE_CACHE
from stats.exceptions import READ_ERRORS
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.services import warm
from stats.rendering.formats import FORMATS
from store.symbols import InvalidSymbol, parse_symbol
from web.requests.exceptions import RequestError


class Command(BaseCommand):
    help = "Compute and cache the answers for a list of symbols before clients ask for them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("symbols", nargs="+", metavar="SYMBOL")
        parser.add_argument(
            "--dataset", choices=list(MARKET_DATASETS), default="ohlcv", help="(default: %(default)s)"
        )
        parser.add_argument(
            "--query",
            action="append",
            metavar="QUERY",
            help="a query string as clients send it; may be repeated (default: last=1000)",
        )
        parser.add_argument("--format", choices=list(FORMATS), default="json", help="(default: %(default)s)")

    def handle(
        self, *_: Any, symbols: list[str], dataset: str, query: list[str] | None, **options: Any
    ) -> None:
        """Print a line per answer.

        Raises `CommandError` if a symbol or a query has no answer, and if Redis is away.
        """
        try:
            for warmed in warm(
                symbols=[parse_symbol(symbol) for symbol in symbols],
                dataset=dataset,
                query_strings=query or ["last=1000"],
                format_name=options["format"],
                now_ns=time.time_ns(),
            ):
                self.stdout.write(f"{warmed.symbol} {dataset}?{warmed.query_string}: {warmed.outcome}")
        except (InvalidSymbol, RequestError, *READ_ERRORS) as error:
            raise CommandError(str(error)) from error
        if RESPONSE_CACHE.shared.is_away:
            raise CommandError(
                "Redis is away, so the answers were not cached: run this again when it is back"
            )
