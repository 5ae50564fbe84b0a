"""Keeps one log current: live rows are stored when no row before them is missing, and history closes each hole."""

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import pyarrow as pa
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections

from sources.feed.rows import FedRows, RowQueue
from sources.feed_services import WantedFeed
from sources.feed_status import FeedState, FeedStatus
from sources.planning import row_bytes
from sources.protocol import LiveNews, SourceError, SourceFailed, SourceRefused
from sources.registry import source_named
from store.exceptions import StorageError
from store.protocol import Window
from store.timestamps import DAY_NS, SECOND_NS
from trades.exceptions import BatchRefused

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
STORE, DATABASE = "(store)", "(database)"

# Their messages are for people. Others may name hosts and files, and stay in the log.
_FOR_PEOPLE = (ImproperlyConfigured, SourceError, StorageError, BatchRefused)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_REFUSED_PAUSE, _LONGEST_REFUSED = 30.0, 600.0
# History that is asked again waits so long.
_AGAIN = 2.0
# Rows are declared complete up to so long before the newest one, in a quiet market before the connection's last word.
_LAG_NS, _QUIET_LAG_NS = SECOND_NS, 5 * SECOND_NS
_DECLARE_SECONDS, _QUIET_SECONDS = 60.0, 300.0
# A candle is asked for so long after its end.
_CLOSED_NS = 3 * SECOND_NS
# Clocks may be so far apart. A trade from later would end the log's known time in the future, and history be asked no more.
_AHEAD_NS = 5 * SECOND_NS


def pause_after(failures: int, error: Exception) -> float:
    """Return the seconds to wait after an error that follows `failures` others: doubling, or what the source asked for."""
    doubled = 2.0 ** min(failures, 10)
    if isinstance(error, SourceRefused):
        return min(_LONGEST_REFUSED, _REFUSED_PAUSE * doubled)
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * doubled)
    return max(random.uniform(longest / 2, longest), getattr(error, "retry_after", None) or 0.0)  # noqa: S311


