"""Prices of zero and less: taken of instruments that have the setting, refused of all others, in every way in."""

from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from django.core.management import CommandError, call_command
from msgspec.structs import replace

from store.datasets import BARS, DATASETS, OPTION_QUOTES, QUOTES, TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import ALL_TIME
from tests.api_client import Api, answer, problem, trade
from tests.trades.formats.bodies import ENCODERS, stream_of
from tests.trades.imports.files import written
from trades.batches.row_batch import BatchOptions
from trades.batches.value_rules import LARGEST_NUMBER
from trades.exceptions import BatchRefused
from trades.formats import READERS
from trades.instruments.services import instruments_set
from trades.stores import market_store

AT = "2020-04-20T18:00:00Z"
OIL = "CLK20"
ROWS: dict[str, list[dict[str, Any]]] = {
    "trades": [
        {"timestamp": AT, "symbol": OIL, "price": price, "volume": 1} for price in (0.01, 0, -0.01, -37.63, 5)
    ],
    "bars": [{"timestamp": AT, "symbol": OIL, "resolution": "1m", "open": 0.5, "high": 1, "low": -40.32, "close": -37.63, "volume": 9}],
    "quotes": [{"timestamp": AT, "symbol": OIL, "bid": -37.7, "bid_size": 1, "ask": -37.6, "ask_size": 2}],
    "option_quotes": [{"timestamp": AT, "symbol": OIL, "bid": -1.5, "ask": 0}],
}  # fmt: skip
CODES = {"trades": "nonpositive_price", "bars": "nonpositive_price", "quotes": "negative_price", "option_quotes": "negative_price"}  # fmt: skip
in_every_format = pytest.mark.parametrize("name", ENCODERS)
of_every_price = pytest.mark.parametrize(
    "dataset", [TRADES, BARS, QUOTES, OPTION_QUOTES], ids=lambda dataset: dataset.name
)


@pytest.fixture
def oil(api: Api) -> Api:
    """A caller before a store that was told of oil's prices."""
    crude = Instrument(OIL, instrument_class="future", allow_nonpositive_price=True, aliases=("OIL",))
    instruments_set(instruments=[crude])
    return api


def send(api: Api, dataset: Dataset, name: str, rows: list[dict[str, Any]]) -> Any:
    media_type, encode = ENCODERS[name]
    path = f"/api/v1/{dataset.name.replace('_', '-')}/ingest"
    return api.call("POST", path, encode(dataset, rows), content_type=media_type)


def renamed(rows: list[dict[str, Any]], symbol: str) -> list[dict[str, Any]]:
    return [{**row, "symbol": symbol} for row in rows]


@of_every_price
@in_every_format
def test_they_are_taken_of_an_instrument_that_has_the_setting(oil: Api, dataset: Dataset, name: str):
    told = market_store().instrument(OIL)
    instrument_class = dataset.instrument_class or told.instrument_class
    instruments_set(instruments=[replace(told, instrument_class=instrument_class)])
    for symbol in (OIL, "oil"):
        assert answer(send(oil, dataset, name, renamed(ROWS[dataset.name], symbol)))["symbol"] == OIL
    stored = market_store().log(dataset, OIL).at().rows(ALL_TIME).to_pylist()
    sent = [
        {key: value for key, value in row.items() if key not in {"timestamp", "symbol"}}
        for row in ROWS[dataset.name]
    ]
    assert [{key: row[key] for key in sent[0]} for row in stored] == sent  # fmt: skip


@of_every_price
@pytest.mark.parametrize("name", ["json", "arrow"])
def test_they_are_refused_of_any_other_which_is_told_of_the_setting(oil: Api, dataset: Dataset, name: str):
    response = send(oil, dataset, name, renamed(ROWS[dataset.name], "AAPL"))
    assert problem(response) == (422, CODES[dataset.name])
    message = answer(response)["message"]
    for words in (
        "allow_nonpositive_price",
        "manage.py instrument SYMBOL --allow-nonpositive-price",
        "PUT /api/v1/instruments/SYMBOL",
    ):
        assert words in message  # fmt: skip


@in_every_format
def test_only_what_is_wrong_is_named(oil: Api, name: str):
    rows = ROWS["trades"][:4]
    rows = [*rows, {**rows[0], "volume": -1}]
    refused = answer(send(oil, TRADES, name, rows))
    assert [(error["path"], error["code"]) for error in refused["errors"]] == [("trades[4].volume", "negative_volume")]  # fmt: skip
    other = answer(send(oil, TRADES, name, renamed(rows, "AAPL")))
    assert {(error["path"], error["code"]) for error in other["errors"]} == {
        *((f"trades[{place}].price", "nonpositive_price") for place in (1, 2, 3)),
        ("trades[4].volume", "negative_volume"),
    }


@in_every_format
def test_a_batch_of_several_symbols_is_refused_whatever_each_may(oil: Api, name: str):
    mixed = send(oil, TRADES, name, [trade(symbol=OIL), trade(symbol="AAPL")])
    assert problem(mixed) == (422, "mixed_symbols")
    mixed = send(oil, TRADES, name, [trade(symbol=OIL, price=-1), trade(symbol="AAPL")])
    assert problem(mixed)[0] == 422


