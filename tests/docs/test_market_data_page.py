"""The page of market data says what is so: its call answers as printed, its tables list what there is."""

import io
import re
from typing import get_args

import orjson
import pytest
from django.conf import settings
from django.core.management import call_command

from marketdata_project.schema_view import schema_document
from stats.caching.response_cache import seconds_to_live
from stats.market_data.datasets import MARKET_DATASETS, MARKET_REPORTS
from stats.market_data.documents import Reason
from stats.market_data.options.parameters import PRICING_PARAMETERS
from stats.market_data.query import MARKET_CLASSES, maximum_range_ns
from stats.rendering.formats import FORMATS
from store.resolutions import USUAL_RESOLUTIONS, Resolution
from store.timestamps import SECOND_NS
from tests.api_client import answer, problem, trade
from tests.docs.test_pages import FIRST_CALLS, blocks_from, body_in

TEXT = (settings.BASE_DIR / "docs" / "market_data.md").read_text()
_BLOCKS = re.findall(
    r"^```\n(curl .*?)\n```(?:\n\nanswers\n\n```\n(.*?)\n```)?", TEXT, re.DOTALL | re.MULTILINE
)
CALLS: list[tuple[str, str]] = _BLOCKS
# Of the surface alone, and told on the page of options.
OF_OPTIONS = {each.name for each in PRICING_PARAMETERS}


def test_the_calls_answer_as_printed(api):
    """In their order: some of them write what later ones read. `…` stands for anything."""
    api.call("POST", "/v1/trades/ingest", body_in(blocks_from(FIRST_CALLS, "/v1/trades/ingest")[0]))
    answered = 0
    for call, expected in CALLS:
        path = re.search(r"8000(/[^\s\"]*)", call)
        assert path is not None
        body = body_in(call) if "-d '" in call else b""
        method = "PUT" if "-X PUT" in call else "POST" if body else "GET"
        response = api.call(method, path[1], body)
        assert response.status_code in {200, 201}, response.content
        if expected:
            assert re.fullmatch(re.escape(expected).replace("…", ".*"), response.content.decode()), path[1]
            answered += 1
    assert (answered, len(CALLS)) == (6, 9)


def test_it_tells_how_far_a_query_reaches():
    ((names, ranges),) = re.findall(r"^(\| `tick` .*)\n.*\n(.*)$", TEXT, re.MULTILINE)
    units = {"h": 3_600, "d": 86_400}
    told = [
        int(number.replace(",", "")) * units[unit] * SECOND_NS
        for number, unit in re.findall(r"([\d,]+) ([hd])", ranges)
    ]
    limits = [re.findall(r"`(\w+)`", cell) for cell in names.strip("| ").split("|")]
    assert len(limits) == len(told)
    reach = {name: limit for cell, limit in zip(limits, told, strict=True) for name in cell}
    for resolution in USUAL_RESOLUTIONS:
        limits_ns = (limit for name, limit in reach.items() if Resolution.parse(name) >= resolution)
        assert maximum_range_ns(resolution) == next(limits_ns, told[-1]), resolution
    assert maximum_range_ns(Resolution.parse("7s")) == 7 * maximum_range_ns(Resolution.SECOND)


def test_it_tells_how_long_answers_are_kept():
    rows = re.findall(r"^\| (in the future|less than|older)([^|]*)\| ([^|]*) \|$", TEXT, re.MULTILINE)
    ages = {"in the future": -1, "1 h": 3_599, "1 d": 86_399, "3 d": 3 * 86_400 - 1, "older": 30 * 86_400}
    told = {
        next(age for age in ages if age in first + rest): 0 if "not" in kept else int(re.sub(r"\D", "", kept))
        for first, rest, kept in rows
    }
    assert told == {
        name: seconds_to_live(-age * SECOND_NS, now_ns=0, is_period=False) for name, age in ages.items()
    }
    assert seconds_to_live(None, now_ns=0, is_period=False) == told["1 h"]
    assert seconds_to_live(None, now_ns=0, is_period=True) == 4 * told["1 h"]


