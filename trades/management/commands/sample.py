"""`manage.py sample`: stores the demo market up to now."""

import datetime as dt
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
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
from trades.batches.row_batch import RowBatch
from trades.exceptions import BatchRefused
from trades.instruments.services import instruments_declare
from trades.sample.market import (
    COIN,
    EQUITIES,
    FUND,
    SEED,
    SymbolDay,
    coin_day,
    symbol_day,
    trading_sessions,
)
from trades.sample.published import (
    SILENT,
    PublishedDay,
    action_rows,
    coin_published,
    daily_rows,
    equity_published,
    midnight_ns,
    minute_rows,
)
from trades.services import rows_ingest
from trades.stores import market_store

CALLER = "command:sample"
SYMBOLS = (*EQUITIES, FUND, COIN)
HISTORY_DAYS, MINUTE_DAYS, DAYS_LIMIT = 504, 60, 2_600
_INSTRUMENTS = {COIN: Instrument(COIN, instrument_class=CRYPTO, currency="USD", tick_size=0.01)} | {
    symbol: Instrument(
        symbol, exchange="XNAS", currency="USD", bar_policy="us_equities",
        gap_rule=CALENDAR if symbol == SILENT else EVIDENCE,
    )
    for symbol in (*EQUITIES, FUND)
}  # fmt: skip
_OTHER_SAMPLE = "; another release stored its sample under this symbol: keep it, or stop the server and delete the symbol's folders"


class Command(BaseCommand):
    """Idempotent: keeps what is stored, and adds what is missing up to now."""

    help = "Store an invented market: two years of bars, trades and quotes of the last days, up to now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=5, help="trading days with trades (default 5)")
        parser.add_argument(
            "--history", type=int, default=HISTORY_DAYS,
            help=f"older days, as bars: the last {MINUTE_DAYS} by minute (default {HISTORY_DAYS})",
        )  # fmt: skip
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
                is_conflict = getattr(error, "code", "") == "trade_id_conflict"
                raise CommandError(f"{symbol}: {error}{_OTHER_SAMPLE if is_conflict else ''}") from error
            self.stdout.write(f"  {symbol}: {count:,} new rows")
            self.stdout.flush()


def _declare(symbol: str) -> None:
    if not market_store().declared_instruments(symbol=symbol):
        instruments_declare(instruments=[_INSTRUMENTS[symbol]], actor=command_actor())


def _store(symbol: str, now: dt.datetime, days: int, history: int) -> int:
    """Store what a symbol lacks: older days as bars, newer ones as trades and quotes. Return the count of new rows."""
    now_ns = int(now.timestamp() * SECOND_NS)
    if symbol == COIN:
        dates = [now.date() - dt.timedelta(days=each) for each in range(history * 365 // 252, 0, -1)]
        stored = _bars(symbol, dates, lambda date: coin_day(seed=SEED, symbol=symbol, date=date))
        return stored + _ticks(coin_published(now.date()), now_ns, None)
    sessions = trading_sessions(now=now, days=days + history)
    ticks = sessions[-days:] if symbol in EQUITIES else ()
    older = {each.date: each for each in sessions if each not in ticks and each.ends <= now_ns}
    stored = _bars(
        symbol, list(older), lambda date: symbol_day(seed=SEED, symbol=symbol, session=older[date])
    )
    for session in ticks:
        # A day that is over is complete, so that its bars are final.
        complete_until_ns = session.ends if session.ends + SECOND_NS <= now_ns else None
        stored += _ticks(equity_published(symbol, session), now_ns, complete_until_ns)
    return stored


def _bars(symbol: str, dates: list[dt.date], day_of: Callable[[dt.date], SymbolDay]) -> int:
    """Store bars of the dates after the newest stored bar; with the first bars, the corporate actions."""
    newest_ns = None
    with suppress(UnknownSymbol):
        newest_ns = pc.max(market_store().log(BARS, symbol).at().rows(ALL_TIME)["timestamp"]).as_py()
    actions = action_rows(symbol, dates) if newest_ns is None else action_rows(symbol, [])
    stored = _ingest(CORPORATE_ACTIONS, symbol, actions)
    missing = [date for date in dates if newest_ns is None or midnight_ns(date) > newest_ns]
    days, minutes = missing[:-MINUTE_DAYS], missing[-MINUTE_DAYS:]
    stored += _ingest(BARS, symbol, daily_rows(symbol, days, actions)) if days else 0
    return stored + (_ingest(BARS, symbol, minute_rows(map(day_of, minutes))) if minutes else 0)


def _ticks(day: PublishedDay, now_ns: int, complete_until_ns: int | None) -> int:
    """Store what was received by now; the store recognises rows that it has."""
    quotes, trades = day.between(0, now_ns)
    stored = _ingest(QUOTES, day.symbol, quotes, complete_until_ns)
    stored += _ingest(TRADES, day.symbol, trades, complete_until_ns)
    if (correction := day.correction_between(0, now_ns)) is not None:
        with suppress(CorrectionTargetMissing):  # it is corrected already
            market_store().correct(Amendment(TRADES, day.symbol, (correction,), CALLER))
    return stored


def _ingest(dataset: Dataset, symbol: str, rows: pa.RecordBatch, complete_until_ns: int | None = None) -> int:
    if not len(rows):
        return 0
    batch = RowBatch(symbol, rows)
    done = rows_ingest(dataset=dataset, batch=batch, caller=CALLER, complete_until_ns=complete_until_ns)
    return done.receipt.stored
