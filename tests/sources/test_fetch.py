"""Fetches from Binance's fake, whole: what is stored, what is asked, what is said."""

import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from django.core.management import CommandError, call_command

from sources import fetching
from sources.asking import batch_of
from sources.models import FetchedLog, SourceSymbol
from store.datasets import BARS, TRADES
from store.instruments import Instrument
from store.protocol import ALL_TIME, Append, Fill, Window
from store.timestamps import MINUTE_NS, format_timestamp, parse_timestamp
from tests.sources.exchanges import FakeBinance, declared
from trades import services
from trades.stores import market_store

pytestmark = pytest.mark.django_db
START, END = "2024-01-01T00:00:00Z", "2024-01-03T00:00:00Z"
START_MS = parse_timestamp(START) // 10**6
MINUTE_MS = 60_000


@pytest.fixture
def binance(settings: Any, default_store: Path, tmp_path: Path) -> Iterator[FakeBinance]:
    settings.RUN_DIR = tmp_path / "run"
    with FakeBinance() as exchange, declared(settings, binance=exchange):
        yield exchange


def fetch(*words: str, **options: Any) -> str:
    """Run the command; return what it printed."""
    out = io.StringIO()
    call_command("fetch", *words, stdout=out, **options)
    return out.getvalue()


def stored(symbol: str = "BTC-USDT", dataset: Any = BARS) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = market_store().log(dataset, symbol).at().rows(ALL_TIME).to_pylist()
    return rows


def odd_bar(minute: int) -> pa.RecordBatch:
    """A bar that is not the exchange's."""
    prices = {key: [9.0] for key in ("open", "high", "low", "close", "volume")}
    times = [START_MS * 10**6 + minute * MINUTE_NS]
    return batch_of(BARS, {"timestamp": times, "resolution": ["1m"], **prices})


