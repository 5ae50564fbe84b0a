"""A client of a channel of bars, and a market with all that may change them, at random, for the tests of the live feed."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from stats.exceptions import ResolutionUnavailable
from stats.live.bar_feed import BarFeed
from stats.live.channels import Channel, parse_channel
from stats.live.followers import Replay, SymbolFollower
from stats.live.frames import FRAME_ROWS, Message, resync_message
from stats.live.tokens import head_of, parse_tokens
from stats.market_data.answers.page import page_snapshot
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.query import MarketDataQuery, parse_query
from stats.rendering.format import TimeForm
from stats.rendering.json_rows import row_objects
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.protocol import Action, Amendment, Append, Correction, Dedupe
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS, parse_timestamp
from store.walk import Resync
from trades.stores import market_store

WORDS = (None, None, "odd_lot", "odd_lot", "extended_hours", "closing_print", "suspicious")
# An instrument of the same exchange.
OTHER = "OTHER"
HOUR_NS, MINUTE_NS = 3_600 * SECOND_NS, 60 * SECOND_NS
# All rows of a market are within this time of its "now".
RANGE_NS = 12 * DAY_NS
Bar = Mapping[str, Any]


def is_final(bar: Bar) -> bool:
    return bool(bar["final"])


def differences(
    left: Mapping[int, Bar], right: Mapping[int, Bar]
) -> dict[int, tuple[Bar | None, Bar | None]]:
    """The times at which two states of a channel differ, with both bars."""
    times = sorted(left.keys() | right.keys())
    return {each: (left.get(each), right.get(each)) for each in times if left.get(each) != right.get(each)}


def rest_bars(query: MarketDataQuery, *, now_ns: int) -> dict[int, Bar]:
    """All bars as `GET …/ohlcv/stream` answers them, by their time. There are none if only coarser ones are stored."""
    names = ("session", "hours", "anchor")
    own = {name: getattr(query, name) for name in names if getattr(query, name)}
    asked = {
        "resolution": query.resolution.value,
        "start": str(now_ns - RANGE_NS),
        "end": str(now_ns + RANGE_NS),
        **own,
    }
    text = "&".join(f"{name}={value}" for name, value in asked.items())
    asked_for = parse_query(OHLCV, query.market_class.path, query.symbols[0], text, streamed=True)
    try:
        page = page_snapshot(query=asked_for, now_ns=now_ns)
    except ResolutionUnavailable:
        # Only coarser bars are stored.
        return {}
    rows = row_objects(page.source.after(None, 1_000_000).table, TimeForm.RFC3339, ",")[:-1]
    return by_time(orjson.loads(b"".join((b"[", rows, b"]"))))


def by_time(rows: Sequence[Bar]) -> dict[int, Bar]:
    return {parse_timestamp(row["timestamp"]): row for row in rows}


def bar_channel(name: str) -> Channel:
    (channel,) = parse_channel(name)
    assert isinstance(channel, Channel)
    return channel


class Client:
    """What a client has that applies every message of a channel of bars: the bars by their time, and the last token.

    It is subscribed to what comes from now on. documents: all messages.
    """

    def __init__(self, name: str, bars: Mapping[int, Bar] | None = None) -> None:
        """bars: those that it has read before."""
        self.channel = bar_channel(name)
        self._follower = SymbolFollower(self.channel.symbol)
        feed = self._follower.add(self.channel)
        assert isinstance(feed, BarFeed)
        self.feed, self.seq = feed, feed.seq
        self.bars: dict[int, Bar] = dict(bars or {})
        self.documents: list[dict[str, Any]] = []

    @property
    def query(self) -> MarketDataQuery:
        assert self.channel.bars is not None
        return self.channel.bars

    def follow(self) -> None:
        """Take what was committed, and what is due."""
        found = self._follower.advance()
        assert not found.failed
        for message in found.messages:
            self.take(message)

    def resumed(self, token: str, bars: Mapping[int, Bar]) -> "Client":
        """A client that has continued from a token, at which it had these bars, and now has all."""
        client = Client(self.channel.name, bars)
        client.seq = token
        try:
            replay = Replay(self.channel, parse_tokens(token))
        except Resync as resync:
            client.take(resync_message(self.channel.name, resync.head.token))
            return client
        heads = {each: head_of(market_store(), each, self.channel.symbol) for each in self.channel.datasets}
        while messages := replay.next(heads):
            for message in messages:
                client.take(message)
        return client

    def take(self, message: Message) -> None:
        """Apply a message. After `resync`, which special sessions bring as well, read all bars by REST."""
        document = orjson.loads(message.payload)
        self.documents.append(document)
        self.seq = document["seq"]
        if document.get("op") == "resync":
            self.bars = rest_bars(self.query, now_ns=time.time_ns())
            return
        start_ns, end_ns = parse_timestamp(document["start"]), parse_timestamp(document["end"])
        rows = by_time(document["data"])
        assert len(rows) == len(document["data"]) <= FRAME_ROWS
        assert all(start_ns <= time_ns < end_ns for time_ns in rows)
        kept = {time_ns: bar for time_ns, bar in self.bars.items() if not start_ns <= time_ns < end_ns}
        self.bars = kept | rows


@dataclass
class RandomMarket:
    """Writes to one symbol's logs: live and late trades, prints without a price, corrections, stored bars, declarations.

    now_ns: the clock, which the caller sets for the store, too.
    """

    chance: random.Random
    symbol: str
    now_ns: int
    with_bars: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))

    def act(self) -> None:
        acts = [
            self.live,
            self.live,
            self.live,
            self.late,
            self.amend,
            self.declare,
            self.scattered,
            self.other,
        ]
        self.chance.choice([*acts, *([self.stored] * 2 if self.with_bars else [])])()

    def live(self) -> None:
        """Trades of the last seconds."""
        self.send(
            [self.now_ns - self.chance.randrange(5 * SECOND_NS) for _ in range(self.chance.randrange(1, 6))]
        )

    def late(self) -> None:
        """Trades of the last two hours, some dated ahead."""
        self.send([self.now_ns - self.chance.randrange(-MINUTE_NS, 2 * HOUR_NS) for _ in range(3)])

    def scattered(self) -> None:
        """Trades of other days."""
        self.send(
            [self.now_ns - self.chance.randrange(5 * DAY_NS) for _ in range(self.chance.randrange(1, 4))]
        )

    def amend(self) -> None:
        """Cancel or correct rows that were sent."""
        rows = self.chance.sample(self.sent, min(len(self.sent), self.chance.randrange(1, 5)))
        corrections = []
        for row in rows:
            new: dict[str, Any] = self.chance.choice(
                [
                    {},
                    {},
                    {"price": 99.0 + self.chance.randrange(9)},
                    {"volume": 7.0},
                    {"conditions": "odd_lot"},
                ]
            )
            action = Action.CORRECT if new else Action.CANCEL
            corrections.append(
                Correction(
                    action, row["timestamp"], {name: row[name] for name in ("trade_id", "exchange")}, new=new
                )
            )
            if not new:
                self.sent.remove(row)
        if corrections:
            market_store().correct(Amendment(TRADES, self.symbol, tuple(corrections), "test"))

    def declare(self) -> None:
        """Say that everything until about now was sent."""
        until_ns = self.now_ns - self.chance.randrange(-SECOND_NS, 3 * MINUTE_NS)
        batch = pa.RecordBatch.from_pylist([], schema=TRADES.schema)
        market_store().append(Append(TRADES, self.symbol, batch, "test", complete_until_ns=until_ns))

    def stored(self) -> None:
        """Stored bars of the last days, of several resolutions."""
        resolution = self.chance.choice(["1m", "5m", "1h", "1d"])
        length_ns = Resolution.parse(resolution).length_ns
        back_ns = self.chance.choice([5 * MINUTE_NS, 6 * HOUR_NS, 3 * DAY_NS])
        times = [self.now_ns - self.chance.randrange(back_ns) for _ in range(self.chance.randrange(1, 4))]
        self.store_bars(resolution, sorted({time_ns // length_ns * length_ns for time_ns in times}))

    def store_bars(self, resolution: str, starts_ns: list[int]) -> None:
        """Stored bars, some with vwap and trade_count."""
        rows = []
        for start_ns in starts_ns:
            price = 100.0 + self.chance.randrange(20)
            prices = {"open": price, "high": price + 1, "low": price - 1, "close": price}
            row = {"timestamp": start_ns, "resolution": resolution, **prices}
            row["volume"] = float(self.chance.randrange(1, 500))
            rows.append(row | ({"vwap": price, "trade_count": 3} if self.chance.random() < 0.5 else {}))
        self._append(BARS, rows)

    def other(self) -> None:
        """A trade of another symbol, by which the exchange's feed has come as far as now."""
        self._append(TRADES, [{"timestamp": self.now_ns, "price": 1.0, "volume": 1.0}], symbol=OTHER)

    def send(self, times: list[int], words: Sequence[str | None] = WORDS) -> None:
        """Trades at these times, with some of the condition words."""
        rows = []
        for time_ns in times:
            row: dict[str, Any] = {
                "timestamp": time_ns,
                "price": 100.0 + self.chance.randrange(10),
                "volume": float(self.chance.randrange(500)),
                "trade_id": f"t{next(self._number)}",
                "exchange": "XNYS",
            }
            rows.append(row | {"conditions": self.chance.choice(words)})
        self.sent += rows
        self._append(TRADES, rows)

    def _append(self, dataset: Dataset, rows: list[dict[str, Any]], *, symbol: str | None = None) -> None:
        filled = [{name: row.get(name) for name in dataset.schema.names} for row in rows]
        batch = pa.RecordBatch.from_pylist(filled, schema=dataset.schema)
        market_store().append(Append(dataset, symbol or self.symbol, batch, "test", dedupe=Dedupe.NONE))
