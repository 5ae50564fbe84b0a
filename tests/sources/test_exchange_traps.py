"""Traps of exchanges: Kraken's fake with the real ccxt, and answers that no fake gives."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from sources.ccxt_exchange import _market
from sources.exchange_client import SharedPace
from sources.exchange_pages import (
    READ,
    UNTESTED,
    Candle,
    CandleSeries,
    ExchangeTrade,
    Traits,
    candle_pages,
    trade_pages,
)
from sources.models import SourceSymbol
from sources.protocol import SourceFailed, SourceRefused
from store.datasets import BARS, TRADES
from store.exceptions import UnknownSymbol
from store.protocol import ALL_TIME, Window
from store.timestamps import format_timestamp
from tests.sources.exchanges import MINUTE_MS, FakeKraken, declared
from tests.sources.test_fetch import fetch
from trades.stores import market_store

MS = 1_000_000
Candles = list[Candle]
Answers = dict[tuple[int, int | None], Candles]


@pytest.fixture
def kraken(settings: Any, db: Any, default_store: Path, tmp_path: Path) -> Iterator[FakeKraken]:
    settings.RUN_DIR = tmp_path / "run"
    with FakeKraken() as exchange, declared(settings, kraken=exchange):
        yield exchange


def rows_of(dataset: Any) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = market_store().log(dataset, "BTC-USD").at().rows(ALL_TIME).to_pylist()
    except UnknownSymbol:
        return []
    return found


def ago(exchange: FakeKraken, minutes: int) -> str:
    return format_timestamp((exchange.now_ms // MINUTE_MS - minutes) * MINUTE_MS * MS)


def fills(dataset: Any) -> list[Window]:
    return [fill.window for _, fill in market_store().log(dataset, "BTC-USD").at().fills(ALL_TIME)]


def test_krakens_newest_candles_are_no_answer_about_last_month(kraken: FakeKraken):
    with pytest.raises(
        CommandError,
        match=r"BTC/USD: the exchange gives only its newest candles, here from .* begin there, or fetch --trades",
    ):
        fetch("kraken", "BTC/USD", "--start", ago(kraken, 43_200), "--end", ago(kraken, 20_000))
    assert rows_of(BARS) == []
    assert not SourceSymbol.objects.exists()
    assert market_store().declared_instruments() == []


def test_of_a_window_that_begins_before_krakens_newest_candles_the_rest_is_stored(kraken: FakeKraken):
    start = ago(kraken, 1_000)
    with pytest.raises(CommandError, match="nothing is known of the time before"):
        fetch("kraken", "BTC/USD", "--start", start)
    rows = rows_of(BARS)
    assert len(rows) in {718, 719, 720}
    assert min(each.start_ns for each in fills(BARS)) == rows[0]["timestamp"]
    assert format_timestamp(rows[0]["timestamp"]) > start


def test_krakens_candles_within_reach_are_fetched_once(kraken: FakeKraken):
    words = ("kraken", "BTC/USD", "--start", ago(kraken, 300), "--end", ago(kraken, 100))
    assert "200 new rows" in fetch(*words)
    kraken.calls.clear()
    assert "everything is known already" in fetch(*words)
    assert kraken.asked("OHLC") == []


def test_krakens_trades_are_cut_to_milliseconds_and_none_is_lost(kraken: FakeKraken):
    # 2,500 trades, of which 1,200 lie in one second, more than a page.
    second = kraken.now_ms // MINUTE_MS * 60 - 49_980
    kraken.trades = [(f"{second}.{each:05d}7", 100.0, 1.0, "b") for each in range(1200)]
    kraken.trades += [(f"{second + each}.5", 101.0, 0.5, "s") for each in range(1, 1301)]
    start = format_timestamp((second - 10) * 10**9)
    fetch(
        "kraken", "BTC/USD", "--trades", "--start", start, "--end", format_timestamp((second + 1200) * 10**9)
    )
    rows = rows_of(TRADES)
    assert [int(row["trade_id"]) for row in rows] == list(range(1, 2400))
    assert [row["timestamp"] - second * 10**9 for row in rows[99:101]] == [0, MS]
    assert (rows[0]["buyer_is_maker"], rows[-1]["buyer_is_maker"]) == (False, True)
    kraken.calls.clear()
    fetch(
        "kraken", "BTC/USD", "--trades", "--start", start, "--end", format_timestamp((second + 1200) * 10**9)
    )
    assert kraken.asked("Trades") == []


def series(answers: Answers, *, closed: int = 10_000) -> CandleSeries:
    return CandleSeries(lambda since, until: answers.get((since, until), []), "1m", 10, 10, closed)


def candle(at: int) -> Candle:
    return [at, 1, 1, 1, 1, 1]


def parts(made: CandleSeries, traits: Traits, start: int, end: int) -> list[tuple[list[float], int, int]]:
    pages = candle_pages(made, traits, Window(start * MS, end * MS))
    return [
        (
            [each // MS for each in page.rows.column(0).to_pylist()],
            page.answered.start_ns // MS,
            page.answered.end_ns // MS,
        )
        for page in pages
    ]


def test_an_exchange_of_which_nothing_is_known_answers_only_between_its_rows():
    answers: Answers = {(0, 99): [candle(20), candle(50)], (60, 159): [candle(150)]}
    assert parts(series(answers), Traits(UNTESTED), 0, 160) == [([20, 50], 20, 60), ([150], 150, 160)]


def test_an_empty_answer_claims_nothing():
    assert parts(series({}), Traits(READ), 0, 300) == []
    late: Answers = {(100, 199): [candle(150)]}
    assert parts(series(late), Traits(READ), 0, 160) == []
    assert parts(series({(100, 159): [candle(150)]}), Traits(READ), 0, 160) == [([150], 100, 160)]


def test_an_exchange_without_rows_for_long_is_not_asked_for_ever():
    with pytest.raises(
        SourceRefused, match="the exchange has no candles up to 1970-01-01T00:00:10Z: begin later"
    ):
        parts(series({}, closed=10**9), Traits(UNTESTED), 0, 10**9)


def test_answers_that_contradict_each_other_claim_nothing():
    made = series({(0, None): [candle(50)]})
    with pytest.raises(SourceFailed, match="answers the same question with and without rows"):
        parts(made, Traits(READ, since_alone=True), 0, 100)


def test_more_trades_in_one_instant_than_an_answer_holds_are_refused():
    def ask(last: ExchangeTrade | None) -> list[ExchangeTrade]:
        return [ExchangeTrade(5 * MS, None, 1.0, 1.0, None)] * 1000

    with pytest.raises(SourceRefused, match="the exchange has too many trades in one instant"):
        list(trade_pages(ask, Window(0, 10 * MS), by_id=False))


def test_the_turns_of_all_processes_are_in_one_file(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings.RUN_DIR = tmp_path
    waits: list[float] = []
    monkeypatch.setattr("sources.exchange_client.time.sleep", waits.append)
    now = float(int(time.time()) + 1)
    monkeypatch.setattr("sources.exchange_client.time.time", lambda: now)
    one, other = SharedPace("binance"), SharedPace("binance")
    one.wait(0.5)
    other.wait(0.5)
    SharedPace("kraken").wait(1.0)
    assert waits == [0.0, 0.5, 0.0]
    one.hold(30.0)
    with pytest.raises(SourceFailed, match="binance is not asked for 30 s more, as it wished") as raised:
        other.wait(0.5)
    assert raised.value.retry_after == pytest.approx(30.0)
    one.hold(7_200.0)
    with pytest.raises(SourceFailed, match="binance is not asked for 7200 s more, as it wished"):
        other.wait(0.5)


def test_volumes_that_count_contracts_are_told_by_the_name():
    market = {
        "symbol": "BTC/USDT:USDT",
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "type": "swap",
        "contract": True,
    }
    assert _market({**market, "contractSize": 0.01}).long_name == (
        "BTC in USDT, swap settled in USDT; volume in contracts of 0.01 BTC"
    )
    assert _market({**market, "contractSize": 1}).long_name == "BTC in USDT, swap settled in USDT"
