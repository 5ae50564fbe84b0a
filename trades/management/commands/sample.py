"""`manage.py sample`: stores the demo market up to now."""

import datetime as dt
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ops.command_line import command_actor
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import Dataset
from store.exceptions import CorrectionTargetMissing, StorageError, UnknownSymbol
from store.instruments import CALENDAR, CRYPTO, EVIDENCE, Instrument
from store.protocol import ALL_TIME, Amendment
from store.timestamps import SECOND_NS
from trades import sample
from trades.batches.row_batch import RowBatch
from trades.exceptions import BatchRefused
from trades.instruments.services import instruments_declare
from trades.services import rows_ingest
from trades.stores import market_store

CALLER = "command:sample"
SYMBOLS = (*sample.EQUITIES, sample.FUND, sample.COIN)
MINUTE_DAYS, DAYS_LIMIT = 60, 2_600


class Command(BaseCommand):
    help = "Store what is missing of an invented market, up to now: two years of bars, trades and quotes of the last days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=5, help="trading days with trades")
        parser.add_argument("--history", type=int, default=504, help="older days, the last 60 by minute")
        parser.add_argument("--symbols", nargs="+", default=SYMBOLS, choices=SYMBOLS)

    def handle(self, *_: Any, days: int, history: int, symbols: Sequence[str] = SYMBOLS, **__: Any) -> None:
        """Print one line per symbol. Raises CommandError for wrong arguments and for the store's refusals."""
        if not 1 <= days <= DAYS_LIMIT or not 0 <= history <= DAYS_LIMIT:
            raise CommandError(f"--days is 1 to {DAYS_LIMIT}, --history 0 to {DAYS_LIMIT}")
        now = dt.datetime.now(dt.UTC)
        for symbol in symbols:
            try:
                _declare(symbol)
                count = _store(symbol, now, days, history)
            except (BatchRefused, StorageError, DatabaseError) as error:
                raise CommandError(f"{symbol}: {error}") from error
            self.stdout.write(f"  {symbol}: {count:,} new rows")
            self.stdout.flush()


def _declare(symbol: str) -> None:
    if market_store().declared_instruments(symbol=symbol):
        return
    instrument = Instrument(symbol, instrument_class=CRYPTO, currency="USD", tick_size=0.01)
    if symbol != sample.COIN:
        gap_rule = CALENDAR if symbol == sample.SILENT else EVIDENCE
        instrument = Instrument(
            symbol, exchange="XNAS", currency="USD", bar_policy="us_equities", gap_rule=gap_rule
        )
    instruments_declare(instruments=[instrument], actor=command_actor())


def _store(symbol: str, now: dt.datetime, days: int, history: int) -> int:
    """Store what a symbol lacks: older days as bars, newer ones as trades and quotes. Return the count of new rows."""
    now_ns = int(now.timestamp() * SECOND_NS)
    if symbol == sample.COIN:
        days, history = 1, history * 365 // 252
    sessions = sample.trading_sessions(now=now, days=days + history, symbol=symbol)
    ticks = () if symbol == sample.FUND else sessions[-days:]
    stored = _bars(symbol, [each for each in sessions if each not in ticks and each.ends <= now_ns])
    for session in ticks:
        quotes, trades, correction = sample.sample_day(symbol, session).between(0, now_ns)
        # A day that is over is complete, so that its bars are final.
        complete_until_ns = session.ends if session.ends + SECOND_NS <= now_ns else None
        stored += _ingest(QUOTES, symbol, quotes, complete_until_ns)
        stored += _ingest(TRADES, symbol, trades, complete_until_ns)
        if correction is not None:
            with suppress(CorrectionTargetMissing):  # it is corrected already
                market_store().correct(Amendment(TRADES, symbol, (correction,), CALLER))
    return stored


def _bars(symbol: str, sessions: Sequence[sample.TradingSession]) -> int:
    """Store bars of the days after the newest stored bar; with the first bars, the corporate actions."""
    newest_ns = stored = 0
    with suppress(UnknownSymbol):
        newest_ns = pc.max(market_store().log(BARS, symbol).at().rows(ALL_TIME)["timestamp"]).as_py()
    if not newest_ns:
        stored = _ingest(CORPORATE_ACTIONS, symbol, sample.action_rows(symbol, sessions))
    split = len(sessions) - sample.SPLIT_SESSION if symbol == sample.SPLIT and not newest_ns else 0
    days = [
        sample.bar_rows(symbol, each, is_daily=n < len(sessions) - MINUTE_DAYS, is_old=n < split)
        for n, each in enumerate(sessions)
        if each.begins > newest_ns
    ]
    return stored + (_ingest(BARS, symbol, pa.concat_batches(days)) if days else 0)


def _ingest(dataset: Dataset, symbol: str, rows: pa.RecordBatch, complete_until_ns: int | None = None) -> int:
    if not len(rows):
        return 0
    batch = RowBatch(symbol, rows)
    done = rows_ingest(dataset=dataset, batch=batch, caller=CALLER, complete_until_ns=complete_until_ns)
    return done.receipt.stored
