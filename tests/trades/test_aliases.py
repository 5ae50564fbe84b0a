"""An alias stands for its symbol wherever symbols come in; the symbol is what is stored and answered."""

from io import StringIO
from pathlib import Path

import orjson
import pytest
from django.core.management import call_command
from msgspec.structs import replace

from store import open_store
from store.datasets import DATASETS, TRADES, WITHOUT_INSTRUMENTS
from store.declarations import Dataset
from store.instruments import Instrument
from tests.api_client import Api, answer, problem, trade
from tests.trades.formats.bodies import ENCODERS
from tests.trades.imports.files import written
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.instruments.services import instruments_set
from trades.stores import market_store

META = Instrument("META", aliases=("FB", "FACEBOOK INC"))
AT = trade()["timestamp"]


@pytest.fixture
def meta(api: Api) -> Api:
    """A caller before a store that was told of an alias."""
    instruments_set(instruments=[META])
    return api


OF_INSTRUMENTS = [dataset for dataset in DATASETS.values() if dataset not in WITHOUT_INSTRUMENTS]


@pytest.mark.parametrize("dataset", OF_INSTRUMENTS, ids=lambda dataset: dataset.name)
@pytest.mark.parametrize("name", ENCODERS)
def test_ingest_stores_under_the_symbol(meta: Api, dataset: Dataset, name: str):
    media_type, encode = ENCODERS[name]
    if dataset.instrument_class is not None:
        instruments_set(instruments=[replace(META, instrument_class=dataset.instrument_class)])
    path = f"/api/v1/{dataset.name.replace('_', '-')}/ingest"
    for spelling in ("fb", "META", "facebook inc"):
        rows = [{**row, "symbol": spelling} for row in SAMPLE_ROWS[dataset.name]]
        sent = meta.call("POST", path, encode(dataset, rows), content_type=media_type)
        assert answer(sent)["symbol"] == "META"
    assert answer(sent)["duplicates"] == len(rows)
    assert market_store().symbols(dataset) == ["META"]


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "json"])
def test_the_query_may_name_an_alias(meta: Api, name: str):
    media_type, encode = ENCODERS[name]
    for row in (trade(symbol=...), trade(symbol="META"), trade(symbol="FB")):
        sent = meta.call(
            "POST", "/api/v1/trades/ingest?symbol=fb", encode(TRADES, [row]), content_type=media_type
        )
        assert (sent.status_code, answer(sent).get("symbol")) == (200, "META")  # fmt: skip


def test_a_batch_may_mix_the_spellings_of_one_instrument_only(meta: Api):
    assert answer(meta.ingest(trade(symbol="FB"), trade(symbol="META", price=5)))["stored"] == 2
    assert problem(meta.ingest(trade(symbol="FB"), trade(symbol="AAPL"))) == (422, "mixed_symbols")
    wrong = meta.ingest(trade(symbol="FB"), trade(symbol="META", price=-1))
    assert problem(wrong) == (422, "nonpositive_price")


def test_corrections_find_the_trades_of_the_symbol(meta: Api):
    meta.ingest(trade(symbol="META", trade_id="a"))
    corrected = meta.correct({"action": "cancel", "timestamp": AT, "trade_id": "a"}, symbol="fb")
    assert (answer(corrected)["symbol"], answer(corrected)["stored"]) == ("META", 1)


def test_bars_are_those_of_the_symbol_from_one_cache(meta: Api):
    meta.ingest(*(trade(symbol="META", timestamp=f"2025-01-02T14:3{minute}:00Z") for minute in range(5)))
    by_symbol, by_alias = meta.ohlc(symbol="META"), meta.ohlc(symbol="fb")
    assert answer(by_alias)["symbol"] == "META"
    assert (by_alias.content, by_alias["ETag"]) == (by_symbol.content, by_symbol["ETag"])
    assert by_alias["X-Cache"] == "hit"
    assert problem(meta.ohlc(symbol="META-X")) == (404, "unknown_symbol")


def test_a_walk_goes_on_under_either_name(meta: Api):
    meta.ingest(*(trade(symbol="META", timestamp=f"2025-01-02T14:3{minute}:00Z") for minute in range(5)))
    page = answer(meta.ohlc(symbol="FB", limit=2))
    seen = list(page["data"])
    for symbol in ("FB", "META"):
        page = answer(meta.ohlc(symbol=symbol, limit=2, cursor=page["next_cursor"]))
        seen += page["data"]
    assert (seen, page["next_cursor"]) == (meta.bars("META"), None)


def test_an_alias_that_is_told_of_later_counts_at_once(api: Api):
    api.ingest(trade(symbol="META"))
    assert problem(api.ohlc(symbol="FB")) == (404, "unknown_symbol")
    instruments_set(instruments=[META])
    assert answer(api.ohlc(symbol="FB"))["symbol"] == "META"
    instruments_set(instruments=[Instrument("META")])
    assert problem(api.ohlc(symbol="FB")) == (404, "unknown_symbol")


def test_answers_about_the_symbol_are_dropped(meta: Api):
    meta.ingest(trade(symbol="META"))
    dropped = meta.call("POST", "/api/v1/cache/invalidate", orjson.dumps({"symbol": "fb"}))
    assert answer(dropped)["symbol"] == "META"
    call_command("invalidate", "fb", stdout=(out := StringIO()))
    assert out.getvalue().startswith("META: ")


def test_an_import_stores_under_the_symbol(meta: Api, settings, tmp_path: Path):
    settings.DATA_DIR = tmp_path / "data"
    lines = [f"{AT},1,1"]
    call_command("import", str(written(tmp_path / "FB.csv", lines)), stdout=StringIO(), yes=True)
    call_command(
        "import", str(written(tmp_path / "x.csv", [f"{AT},2,1"])), symbol="fb", stdout=StringIO(), yes=True
    )
    mixed = written(tmp_path / "y.csv", [f"{AT},FB,3,1", f"{AT},META,4,1"], "timestamp,symbol,price,volume")
    call_command("import", str(mixed), symbol="FACEBOOK INC", stdout=StringIO(), yes=True)
    assert market_store().symbols(TRADES) == ["META"]
    assert meta.bars("META")[0]["high"] == 4


def test_programs_on_the_machine_may_use_it(meta: Api, store_path: Path):
    meta.ingest(trade(symbol="META"), trade(symbol="META", timestamp="2025-01-02T14:31:00Z", price=7))
    store = open_store(store_path)
    assert store.bars("fb").open.tolist() == store.bars("META").open.tolist() == [189.98, 7.0]
    assert store.trades("FB").price.tolist() == [189.98, 7.0]
    assert store.latest("fb").price == 7.0
    assert store.version("FB") == store.version("META")
    assert store.coverage("FB").rows == 2
    assert store.panel(["FB"]).symbols == ("META",)


def test_a_padded_option_symbol_is_the_compact_one(api: Api):
    assert answer(api.ingest(trade(symbol="AAPL  250117C00150000")))["symbol"] == "AAPL250117C00150000"
    assert answer(api.ohlc(symbol="aapl  250117c00150000"))["symbol"] == "AAPL250117C00150000"
