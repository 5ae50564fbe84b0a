"""Makes trades of a few invented symbols and stores them as any caller's are."""

import datetime as dt
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from command_line.actor import command_actor
from store.datasets import TRADES
from store.exceptions import StorageError
from store.instruments import Instrument
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import SECOND_NS, fixed_width_text
from trades.batches.row_batch import Expected
from trades.exceptions import BatchRefused
from trades.formats.json_rows import read_json_body
from trades.instruments.told_changes import recorded
from trades.sample import Session, SymbolDay, symbol_day, trading_sessions
from trades.services.instruments import instrument_set
from trades.services.rows import rows_ingest
from trades.stores import market_store

CALLER = "command:sample"
DAYS_LIMIT = 2_600


class Command(BaseCommand):
    """Idempotent: what is stored stays, what has happened since is added."""

    help = "Make trades with the look of real ones for the last trading days, up to now, and store them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days", type=int, default=5, help=f"trading days, 1 to {DAYS_LIMIT} (default 5)"
        )
        parser.add_argument("--seed", type=int, default=7, help="another seed gives other trades (default 7)")
        parser.add_argument(
            "--symbols",
            nargs="+",
            default=["DEMOA", "DEMOB", "DEMOC"],
            metavar="SYMBOL",
            help="default: DEMOA DEMOB DEMOC",
        )

    def handle(self, *_: Any, days: int, seed: int, symbols: Sequence[str], **__: Any) -> None:
        """Print one line per symbol. Raises CommandError for wrong arguments, and where the store refuses."""
        if not 1 <= days <= DAYS_LIMIT:
            raise CommandError(f"--days is 1 to {DAYS_LIMIT}")
        now = dt.datetime.now(dt.UTC)
        sessions = trading_sessions(now=now, days=days)
        for symbol in _parsed(symbols):
            try:
                _declare(symbol)
                stored, known = _ingest(symbol=symbol, seed=seed, sessions=sessions, now=now)
            except (BatchRefused, StorageError) as error:
                raise CommandError(f"{symbol}: {error}{_hint(error)}") from error
            except DatabaseError as error:
                raise CommandError(f"{symbol}: its declaration cannot be recorded: {error}") from error
            self.stdout.write(f"{symbol}: {stored} stored, {known} already there")


def _parsed(symbols: Sequence[str]) -> list[str]:
    try:
        return list(dict.fromkeys(map(parse_symbol, symbols)))
    except InvalidSymbol as error:
        raise CommandError(f"--symbols: {error}") from error


def _hint(error: Exception) -> str:
    if getattr(error, "code", "") == "trade_id_conflict":
        return "; a sample of another --seed is stored under this symbol: choose another symbol"
    return ""


def _declare(symbol: str) -> None:
    """Make a symbol that nobody has declared an equity of Nasdaq: its days are trading dates, its bars of the prints that count."""
    if market_store().declared_instruments(symbol=symbol):
        return
    instrument = Instrument(symbol, exchange="XNAS", currency="USD", bar_policy="us_equities")
    with recorded([instrument], actor=command_actor()):
        instrument_set(instrument=instrument)


def _ingest(*, symbol: str, seed: int, sessions: Sequence[Session], now: dt.datetime) -> tuple[int, int]:
    """Store what was reported by `now`, a batch per day; return how many rows were stored and how many known.

    Every day is made and sent again: the store tells what it has, which costs milliseconds, and no count or
    mark of a day could tell it as surely.
    """
    now_ns = int(now.timestamp() * SECOND_NS)
    stored = known = 0
    for session in sessions:
        day = symbol_day(seed=seed, symbol=symbol, session=session).reported_by(now_ns)
        if len(day):
            batch = read_json_body(_body(day), Expected(TRADES))
            receipt = rows_ingest(dataset=TRADES, batch=batch, caller=CALLER).receipt
            stored, known = stored + receipt.stored, known + receipt.duplicates
    return stored, known


def _body(day: SymbolDay) -> bytes:
    """Write the day as a client would send it."""
    columns = zip(
        fixed_width_text(day.time_ns).to_pylist(),
        day.price.tolist(),
        day.volume.tolist(),
        day.trade_id,
        day.sequence.tolist(),
        day.exchange,
        day.conditions,
        fixed_width_text(day.received_at_ns).to_pylist(),
        strict=True,
    )
    names = ("timestamp", "price", "volume", "trade_id", "sequence", "exchange", "conditions", "received_at")
    return orjson.dumps(
        {"trades": [{"symbol": day.symbol, **dict(zip(names, row, strict=True))} for row in columns]}
    )
