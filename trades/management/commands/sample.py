"""`manage.py sample`: generates trades of a few demo symbols and stores them."""

import datetime as dt
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ops.command_line import command_actor
from store.datasets import TRADES
from store.declarations import WORD_SEPARATOR
from store.exceptions import StorageError
from store.instruments import Instrument
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import SECOND_NS
from trades.batches.row_batch import RowBatch
from trades.exceptions import BatchRefused
from trades.instruments.services import instruments_declare
from trades.sample.market import EQUITIES, SEED, SymbolDay, TradingSession, symbol_day, trading_sessions
from trades.services import rows_ingest
from trades.stores import market_store

CALLER = "command:sample"
DAYS_LIMIT = 2_600
_OTHER_SAMPLE = (
    "; the sample of another --seed or another release is stored under this symbol: choose other --symbols,"
    " or stop the server and delete the symbol's folder"
)


class Command(BaseCommand):
    """Idempotent: keeps stored days and adds the missing trades up to now."""

    help = "Generate plausible trades for the last trading days, up to now, and store them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days", type=int, default=5, help=f"trading days, 1 to {DAYS_LIMIT} (default 5)"
        )
        parser.add_argument(
            "--seed", type=int, default=SEED, help=f"another seed gives other trades (default {SEED})"
        )
        parser.add_argument(
            "--symbols",
            nargs="+",
            default=EQUITIES,
            metavar="SYMBOL",
            help=f"default: {' '.join(EQUITIES)}",
        )

    def handle(self, *_: Any, days: int, seed: int, symbols: Sequence[str], **__: Any) -> None:
        """Print one line per symbol. Raises CommandError for wrong arguments and for the store's refusals."""
        if not 1 <= days <= DAYS_LIMIT:
            raise CommandError(f"--days is 1 to {DAYS_LIMIT}")
        try:
            parsed = list(dict.fromkeys(map(parse_symbol, symbols)))
        except InvalidSymbol as error:
            raise CommandError(f"--symbols: {error}") from error
        now = dt.datetime.now(dt.UTC)
        sessions = trading_sessions(now=now, days=days)
        for symbol in parsed:
            try:
                _declare(symbol)
                stored, duplicates = _ingest(symbol=symbol, seed=seed, sessions=sessions, now=now)
            except (BatchRefused, StorageError) as error:
                is_conflict = getattr(error, "code", "") == "trade_id_conflict"
                raise CommandError(f"{symbol}: {error}{_OTHER_SAMPLE if is_conflict else ''}") from error
            except DatabaseError as error:
                raise CommandError(f"{symbol}: its declaration cannot be recorded: {error}") from error
            self.stdout.write(f"{symbol}: {stored} stored, {duplicates} already there")


def _declare(symbol: str) -> None:
    """Declare an undeclared symbol as a Nasdaq equity, so that its bars have trading dates and use sale conditions."""
    if market_store().declared_instruments(symbol=symbol):
        return
    instrument = Instrument(symbol, exchange="XNAS", currency="USD", bar_policy="us_equities")
    instruments_declare(instruments=[instrument], actor=command_actor())


def _ingest(
    *, symbol: str, seed: int, sessions: Sequence[TradingSession], now: dt.datetime
) -> tuple[int, int]:
    """Store the trades reported by `now`, one batch per day; return the counts of stored and duplicate rows.

    Every day is generated and sent again: the store recognises duplicates in milliseconds.
    """
    now_ns = int(now.timestamp() * SECOND_NS)
    stored = duplicates = 0
    for session in sessions:
        day = symbol_day(seed=seed, symbol=symbol, session=session).reported_by(now_ns)
        if len(day):
            # A day that is over is complete, so that its bars are final.
            complete_until_ns = session.ends if session.ends + SECOND_NS <= now_ns else None
            receipt = rows_ingest(
                dataset=TRADES, batch=_batch(day), caller=CALLER, complete_until_ns=complete_until_ns
            ).receipt
            stored, duplicates = stored + receipt.stored, duplicates + receipt.duplicates
    return stored, duplicates


def _batch(day: SymbolDay) -> RowBatch:
    """Return the day in the store's schema."""
    columns = {
        "timestamp": day.time_ns,
        "price": day.price,
        "volume": day.volume,
        "trade_id": day.trade_id,
        "sequence": day.sequence,
        "exchange": day.exchange,
        "conditions": list(map(WORD_SEPARATOR.join, day.conditions)),
        "received_at": day.received_at_ns,
    }
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(len(day), field.type)
        for field in TRADES.schema
    ]
    return RowBatch(day.symbol, pa.record_batch(arrays, schema=TRADES.schema))
