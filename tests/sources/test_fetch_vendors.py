"""Whole fetches from vendors: a share with its split, and rows that are paid for."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.protocol import ALL_TIME
from tests.api_client import Api, answer
from tests.ops.outbound.hostile_server import Call, Server, served
from tests.sources.asked import QUICK
from tests.sources.fake_alpaca import gives, gives_actions, gives_assets
from tests.sources.fake_databento import KEY, FakeDatabento
from tests.trades.imports.vendor_files import trades
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("default_store")]
# Apple's split of four for one took effect on 2020-08-31. A later day shows that the days before are all there.
PRICES = {
    "2020-08-27": 500.04,
    "2020-08-28": 499.23,
    "2020-08-31": 129.04,
    "2020-09-01": 134.18,
    "2020-09-02": 131.4,
}
DAYS = [
    {"t": f"{day}T04:00:00Z", "o": price, "h": price, "l": price, "c": price, "v": 100, "n": 1, "vw": price}
    for day, price in PRICES.items()
]
QUOTE = {"ax": "Q", "ap": 500.2, "as": 1, "bx": "Q", "bs": 2, "c": ["R"], "z": "C"}
# The last one shows that the quotes before are all there.
BIDS = ("14:31:00", 500.0), ("14:31:00", 500.0), ("14:39:58", 500.1), ("14:50:00", 500.2)
QUOTED = [{**QUOTE, "t": f"2020-08-28T{at}Z", "bp": bid} for at, bid in BIDS]
# Ids of trades come again on another exchange, and on another day. The last one shows that those before are all there.
PRINTED = [
    {"t": f"2020-08-{at}Z", "x": exchange, "p": price, "s": 10, "c": ["@"], "i": number, "z": "C"}
    for at, exchange, price, number in (
        ("27T14:30:00", "P", 500.0, 1),
        ("27T14:30:01", "Q", 501.0, 1),
        ("28T14:30:00", "P", 502.0, 1),
        ("28T14:40:00", "P", 503.0, 2),
    )
]
ARGUMENTS = ("alpaca", "AAPL", "--timeframe", "1d", "--start", "2020-08-27", "--end", "2020-09-02")


def fetch(*words: str) -> str:
    """Run the command; return what it printed."""
    out = io.StringIO()
    call_command("fetch", *words, stdout=out)
    return out.getvalue()


def stored(dataset: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = market_store().log(dataset, "AAPL").at().rows(ALL_TIME).to_pylist()
    return rows


@pytest.fixture
def alpaca(settings: Any, tmp_path: Path) -> Iterator[Server]:
    settings.RUN_DIR = tmp_path / "run"
    behaviours = {
        "assets": gives_assets,
        "bars": gives("bars", DAYS),
        "quotes": gives("quotes", QUOTED),
        "trades": gives("trades", PRINTED),
        "corporate-actions": gives_actions,
    }

    def behave(call: Call) -> None:
        behaviours[call.path.partition("?")[0].rpartition("/")[2]](call)

    with served(behave) as server:
        settings.SOURCES = {"alpaca": {"url": server.url, "limits": QUICK}}
        settings.SOURCE_KEYS = {"alpaca": "id:secret"}
        yield server


def test_a_share_comes_with_its_split_so_that_its_chart_can_be_adjusted(alpaca: Server, api: Api):
    said = fetch(*ARGUMENTS)
    assert "one exchange, IEX" in said
    assert "4 new rows" in said
    assert [row["close"] for row in stored(BARS)] == [500.04, 499.23, 129.04, 134.18]
    assert [(row["kind"], row["ratio"]) for row in stored(CORPORATE_ACTIONS)] == [("split", 4.0)]
    declared = market_store().instrument("AAPL")
    assert (declared.exchange, declared.currency, declared.tick_size, declared.name) == (
        "XNAS", "USD", 0.01, "Apple Inc. Common Stock",
    )  # fmt: skip
    query = {"start": "2020-08-27", "end": "2020-09-02", "resolution": "1d", "adjustment": "split"}
    bars = answer(api.get("/api/v1/market-data/equities/AAPL/ohlcv", query))["bars"]
    assert [(bar["date"], round(bar["close"], 4)) for bar in bars] == [
        ("2020-08-27", 125.01),
        ("2020-08-28", 124.8075),
        ("2020-08-31", 129.04),
        ("2020-09-01", 134.18),
    ]


def test_quotes_are_fetched_once_and_equal_ones_are_kept(alpaca: Server):
    words = ("alpaca", "AAPL", "--quotes", "--start", "2020-08-28T14:30:00Z", "--end", "2020-08-28T14:40:00Z")
    assert "3 new rows, 0 known" in fetch(*words)
    assert [row["bid"] for row in stored(QUOTES)] == [500.0, 500.0, 500.1]
    assert "everything is known already" in fetch(*words)
    assert "0 new rows, 3 known, 0 corrected" in fetch(*words, "--again")
    assert len(stored(QUOTES)) == 3


def test_a_second_fetch_asks_for_no_bars(alpaca: Server):
    fetch(*ARGUMENTS)
    asked = len([path for path, _ in alpaca.calls if "/bars?" in path])
    assert "everything is known already" in fetch(*ARGUMENTS)
    assert len([path for path, _ in alpaca.calls if "/bars?" in path]) == asked == 2


def test_trades_that_share_an_id_are_not_corrected_to_one_another(alpaca: Server):
    words = ("alpaca", "AAPL", "--trades", "--start", "2020-08-27", "--end", "2020-08-28T14:35:00Z")
    assert "3 new rows" in fetch(*words)
    assert "0 new rows, 3 known, 0 corrected" in fetch(*words, "--again")
    assert [row["price"] for row in stored(TRADES)] == [500.0, 501.0, 502.0]


def test_a_symbol_that_alpaca_does_not_list_is_refused_with_near_names(alpaca: Server):
    with pytest.raises(CommandError, match="no market APPL: did you mean AAPL"):
        fetch("alpaca", "APPL", *ARGUMENTS[2:])


def test_databentos_rows_are_bought_only_after_the_price_was_accepted(
    settings: Any, monkeypatch, tmp_path: Path
):
    settings.RUN_DIR = tmp_path / "run"
    fake, asked = FakeDatabento(trades()), list[str]()
    words = ("databento", "AAPL", "--trades", "--start", "2025-01-02", "--end", "2025-01-03")

    def declined(question: str) -> str:
        asked.append(question)
        return "n"

    monkeypatch.setattr("builtins.input", declined)
    with served(fake) as server:
        settings.SOURCES = {"databento": {"url": server.url, "limits": QUICK}}
        settings.SOURCE_KEYS = {"databento": KEY}
        with pytest.raises(CommandError, match="nothing was bought"):
            fetch(*words)
        assert asked == ["Pay 0.13 USD? [y/N] "]
        assert fake.bought == []
        said = fetch(*words, "--yes")
        assert "price: 0.13 USD" in said
        assert "databento is read in its documentation" in said
        assert len(fake.bought) == 1
    assert len(stored(TRADES)) == 40