def body_of_price(name: str, price: float) -> bytes:
    """A trade as a body; the price as an integer where it is one."""
    encode = ENCODERS[name][1]
    if name.startswith("msgpack"):
        return encode(TRADES, [trade(price=price)])
    if name == "arrow":
        columns = {key: pa.array([value]) for key, value in trade(price=price).items()}
        return stream_of(pa.table(columns))
    return encode(TRADES, [trade(price=123.25)]).replace(b"123.25", str(price).encode())


BEYOND = {
    "float": float(-LARGEST_NUMBER - 2),
    "integer": -LARGEST_NUMBER - 2,
    "the smallest of 64 bits": -(2**63),
    "huge": -(10**400),
}


# Only texts have integers of any size.
WITH_ANY_INTEGER = ("json", "ndjson", "csv")
IN_FORMATS = {
    f"{kind} in {name}": (name, price)
    for name in ENCODERS
    for kind, price in BEYOND.items()
    if kind != "huge" or name in WITH_ANY_INTEGER
}


@pytest.mark.parametrize(("name", "price"), IN_FORMATS.values(), ids=IN_FORMATS)
def test_a_number_that_no_float_holds_is_refused_below_zero_too(name: str, price: float):
    read, expected = READERS[ENCODERS[name][0]], BatchOptions(allows_nonpositive_price=lambda _: True)
    with pytest.raises(BatchRefused, match="price"):
        read(body_of_price(name, price), expected)
    lowest = read(body_of_price(name, -LARGEST_NUMBER), expected)
    assert lowest.rows["price"].to_pylist() == [-float(LARGEST_NUMBER)]
    assert str(read(body_of_price(name, -0.0), expected).rows["price"][0]) == "0.0"


def test_minus_zero_is_zero(oil: Api):
    body = b'{"trades":[{"timestamp":"%s","symbol":"CLK20","price":-0.0,"volume":1}]}' % AT.encode()
    assert oil.ingest(body).status_code == 200
    assert answer(oil.ingest(body.replace(b"-0.0", b"0")))["duplicates"] == 1


def test_corrections_follow_the_same_rule(oil: Api):
    for symbol in (OIL, "AAPL"):
        oil.ingest(trade(symbol=symbol, trade_id="a", price=1))
    to_zero = {"action": "correct", "timestamp": trade()["timestamp"], "trade_id": "a", "new_price": -0.0}
    refused = oil.correct(to_zero)
    assert problem(refused) == (422, "nonpositive_price")
    assert "allow_nonpositive_price" in answer(refused)["message"]
    assert answer(oil.correct(to_zero, symbol="oil"))["symbol"] == OIL
    below = {**to_zero, "new_price": -37.63}
    assert answer(oil.correct(below, symbol=OIL))["stored"] == 1
    assert [bar["low"] for bar in oil.bars(OIL)] == [-37.63]
    named = {"action": "cancel", "timestamp": trade()["timestamp"], "price": -37.63, "volume": 100}
    assert answer(oil.correct(named, symbol=OIL))["stored"] == 1


def run(*arguments: object, **options: object) -> str:
    call_command(
        "import",
        *map(str, arguments),
        stdout=(out := StringIO()),
        stderr=StringIO(),
        **{"yes": True, **options},
    )
    return out.getvalue()


LINES = [f"{AT},1,1", f"{AT},0,1", "2020-04-20T18:00:01Z,-37.63,1"]


@pytest.fixture
def data_folder(settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


@pytest.mark.usefixtures("data_folder")
def test_an_import_follows_the_same_rule(oil: Api, tmp_path: Path):
    assert "3 rows, 3 stored" in run(written(tmp_path / "OIL.csv", LINES)).replace(";", ",")
    assert [row["price"] for row in market_store().log(TRADES, OIL).at().rows(ALL_TIME).to_pylist()] == [
        1.0,
        0.0,
        -37.63,
    ]
    with pytest.raises(CommandError, match=r"AAPL.csv, line 3, price: .*allow_nonpositive_price"):
        run(written(tmp_path / "AAPL.csv", LINES))  # fmt: skip


@pytest.mark.usefixtures("data_folder")
def test_an_import_of_several_symbols_goes_by_each_of_them(oil: Api, tmp_path: Path):
    lines = [
        f"{AT},{symbol},{price},{volume}"
        for symbol, price, volume in [("AAPL", 5, 1), ("oil", -1, 1), ("AAPL", -1, 1), (OIL, 0, -1), ("clk20", 0, 1), (OIL, 1e300, 1)]
    ]  # fmt: skip
    file = written(tmp_path / "mixed.csv", lines, "timestamp,symbol,price,volume")
    assert "3 stored" in run(file, skip_bad=True)
    assert market_store().symbols(TRADES) == ["AAPL", OIL]
    assert [row["price"] for row in market_store().log(TRADES, OIL).at().rows(ALL_TIME).to_pylist()] == [
        -1.0,
        0.0,
    ]


def test_other_bounds_hold_for_every_instrument():
    lifted = {
        f"{dataset.name}.{column.name}"
        for dataset in DATASETS.values()
        for column in dataset.columns
        if column.lower_bound is not None and column.lower_bound.waivable
    }
    assert lifted == {
        "trades.price", "bars.open", "bars.high", "bars.low", "bars.close", "bars.vwap",
        "quotes.bid", "quotes.ask", "option_quotes.bid", "option_quotes.ask",
    }  # fmt: skip
