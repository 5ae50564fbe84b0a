"""The feed process: keeps the wanted symbols current while it has the lease, and publishes how they are."""

import asyncio
import fcntl
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from ops.serve.database_lock import DutyLock
from sources.feed.log_feed import DATABASE, FeedThreads, LogFeed, pause_after
from sources.feed.rows import names_gone
from sources.feed_services import Configured, WantedFeed, wanted_feeds
from sources.feed_status import publish
from sources.protocol import SourceError, SourceFailed, SourceRefused
from sources.registry import source_named

logger = logging.getLogger(__name__)

_ROUND_SECONDS, _LIST_SECONDS, _SILENT_SECONDS = 1.0, 3600.0, 60.0
# So many logs are committed four times a second, more once a second.
_QUICK_LOGS, _QUICK, _SLOW = 20, 0.25, 1.0
# A source takes so many subscriptions on a connection.
_LOGS_A_CONNECTION = 100
_Connection = tuple[LogFeed, ...]


class FeedProcess:
    """Runs feeds until `ending` is set. configured: what is fed beside the marked symbols. say: is told of each change."""

    def __init__(self, configured: Sequence[Configured], say: Callable[[str], None]) -> None:
        self._configured, self._say = configured, say
        self._threads = FeedThreads()
        self._file: IO[str] | None = None
        self._lock = DutyLock(work="feeds")
        self._wanted: list[WantedFeed] = []
        self._logs: dict[WantedFeed, LogFeed] = {}
        self._tasks: dict[LogFeed | _Connection, asyncio.Task[None]] = {}
        self._listed_at = time.monotonic()
        self._is_prepared = False

    async def run(self, ending: asyncio.Event) -> None:
        """Feed until `ending` is set."""
        asyncio.get_running_loop().set_exception_handler(_quiet)
        try:
            while not ending.is_set():
                await self._round()
                with suppress(TimeoutError):
                    await asyncio.wait_for(ending.wait(), _ROUND_SECONDS)
        finally:
            await self._stop([*self._tasks])
            self._threads.stop()

    async def _round(self) -> None:
        """Keep the lease, follow what is wanted, publish."""
        run = self._threads.run
        with suppress(DatabaseError):
            self._wanted = await run(DATABASE, wanted_feeds, self._configured)
        has_lease = bool(self._wanted or self._logs) and await run(DATABASE, self._take_lease)
        if self._wanted and not has_lease and not self._is_prepared:
            await self._prepare()
        await self._follow(self._wanted if has_lease else [])
        await self._connect()
        if time.monotonic() >= self._listed_at + _LIST_SECONDS:
            self._listed_at = time.monotonic()
            await self._check_listed()
        if has_lease:
            with suppress(RedisError):
                await run(DATABASE, publish, [log.status for log in self._logs.values()])

    def _take_lease(self) -> bool:
        """Take the lease if it is free; return whether this process has it. Both of its locks end with the process.

        A file's lock lets one process of the host feed, one of PostgreSQL one host. Call it each second, in one thread.
        """
        if self._file is None:
            settings.RUN_DIR.mkdir(parents=True, exist_ok=True)
            file = (settings.RUN_DIR / "feed.lock").open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            self._file = file
        self._lock.look()
        return self._lock.is_held

    async def _prepare(self) -> None:
        """Load while another process feeds what takes seconds, so as to go on sooner after its end."""
        self._is_prepared = True
        for name in {each.source for each in self._wanted}:
            with suppress(SourceError, ImproperlyConfigured):
                await self._threads.run(name, source_named(name).prepare_live)
        self._say("Another process feeds: this one waits for its end")

    async def _follow(self, wanted: Sequence[WantedFeed]) -> None:
        """Start the feeds that are new, and stop those that are not wanted any more."""
        # The symbol of a configured feed is known only after its first start.
        by_key = {each._replace(symbol="" if each.is_setting else each.symbol): each for each in wanted}
        await self._stop([self._logs.pop(key) for key in self._logs.keys() - by_key.keys()])
        for key in by_key.keys() - self._logs.keys():
            self._logs[key] = log = LogFeed(by_key[key], self._threads, self._say)
            self._tasks[log] = asyncio.create_task(log.run())
        for log in self._logs.values():
            log.pace = _QUICK if len(self._logs) <= _QUICK_LOGS else _SLOW

    async def _connect(self) -> None:
        """Let each live log have a connection. Where logs come or go, their connection is opened anew.

        The connections of a source stay as they are until it was asked for all of its logs: otherwise it would be
        connected once for each of the first.
        """
        beginning = {log.feed.source for log in self._logs.values() if not log.has_begun}
        wanted = connections_of(self._logs.values())
        running = {each for each in self._tasks if isinstance(each, tuple)}
        settled = {each for each in wanted ^ running if each[0].feed.source not in beginning}
        await self._stop(settled & running)
        for logs in settled & wanted:
            self._tasks[logs] = asyncio.create_task(listen(logs))

    async def _check_listed(self) -> None:
        """Read the sources' markets again; refuse the symbols that are gone."""
        for source in {log.feed.source for log in self._logs.values()}:
            logs = [log for log in self._logs.values() if log.feed.source == source]
            names = {log.feed.name for log in logs}
            with suppress(SourceError, ImproperlyConfigured):
                gone = await self._threads.run(source, names_gone, source, names)
                for log in logs:
                    if log.feed.name in gone:
                        log.disconnected(SourceRefused(f"{source} does not list {log.feed.name} any more"))

    async def _stop(self, owners: Iterable[LogFeed | _Connection]) -> None:
        tasks = [self._tasks.pop(owner) for owner in owners]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def connections_of(logs: Iterable[LogFeed]) -> set[_Connection]:
    """Return the live logs that share a connection."""
    groups = defaultdict[tuple[object, ...], list[LogFeed]](list)
    for log in logs:
        if log.rows is not None and log.rows.is_live:
            instrument_class = log.rows.wanted.instrument.instrument_class
            groups[log.feed.source, instrument_class, ":" in log.feed.name].append(log)
    return {
        tuple(logs[start : start + _LOGS_A_CONNECTION])
        for logs in groups.values()
        for start in range(0, len(logs), _LOGS_A_CONNECTION)
    }


async def listen(logs: _Connection) -> None:
    """Give the news of a source to its logs until cancelled.

    Connects again after each error, and if the connection is silent or a subscription is dead.
    """
    source, failures = logs[0].feed.source, 0
    wanteds = [log.rows.wanted for log in logs if log.rows is not None]
    while True:
        failure: Exception = SourceFailed(f"{source} ended the connection")
        try:
            async with aclosing(source_named(source).live(wanteds)) as stream:
                async for news in stream:
                    failures = 0 if news.rows else failures
                    for log in logs:
                        log.hear(news)
                    if time.monotonic() - news.heard > _SILENT_SECONDS:
                        failure = SourceFailed(f"{source} was silent for {_SILENT_SECONDS:.0f} s")
                        break
        except (SourceError, ImproperlyConfigured) as error:
            failure = error
        except Exception:
            logger.exception("The live connection of %s failed", source)
            failure = SourceFailed(f"{source}'s live connection failed: the feed's log has the error")
        for log in logs:
            log.disconnected(failure)
        await asyncio.sleep(pause_after(failures, failure))
        failures += 1


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Leave out errors of ccxt that nobody awaits: it rejects all subscriptions of a connection that is lost."""
    if not type(context.get("exception")).__module__.startswith("ccxt"):
        loop.default_exception_handler(context)
