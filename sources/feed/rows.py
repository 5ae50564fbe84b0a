"""The rows of a fed log: what its source has, what is stored, and which live ones wait."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.asking import batch_of
from sources.feed_services import WantedFeed
from sources.planning import FetchOrder, symbol_bind, unknown_windows, wanted_of
from sources.protocol import SourcePage, SourceRefused, Wanted
from sources.registry import source_forget, source_named
from sources.row_checks import rows_checked
from stats.market_data.plan import log_at
from store.arrays import Integers
from store.datasets import BARS, TRADES
from store.log import Snapshot
from store.protocol import ALL_TIME, Window
from store.timestamps import MINUTE_NS
from trades.batches.row_batch import RowBatch
from trades.services import rows_ingest

CALLER = "feed"
# A candle may change shortly after its end: so many are asked for again.
_BARS_AGAIN = 3
# A feed that ended may have declared so much of a quiet time complete although its connection was dead.
_DOUBTED_NS = 6 * MINUTE_NS
_MOST_ROWS, _MOST_IDS = 50_000, 20_000


@dataclass(slots=True)
class FedRows:
    """The rows of a fed log. All calls block.

    source: its name. until_ns: no row before it is missing. newest_ns: the time of the newest row. first_ns: where a new
    feed began; history before it is not asked for.
    """

    source: str
    wanted: Wanted
    until_ns: int
    newest_ns: int
    first_ns: int = ALL_TIME.start_ns

    @classmethod
    def opened(cls, feed: WantedFeed, now_ns: int) -> "FedRows":
        """Return the rows of a feed, after its symbol is bound to its source. Raises `SourceError`s.

        A new feed begins with the minute, or the bar, that runs: a minute with some of its trades would hide its stored bar.
        """
        source = source_named(feed.source)
        if source.costs_money:
            raise SourceRefused(f"each request of {feed.source} costs money: it cannot be fed")
        is_bars = bool(feed.timeframe) or not source.gives_live
        dataset, timeframe = (BARS, feed.timeframe or "1m") if is_bars else (TRADES, "")
        symbol = "" if feed.is_setting else feed.symbol
        order = FetchOrder(feed.source, feed.name, dataset, timeframe, ALL_TIME, symbol)
        wanted = wanted_of(order)
        symbol_bind(order, wanted.instrument)
        known = log_at(dataset, wanted.instrument.symbol).snapshot.completeness()
        if known.complete_until_ns > ALL_TIME.start_ns:
            return cls(feed.source, wanted, known.complete_until_ns, known.newest_ns)
        step_ns = wanted.bar_ns or MINUTE_NS
        first_ns = now_ns // step_ns * step_ns
        return cls(feed.source, wanted, first_ns, known.newest_ns, first_ns)

    @property
    def is_new(self) -> bool:
        """Whether nothing was fed before."""
        return self.first_ns > ALL_TIME.start_ns

    @property
    def is_live(self) -> bool:
        """Whether rows come by a connection. Candles are asked for when they are closed."""
        return self.wanted.dataset is not BARS

    def holes(self, until_ns: int) -> list[Window]:
        """Return the windows before an instant of which rows may be missing.

        Those that a fetch has answered, and expired dates, are left out.
        """
        start_ns = self.until_ns
        if not self.is_live:
            start_ns -= _BARS_AGAIN * self.wanted.bar_ns
        elif self.newest_ns < start_ns:
            start_ns = max(self.newest_ns, self.first_ns, start_ns - _DOUBTED_NS)
        start_ns = max(start_ns, self._snapshot().expired.before_ns)
        if start_ns >= until_ns:
            return []
        return unknown_windows(self.wanted, self.source, Window(start_ns, until_ns))

    def pages(self, window: Window) -> Iterator[SourcePage]:
        """Return the source's pages, as a fetch reads them."""
        return source_named(self.source).pages(self.wanted, window)

    def known(self) -> pa.Table:
        """Return the stored rows from the log's end on."""
        snapshot = self._snapshot()
        start_ns = max(min(self.until_ns, self.newest_ns), snapshot.expired.before_ns)
        return snapshot.rows(Window(start_ns, ALL_TIME.end_ns))

    def store(self, rows: pa.RecordBatch | None, until_ns: int) -> int:
        """Store rows, and that none before an instant is missing. Return how many were new.

        Rows that break a rule are left out. Candles that changed become corrections. Raises `StorageError`s, `BatchRefused`.
        """
        wanted = self.wanted
        rows = batch_of(wanted.dataset, {"timestamp": []}) if rows is None else rows
        order = np.argsort(rows.column(0).to_numpy(), kind="stable")
        allows = wanted.instrument.allow_nonpositive_price
        valid = rows_checked(rows.take(pa.array(order)), wanted.dataset, allows_nonpositive=allows).rows
        done = rows_ingest(
            dataset=wanted.dataset,
            batch=RowBatch(wanted.instrument.symbol, valid),
            caller=CALLER,
            complete_until_ns=until_ns,
            replaces=not self.is_live and valid.num_rows > 0,
        )
        self.until_ns = max(self.until_ns, until_ns)
        self.newest_ns = max([self.newest_ns, *valid.column(0).to_pylist()[-1:]])
        return done.receipt.stored

    def _snapshot(self) -> Snapshot:
        return log_at(self.wanted.dataset, self.wanted.instrument.symbol).snapshot


