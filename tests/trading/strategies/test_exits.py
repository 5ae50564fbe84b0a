"""An exit ends what its strategy was still buying."""

from pathlib import Path

import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.timestamps import SECOND_NS
from tests.trading.strategies.past import START_NS, batch_of, inputs_of
from trading.strategies.outcome import outcome_of

SYMBOL = "A-USD"


@pytest.mark.parametrize("each_seconds", [1, 5])
def test_an_exit_is_filled_while_an_entry_is_too_large_for_the_market(tmp_path: Path, each_seconds: int):
    """Prices rise and fall by turns; an entry wants many times what is printed meanwhile."""
    path = tmp_path / "data"
    path.mkdir()
    store = CsvStore(path)
    store.set_instrument(
        Instrument(SYMBOL, instrument_class=CRYPTO, currency="USD", tick_size=0.01, settle=0.0)
    )
    rows = [
        {
            "timestamp": START_NS + second * SECOND_NS,
            "price": 100.0 + abs(second // 60 % 20 - 10),
            "volume": 1.0,
        }
        for second in range(0, 3_600, each_seconds)
    ]
    store.append(Append(TRADES, SYMBOL, batch_of(TRADES, rows), "test"))
    inputs = inputs_of("crossover", SYMBOL, minutes=60, parameters={"fast": 2, "slow": 4, "quantity": 500})
    document = outcome_of(inputs, open_store(path)).document
    trades = document.trades
    assert len(trades) >= 2
    assert all(each.quantity < 100 for each in trades)
    assert document.signals.accepted >= 3
