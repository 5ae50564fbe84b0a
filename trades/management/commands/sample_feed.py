"""`manage.py sample_feed`: posts the sample to the running server as it happens, with a key of its own."""

import datetime as dt
import logging
import math
import os
import secrets
import signal
import sys
import time
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from django.conf import settings
from django.core.management.base import BaseCommand

from marketdata_client import Client, MarketDataError, Retries
from ops.serve.child import end_when_parent_has_ended
from ratelimit.keys.api_keys import digest
from ratelimit.keys.selectors import key_list
from ratelimit.keys.services import key_create
from store.declarations import WORD_SEPARATOR
from store.timestamps import MINUTE_NS, SECOND_NS, format_timestamp
from trades import sample

logger = logging.getLogger(__name__)

KEY_FILE, KEY_NAME = "sample_feed.key", "sample feed"
# A new feed begins so long ago. The store recognises rows that it has.
_OVERLAP_NS: Final = 5 * MINUTE_NS
# What may be over later: a revoked key, a slow body, too many requests, a full disk.
_MAY_PASS: Final = frozenset({401, 403, 408, 429, *range(500, 600)})


class Command(BaseCommand):
    help = "Post trades and quotes of the sample to the running server, until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", required=True, help="the server, such as http://127.0.0.1:8000")
        parser.add_argument("--parent", type=int, help="end when this process has ended")

    def handle(self, *args: Any, url: str, parent: int | None, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        if parent is not None:
            end_when_parent_has_ended(parent)
        os.nice(10)
        client = feed_client(url, (settings.RUN_DIR / KEY_FILE).read_text())
        sent_ns = time.time_ns() - _OVERLAP_NS
        while True:
            now_ns = time.time_ns()
            post_due(client, sent_ns, now_ns)
            sent_ns = now_ns
            time.sleep(0.5)


def feed_prepare(run_dir: Path, *, now: dt.datetime) -> None:
    """Make the feed's key, unless the file in `run_dir` has a valid one."""
    path = run_dir / KEY_FILE
    path.touch(mode=0o600)
    stored = key_list().filter(digest=digest(path.read_text())).first()
    if stored is None or stored.state_at(now) != "active":
        scopes = ["market:write"]
        created = key_create(name=KEY_NAME, tier="internal", scopes=scopes, now=now, actor="command:serve")
        path.write_text(created.key)


def feed_client(url: str, key: str) -> Client:
    """Return a client that waits for a server that does not answer, and says so."""
    say = partial(logger.warning, "The sample feed's request failed: %s; it is sent again in %.0f s")
    retries = Retries(
        attempts=math.inf, first_pause=1.0, longest_pause=30.0, statuses=_MAY_PASS, on_pause=say
    )
    return Client(url, key, retries=retries, timeout=10.0, trust_env=False)


def post_due(client: Client, after_ns: int, until_ns: int) -> None:
    """Post what was received after an instant, up to another one. Leave out the rest of a symbol's rows after a refusal."""
    now = dt.datetime.fromtimestamp(until_ns // SECOND_NS, dt.UTC)
    for symbol in (sample.COIN, *sample.EQUITIES):
        for session in sample.trading_sessions(now=now, days=2, symbol=symbol):
            try:
                _post_day(client, sample.sample_day(symbol, session), after_ns, until_ns)
            except MarketDataError as error:
                logger.warning("The sample feed's rows were refused: %s", error)


def _post_day(client: Client, day: sample.SampleDay, after_ns: int, until_ns: int) -> None:
    complete_until = format_timestamp(until_ns - sample.MAX_LATENCY_NS - sample.QUOTE_BEFORE_NS)
    quotes, trades, correction = day.between(after_ns, until_ns)
    for dataset, batch in (("quotes", quotes), ("trades", trades)):
        # All rows of an outage in one batch: a batch says that no row before its end is missing.
        rows = _rows(day.symbol, batch)
        client.ingest(dataset, rows, batch_rows=100_000, complete_until=complete_until)
    if correction is not None:
        row: dict[str, Any] = {"action": "correct", "timestamp": format_timestamp(correction.timestamp_ns)}
        row |= {**correction.named, "new_price": correction.new["price"]}
        body, key = {"symbol": day.symbol, "corrections": [row]}, secrets.token_urlsafe()
        client.post("/api/v1/trades/corrections", body, idempotency_key=key)


def _rows(symbol: str, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return rows as docs/ingest.md has them."""
    rows = [{"symbol": symbol} | row for row in batch.to_pylist()]
    for row in rows:
        row |= {name: format_timestamp(row[name]) for name in ("timestamp", "received_at")}
        if row.get("conditions"):
            row["conditions"] = row["conditions"].split(WORD_SEPARATOR)
    return rows
