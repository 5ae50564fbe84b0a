"""The instrument of a symbol decides which bars its readers get, and what cannot be told is said."""

import re

import pyarrow as pa
import pytest

from store.datasets import DECLARED_INSTRUMENTS, INSTRUMENTS
from store.instruments import Instrument
from store.protocol import Append
from tests.api_client import Api, problem, trade
from trades.instruments.services import instruments_set
from trades.stores import market_store


@pytest.fixture
def traded(api: Api) -> Api:
    for symbol in ("AAPL", "IBM"):
        api.ingest(trade(symbol=symbol, price=10), trade(symbol=symbol, price=99, conditions=["odd_lot"]))
    return api


def test_bars_with_an_unreadable_declaration_are_503(traded: Api) -> None:
    """It has a bar policy of a later version."""
    assert traded.bars("IBM")
    declared = [{"timestamp": 0, "instrument": '{"symbol":"IBM","bar_policy":"of_tomorrow"}'}]
    batch = pa.RecordBatch.from_pylist(declared, schema=INSTRUMENTS.schema)
    market_store().append(Append(*DECLARED_INSTRUMENTS, batch, "test"))
    assert problem(traded.ohlc(symbol="IBM")) == (503, "store_unavailable")
    assert traded.ingest(trade(symbol="IBM", price=11)).status_code == 200


@pytest.mark.parametrize(
    ("instrument", "expected"),
    [
        (Instrument("AAPL"), [b"350", b"2", b"0.5", b"18014398509481984"]),
        (Instrument("AAPL", volume_kind="fractional"), [b"350.0", b"2.0", b"0.5", b"1.8014398509481984e+16"]),
        (
            Instrument("AAPL", instrument_class="crypto"),
            [b"350.0", b"2.0", b"0.5", b"1.8014398509481984e+16"],
        ),
        (Instrument("AAPL", instrument_class="future"), [b"350", b"2", b"0.5", b"18014398509481984"]),
    ],
    ids=["nobody told", "fractional", "crypto", "future"],
)
def test_volumes_are_integers_if_the_instrument_says_so(
    api: Api, instrument: Instrument, expected: list[bytes]
) -> None:
    instruments_set(instruments=[instrument])
    volumes = [(100, 250), (1.5, 0.5), (0.25, 0.25), (2**53, 2**53)]
    for minute, pair in enumerate(volumes):
        api.ingest(
            *(
                trade(timestamp=f"2025-01-02T14:3{minute}:00Z", volume=each, trade_id=f"{minute}{n}")
                for n, each in enumerate(pair)
            )
        )
    body = api.ohlc(symbol="AAPL").content
    assert re.findall(rb'"volume":([^}]*)}', body) == expected