def names_gone(source: str, names: set[str]) -> set[str]:
    """Return the names that a source does not list any more; none if it lists nothing. Raises `SourceError`s."""
    source_forget(source)
    gone, lists_any = set(names), False
    for market in source_named(source).markets():
        lists_any = True
        gone.discard(market.name)
        if not gone:
            break
    return gone if lists_any else set()


class RowQueue:
    """Trades of a connection, and the ids that are stored or that history gave.

    is_sequential: whether a jump in the ids proves that trades are missing.
    """

    def __init__(self, *, is_sequential: bool) -> None:
        self._is_sequential = is_sequential
        self._parts: list[pa.RecordBatch] = []
        self._count = 0
        self._known: set[str] = set()
        self._last_id: int | None = None
        self._last_ns = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rows: pa.RecordBatch) -> bool:
        """Let rows wait. If too many do, forget all of them and return False: history has them."""
        self._parts.append(rows)
        self._count += rows.num_rows
        if self._count <= _MOST_ROWS:
            return True
        self.clear()
        return False

    def clear(self) -> None:
        """Forget the rows that wait."""
        self._parts.clear()
        self._count = 0

    def begin(self, stored: pa.RecordBatch | pa.Table) -> None:
        """Begin with the newest trades that are stored. What was taken before may not have been stored."""
        self._known, self._last_id = set(), None
        self.know(stored)

    def know(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Note trades that history gave."""
        if self._is_sequential:
            last = [] if self._last_id is None else [self._last_id]
            self._last_id = max(last + _numbers(rows).tolist(), default=None)
            self._last_ns = max([self._last_ns, *rows.column(0).to_pylist()])
        elif len(self._known) < _MOST_IDS:
            self._known.update(rows["trade_id"].drop_null().to_pylist())
        else:
            self._known = set(rows["trade_id"].drop_null().to_pylist())

    def unknown(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows without those that are known by their ids: history's may have finer times than the live ones.

        Raises `SourceRefused` if the source began its ids anew.
        """
        if self._is_sequential:
            if self._last_id is None:
                return rows
            is_new = _numbers(rows) > self._last_id
            if (rows.column(0).to_numpy()[~is_new] > self._last_ns + MINUTE_NS).any():
                raise SourceRefused(
                    "the source began the ids of its trades anew: feed them under another symbol"
                )
            return rows.filter(pa.array(is_new))
        is_known = pc.is_in(rows["trade_id"], value_set=pa.array(sorted(self._known), pa.string()))
        return rows.filter(pc.invert(is_known))

    @property
    def meets_history(self) -> bool:
        """Whether no trade is missing between those that are known and those that wait. Without waiting ones nobody knows."""
        if not self._count:
            return False
        rows = self._waiting()
        if self._is_sequential and self._last_id is not None:
            return int(_numbers(rows)[0]) <= self._last_id + 1
        return bool(self.unknown(rows).num_rows < rows.num_rows)

    def take(self) -> tuple[pa.RecordBatch, bool]:
        """Return the new rows up to the first jump in the ids, and whether there is one: the rows behind it wait on."""
        rows = self.unknown(self._waiting())
        self.clear()
        if not self._is_sequential or not rows.num_rows:
            return rows, False
        numbers = _numbers(rows)
        first = int(numbers[0]) - 1 if self._last_id is None else self._last_id
        before = np.maximum.accumulate(np.concatenate([[first], numbers]))[:-1]
        is_new = numbers > before
        rows, steps = rows.filter(pa.array(is_new)), (numbers - before)[is_new]
        jumps = np.flatnonzero(steps > 1)
        if len(jumps):
            self.add(rows.slice(int(jumps[0])))
            rows = rows.slice(0, int(jumps[0]))
        if rows.num_rows:
            self.know(rows)
        return rows, len(jumps) > 0

    def _waiting(self) -> pa.RecordBatch:
        self._parts = [pa.concat_batches(self._parts)]
        return self._parts[0]


def _numbers(rows: pa.RecordBatch | pa.Table) -> Integers:
    return np.array(rows["trade_id"].to_pylist(), dtype=np.int64)
