"""What a feed reads and stores: where it begins, goes on, which symbols are gone, how long it waits."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from sources.feed.log_feed import FeedThreads, LogFeed, pause_after
from sources.feed.process import FeedProcess
from sources.feed.rows import FedRows, names_gone
from sources.feed_services import WantedFeed
from sources.models import SourceSymbol
from sources.protocol import SourceRefused, Wanted
from store.csv import CsvStore
from store.datasets import BARS, TRADES
from store.expiring import expire, planned
from store.instruments import default_instrument
from store.protocol import Window
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS
from tests.sources.exchanges import FakeBinance, declared
from tests.sources.test_feed_queue import trades
from tests.store.builders import batch, trade
from trades.stores import market_store

FEED = WantedFeed("BTC-USDT", "binance", "BTC/USDT", "", is_setting=True)
NOW_NS = 1_704_067_200 * SECOND_NS + 5 * MINUTE_NS + 17 * SECOND_NS


@pytest.fixture
def binance(settings: Any, db: Any, default_store: Path, tmp_path: Path) -> Iterator[FakeBinance]:
    settings.RUN_DIR = tmp_path / "run"
    with FakeBinance() as exchange, declared(settings, binance=exchange):
        yield exchange


def test_a_new_feed_binds_its_symbol_and_begins_with_the_minute_that_runs(binance: FakeBinance) -> None:
    rows = FedRows.opened(FEED, NOW_NS)
    assert (rows.wanted.dataset, rows.wanted.name) == (TRADES, "BTC/USDT")
    assert rows.until_ns == NOW_NS - 17 * SECOND_NS
    assert SourceSymbol.objects.get().symbol == "BTC-USDT"
    assert market_store().declared_instruments(symbol="BTC-USDT")
    assert rows.holes(NOW_NS) == [Window(rows.until_ns, NOW_NS)]
    rows.store(None, NOW_NS)
    assert rows.holes(NOW_NS + 1) == [Window(NOW_NS - 17 * SECOND_NS, NOW_NS + 1)]


def test_a_feed_goes_on_where_its_log_ends(binance: FakeBinance) -> None:
    rows = FedRows.opened(FEED, NOW_NS)
    assert rows.store(trades(7, 8), 5) == 2
    again = FedRows.opened(FEED, NOW_NS + MINUTE_NS)
    assert (again.until_ns, again.newest_ns) == (5, 1)
    assert again.known()["trade_id"].to_pylist() == ["8"]
    assert again.holes(100) == [Window(1, 100)]
    again.store(None, 50)
    assert FedRows.opened(FEED, NOW_NS).until_ns == 50


def test_a_feed_that_was_away_goes_on_after_the_expired_dates(binance: FakeBinance) -> None:
    date_ns = NOW_NS // DAY_NS * DAY_NS
    FedRows.opened(FEED, date_ns - 4 * DAY_NS).store(trades(7), date_ns - 4 * DAY_NS)
    store = market_store()
    store.append(batch(trade(NOW_NS, trade_id="9"), symbol="BTC-USDT"))
    expire(store, planned(store, TRADES, "BTC-USDT", date_ns))
    rows = FedRows.opened(FEED, NOW_NS)
    assert rows.known()["trade_id"].to_pylist() == ["9"]
    assert rows.holes(NOW_NS) == [Window(date_ns, NOW_NS)]


def test_a_feed_asks_again_for_what_its_log_lost(binance: FakeBinance, store_path: Path) -> None:
    rows = FedRows.opened(FEED, NOW_NS)
    assert rows.store(trades(7, 8), 5) == 2
    assert rows.store(trades(9, 10), 50) > 0
    store, log = cast("CsvStore", market_store()), market_store().log(TRADES, "BTC-USDT")
    store.cut(TRADES, "BTC-USDT", store.planned_cut(TRADES, "BTC-USDT", log.committed_at(1)))
    again = FedRows.opened(FEED, NOW_NS + MINUTE_NS)
    assert (again.until_ns, again.newest_ns) == (5, 1)
    assert again.holes(100) == [Window(1, 100)]


def test_closed_bars_are_fed_where_a_length_is_named(binance: FakeBinance) -> None:
    feed = FEED._replace(timeframe="1h")
    rows = FedRows.opened(feed, NOW_NS)
    assert (rows.wanted.dataset, rows.wanted.resolution) == (BARS, "1h")
    assert rows.until_ns == NOW_NS // (60 * MINUTE_NS) * 60 * MINUTE_NS
    (asked,) = rows.holes(NOW_NS)
    assert asked.start_ns == rows.until_ns - 180 * MINUTE_NS


def test_a_symbol_of_another_source_is_refused(binance: FakeBinance) -> None:
    SourceSymbol.objects.create(symbol="BTC-USDT", source="kraken", name="BTC/USDT")
    with pytest.raises(SourceRefused, match="BTC-USDT is BTC/USDT of kraken"):
        FedRows.opened(FEED, NOW_NS)


def test_a_symbol_that_is_not_listed_any_more_is_named(binance: FakeBinance) -> None:
    assert names_gone("binance", {"BTC/USDT", "ETH/USDT"}) == set()
    binance.symbols = ("ETH",)
    assert names_gone("binance", {"BTC/USDT", "ETH/USDT"}) == {"BTC/USDT"}


def live_log(source: str, *, has_begun: bool) -> LogFeed:
    log = LogFeed(FEED._replace(source=source), FeedThreads(), print)
    log.has_begun = has_begun
    if has_begun:
        log.rows = FedRows(source, Wanted(TRADES, default_instrument("BTC-USDT"), FEED.name), 0, 0)
    return log


def test_a_source_that_has_not_answered_keeps_no_other_from_its_connection() -> None:
    process = FeedProcess((), print)
    logs = live_log("binance", has_begun=True), live_log("kraken", has_begun=False)
    process._logs = {log.feed: log for log in logs}

    async def connected() -> set[str]:
        await process._connect()
        sources = {owner[0].feed.source for owner in process._tasks if isinstance(owner, tuple)}
        await process._stop([*process._tasks])
        return sources

    assert asyncio.run(connected()) == {"binance"}


@pytest.mark.parametrize(("failures", "seconds"), [(0, 30), (1, 60), (4, 480), (5, 600), (2000, 600)])
def test_a_refusal_is_asked_again_after_thirty_seconds_then_after_twice_as_long(
    failures: int, seconds: float
) -> None:
    assert pause_after(failures, SourceRefused("no")) == seconds
