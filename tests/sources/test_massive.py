"""Massive's bars, splits and dividends, as its published examples have them."""

from typing import Any

from sources.massive import Massive
from sources.protocol import SourcePage, Wanted
from store.datasets import BARS, CORPORATE_ACTIONS
from store.protocol import Window
from store.timestamps import DAY_NS, parse_timestamp
from tests.ops.outbound.hostile_server import Behaviour, says, served
from tests.sources.asked import QUICK, answered_of, rows_of, wanted, window
from tests.sources.fake_massive import DAYS, FakeMassive

DAILY = wanted(BARS, resolution="1d")
FIRST = parse_timestamp("2020-01-02")


def massive(url: str, **options: Any) -> Massive:
    return Massive("massive", url=url, **{"key": "good", "limits": QUICK, **options})


def pages(behave: Behaviour, of: Wanted, asked: Window) -> list[SourcePage]:
    with served(behave) as server:
        return list(massive(server.url).pages(of, asked))


def test_days_of_new_york_come_over_pages_unadjusted():
    found = pages(FakeMassive(DAYS), DAILY, window("2020-01-01", "2020-01-04"))
    rows = rows_of(found).to_pylist()
    assert [each["timestamp"] for each in rows] == [FIRST, FIRST + DAY_NS]
    assert (rows[0]["open"], rows[0]["close"], rows[0]["volume"], rows[0]["vwap"], rows[0]["trade_count"]) == (
        74.06, 75.0875, 135_647_456, 74.6099, 1,
    )  # fmt: skip
    assert answered_of(found) == [Window(FIRST - DAY_NS, FIRST + DAY_NS + 1)]


def test_the_end_of_a_window_is_answered_if_there_is_a_later_bar():
    found = pages(FakeMassive(DAYS), DAILY, window("2020-01-01", "2020-01-03"))
    assert rows_of(found)["timestamp"].to_pylist() == [FIRST]
    assert answered_of(found) == [window("2020-01-01", "2020-01-03")]


def test_a_plan_that_lacks_later_bars_gives_the_window_all_the_same():
    fake = FakeMassive(DAYS)

    def old_only(call: Any) -> None:
        says(b'{"status":"NOT_AUTHORIZED"}', 403)(call) if "limit=120" in call.path else fake(call)

    found = pages(old_only, DAILY, window("2020-01-01", "2020-01-03"))
    assert answered_of(found) == [Window(FIRST - DAY_NS, FIRST + 1)]


def test_without_bars_nothing_is_answered():
    assert pages(FakeMassive([]), wanted(BARS), window("2020-01-01", "2020-01-03")) == []


def test_splits_and_dividends_are_of_the_ex_date_and_not_adjusted():
    actions = wanted(CORPORATE_ACTIONS)
    found = pages(FakeMassive([]), actions, window("2005-02-28", "2005-03-20"))
    names = ("timestamp", "kind", "ratio", "amount", "currency")
    assert [tuple(row[name] for name in names) for row in rows_of(found).to_pylist()] == [
        (parse_timestamp("2005-02-28"), "split", 2, None, None),
        (parse_timestamp("2005-03-11"), "dividend", None, 0.26, "USD"),
        (parse_timestamp("2005-03-12"), "special_dividend", None, 3.0, "USD"),
    ]
    (later,) = rows_of(pages(FakeMassive([]), actions, window("2005-03-20", "2005-04-01"))).to_pylist()
    assert later["ratio"] == 0.1


def test_the_tickers_are_its_markets_and_the_key_goes_to_no_other_host():
    with served(FakeMassive([])) as server:
        agilent, apple = massive(server.url).markets()
        assert len(server.calls) == 2  # the second page, too, although its URL names Massive's host
    assert (agilent.symbol, agilent.exchange, agilent.currency) == ("A", "XNYS", "USD")
    assert (apple.symbol, apple.long_name, apple.exchange) == ("AAPL", "Apple Inc.", "XNAS")
