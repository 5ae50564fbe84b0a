"""Databento's rows, of DBN that its own library encodes: bought once, and never beyond what is there."""

from typing import Any

import pytest

from sources.databento import Databento
from sources.protocol import SourceFailed, SourceRefused, Wanted
from store.datasets import BARS, QUOTES, TRADES
from store.instruments import Instrument
from store.protocol import Window
from store.timestamps import DAY_NS
from tests.ops.outbound.hostile_server import says, served
from tests.sources.asked import QUICK, answered_of, rows_of, wanted, window
from tests.sources.fake_databento import KEY, FakeDatabento
from tests.trades.imports import vendor_files
from tests.trades.imports.vendor_files import NINE_THIRTY, bars, quotes, trades

pytestmark = pytest.mark.usefixtures("default_store")

DAY = window("2025-01-02", "2025-01-03")


def databento(url: str, **options: Any) -> Databento:
    return Databento("databento", url=url, **{"key": KEY, "limits": QUICK, **options})


def test_trades_come_by_event_time_and_the_time_after_the_last_is_not_answered():
    rows = [row for row in trades() if row["symbol"] == "AAPL"]
    with served(FakeDatabento(trades())) as server:
        found = list(databento(server.url).pages(wanted(), DAY))
    table = rows_of(found)
    assert table["timestamp"].to_pylist() == [row["time"] for row in rows]
    assert table["price"].to_pylist() == [row["price"] for row in rows]
    assert answered_of(found) == [Window(DAY.start_ns, rows[-1]["time"] + 1)]


def test_a_trade_that_was_received_after_the_window_is_in_it_and_one_from_before_is_not():
    first = trades()[0]
    rows = [first | {"time": NINE_THIRTY - 1}, first | {"time": NINE_THIRTY + 99, "sequence": 1001}]
    with served(FakeDatabento(rows)) as server:
        source = databento(server.url)
        before = rows_of(source.pages(wanted(), Window(NINE_THIRTY - 2, NINE_THIRTY)))
        after = rows_of(source.pages(wanted(), Window(NINE_THIRTY, NINE_THIRTY + 100)))
    assert before["timestamp"].to_pylist() == [NINE_THIRTY - 1]
    assert after["timestamp"].to_pylist() == [NINE_THIRTY + 99]


def test_bars_and_quotes_come_too():
    fake = FakeDatabento(bars())
    with served(fake) as server:
        table = rows_of(databento(server.url).pages(wanted(BARS), DAY))
    assert [(each["resolution"], each["high"]) for each in table.to_pylist()] == [
        ("1m", 190.5 + number) for number in range(5)
    ]
    assert [(each["schema"], each["dataset"], each["stype_in"]) for each in fake.bought] == [
        ("ohlcv-1m", "EQUS.MINI", "raw_symbol")
    ]
    with served(FakeDatabento(quotes())) as server:
        hour = Window(NINE_THIRTY, NINE_THIRTY + 3_600 * 10**9)
        found = rows_of(databento(server.url).pages(wanted(QUOTES), hour)).to_pylist()
    first = quotes()[0]
    assert (found[0]["bid"], found[0]["ask_size"]) == (first["bid"], first["ask_size"])


def test_nothing_is_asked_for_beyond_what_the_dataset_has():
    fake = FakeDatabento(trades(), available="2025-01-04")
    with served(fake) as server:
        found = list(databento(server.url).pages(wanted(), window("2025-01-02", "2025-01-09")))
    assert rows_of(found).num_rows == 40
    assert [each["start"] for each in fake.bought] == ["2025-01-02T00:00:00Z", "2025-01-03T00:00:00Z"]
    assert fake.bought[-1]["end"] == "2025-01-04T00:00:00Z"


def test_the_price_is_told_before_anything_is_bought():
    fake = FakeDatabento(trades())
    with served(fake) as server:
        estimate = databento(server.url).estimate(wanted(), [Window(DAY.start_ns, DAY.start_ns + 3 * DAY_NS)])
    assert (estimate.requests, estimate.rows, estimate.price) == (3, 40, "0.13 USD")
    assert fake.bought == []


def test_a_file_without_records_gives_no_rows():
    with served(FakeDatabento([])) as server:
        assert list(databento(server.url).pages(wanted(), DAY)) == []


def test_a_damaged_file_fails_and_is_not_asked_for_twice():
    fake = FakeDatabento(trades())

    def damaged(call: Any) -> None:
        says(b"DBN\x03garbage")(call) if call.command == "POST" else fake(call)

    with served(damaged) as server:
        with pytest.raises(SourceFailed, match="damaged"):
            list(databento(server.url).pages(wanted(), DAY))
        assert len(server.posts) == 1


def test_the_class_of_a_market_follows_from_its_name():
    source = Databento("databento")
    names = ("ESZ5", "ES.c.0", "6EH26", "AAPL", "BRK.B")
    assert [source.market(name).cls for name in names] == [
        "future",
        "future",
        "future",
        "equity",
        "equity",
    ]


@pytest.mark.parametrize("name", ["AAPL,MSFT", "ALL_SYMBOLS", "ES.FUT;X", ""])
def test_a_name_of_several_instruments_is_refused(name: str):
    with pytest.raises(SourceRefused, match="is not the name of one instrument"):
        Databento("databento").market(name)


def test_a_price_that_is_not_told_is_not_nothing():
    fake = FakeDatabento(trades())

    def silent(call: Any) -> None:
        says(b"null")(call) if "get_cost" in call.path else fake(call)

    with served(silent) as server, pytest.raises(SourceFailed, match="another form"):
        databento(server.url).estimate(wanted(), [DAY])


def test_a_continuous_contract_is_asked_for_as_one(monkeypatch):
    monkeypatch.setitem(vendor_files.IDS, "ES.c.0", 17)
    fake = FakeDatabento([trades()[0] | {"symbol": "ES.c.0"}])
    of = Wanted(TRADES, Instrument("ES.C.0", instrument_class="future"), "ES.c.0")
    with served(fake) as server:
        assert rows_of(databento(server.url).pages(of, DAY)).num_rows == 1
    assert [(each["stype_in"], each["dataset"]) for each in fake.bought] == [("continuous", "GLBX.MDP3")]