class FeedThreads:
    """The threads in which a feed process blocks: one for the store, one for the database, one for each source.

    The calls of a thread run one after the other: a slow source delays neither the store nor another source.
    """

    def __init__(self) -> None:
        self._pools = defaultdict[str, ThreadPoolExecutor](partial(ThreadPoolExecutor, 1))

    async def run(
        self,
        thread: str,
        call: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Result:
        """Return what a call returns. thread: `STORE`, `DATABASE`, or the name of the source that the call asks."""

        def run() -> Result:
            try:
                return call(*arguments, **options)
            finally:
                if thread != DATABASE:  # its connection may hold a lock
                    close_old_connections()

        return await asyncio.get_running_loop().run_in_executor(self._pools[thread], run)

    def stop(self) -> None:
        """Start no more calls, and wait for those that write."""
        for name, pool in self._pools.items():
            pool.shutdown(wait=name in {STORE, DATABASE}, cancel_futures=True)


class LogFeed:
    """Keeps one log current: `run` until it is cancelled. The log itself says where a new object goes on.

    say: is told of each change of the state. pace: the seconds between two commits. has_begun: whether the source was asked
    for the log, with or without success. rows: None until it answered.
    """

    def __init__(self, feed: WantedFeed, threads: FeedThreads, say: Callable[[str], None]) -> None:
        self.feed, self._threads, self._say = feed, threads, say
        self.pace, self.has_begun = 0.25, False
        self.rows: FedRows | None = None
        self.status = FeedStatus(
            symbol=feed.symbol,
            source=feed.source,
            name=feed.name,
            resolution=feed.timeframe,
            state="waiting",
            since_ns=time.time_ns(),
        )
        self._queue = RowQueue(is_sequential=False)
        self._bars_asked_ns = self._connects = 0
        self._is_connected = self._is_deaf = False
        # When the connection spoke last, by the wall clock: `time.monotonic` stands still while the machine sleeps.
        self._heard_ns = 0
        # Instants of `time.monotonic`. The hole: rows before it may be missing. Moved: when rows came last.
        now = time.monotonic()
        self._hole_at: float | None = now
        self._asked_at, self._heard_at, self._moved_at, self._declared_at = 0.0, 0.0, now, now

    async def run(self) -> None:
        """Keep the log current until cancelled. Errors are waited out; also a refusal, which may have been a mistake."""
        failures = 0
        while True:
            failure: Exception | None = None
            try:
                await self._step()
            except _FOR_PEOPLE as error:
                failure = error
            except Exception:
                logger.exception("The feed of %s failed", self.status.symbol)
                failure = SourceFailed("the feed failed: its log has the error")
            self.has_begun = True
            if failure is None:
                failures = 0
                await asyncio.sleep(self.pace)
                continue
            # What the store did not take, or took perhaps, is read from history.
            self._queue.clear()
            self.mark_hole()
            self._fail(failure)
            await asyncio.sleep(pause_after(failures, failure))
            failures += 1

    def hear(self, news: LiveNews) -> None:
        """Take the connection's news. Raises `SourceFailed` if history has trades that the connection left out."""
        if news.heard > self._heard_at:
            self._heard_at, self._heard_ns = news.heard, time.time_ns()
        if news.is_new_connection:
            self._connects += 1
            self.status.reconnects = self._connects - 1
            self._is_connected, self._is_deaf = True, False
            self.mark_hole()
        elif self._is_deaf:
            raise SourceFailed(f"{self.feed.source} left out trades of a subscription")
        if (rows := news.rows.get(self.feed.name)) is not None:
            self._moved_at = time.monotonic()
            if not self._queue.add(rows):
                self.mark_hole()

    def disconnected(self, error: Exception) -> None:
        """The connection is lost, or was refused."""
        self._is_connected = False
        self._fail(error)

    def mark_hole(self) -> None:
        """Let history be asked before newer rows are stored."""
        self.status.holes += self._hole_at is None
        self._hole_at = time.monotonic()

    async def _step(self) -> None:
        if self.rows is None:
            self.rows = await self._open()
        elif not self.rows.is_live:
            await self._ask_bars(self.rows)
        elif self._hole_at is not None:
            if self._is_connected:
                await self._close_hole(self.rows, self._hole_at)
        elif self._queue:
            await self._flush(self.rows)
        else:
            await self._watch_quiet(self.rows)

    async def _open(self) -> FedRows:
        rows = await self._threads.run(self.feed.source, FedRows.opened, self.feed, time.time_ns())
        source, status = source_named(self.feed.source), self.status
        self._queue = RowQueue(is_sequential=source.ids_are_sequential)
        status.symbol, status.dataset = rows.wanted.instrument.symbol, rows.wanted.dataset.name
        status.resolution = rows.wanted.resolution or ""
        if rows.is_new:
            day = Window(time.time_ns() - DAY_NS, time.time_ns())
            cost = await self._threads.run(self.feed.source, source.estimate, rows.wanted, [day])
            if cost.rows is not None:
                self._say(
                    f"{status.symbol}: about {cost.rows * row_bytes(rows.wanted.dataset) / 1e6:,.1f} MB a day"
                )
        self._show("filling")
        return rows

    async def _ask_bars(self, log: FedRows) -> None:
        """Ask for the candles that closed since the last call, and the last ones again: they may have changed."""
        step_ns = log.wanted.bar_ns
        closed_ns = (time.time_ns() - _CLOSED_NS) // step_ns * step_ns
        if closed_ns > self._bars_asked_ns:
            await self._fill(log)
            self._hole_at, self._bars_asked_ns = None, closed_ns
            self._show("live")

    async def _close_hole(self, log: FedRows, hole_at: float) -> None:
        """Ask history at once, then every two seconds while live rows wait, and when it has settled.

        The hole is closed if the waiting rows follow those of history, or if history had settled when it was asked.
        """
        now, settled_at = time.monotonic(), hole_at + source_named(self.feed.source).settled_seconds
        is_first, is_due = self._asked_at < hole_at, now >= self._asked_at + _AGAIN
        if is_first or now >= settled_at or (is_due and self._queue):
            self._show("filling")
            await self._fill(log)
        # Another hole may have been marked meanwhile.
        if self._hole_at == hole_at and (self._queue.meets_history or self._asked_at >= settled_at):
            self._hole_at = None
            self._show("live")

    async def _fill(self, log: FedRows) -> None:
        """Store what history has from the log's end on."""
        run, source = self._threads.run, self.feed.source
        self._asked_at = time.monotonic()
        holes = await run(source, log.holes, time.time_ns())
        if log.is_live:
            self._queue.begin(await run(STORE, log.known))
        for hole in holes:
            pages = log.pages(hole)
            while (page := await run(source, next, pages, None)) is not None:
                rows = page.rows
                if log.is_live:
                    rows = self._queue.unknown(rows)
                    self._queue.know(page.rows)
                self.status.filled_rows += await self._store(log, rows, page.answered.end_ns)

    async def _flush(self, log: FedRows) -> None:
        """Store the rows that wait, up to a jump in their ids."""
        rows, has_jump = self._queue.take()
        if has_jump:
            self.mark_hole()
        if rows.num_rows:
            newest_ns = int(rows.column(0).to_numpy().max())
            if (ahead_ns := newest_ns - time.time_ns()) > _AHEAD_NS:
                ahead = f"{ahead_ns // SECOND_NS:,} s ahead of this machine's clock"
                raise SourceFailed(f"a trade of {self.feed.source} is {ahead}: set the clock, if it is wrong")
            await self._store(log, rows, newest_ns - _LAG_NS)

    async def _watch_quiet(self, log: FedRows) -> None:
        """Ask history whether a log is quiet or its subscription is dead; declare once a minute that no row is missing."""
        now = time.monotonic()
        if now - self._moved_at > _QUIET_SECONDS:
            self._moved_at, before = now, self.status.filled_rows
            await self._fill(log)
            self._is_deaf = self.status.filled_rows > before and not self._queue
        elif now - self._declared_at > _DECLARE_SECONDS and self._heard_at > self._declared_at:
            await self._store(log, None, self._heard_ns - _QUIET_LAG_NS)

    async def _store(self, log: FedRows, rows: pa.RecordBatch | None, until_ns: int) -> int:
        """Store rows, and that none before an instant is missing; return how many were new."""
        count = await self._threads.run(STORE, log.store, rows, until_ns)
        self._declared_at = time.monotonic()
        if rows is not None and rows.num_rows:
            self.status.newest_ns = log.newest_ns
            self.status.lag_seconds = (time.time_ns() - log.newest_ns - log.wanted.bar_ns) / SECOND_NS
        return count

    def _fail(self, error: Exception) -> None:
        self._show("refused" if isinstance(error, SourceRefused) else "waiting", str(error))

    def _show(self, state: FeedState, message: str = "") -> None:
        """Let the status have a state, and say it if it is another one."""
        status = self.status
        if (state, message) != (status.state, status.message):
            if state != status.state:
                status.since_ns = time.time_ns()
            status.state, status.message = state, message
            self._say(f"{status.symbol}: {state}{f', {message}' if message else ''}")