def test_its_table_of_reasons_is_of_all_of_them():
    table = TEXT[TEXT.index("| `reason` |") :].partition("\n\n")[0].splitlines()[2:]
    named = [name for row in table for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(get_args(Reason))


def test_the_line_of_pandas_names_a_path_that_there_is(api):
    api.ingest(trade())
    path = re.search(r"8000(/api/v1/market-data/[^\"]*\.csv[^\"]*)", FIRST_CALLS.read_text())
    assert path is not None
    assert api.get(path[1])["Content-Type"].startswith("text/csv")


def test_the_calls_about_the_sample_have_answers(api, time_machine):
    time_machine.move_to("2025-01-08T22:00:00Z", tick=False)
    call_command("sample", days=1, history=0, symbols=["DEMOA"], stdout=io.StringIO())
    paths = re.findall(r"8000(/api/v1/market-data/equities/DEMOA/[^\"]*)", FIRST_CALLS.read_text())
    bars, snapshot, trades = map(api.get, paths)
    assert len(answer(bars)["bars"]) == 1
    assert None not in [answer(snapshot)[name] for name in ("trade", "minute_bar", "daily_bar")]
    rows = b"".join(trades.streaming_content).splitlines()
    assert rows[0].startswith(b"timestamp,price,")
    # Of the regular session; under the policy us_equities a print or two does not count.
    of_session = sum(b"extended_hours" not in row for row in rows[1:])
    assert of_session - 3 <= answer(bars)["bars"][0]["trade_count"] <= of_session
    assert len(rows) > 1_000


def test_it_lists_every_parameter():
    table = TEXT[TEXT.index("| parameter |") :].partition("\n\n")[0]
    listed = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    there_are = {
        name
        for dataset in MARKET_DATASETS.values()
        for streamed in (False, True)
        for name in dataset.parameters(streamed=streamed, several=False)
    }
    assert listed == there_are - OF_OPTIONS


def test_the_default_resolutions_are_those_of_the_openapi_document():
    (row,) = re.findall(r"^\| `resolution` \| ([^|]+) \|", TEXT, re.MULTILINE)
    assert row == "`1d`; `ohlcv/stream`: `1m`; quotes: `tick`"
    paths = orjson.loads(schema_document("json").body)["paths"]
    found = {}
    for path, methods in paths.items():
        for parameter in methods.get("get", {}).get("parameters", []):
            if "/market-data/" in path and parameter["name"] == "resolution":
                found[path.partition("/market-data/")[2].partition("/")[2]] = parameter["schema"]["default"]
    assert found["{symbol}/ohlcv/stream"] == "1m"
    assert {found[path] for path in ("{symbol}/ohlcv", "ohlcv", "{symbol}/revisions")} == {"1d"}
    assert {found[path] for path in ("{symbol}/quotes", "{symbol}/quotes/stream")} == {"tick"}


@pytest.mark.parametrize("name", FORMATS)
def test_absences_are_told_in_the_formats_that_the_page_names(api, name: str):
    (named,) = re.findall(r"The\sformats (.*?) support it;", TEXT, re.DOTALL)
    api.ingest(trade())
    query = {"start": "2025-01-02", "end": "2025-01-03", "coverage": "1", "format": name}
    response = api.get("/api/v1/market-data/equities/AAPL/ohlcv", query)
    assert (response.status_code == 200) is (f"`{name}`" in named), response.content
    if response.status_code != 200:
        assert problem(response) == (400, "conflicting_parameters")


def test_quote_bars_and_lists_of_symbols_know_no_coverage(api):
    api.ingest(trade())
    for path in ("AAPL/quotes?resolution=1m&", "ohlcv?symbols=AAPL&"):
        response = api.get(f"/api/v1/market-data/equities/{path}last=1&coverage=1")
        assert problem(response) == (400, "unknown_parameter")


def test_it_lists_every_path():
    for market_class in MARKET_CLASSES.values():
        row = next(
            line for line in TEXT.splitlines() if line.startswith(f"| `{market_class.path}/{{symbol}}/")
        )
        named = set(re.findall(r"[a-z-]+", row.split(" | ")[0]))
        assert (
            set(market_class.datasets) - {"revisions", "trading-status", "corporate-actions", "stored-bars"}
            <= named
        )
    assert all(name in TEXT for name in (*MARKET_REPORTS, "revisions"))


def test_it_tells_the_rule_of_resolutions():
    (rule,) = re.findall(r"^\| resolution \|.*\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    cells = [line.split("|")[1] for line in rule.splitlines()[1:]]
    names = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert [Resolution.parse(name).value for name in names] == names
    for unit, last in (("d", 31), ("w", 52), ("M", 12)):
        assert f"`1{unit}` to `{last}{unit}`" in rule
        with pytest.raises(ValueError, match=f"1{unit} to {last}{unit}"):
            Resolution.parse(f"{last + 1}{unit}")
