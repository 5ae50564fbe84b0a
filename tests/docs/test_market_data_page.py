"""The page of market data says what is so: its call answers as printed, its tables list what there is."""

import io
import re

from django.conf import settings
from django.core.management import call_command

from stats.caching.time_to_live import seconds_to_live
from stats.market_data.absence.reasons import REASONS
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.queries.classes import MARKET_CLASSES
from stats.market_data.reports.newest import REPORTS
from stats.resolutions import Resolution
from tests.api_client import answer, trade
from tests.docs.test_pages import README, blocks_from, body_in
from trades.timestamps import SECOND_NS

PAGE = settings.BASE_DIR / "docs" / "market_data.md"
TEXT = PAGE.read_text()
_BLOCKS = re.findall(
    r"^```\n(curl .*?)\n```(?:\n\nanswers\n\n```\n(.*?)\n```)?", TEXT, re.DOTALL | re.MULTILINE
)
CALLS: list[tuple[str, str]] = _BLOCKS
# Of the surface alone, and told on the page of options.
OF_OPTIONS = {"rate", "dividend_yield", "expiry"}


def test_the_calls_answer_as_printed(api):
    """In their order: some of them write what later ones read. `…` stands for anything."""
    api.call("POST", "/v1/trades/ingest", body_in(blocks_from(README, "/v1/trades/ingest")[0]))
    answered = 0
    for call, expected in CALLS:
        path = re.search(r"8000(/[^\s\"]*)", call)
        assert path is not None
        body = body_in(call) if "-d '" in call else b""
        method = "PUT" if "-X PUT" in call else "POST" if body else "GET"
        response = api.call(method, path[1], body)
        assert response.status_code == 200, response.content
        if expected:
            assert re.fullmatch(re.escape(expected).replace("…", ".*"), response.content.decode()), path[1]
            answered += 1
    assert (answered, len(CALLS)) == (5, 7)


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
    for resolution in Resolution:
        longest = next(limit for name, limit in reach.items() if Resolution(name).rank >= resolution.rank)
        assert resolution.maximum_range_ns == longest, resolution


def test_it_tells_how_long_answers_are_kept():
    rows = re.findall(r"^\| (still to come|less than|older)([^|]*)\| ([^|]*) \|$", TEXT, re.MULTILINE)
    ages = {"still to come": -1, "1 h": 3_599, "1 d": 86_399, "3 d": 3 * 86_400 - 1, "older": 30 * 86_400}
    told = {
        next(age for age in ages if age in first + rest): 0 if "not" in kept else int(re.sub(r"\D", "", kept))
        for first, rest, kept in rows
    }
    assert told == {
        name: seconds_to_live(-age * SECOND_NS, now_ns=0, coarse=False) for name, age in ages.items()
    }
    assert seconds_to_live(None, now_ns=0, coarse=False) == told["1 h"]
    assert seconds_to_live(None, now_ns=0, coarse=True) == 4 * told["1 h"]


def test_its_table_of_reasons_is_of_all_of_them():
    table = TEXT[TEXT.index("| `reason` |") :].partition("\n\n")[0].splitlines()[2:]
    named = [name for row in table for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(REASONS)


def test_the_line_of_pandas_names_a_path_that_there_is(api):
    api.ingest(trade())
    path = re.search(r"8000(/api/v1/market-data/[^\"]*\.csv[^\"]*)", README.read_text())
    assert path is not None
    assert api.get(path[1])["Content-Type"].startswith("text/csv")


def test_the_calls_about_the_sample_have_answers(api, time_machine):
    time_machine.move_to("2025-01-08T22:00:00Z", tick=False)
    call_command("sample", days=1, symbols=["DEMOA"], stdout=io.StringIO())
    paths = re.findall(r"8000(/api/v1/market-data/equities/DEMOA/[^\"]*)", README.read_text())
    bars, snapshot, trades = map(api.get, paths)
    assert len(answer(bars)["bars"]) == 1
    assert None not in [answer(snapshot)[name] for name in ("trade", "minute_bar", "daily_bar")]
    rows = b"".join(trades.streaming_content).splitlines()
    assert rows[0].startswith(b"timestamp,price,")
    assert len(rows) == answer(bars)["bars"][0]["trade_count"] + 1 > 1_000


def test_it_lists_every_parameter():
    table = TEXT[TEXT.index("| parameter |") :].partition("\n\n")[0]
    listed = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    there_are = {
        name
        for dataset in MARKET_DATASETS.values()
        for streamed in (False, True)
        for name in dataset.form.parameters(streamed=streamed, several=False)
    }
    assert listed == there_are - OF_OPTIONS


def test_it_lists_every_path():
    for market_class in MARKET_CLASSES.values():
        row = next(
            line for line in TEXT.splitlines() if line.startswith(f"| `{market_class.path}/{{symbol}}/")
        )
        named = set(re.findall(r"[a-z-]+", row.split(" | ")[0]))
        assert set(market_class.datasets) - {"revisions"} <= named
    assert all(report in TEXT for report in (*REPORTS, "revisions", "coverage"))


def test_it_lists_every_resolution_and_reason():
    assert " ".join(Resolution.names()) in TEXT
    assert [reason for reason in REASONS if f"`{reason}`" not in TEXT] == []
