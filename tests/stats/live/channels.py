"""A channel of bars and a market with all that may change them, at random, for the tests of the live feed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from stats.live.bar_feed import BarFeed, BarPosition, BarStep, TouchedCommit, touched_commits
from stats.market_data.answers.page import page_snapshot
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.query import MarketDataQuery, parse_query
from stats.rendering.table import Table
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.protocol import Action, Amendment, Append, Correction, Dedupe
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS
from store.walk import LogPosition
from trades.stores import market_store

WORDS = (None, None, "odd_lot", "odd_lot", "extended_hours", "closing_print", "suspicious")
# An instrument of the same exchange.
OTHER = "OTHER"
HOUR_NS, MINUTE_NS = 3_600 * SECOND_NS, 60 * SECOND_NS
# All rows of a market are within this time of its "now".
RANGE_NS = 12 * DAY_NS
FINAL = [column.name for column in OHLCV.columns].index("final")
Bar = tuple[Any, ...]


def bars_of(table: Table) -> dict[int, Bar]:
    """Rows by their time. NaN, which is null, becomes None."""
    return {
        row["timestamp"]: tuple(None if each != each else each for each in row.values())  # noqa: PLR0124
        for row in table.data.to_pylist()
    }


def is_final(bar: Bar) -> bool:
    return bool(bar[FINAL])


def differences(left: dict[int, Bar], right: dict[int, Bar]) -> dict[int, tuple[Bar | None, Bar | None]]:
    """The times at which two states of a channel differ, with both bars."""
    times = sorted(left.keys() | right.keys())
    return {each: (left.get(each), right.get(each)) for each in times if left.get(each) != right.get(each)}


def rest_bars(query: MarketDataQuery, *, now_ns: int, as_of_ns: int | None = None) -> dict[int, Bar]:
    """All bars as `GET …/ohlcv/stream` answers them."""
    names = ("session", "hours", "anchor")
    own = {name: getattr(query, name) for name in names if getattr(query, name)}
    asked = {
        "resolution": query.resolution.value,
        "start": str(now_ns - RANGE_NS),
        "end": str(now_ns + RANGE_NS),
        **own,
    }
    if as_of_ns is not None:
        asked["as_of"] = str(as_of_ns)
    text = "&".join(f"{name}={value}" for name, value in asked.items())
    page = page_snapshot(
        query=parse_query(OHLCV, query.market_class.path, query.symbols[0], text, streamed=True),
        now_ns=now_ns,
    )
    return bars_of(page.source.after(None, 1_000_000).table)


def commits_after(position: BarPosition, symbol: str) -> list[TouchedCommit]:
    """What was committed to a symbol's logs after a position, by time."""
    found: list[TouchedCommit] = []
    for dataset, commit in ((TRADES, position.trades), (BARS, position.bars)):
        try:
            found += touched_commits(
                dataset, market_store().log(dataset, symbol).commits(LogPosition(commit))
            )
        except UnknownSymbol:
            continue
    return sorted(found, key=lambda each: each.committed_at)


@dataclass
class Client:
    """What a client has that applies every step."""

    feed: BarFeed
    bars: dict[int, Bar] = field(default_factory=dict)
    steps: list[BarStep] = field(default_factory=list)
    is_resumed: bool = False

    def take(self, step: BarStep | None) -> None:
        """Apply a step. It repeats no bar; but what became final without a commit is told again on resume or resync."""
        if step is None:
            return
        self.steps.append(step)
        rows = bars_of(step.rows)
        repeated = [bar for time_ns, bar in rows.items() if self.bars.get(time_ns) == bar]
        assert not repeated or (self.is_resumed and all(is_final(bar) for bar in repeated))
        assert self.bars.keys() >= set(step.removed)
        self.bars |= rows
        for time_ns in step.removed:
            del self.bars[time_ns]

    def follow(self, now_ns: int) -> None:
        """Take what was committed. After a resync, which special sessions bring as well, read all bars by REST."""
        commits = commits_after(self.feed.position, symbol_of(self.feed))
        count = len(self.steps)
        for step in self.feed.advance(commits, now_ns=now_ns):
            self.take(step)
        if any(step.is_resync for step in self.steps[count:]):
            query, as_of_ns = self.feed._query, self.feed.committed_at
            self.bars = rest_bars(query, now_ns=self.feed._bars.now_ns, as_of_ns=as_of_ns)
            self.is_resumed = True


def symbol_of(feed: BarFeed) -> str:
    return feed._query.symbols[0]


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
