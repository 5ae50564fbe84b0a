"""`manage.py sample`: stores the invented market up to now, and with `--follow` also what comes later."""

import datetime as dt
import logging
import os
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ops.command_line import command_actor
from ops.serve.child import end_when_parent_has_ended
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import Dataset
from store.exceptions import CorrectionTargetMissing, StorageError, UnknownSymbol
from store.instruments import CALENDAR, CRYPTO, EVIDENCE, Instrument
from store.protocol import ALL_TIME, Amendment
from store.timestamps import MINUTE_NS, SECOND_NS
from trades import sample
from trades.batches.row_batch import RowBatch
from trades.exceptions import BatchRefused
from trades.instruments.services import instruments_declare
from trades.services import rows_ingest
from trades.stores import market_store

CALLER = "command:sample"
SYMBOLS = (*sample.EQUITIES, sample.FUND, sample.COIN)
MINUTE_DAYS = 60
_ERRORS = (BatchRefused, StorageError, DatabaseError)
logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Store what is missing of an invented market, up to now: two years of bars, trades and quotes of the last days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=5, help="trading days with trades")
        parser.add_argument("--history", type=int, default=504, help="older days, the last 60 by minute")
        parser.add_argument("--symbols", nargs="+", default=SYMBOLS, choices=SYMBOLS)
        parser.add_argument("--follow", action="store_true", help="store only new rows, until SIGTERM")
        parser.add_argument("--parent", type=int, help="end when this process has ended")

    def handle(self, *_: Any, symbols: Sequence[str] = SYMBOLS, **options: Any) -> None:
        """Print one line per symbol. Raises CommandError for the store's refusals."""
        if options["follow"]:
            _follow(options["parent"])
        for symbol in symbols:
            try:
                _declare(symbol)
                count = _store(symbol, options["days"], options["history"])
            except _ERRORS as error:
                raise CommandError(f"{symbol}: {error}") from error
            self.stdout.write(f"  {symbol}: {count:,} new rows")
            self.stdout.flush()


def _follow(parent: int | None) -> None:
    """Store rows as they are received. After a failure try again; rows that are stored are recognised."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if parent is not None:
        end_when_parent_has_ended(parent)
    os.nice(10)
    stored_ns = time.time_ns() - 5 * MINUTE_NS
    while True:
        now_ns = time.time_ns()
        try:
            store_received(stored_ns, now_ns)
            stored_ns = now_ns
        except _ERRORS as error:
            logger.warning("New rows of the sample are not stored: %s", error)
            time.sleep(10)
        time.sleep(0.5)


def store_received(after_ns: int, until_ns: int) -> None:
    """Store what was received after an instant, up to another one."""
    now = dt.datetime.fromtimestamp(until_ns // SECOND_NS, dt.UTC)
    complete_until_ns = until_ns - sample.MAX_LATENCY_NS - sample.QUOTE_BEFORE_NS
    for symbol in (sample.COIN, *sample.EQUITIES):
        for session in sample.trading_sessions(now=now, days=2, symbol=symbol):
            _store_ticks(symbol, session, after_ns, until_ns, complete_until_ns)


def _declare(symbol: str) -> None:
    if market_store().declared_instruments(symbol=symbol):
        return
    instrument = Instrument(symbol, instrument_class=CRYPTO, currency="USD", tick_size=0.01)
    if symbol != sample.COIN:
        rule = CALENDAR if symbol == sample.SILENT else EVIDENCE
        instrument = Instrument(
            symbol, exchange="XNAS", currency="USD", bar_policy="us_equities", gap_rule=rule
        )
    instruments_declare(instruments=[instrument], actor=command_actor())


def _store(symbol: str, days: int, history: int) -> int:
    """Store what a symbol lacks: older days as bars, newer ones as trades and quotes. Return the count of new rows."""
    now = dt.datetime.now(dt.UTC)
    now_ns = int(now.timestamp() * SECOND_NS)
    if symbol == sample.COIN:
        days, history = 1, history * 365 // 252
    sessions = sample.trading_sessions(now=now, days=days + history, symbol=symbol)
    ticks = () if symbol == sample.FUND else sessions[-days:]
    stored = _store_bars(symbol, [each for each in sessions if each not in ticks and each.ends <= now_ns])
    for session in ticks:
        # A day that is over is complete, so that its bars are final.
        complete_until_ns = session.ends if session.ends + SECOND_NS <= now_ns else None
        stored += _store_ticks(symbol, session, 0, now_ns, complete_until_ns)
    return stored


def _store_ticks(
    symbol: str, session: sample.TradingSession, after_ns: int, until_ns: int, complete_until_ns: int | None
) -> int:
    """Store a day's quotes and trades that were received after an instant, up to another one, and the correction."""
    day = sample.sample_day(symbol, session)
    received_at = day.trades["received_at"].to_numpy()
    first, last = received_at.searchsorted([after_ns, until_ns], side="right").tolist()
    stored = sum(
        _ingest(dataset, symbol, rows.slice(first, last - first), complete_until_ns)
        for dataset, rows in ((QUOTES, day.quotes), (TRADES, day.trades))
    )
    if day.correction is not None and after_ns < day.corrected_at_ns <= until_ns:
        with suppress(CorrectionTargetMissing):  # it is corrected already
            market_store().correct(Amendment(TRADES, symbol, (day.correction,), CALLER))
    return stored


def _store_bars(symbol: str, sessions: Sequence[sample.TradingSession]) -> int:
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
