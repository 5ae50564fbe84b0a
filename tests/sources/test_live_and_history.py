"""A trade is the same row, with the same event time, whether a source gives it live or from its history."""

from typing import Any

import ccxt
import ccxt.pro
import pytest

from sources.alpaca import Alpaca, _columns, _live_rows
from sources.asking import batch_of
from sources.ccxt_exchange import CcxtExchange
from sources.databento import Databento
from sources.exchange_pages import TRAITS, trade_of, trade_rows
from sources.folder import Folder
from sources.installation import Installation
from sources.massive import Massive
from sources.protocol import Source
from store.datasets import TRADES
from tests.sources.fake_alpaca import TRADE

MS = 1_688_669_597_827
BINANCE = {"a": 5, "p": "30243.4", "q": "0.348", "f": 5, "l": 5, "T": MS, "m": True, "M": True}
DERIBIT = {
    "trade_id": "5", "trade_seq": 7, "timestamp": MS, "price": 30243.4, "amount": 0.348, "direction": "sell",
    "instrument_name": "BTC-PERPETUAL", "index_price": 30243.0, "mark_price": 30243.0, "tick_direction": 0,
}  # fmt: skip
# The answer of the history, and the live message's trade.
PAIRS: dict[str, tuple[Any, Any]] = {
    "binance": (BINANCE, {**BINANCE, "e": "aggTrade", "E": MS + 40, "s": "BTCUSDT"}),
    "binanceus": (BINANCE, {**BINANCE, "e": "aggTrade", "E": MS + 40, "s": "BTCUSDT"}),
    "kraken": (
        ["30243.40000", "0.34800000", 1688669597.8277369, "s", "m", "", 5],
        {
            "symbol": "BTC/USD", "side": "sell", "price": 30243.4, "qty": 0.348, "ord_type": "market", "trade_id": 5,
            "timestamp": "2023-07-06T18:53:17.827736Z",
        },
    ),
    "bitfinex": ({"result": [5, MS, -0.348, 30243.4]}, [5, MS, -0.348, 30243.4]),
    "deribit": (DERIBIT, DERIBIT),
}  # fmt: skip


@pytest.mark.parametrize("exchange", [name for name, traits in TRAITS.items() if traits.trades])
def test_an_exchanges_trades(exchange: str):
    answer, message = PAIRS[exchange]
    history, live = getattr(ccxt, exchange)(), getattr(ccxt.pro, exchange)()
    parse_live = live.parse_ws_trade if exchange in {"binance", "binanceus", "bitfinex"} else live.parse_trade
    rows = [
        trade_rows([trade_of(row)]).to_pylist() for row in (history.parse_trade(answer), parse_live(message))
    ]
    assert rows[0] == rows[1]
    assert (rows[0][0]["timestamp"], rows[0][0]["trade_id"]) == (MS * 1_000_000, "5")


def test_alpacas_trades():
    live = _live_rows([{**TRADE, "T": "t", "S": "AAPL"}]).to_pylist()
    assert live == batch_of(TRADES, _columns(TRADES, [TRADE])).to_pylist()
    assert live[0]["timestamp"] % 1000 == 744


def test_no_other_source_gives_live_trades():
    sources: list[type[Source]] = [Alpaca, CcxtExchange, Databento, Folder, Installation, Massive]
    assert [each for each in sources if each.live is not Source.live] == [Alpaca, CcxtExchange]