def close(minute: int) -> float:
    """The close of a minute's candle, from `START` on."""
    return 100.5 + (START_MS // MINUTE_MS + minute) % 50


def test_two_days_of_minutes_are_fetched_once(binance: FakeBinance):
    said = fetch("binance", "BTC/USDT", "--start", START, "--end", END)
    rows = stored()
    assert len(rows) == 2880
    assert rows[0] == {
        "timestamp": parse_timestamp(START), "resolution": "1m", "open": 100.0 + START_MS // MINUTE_MS % 50,
        "high": 160.0 + START_MS // MINUTE_MS % 50, "low": 99.0 + START_MS // MINUTE_MS % 50,
        "close": 100.5 + START_MS // MINUTE_MS % 50, "volume": 2.5, "vwap": None, "trade_count": None,
    }  # fmt: skip
    assert len(binance.asked("klines")) == 3
    assert "binance's terms apply" in said
    assert (
        "BTC-USDT: bars of 1m of BTC/USDT from binance, 2024-01-01T00:00:00Z to 2024-01-03T00:00:00Z" in said
    )
    assert "4 requests, about 0:00:01, 0.2 MB" in said
    assert "2,880 new rows, 0 known" in said
    binance.calls.clear()
    again = fetch("binance", "BTC/USDT", "--start", START, "--end", END)
    assert binance.asked("klines") == []
    assert "everything is known already" in again
    assert "terms apply" not in again


def test_a_stretch_without_candles_and_the_time_before_the_listing_are_answered(binance: FakeBinance):
    binance.missing = {START_MS + MINUTE_MS * each for each in range(100, 1600)}
    said = fetch("binance", "BTC/USDT", "--start", "2023-06-01", "--end", END)
    assert "1,380 new rows" in said
    assert "no answer" not in said
    times = [row["timestamp"] for row in stored()]
    assert times[99:101] == [parse_timestamp(START) + MINUTE_NS * each for each in (99, 1600)]
    # From 2023-06-01 on nothing, three answers with rows, and two that show where the next candle is.
    assert len(binance.asked("klines")) <= 8
    binance.calls.clear()
    fetch("binance", "BTC/USDT", "--start", "2023-06-01", "--end", END)
    assert binance.asked("klines") == []


def test_the_candle_that_runs_is_not_stored(binance: FakeBinance):
    binance.listed_ms = (binance.now_ms // MINUTE_MS - 5) * MINUTE_MS
    said = fetch("binance", "BTC/USDT", "--start", START)
    assert "no answer" not in said
    newest = stored()[-1]["timestamp"] // 10**6
    assert newest + MINUTE_MS <= binance.now_ms
    assert len(stored()) in {4, 5, 6}


def test_without_arguments_everything_known_is_brought_up_to_now(binance: FakeBinance):
    now = binance.now_ms
    binance.listed_ms = now - 3 * 3_600_000
    fetch("binance", "BTC/USDT", "ETH/USDT", "--start", START, "--end", _text(now - 3_600_000))
    fetch("binance", "BTC/USDT", "--start", START, "--timeframe", "1h")
    before = len(stored()), len(stored("ETH-USDT"))
    binance.calls.clear()
    said = fetch()
    assert "corrected" not in said
    assert len(stored()) >= before[0] + 58
    assert len(stored("ETH-USDT")) >= before[1] + 58
    assert all(int(query["startTime"]) >= now - 2 * 3_600_000 for query in binance.asked("klines"))
    assert said.count(" new rows") + said.count("is known already") == 3
    assert "no answer" not in said
    assert fetch("--again").count(" 0 corrected") == 3


def _text(instant_ms: int) -> str:
    return format_timestamp(instant_ms * 10**6)


def test_the_instrument_is_declared_by_the_first_fetch_only(binance: FakeBinance):
    fetch("binance", "BTC/USDT", "--start", START, "--end", "2024-01-01T00:10:00Z")
    instrument = market_store().instrument("BTC-USDT")
    found = (instrument.instrument_class, instrument.name, instrument.tick_size, instrument.currency)
    assert found == ("crypto", "BTC in USDT", 0.01, None)
    market_store().set_instruments([Instrument("ETH-USDT", instrument_class="crypto", name="mine")])
    fetch("binance", "ETH/USDT", "--start", START, "--end", "2024-01-01T00:10:00Z")
    assert market_store().instrument("ETH-USDT").name == "mine"


def test_a_second_source_of_a_symbol_needs_another_symbol(binance: FakeBinance, settings: Any):
    settings.SOURCES = {**settings.SOURCES, "copy": {"kind": "binance", "url": binance.url}}
    window = ("--start", START, "--end", "2024-01-01T00:10:00Z")
    fetch("binance", "BTC/USDT", *window)
    with pytest.raises(
        CommandError,
        match="BTC-USDT is BTC/USDT of binance, and a symbol has one source: add --as COPY:BTC-USDT",
    ):
        fetch("copy", "BTC/USDT", *window)
    fetch("copy", "BTC/USDT", *window, "--as", "COPY:BTC-USDT")
    assert len(stored("COPY:BTC-USDT")) == 10
    # From now on the name means the symbol that was given.
    assert "everything is known already" in fetch("copy", "BTC/USDT", *window)
    fetch("copy", "BTC/USDT", *window, "--as", "OTHER")
    with pytest.raises(CommandError, match="BTC/USDT is stored as COPY:BTC-USDT, OTHER: name one by --as"):
        fetch("copy", "BTC/USDT", *window)
    assert {row.symbol: row.source for row in SourceSymbol.objects.all()} == {
        "BTC-USDT": "binance",
        "COPY:BTC-USDT": "copy",
        "OTHER": "copy",
    }


def test_a_symbol_of_the_own_feed_is_not_fetched_from_an_exchange(binance: FakeBinance):
    market_store().append(Append(BARS, "BTC-USDT", odd_bar(0), "feed", request_key="one"))
    window = ("--start", START, "--end", "2024-01-01T00:10:00Z")
    for words in (window, (*window, "--again")):
        with pytest.raises(
            CommandError, match="BTC-USDT has rows that were not fetched, and a symbol has one source"
        ):
            fetch("binance", "BTC/USDT", *words)
    assert [each["close"] for each in stored()] == [9.0]
    assert not SourceSymbol.objects.exists()
    assert "10 new rows" in fetch("binance", "BTC/USDT", *window, "--as", "BINANCE:BTC-USDT")


def test_bars_of_the_own_source_replace_those_that_another_filled_in(binance: FakeBinance):
    window = ("--start", START, "--end", "2024-01-01T00:10:00Z")
    fetch("binance", "BTC/USDT", "--start", START, "--end", "2024-01-01T00:05:00Z")
    at = START_MS * 10**6 + 6 * MINUTE_NS
    fill = Fill(Window(at, at + MINUTE_NS), "venue", "bars 1m")
    services.fill_store(
        dataset=BARS, symbol="BTC-USDT", rows=odd_bar(6), fill=fill, caller="backfill", request_key="one"
    )
    assert stored()[-1]["close"] == 9.0
    assert "1 corrected" in fetch("binance", "BTC/USDT", *window)
    assert [each["close"] for each in stored()] == [close(each) for each in range(10)]


def test_candles_that_changed_become_corrections(binance: FakeBinance):
    window = ("--start", START, "--end", "2024-01-01T01:00:00Z")
    fetch("binance", "BTC/USDT", *window)
    log = market_store().log(BARS, "BTC-USDT")
    first = log.head
    binance.changed = {START_MS + each * MINUTE_MS: close(each) + 10 for each in (5, 7)}
    assert "everything is known already" in fetch("binance", "BTC/USDT", *window)
    assert "0 new rows, 58 known, 2 corrected" in fetch("binance", "BTC/USDT", *window, "--again")
    assert [stored()[each]["close"] for each in (5, 6, 7)] == [close(5) + 10, close(6), close(7) + 10]
    assert len(stored()) == 60
    before = log.at(first).rows(ALL_TIME).to_pylist()
    assert before[5]["close"] == close(5)
    assert "0 new rows, 60 known, 0 corrected" in fetch("binance", "BTC/USDT", *window, "--again")


def test_trades_have_the_ids_of_aggregated_trades_and_none_is_lost(binance: FakeBinance):
    # Three trades in each millisecond, so that pages end within one; 2,100 of one millisecond fill two pages.
    first = START_MS + MINUTE_MS - 100
    times = [first + each // 3 for each in range(3000)] + [first + 1_001] * 2100 + [first + 1_002]
    binance.trades = [(at, 100 + each % 7, 1.5, each % 2 == 0) for each, at in enumerate(times)]
    start = "2024-01-01T00:01:00Z"
    fetch("binance", "BTC/USDT", "--trades", "--start", start, "--end", "2024-01-02")
    rows = stored(dataset=TRADES)
    # The last instant is as old as the others, so no trade can come there any more.
    assert [int(row["trade_id"]) for row in rows] == list(range(300, 5101))
    assert rows[1]["buyer_is_maker"] is False
    assert rows[0]["timestamp"] == parse_timestamp(start)
    asked = [
        query["fromId"]
        for query in binance.asked("aggTrades")
        if query.get("limit") == "1000" and "fromId" in query
    ]
    assert len(asked) == len(set(asked))


def test_trades_are_fetched_of_whole_minutes(binance: FakeBinance):
    binance.trades = [(START_MS + each * 20_000, 100.0, 1.0, True) for each in range(12)]
    fetch(
        "binance", "BTC/USDT", "--trades", "--start", "2024-01-01T00:01:30Z", "--end", "2024-01-01T00:03:30Z"
    )
    assert [int(row["trade_id"]) for row in stored(dataset=TRADES)] == [3, 4, 5, 6, 7, 8]


def test_the_time_before_the_listing_that_an_exchange_tells_is_not_asked_for(binance: FakeBinance):
    said = fetch("binance", "BTC/USDT:USDT", "--start", "2023-12-01", "--end", "2024-01-01T00:10:00Z")
    assert "10 new rows" in said
    assert "no answer" not in said
    assert len(binance.asked("klines")) == 1


def test_trades_that_the_answer_leaves_out_are_noticed(binance: FakeBinance, monkeypatch: pytest.MonkeyPatch):
    binance.trades = [(START_MS + 100 * each, 100.0, 1.0, True) for each in range(2500)]
    whole = binance.agg_trades
    monkeypatch.setattr(
        binance, "agg_trades", lambda query: [row for row in whole(query) if row["a"] != 1700]
    )
    monkeypatch.setattr("sources.fetching._ATTEMPTS", 1)
    with pytest.raises(CommandError, match="binance left out trades: the ids after 1200 have gaps"):
        fetch("binance", "BTC/USDT", "--trades", "--start", START, "--end", "2024-01-02")
    # A part of a minute would hide the stored bar of the minute.
    assert len(stored(dataset=TRADES)) == 1200


def test_a_fetch_goes_on_after_a_ban_is_announced_and_asks_nothing_meanwhile(binance: FakeBinance):
    fetch("binance", "BTC/USDT", "--start", START, "--end", "2024-01-01T00:10:00Z")
    binance.calls.clear()
    binance.status, binance.retry_after, binance.failing = 429, 1, 1
    began = time.monotonic()
    assert "2,870 new rows" in fetch("binance", "BTC/USDT", "--start", START, "--end", END)
    assert time.monotonic() - began >= 1
    # The question that was refused, and three pages.
    assert len(binance.asked("time")) == 2
    assert len(binance.asked("klines")) == 3


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (451, r"binance refuses your country or address \(451\): fetch from binanceus"),
        (403, r"binance refuses your country or address \(403\): fetch from binanceus"),
    ],
)
def test_a_country_that_is_refused_gets_the_exchange_for_it(binance: FakeBinance, status: int, sentence: str):
    binance.status, binance.failing = status, -1
    with pytest.raises(CommandError, match=sentence):
        fetch("binance", "BTC/USDT", "--start", START, "--end", END)
    assert len(binance.calls) == 1
    assert not SourceSymbol.objects.exists()


def test_an_exchange_that_fails_is_left_alone_after_five_times(
    binance: FakeBinance, monkeypatch: pytest.MonkeyPatch
):
    fetch("binance", "BTC/USDT", "--start", START, "--end", "2024-01-01T00:10:00Z")
    waits: list[float] = []
    monkeypatch.setattr("sources.management.commands.fetch.time.sleep", waits.append)
    binance.calls.clear()
    binance.status, binance.failing = 503, -1
    with pytest.raises(CommandError, match="binance failed 5 times in a row and is left alone for 60 s"):
        fetch("binance", "BTC/USDT", "--start", START, "--end", END)
    assert len(binance.calls) == 5
    assert max(waits) == 60
    assert len(stored()) == 10


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["binance", "BTC/USTD", "--start", START], "binance has no market BTC/USTD: did you mean BTC/USDT"),
        (["binanse", "BTC/USDT", "--start", START], "there is no source binanse: did you mean binance"),
        (
            ["binance", "BTC/USDT"],
            "name symbols and a start: manage.py fetch binance NAME --start 2024-01-01",
        ),
        (["binance", "BTC/USDT", "--start", "yesterday"], "not an ISO 8601 / RFC 3339 date or time"),
        (["binance", "BTC/USDT", "--start", "2024-01-02", "--end", START], "the start lies after the end"),
        (["binance", "BTC/USDT", "--start", "yesterday"], "--start yesterday: not an ISO 8601"),
        (
            ["binance", "BTC/USDT", "--start", START, "--timeframe", "7m"],
            "binance has no candles of 7m; it has 1s, 1m, 3m",
        ),
        (
            ["binance", "BTC/USDT", "--start", START, "--timeframe", "1M"],
            "months are made from days: fetch 1d",
        ),
        (
            ["binance", "BTC/USDT", "--start", START, "--quotes"],
            "binance gives candles and trades, no quotes",
        ),
        ([], "nothing was fetched yet: manage.py fetch binance BTC/USDT --start 2024-01-01"),
    ],
)
def test_each_mistake_is_one_sentence(binance: FakeBinance, words: list[str], sentence: str):
    with pytest.raises(CommandError, match=re.escape(sentence)) as raised:
        fetch(*words)
    assert "\n" not in str(raised.value)
    assert binance.asked("klines") == []
    assert not SourceSymbol.objects.exists()


