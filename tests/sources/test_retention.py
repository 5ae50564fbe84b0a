"""The setting RETENTION: its rules, and the duty and the command that expire rows."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from marketdata_project.checks import check_retention
from sources.models import SourceSymbol
from sources.retention import InvalidRetention, KeepingRule, days_kept, keeping_rules, rows_expire
from store.datasets import TRADES
from store.exceptions import Expired
from store.expiring import expire, planned
from store.instruments import Instrument
from store.protocol import ALL_TIME
from tests.sources.exchanges import FakeBinance, declared
from tests.store.builders import DAY, batch, trade
from tests.store.expired_days import BEFORE
from trades.stores import market_store

NOW = datetime(2025, 1, 9, 12, tzinfo=UTC)


def test_rules_are_for_all_for_a_source_and_for_a_symbol():
    rules = keeping_rules(
        "trades 30 d, quotes 7d, 1m bars for ever; binance trades 2 d; BTC-USDT:USDT trades for ever"
    )
    assert rules[0] == KeepingRule("", "trades", 30)
    assert keeping_rules("btc/usdt quotes 3 d") == [KeepingRule("BTC-USDT", "quotes", 3)]
    kept = [
        ("AAPL", "", 30),
        ("ETH-USDT", "binance", 2),
        ("BTC-USDT:USDT", "binance", None),
        ("AAPL", "alpaca", 30),
    ]
    for symbol, source, days in kept:
        assert days_kept(rules, "trades", symbol, source) == days
    assert days_kept(rules, "option_quotes", "AAPL", "") is None


@pytest.mark.parametrize(
    "text",
    [
        "trades",
        "trades 0 d",
        "trades 30",
        "bars 3 d",
        "1m bars 3 d",
        "orders for ever",
        "trades 3 d quotes 7 d",
        "ÄÖ trades 2 d",
    ],
)
def test_a_rule_that_cannot_be_read_is_named(text: str, settings: Any):
    with pytest.raises(InvalidRetention, match="write `trades 30 d`"):
        keeping_rules(f"quotes 3 d, {text}")
    settings.RETENTION = text
    assert [found.id for found in check_retention()] == ["marketdata.E011"]


@pytest.mark.parametrize("text", ["trades 30 d, trades 7 d", "aapl trades 3 d; AAPL trades for ever"])
def test_two_rules_for_the_same_rows_are_refused(text: str):
    with pytest.raises(InvalidRetention, match="another rule for the same rows: remove one"):
        keeping_rules(text)


@pytest.fixture
def filled(store_path: Any) -> None:
    for symbol in ("AAPL", "BTC-USDT"):
        market_store().append(
            batch(*(trade(BEFORE + number * DAY) for number in range(-3, 2)), symbol=symbol)
        )


def rows(symbol: str) -> int:
    return int(market_store().log(TRADES, symbol).at().rows(ALL_TIME).num_rows)


@pytest.mark.django_db
def test_the_worker_expires_and_deletes(filled: None, settings: Any):
    SourceSymbol.objects.create(symbol="BTC-USDT", source="binance", name="BTC/USDT")
    settings.RETENTION = "trades for ever, binance trades 2 d"
    rows_expire(now=NOW)
    assert (rows("AAPL"), rows("BTC-USDT")) == (5, 2)
    files = list(market_store()._path.glob("trades/BTC-USDT/2*.csv"))  # type: ignore[attr-defined]
    rows_expire(now=NOW)
    rows_expire(now=datetime.now(UTC) + timedelta(days=1, minutes=1))
    left = list(market_store()._path.glob("trades/BTC-USDT/2*.csv"))  # type: ignore[attr-defined]
    assert (len(files), [path.name for path in left]) == (5, ["2025-01-08.csv"]), "the newest date stays"


@pytest.mark.django_db
def test_the_worker_deletes_what_was_expired_by_hand(filled: None, settings: Any):
    store = market_store()
    expire(store, planned(store, TRADES, "AAPL", BEFORE))
    settings.RETENTION = ""
    rows_expire(now=datetime.now(UTC) + timedelta(days=1, minutes=1))
    assert store.log(TRADES, "AAPL").at().expired.removed_before_ns == BEFORE
    assert rows("BTC-USDT") == 5


@pytest.mark.django_db
def test_a_rule_names_a_symbol_by_its_alias_too(filled: None, settings: Any):
    market_store().set_instrument(Instrument("AAPL", aliases=("APPLE",)))
    settings.RETENTION = "trades 1 d, apple trades for ever"
    rows_expire(now=NOW)
    assert (rows("AAPL"), rows("BTC-USDT")) == (5, 1)


@pytest.mark.django_db
def test_a_fetch_leaves_out_expired_dates(store_path: Any, settings: Any, tmp_path: Any):
    settings.RUN_DIR = tmp_path / "run"
    first_ms = BEFORE // 10**6 - 2 * 86_400_000
    query = ("fetch", "binance", "BTC/USDT", "--trades", "--again", "--start", "2025-01-05", "--end")
    with FakeBinance() as binance, declared(settings, binance=binance):
        binance.trades = [(first_ms + each * 43_200_000, 100.0, 1.0, True) for each in range(6)]
        call_command(*query, "2025-01-08", stdout=StringIO())
        expire(market_store(), planned(market_store(), TRADES, "BTC-USDT", BEFORE))
        said = StringIO()
        call_command(*query, "2025-01-08", stdout=said)
        assert "0 new rows, 2 known" in said.getvalue()
        with pytest.raises(CommandError, match="the trades of BTC-USDT before 2025-01-07 have expired"):
            call_command(*query, "2025-01-07", stdout=StringIO())
    assert rows("BTC-USDT") == 2


def test_the_command_shows_what_it_frees_and_asks(filled: None, monkeypatch: pytest.MonkeyPatch):
    output = StringIO()
    arguments = ("store", "expire", "--before", "2025-01-07", "--dataset", "trades", "--symbol", "aapl")
    monkeypatch.setattr("builtins.input", lambda _: "no")
    with pytest.raises(CommandError, match="nothing has expired"):
        call_command(*arguments, stdout=output)
    assert output.getvalue() == "trades/AAPL: 3 dates, 3 rows, 0.0 MB\n"
    assert rows("AAPL") == 5
    call_command(*arguments, "--yes", stdout=output)
    assert rows("AAPL") == 2
    with pytest.raises(Expired):
        market_store().append(batch(trade(BEFORE - DAY, 3.0)))
    verified = StringIO()
    call_command("store", "verify", stdout=verified, stderr=StringIO())
    assert "damaged" not in verified.getvalue()


def test_the_command_says_where_nobody_can_be_asked(filled: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(CommandError, match="add --yes where nobody can be asked"):
        call_command("store", "expire", "--before", "2025-01-07", "--dataset", "trades", stdout=StringIO())
    assert rows("AAPL") == 5


@pytest.mark.parametrize("date", ["2025-01-07T12:00:00Z", "2199-01-01"])
def test_the_command_wants_a_date_up_to_today(filled: None, date: str):
    with pytest.raises(CommandError, match="is not a date up to today"):
        call_command("store", "expire", "--before", date, "--dataset", "trades", "--yes", stdout=StringIO())
