"""The rates with which the engine converts fills."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store.datasets import BARS, QUOTES
from store.instruments import Instrument
from store.timestamps import MINUTE_NS
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.desks import BEGIN_NS, TradingDesk, at_ns, stored
from trades.stores import market_store
from trading.core.events import Executed, RowRef, decoded
from trading.core.matching import Rate
from trading.core.orders import TimeInForce
from trading.core.rows import Quote
from trading.core.terms import Side
from trading.market.prices import newest_quote
from trading.market.symbols import followed_market
from trading.models import EventRow, LogProgress

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not IS_OF_FILES, reason="reads files"),
]


@pytest.fixture
def symbol(tmp_path: Path, settings: Any) -> str:
    settings.DATA_DIR, settings.MARKET_STORES = tmp_path, stores_at(tmp_path)
    market_store().set_instrument(Instrument("COIN", instrument_class="crypto", currency="EUR"))
    return "COIN"


def bar(minute: int) -> dict[str, Any]:
    prices = dict.fromkeys(("open", "high", "low", "close"), 100.0)
    return {"timestamp": BEGIN_NS + minute * MINUTE_NS, "resolution": "1m", "volume": 1e6} | prices


def test_a_pair_of_stored_bars_converts_fills_and_is_followed(symbol: str):
    desk = TradingDesk()
    minutes = [
        bar(each) | dict.fromkeys(("open", "high", "low", "close"), 1.0 + each / 10) for each in (-2, 1, 2)
    ]
    stored(BARS, "EUR-USD", minutes[:1])
    stored(BARS, symbol, [bar(-1)])
    desk.order(symbol, Side.BUY, 1, time_in_force=TimeInForce.GTC)
    stored(BARS, "EUR-USD", minutes[1:])
    stored(BARS, symbol, [bar(2)])
    desk.run()
    (row,) = EventRow.objects.filter(name="executed")
    event = decoded(row.body)
    assert isinstance(event, Executed)
    # The bar of the pair that ended when the fill's bar began.
    assert event.rate == Decimal("1.1")
    assert LogProgress.objects.filter(dataset="bars", symbol="EUR-USD").exists()
    desk.check()


def test_the_accounts_of_one_fill_share_a_rate_until_the_next_row(
    symbol: str, monkeypatch: pytest.MonkeyPatch
):
    reads = list[str]()

    def counted(store: Any, instrument: Instrument, *arguments: Any, **named: Any) -> Quote | None:
        reads.append(instrument.symbol)
        return newest_quote(store, instrument, *arguments, **named)

    monkeypatch.setattr("trading.market.market.newest_quote", counted)
    market, rates = followed_market(lambda _dataset, _symbol: None), list[Rate | None]()
    for seconds, middle in ((0, 1.1), (10, 1.2)):
        row = {"timestamp": at_ns(seconds), "bid": middle - 0.01, "ask": middle + 0.01}
        stored(QUOTES, "EUR-USD", [row])
        ref = RowRef(
            dataset="quotes", symbol="EUR-USD", commit="1-000000", ordinal=0, timestamp_ns=at_ns(seconds)
        )
        market.take(Quote(ref, Decimal(1), Decimal(2), at_ns(seconds)))
        rates += [market.past_rate("EUR", "USD", at_ns=at_ns(20)) for _ in range(3)]
    assert [each and each[0] for each in rates] == [Decimal("1.1")] * 3 + [Decimal("1.2")] * 3
    assert reads == ["EUR-USD"] * 2
