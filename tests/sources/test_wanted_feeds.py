"""What feeds keep current: what `FEEDS` has, and the symbols that are marked."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from marketdata_project.settings import outbound
from sources.feed_services import WantedFeed, wanted_feeds
from sources.models import SourceSymbol


@pytest.mark.parametrize(
    ("text", "feeds"),
    [
        ("", ()),
        (
            "binance BTC/USDT ETH/USDT; alpaca AAPL",
            (("binance", "BTC/USDT", ""), ("binance", "ETH/USDT", ""), ("alpaca", "AAPL", "")),
        ),
        (
            "alpaca AAPL MSFT --timeframe 1m;",
            (("alpaca", "AAPL", "1m"), ("alpaca", "MSFT", "1m")),
        ),
    ],
)
def test_the_variable_names_sources_and_their_symbols(
    text: str, feeds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEEDS", text)
    assert outbound._feeds() == feeds


@pytest.mark.parametrize("text", ["binance", "binance BTC/USDT --timeframe 1m 5m", "; --timeframe 1m"])
def test_a_variable_of_another_form_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDS", text)
    with pytest.raises(ImproperlyConfigured, match=r"FEEDS: .*is not a source, its names there"):
        outbound._feeds()


@pytest.mark.django_db
def test_the_setting_comes_first_and_a_symbol_is_fed_once(settings: Any) -> None:
    settings.FEEDS = (("kraken", "BTC/USD", ""), ("binance", "ETH/USDT", "1m"))
    rows = (
        ("SOL-USDT", "binance", "SOL/USDT", True),
        ("ADA-USDT", "binance", "ADA/USDT", False),
        ("KRAKEN:BTC-USD", "kraken", "BTC/USD", True),
    )
    for symbol, source, name, is_fed in rows:
        SourceSymbol.objects.create(symbol=symbol, source=source, name=name, is_fed=is_fed)
    assert wanted_feeds() == [
        WantedFeed("KRAKEN:BTC-USD", "kraken", "BTC/USD", "", is_setting=True),
        WantedFeed("ETH-USDT", "binance", "ETH/USDT", "1m", is_setting=True),
        WantedFeed("SOL-USDT", "binance", "SOL/USDT", "", is_setting=False),
    ]
