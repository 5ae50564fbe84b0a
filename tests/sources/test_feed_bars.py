"""A source that cannot give its trades again is fed by its closed bars."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from sources.feed.log_feed import FeedThreads, LogFeed
from sources.feed_services import WantedFeed
from stats.market_data.plan import log_at
from store.datasets import BARS, TRADES
from store.protocol import ALL_TIME
from tests.ops.outbound.hostile_server import Call, served
from tests.patience import PROGRAM_SECONDS
from tests.sources.asked import QUICK
from tests.sources.fake_alpaca import DAYS, gives, gives_assets

OPENED = datetime(2022, 1, 3, 15, 0, tzinfo=UTC)


def closes() -> list[tuple[int, float]]:
    """The minutes of the stored bars, and their closes."""
    rows = log_at(BARS, "AAPL").snapshot.rows(ALL_TIME)
    begun = int(OPENED.timestamp() * 1e9)
    minutes = [(each - begun) // 60_000_000_000 for each in rows.column(0).to_pylist()]
    return [*zip(minutes, rows["close"].to_pylist(), strict=True)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("default_store")
def test_bars_of_sip_are_stored_when_they_are_final_and_corrected_when_they_change(
    settings: Any, tmp_path: Path
) -> None:
    bars = [DAYS[0] | {"t": f"2022-01-03T15:{minute:02}:00Z", "c": 179.0} for minute in (0, 1, 2, 3, 4, 40)]

    def behave(call: Call) -> None:
        (gives_assets if "/assets" in call.path else gives("bars", bars))(call)

    async def fed(clock: Any) -> None:
        said: list[str] = []
        log = LogFeed(WantedFeed("AAPL", "alpaca", "AAPL", "", is_setting=True), FeedThreads(), said.append)
        log.pace = 0.01
        task = asyncio.create_task(log.run())
        await until(lambda: log.status.state == "live")
        assert (log.status.dataset, log.status.resolution) == ("bars", "1m")
        assert said == ["AAPL: about 0.1 MB a day", "AAPL: filling", "AAPL: live"]
        clock.move_to(OPENED + timedelta(minutes=20, seconds=10))
        await until(lambda: log.status.filled_rows == 3)
        assert closes() == [(0, 179.0), (1, 179.0), (2, 179.0)]
        bars[1]["c"] = 180.0
        clock.move_to(OPENED + timedelta(minutes=21, seconds=10))
        await until(lambda: len(closes()) == 4)
        assert closes() == [(0, 179.0), (1, 180.0), (2, 179.0), (3, 179.0)]
        assert log_at(TRADES, "AAPL").is_empty
        task.cancel()

    settings.RUN_DIR, settings.SOURCE_KEYS = tmp_path / "run", {"alpaca": "id:secret"}
    with served(behave) as server, time_machine.travel(OPENED + timedelta(seconds=30), tick=False) as clock:
        settings.SOURCES = {"alpaca": {"url": server.url, "feed": "sip", "limits": QUICK}}
        asyncio.run(fed(clock))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PROGRAM_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)