def test_a_clock_that_is_wrong_is_refused(binance: FakeBinance):
    binance.clock_ahead_ms = 60_000
    with pytest.raises(CommandError, match="this machine's clock is 60 s behind binance's: set it"):
        fetch("binance", "BTC/USDT", "--start", START, "--end", END)
    assert binance.asked("klines") == []


def test_a_candle_that_breaks_a_rule_is_left_out_and_told(binance: FakeBinance):
    binance.changed = {START_MS + 5 * MINUTE_MS: 1_000.0}
    said = fetch("binance", "BTC/USDT", "--start", START, "--end", "2024-01-01T00:10:00Z")
    assert "9 new rows" in said
    assert "no answer for 1 stretch, the first from 2024-01-01T00:05:00Z on" in said
    assert (
        "1 left out (row 5, 2024-01-01T00:05:00Z, the row open and close must lie between low and high)"
        in said
    )
    # The exchange has not shown that nobody traded: the minute is asked for again.
    binance.changed = {}
    assert "1 new rows" in fetch("binance", "BTC/USDT", "--start", START, "--end", "2024-01-01T00:10:00Z")


def test_a_candle_without_a_time_is_not_taken_for_a_minute_without_trades(
    binance: FakeBinance, monkeypatch: pytest.MonkeyPatch
):
    """Such an answer is asked for twice, not as often as one that did not come."""
    whole = binance.candle
    broken = START_MS + 5 * MINUTE_MS
    monkeypatch.setattr(
        binance, "candle", lambda at, step: [at if at != broken else None, *whole(at, step)[1:]]
    )
    with pytest.raises(CommandError) as raised:
        fetch("binance", "BTC/USDT", "--start", START, "--end", "2024-01-01T00:10:00Z")
    assert str(raised.value) == "BTC/USDT: binance answered in another form than expected"
    assert len(binance.asked("klines")) == 2
    assert not SourceSymbol.objects.exists()


