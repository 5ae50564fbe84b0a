"""Posts the demo market to the own server as it happens, as a vendor's feed would: by the Python client."""

import datetime as dt
import logging
import math
import secrets
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, NoReturn

import pyarrow as pa

from marketdata_client import Client, MarketDataError, Retries
from store.declarations import WORD_SEPARATOR
from store.protocol import Correction
from store.timestamps import MINUTE_NS, SECOND_NS, format_timestamp
from trades.sample.feed_key import KEY_FILE
from trades.sample.market import EQUITIES, MAX_LATENCY_NS, TradingSession, trading_sessions
from trades.sample.published import (
    QUOTE_BEFORE_NS,
    PublishedDay,
    coin_published,
    equity_published,
)

logger = logging.getLogger(__name__)

# A new feed begins so long ago. The store recognises rows that it has.
OVERLAP_NS: Final = 5 * MINUTE_NS
_PAUSE_SECONDS: Final = 0.5
# What may be over later: a revoked key, a slow body, too many requests, a full disk.
_MAY_PASS: Final = frozenset({401, 403, 408, 429, *range(500, 600)})
Post = Callable[[Client], object]


def run_feed(*, url: str, run_dir: Path) -> NoReturn:
    """Post what is due, until the process ends."""
    client = feed_client(url, (run_dir / KEY_FILE).read_text())
    sent_ns = time.time_ns() - OVERLAP_NS
    while True:
        now_ns = time.time_ns()
        for post in posts(sent_ns, now_ns):
            try:
                post(client)
            except MarketDataError as error:
                logger.warning("The sample feed's rows were refused: %s", error)
        sent_ns = now_ns
        time.sleep(_PAUSE_SECONDS)


def feed_client(url: str, key: str) -> Client:
    """Return a client that waits for a server that does not answer, and says so."""
    retries = Retries(
        attempts=math.inf,
        first_pause=1.0,
        longest_pause=30.0,
        statuses=_MAY_PASS,
        on_pause=lambda error, seconds: logger.warning("The sample feed waits %.0f s: %s", seconds, error),
    )
    return Client(url, key, retries=retries, timeout=10.0, trust_env=False)


def posts(after_ns: int, until_ns: int) -> Iterator[Post]:
    """Yield the requests of what was received after an instant, up to another one: quotes before trades."""
    complete_until = format_timestamp(until_ns - MAX_LATENCY_NS - QUOTE_BEFORE_NS)
    for day in _days_between(after_ns, until_ns):
        for dataset, batch in zip(("quotes", "trades"), day.between(after_ns, until_ns), strict=True):
            if len(batch):
                rows = rows_of(day.symbol, batch)
                yield partial(_ingest, dataset=dataset, rows=rows, complete_until=complete_until)
        if (correction := day.correction_between(after_ns, until_ns)) is not None:
            yield partial(_correct, symbol=day.symbol, correction=correction)


def rows_of(symbol: str, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return rows as docs/ingest.md has them."""
    rows = [{"symbol": symbol} | row for row in batch.to_pylist()]
    for row in rows:
        row |= {name: format_timestamp(row[name]) for name in ("timestamp", "received_at")}
        row["conditions"] = row["conditions"] and row["conditions"].split(WORD_SEPARATOR)
    return rows


def _ingest(client: Client, *, dataset: str, rows: list[dict[str, Any]], complete_until: str) -> None:
    # All rows of an outage in one batch: a batch says that no row before its end is missing.
    client.ingest(dataset, rows, batch_rows=100_000, complete_until=complete_until)


def _correct(client: Client, *, symbol: str, correction: Correction) -> None:
    row = {"action": "correct", "timestamp": format_timestamp(correction.timestamp_ns), **correction.named}
    body = {"symbol": symbol, "corrections": [row | {"new_price": correction.new["price"]}]}
    client.post("/api/v1/trades/corrections", body, idempotency_key=secrets.token_urlsafe())


def _days_between(after_ns: int, until_ns: int) -> Iterator[PublishedDay]:
    moments = [dt.datetime.fromtimestamp(each // SECOND_NS, dt.UTC) for each in (after_ns, until_ns)]
    for session in _sessions(until_ns // (10 * MINUTE_NS)):
        for symbol in EQUITIES:
            yield equity_published(symbol, session)
    for date in sorted({moment.date() for moment in moments}):
        yield coin_published(date)


@lru_cache(maxsize=1)
def _sessions(ten_minutes: int) -> tuple[TradingSession, ...]:
    """Return the session of the next ten minutes, as the pre-market begins at a whole hour."""
    now = dt.datetime.fromtimestamp(ten_minutes * 600, dt.UTC)
    return trading_sessions(now=now, days=1)