@pytest.mark.parametrize(("is_gone", "said"), [(False, "no answer in 1 s"), (True, "no connection")])
def test_an_exchange_that_hangs_or_is_gone_while_the_plan_is_made_is_named(
    binance: FakeBinance, monkeypatch: pytest.MonkeyPatch, settings: Any, is_gone: bool, said: str
):
    monkeypatch.setattr("sources.exchange_client._TIMEOUT_MS", 1_000)
    binance.delay = 2.0
    url = "http://127.0.0.1:9" if is_gone else binance.url
    settings.SOURCES = {"slow": {"kind": "binance", "url": url}}
    with pytest.raises(CommandError) as raised:
        fetch("slow", "BTC/USDT", "--start", START, "--end", "2024-01-01T00:10:00Z")
    assert str(raised.value) == f"BTC/USDT: slow is away ({said})"


def test_markets_of_another_form_are_said(binance: FakeBinance, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(binance, "document", lambda *_: {"symbols": [{"symbol": 5}]})
    with pytest.raises(CommandError) as raised:
        fetch("binance", "BTC/USDT", "--start", START, "--end", END)
    assert str(raised.value) == "BTC/USDT: binance answered in another form than expected"


def test_a_perpetual_has_a_symbol_of_its_own(binance: FakeBinance):
    fetch("binance", "BTC/USDT:USDT", "--start", START, "--end", "2024-01-01T00:10:00Z")
    assert len(stored("BTC-USDT:USDT")) == 10
    assert market_store().instrument("BTC-USDT:USDT").name == "BTC in USDT, swap settled in USDT"


def test_a_check_stores_nothing(binance: FakeBinance):
    assert re.search(r"binance BTC/USDT: (9|10) bars of 1m of the last 10", fetch("binance", "--check"))
    assert not SourceSymbol.objects.exists()


def test_markets_are_listed_by_a_part_of_their_names(binance: FakeBinance):
    assert [line.split()[:2] for line in fetch("binance", "eth", "--markets").splitlines()] == [
        ["ETH/USDT", "ETH-USDT"],
        ["ETH/USDT:USDT", "ETH-USDT:USDT"],
    ]


def test_what_is_fetched_is_kept(binance: FakeBinance):
    fetch("binance", "BTC/USDT", "--start", "2024-01-01T00:05:00Z", "--end", "2024-01-01T00:10:00Z")
    fetch("binance", "BTC/USDT", "--start", START, "--end", "2024-01-01T00:10:00Z")
    (log,) = FetchedLog.objects.all()
    assert (log.dataset, log.resolution, log.start_ns) == ("bars", "1m", parse_timestamp(START))


class Killed(BaseException):
    """The end of a process."""


def test_a_fetch_that_is_killed_ten_times_stores_the_same_and_asks_nothing_twice(
    binance: FakeBinance, monkeypatch: pytest.MonkeyPatch
):
    binance.missing = {START_MS + MINUTE_MS * each for each in range(5_000, 7_500)}
    words = ("--start", START, "--end", "2024-01-12T00:00:00Z")
    fetch("binance", "ETH/USDT", *words)
    whole = stored("ETH-USDT")
    binance.calls.clear()
    usual, kills = services.fill_store, 0

    def store_and_die(**page: Any) -> Any:
        nonlocal kills
        receipt = usual(**page)
        kills += 1
        if kills <= 10:
            raise Killed
        return receipt

    monkeypatch.setattr(fetching, "fill_store", store_and_die)
    for _ in range(10):
        with pytest.raises(Killed):
            fetch("binance", "BTC/USDT", *words)
    fetch("binance", "BTC/USDT", *words)
    assert stored() == whole
    assert len(whole) == 11 * 1440 - 2_500
    assert binance.most_asked("klines") == 1
