"""When a bar is final: its log is known to be complete to its end, by its own rows, its feed, or its exchange's."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine

from store.datasets import TRADES
from store.instruments import CRYPTO, Instrument
from store.timestamps import SECOND_NS, format_timestamp, parse_timestamp
from tests.api_client import Api, answer, trade
from tests.chance import SOAK
from trades.stores import market_store

pytestmark = pytest.mark.django_db

TREE = "/api/v1/market-data/equities"
MORNING = "2025-01-02T15:00"
OPENING_NS = parse_timestamp("2025-01-02T14:30:00Z")
LATER = "2025-01-02T20:00:00Z"
CLOSED = "2025-01-03T03:00:00Z"


def send(api: Api, *times: str, symbol: str = "ACME", complete_until: str | None = None, **row: Any) -> None:
    """Send one trade for each time of 2025-01-02."""
    rows = [trade(symbol=symbol, timestamp=f"2025-01-02T{time}Z", **row) for time in times]
    query = "dedupe=none" if complete_until is None else f"dedupe=none&complete_until={complete_until}"
    response = api.ingest(*rows, query=query)
    assert response.status_code == 200, response.content


def declare(api: Api, until: str, symbol: str = "ACME") -> None:
    response = api.ingest(b"", query=f"symbol={symbol}&complete_until={until}")
    assert response.status_code == 200, response.content


def finals(api: Api, symbol: str = "ACME", at: str = LATER, **params: Any) -> dict[str, bool]:
    """Return whether each bar of 2025-01-02 is final, by its time of day."""
    query = {"start": "2025-01-02", "end": "2025-01-03", "resolution": "1m", **params}
    with time_machine.travel(at, tick=False):
        response = api.get(f"{TREE}/{symbol}/ohlcv", query)
    assert response.status_code == 200, response.content
    return {bar["timestamp"][11:16]: bar["final"] for bar in answer(response)["bars"]}


def committed_at(symbol: str) -> str:
    store = market_store()
    return format_timestamp(store.log(TRADES, symbol).committed_at(store.log(TRADES, symbol).head.number))


@pytest.fixture
def listed(api: Api) -> Api:
    market_store().set_instruments(
        [Instrument("ACME", exchange="XNYS"), Instrument("OTHER", exchange="XNYS")]
    )
    return api


def test_a_feed_that_breaks_in_mid_minute_leaves_that_bar_open(api: Api):
    send(api, "14:59:30", "15:00:20")
    assert finals(api) == {"14:59": True, "15:00": False}
    send(api, "15:07:00")
    assert finals(api) == {"14:59": True, "15:00": True, "15:07": False}


def test_a_bar_waits_for_a_row_that_is_later_by_settle(api: Api):
    send(api, "15:00:20", "15:01:01.999999999")
    assert finals(api)["15:00"] is False
    send(api, "15:01:02")
    assert finals(api)["15:00"] is True


def test_settle_is_of_the_instrument(api: Api):
    send(api, "15:00:20", "15:01:30")
    for settle, is_final in ((0, True), (30, True), (30.000000001, False), (60, False)):
        market_store().set_instrument(Instrument("ACME", settle=settle))
        assert finals(api)["15:00"] is is_final


def test_what_the_feed_declares_is_complete(api: Api):
    send(api, "15:00:20", complete_until=f"{MORNING}:59.999999999Z")
    assert finals(api) == {"15:00": False}
    declare(api, "2025-01-02T15:01:00Z")
    assert finals(api) == {"15:00": True}


def test_no_bar_is_final_before_its_interval_is_over(api: Api):
    send(api, "15:00:20", "15:40:00", complete_until="2025-01-03")
    assert finals(api, at=f"{MORNING}:59.9Z") == {"15:00": False, "15:40": False}
    assert finals(api, at=f"{MORNING}:59.9Z", as_of="2027-01-01") == {"15:00": False, "15:40": False}
    assert finals(api, at="2025-01-02T15:01:00Z") == {"15:00": True, "15:40": False}


def test_a_cancelled_row_still_shows_that_the_feed_went_on(api: Api):
    send(api, "15:00:20", "15:01:02")
    api.correct(
        {"action": "cancel", "timestamp": "2025-01-02T15:01:02Z", "price": 189.98, "volume": 100},
        symbol="ACME",
    )
    assert finals(api) == {"15:00": True}


def test_a_late_print_changes_a_final_bar_and_revisions_say_so(api: Api):
    send(api, "15:00:20", "15:03:00")
    assert finals(api)["15:00"] is True
    send(api, "15:00:40")
    path = f"{TREE}/ACME/revisions?start=2025-01-02&end=2025-01-03&resolution=1m"
    (revision,) = answer(api.get(path))["revisions"]
    assert (revision["timestamp"], revision["after_trade_count"]) == (f"{MORNING}:00Z", 2)


class TestAClockThatRunsAhead:
    """A row that is dated ahead counts as one of the instant at which it was stored."""

    @pytest.mark.parametrize("ahead", ["15:00:01.5", "15:00:50", "16:00:00"])
    def test_a_trade_that_is_a_little_late_changes_no_final_bar(self, api: Api, ahead: str):
        with time_machine.travel("2025-01-02T14:59:40Z", tick=False) as clock:
            send(api, "14:59:39", ahead)
            clock.move_to("2025-01-02T15:00:00.300Z")
            assert finals(api, at="2025-01-02T15:00:00.300Z")["14:59"] is False
            send(api, "14:59:59.900")
            clock.move_to("2025-01-02T15:00:02Z")
            send(api, "15:00:01.999999999")
            assert finals(api, at="2025-01-02T15:00:02Z")["14:59"] is False
            send(api, "15:00:02")
            assert finals(api, at="2025-01-02T15:00:02Z")["14:59"] is True

    def test_the_bar_of_such_a_row_is_no_stored_bar(self, api: Api):
        prices = '"open":1,"high":2,"low":1,"close":2,"volume":10,"resolution":"1m","symbol":"ACME"'
        bar = f'{{"bars":[{{"timestamp":"{MORNING[:-2]}02:00Z",{prices}}}]}}'.encode()
        with time_machine.travel("2025-01-02T14:59:59.600Z", tick=False):
            send(api, "14:59:59", "15:00:00.100")
            assert api.ingest(bar, path="/api/v1/bars/ingest").status_code == 200
        assert finals(api, at="2025-01-02T15:03:00Z") == {"14:59": False, "15:00": False, "15:02": True}

    def test_quote_bars_wait_as_well(self, api: Api):
        body = b'{"quotes":[{"timestamp":"2025-01-02T%bZ","symbol":"ACME","bid":1,"ask":2}]}'
        with time_machine.travel("2025-01-02T14:59:58Z", tick=False):
            for time in (b"14:59:57", b"15:00:05"):
                assert api.ingest(body % time, path="/api/v1/quotes/ingest").status_code == 200
        query = {"start": "2025-01-02T14:59", "end": "2025-01-02T15:00", "resolution": "1m"}
        with time_machine.travel("2025-01-02T15:00:04Z", tick=False):
            (bar,) = answer(api.get(f"{TREE}/ACME/quotes", query))["quotes"]
        assert bar["final"] is False

    def test_another_clock_of_the_exchange_does_not_end_a_session(self, listed: Api):
        with time_machine.travel("2025-01-02T20:59:58Z", tick=False):
            send(listed, "20:59:57")
            send(listed, "21:00:01", symbol="OTHER")
        assert finals(listed, at="2025-01-02T21:00:03Z", hours="regular") == {"20:59": False}


SPARSE = {"at": CLOSED, "hours": "regular"}


def test_a_session_that_ended_is_final_once_its_exchange_went_on(listed: Api):
    """The last trade of ACME is an hour before the close of 21:00."""
    send(listed, "20:00:10")
    assert finals(listed, **SPARSE) == {"20:00": False}
    send(listed, "20:59:59.999999999", symbol="OTHER")
    assert finals(listed, **SPARSE) == {"20:00": False}
    send(listed, "21:00:00", symbol="OTHER")
    # The answer of a moment ago is held for a second.
    assert finals(listed, at="2025-01-03T03:00:01Z", hours="regular") == {"20:00": True}


@pytest.mark.parametrize(("at", "is_final"), [("21:00:01.9", False), ("21:00:02", True)])
@pytest.mark.parametrize("resolution", ["1m", "1h", "1d"])
def test_settle_passes_after_the_session(listed: Api, at: str, is_final: bool, resolution: str):
    send(listed, "20:00:10")
    declare(listed, "2025-01-02T21:00:00Z", symbol="OTHER")
    found = finals(listed, at=f"2025-01-02T{at}Z", hours="regular", resolution=resolution)
    assert list(found.values()) == [is_final]


@pytest.mark.parametrize(
    "other", [{"exchange": "XLON"}, {}, {"exchange": "XNYS", "instrument_class": CRYPTO}]
)
def test_other_exchanges_do_not_count(listed: Api, other: dict[str, Any]):
    market_store().set_instrument(Instrument("OTHER", **other))
    send(listed, "20:00:10")
    send(listed, "21:00:05", symbol="OTHER")
    assert finals(listed, **SPARSE) == {"20:00": False}


def test_quotes_of_the_exchange_count(listed: Api):
    send(listed, "20:00:10")
    body = b'{"quotes":[{"timestamp":"2025-01-02T21:00:00Z","symbol":"OTHER","bid":1}]}'
    assert listed.ingest(body, path="/api/v1/quotes/ingest").status_code == 200
    assert finals(listed, **SPARSE) == {"20:00": True}


def test_hours_after_the_session_wait_for_their_own_end(listed: Api):
    send(listed, "20:00:10", "21:30:00")
    send(listed, "22:00:00", symbol="OTHER")
    assert finals(listed, at=CLOSED) == {"20:00": True, "21:30": False}
    declare(listed, "2025-01-03T01:00:00Z", symbol="OTHER")
    assert finals(listed, at="2025-01-03T03:00:02Z") == {"20:00": True, "21:30": True}


def test_as_of_decides_by_what_was_stored_then(listed: Api):
    send(listed, "20:00:10")
    before = committed_at("ACME")
    send(listed, "21:00:00", symbol="OTHER")
    after = committed_at("OTHER")
    found = [
        finals(listed, at="2027-01-01", hours="regular", as_of=instant) for instant in (before, after, before)
    ]
    assert found == [{"20:00": False}, {"20:00": True}, {"20:00": False}]


def test_pages_of_a_walk_agree_on_what_is_final(listed: Api):
    send(listed, "20:00:10", "20:01:10", "20:02:10")
    query = {"start": "2025-01-02", "end": "2025-01-03", "resolution": "1m", "limit": "1"}
    path, cursor = f"{TREE}/ACME/ohlcv", None
    found: list[bool] = []
    while cursor is not None or not found:
        page = answer(listed.get(path, query if cursor is None else {**query, "cursor": cursor}))
        found += [bar["final"] for bar in page["bars"]]
        cursor = page["next_cursor"]
        send(listed, "23:00:00", symbol="OTHER")
        send(listed, "23:00:00")
    assert found == [True, True, False]


def test_a_stored_bar_is_final_and_a_bar_of_trades_beside_it_is_not(api: Api):
    send(api, "15:00:20")
    prices = '"open":1,"high":2,"low":1,"close":2,"volume":10,"resolution":"1m","symbol":"ACME"'
    bars = ",".join(f'{{"timestamp":"{MORNING[:-2]}{minute}:00Z",{prices}}}' for minute in ("00", "01", "02"))
    assert api.ingest(f'{{"bars":[{bars}]}}'.encode(), path="/api/v1/bars/ingest").status_code == 200
    assert finals(api) == {"15:00": False, "15:01": True, "15:02": True}
    assert finals(api, at=f"{MORNING[:-2]}02:30Z") == {"15:00": False, "15:01": True, "15:02": False}


def test_the_same_answer_keeps_its_etag_while_the_exchange_is_asked_again(listed: Api):
    send(listed, "20:00:10")
    path, query = f"{TREE}/ACME/ohlcv", {"start": "2025-01-02", "end": "2025-01-03", "resolution": "1m"}
    etags = set()
    for second in range(3):
        with time_machine.travel(f"2025-01-03T03:00:0{2 * second}Z", tick=False):
            etags.add(listed.get(path, query)["ETag"])
    assert len(etags) == 1


def test_an_answer_of_the_seconds_after_the_close_does_not_wait_for_another_close(listed: Api):
    send(listed, "20:00:10")
    declare(listed, "2025-01-02T21:00:00Z", symbol="OTHER")
    found = [finals(listed, at=f"2025-01-02T21:00:0{second}Z", hours="regular") for second in (1, 3)]
    assert found == [{"20:00": False}, {"20:00": True}]


def test_a_feed_that_breaks_after_the_hours_leaves_its_bar_open(listed: Api):
    api = listed
    rows = [trade(symbol="ACME", timestamp=f"2025-01-03T{time}Z") for time in ("00:59:30", "01:30:20")]
    api.ingest(*rows)
    path, query = f"{TREE}/ACME/ohlcv", {"start": "2025-01-03", "end": "2025-01-03T02:00", "resolution": "1m"}
    with time_machine.travel("2025-01-03T01:40:00Z", tick=False):
        bars = answer(api.get(path, query))["bars"]
    assert [bar["final"] for bar in bars] == [True, False]


@pytest.mark.parametrize("resolution", ["1m", "1h", "1d"])
def test_with_all_hours_a_print_after_the_session_is_in_no_final_bar(listed: Api, resolution: str):
    declare(listed, "2025-01-03T01:00:00Z", symbol="OTHER")
    rows = [trade(symbol="ACME", timestamp=f"2025-01-03T02:10:{second}Z") for second in (10, 50)]
    listed.ingest(rows[0])
    path = f"{TREE}/ACME/ohlcv"
    query = {"start": "2025-01-02T05:00", "end": "2025-01-03T05:00", "resolution": resolution, "hours": "all"}
    with time_machine.travel("2025-01-03T06:00:00Z", tick=False):
        (bar,) = answer(listed.get(path, query))["bars"]
    assert bar["final"] is False


class TestCreditedVolume:
    """Odd lots have volume and set no price: it is added to the bar before them."""

    @pytest.fixture(autouse=True)
    def policy(self, api: Api) -> None:
        market_store().set_instrument(Instrument("ACME", exchange="XNYS", bar_policy="us_equities"))

    def test_a_bar_waits_for_the_next_price(self, api: Api):
        send(api, "15:00:20")
        send(api, "15:20:00", conditions=["odd_lot"])
        assert finals(api) == {"15:00": False}
        send(api, "15:30:00")
        assert finals(api) == {"15:00": False, "15:30": False}
        send(api, "15:30:02.1", conditions=["odd_lot"])
        assert finals(api) == {"15:00": True, "15:30": False}

    def test_the_last_bar_waits_for_the_end_of_the_hours(self, api: Api):
        send(api, "15:00:20")
        send(api, "20:30:00", conditions=["odd_lot"])
        assert finals(api, at=CLOSED, hours="regular") == {"15:00": False}
        send(api, "21:00:02", conditions=["odd_lot"])
        assert finals(api, at=CLOSED, hours="regular") == {"15:00": True}
        assert finals(api, at=CLOSED, hours="all") == {"15:00": False}
        declare(api, "2025-01-03T01:00:00Z")
        assert finals(api, at=CLOSED, hours="extended") == {"15:00": True}
        assert finals(api, at=CLOSED, hours="all") == {"15:00": False}
        declare(api, "2025-01-03T05:00:00Z")
        assert finals(api, at="2025-01-03T06:00:00Z", hours="all") == {"15:00": True}

    @pytest.mark.parametrize("hours", ["all", "extended", "regular"])
    @pytest.mark.parametrize("end", ["2025-01-02T16:00", "2025-01-03"])
    @pytest.mark.parametrize("resolution", ["1m", "1h", "4h", "1d"])
    def test_the_only_bar_is_final_once_its_exchange_passed_the_date(
        self, api: Api, hours: str, end: str, resolution: str
    ):
        """The range ends before the date does. The date ends at 05:00 of the next day."""
        market_store().set_instrument(Instrument("OTHER", exchange="XNYS"))
        send(api, "15:00:20")
        send(api, "17:00:20", conditions=["odd_lot"])
        query = {"hours": hours, "end": end, "resolution": resolution}
        assert set(finals(api, at="2025-01-10", **query).values()) <= {False}
        api.ingest(trade(symbol="OTHER", timestamp="2025-01-06T15:00:00Z"))
        assert set(finals(api, at="2025-01-10T00:00:02Z", **query).values()) == {True}

    def test_an_interval_of_two_dates_belongs_to_the_first(self, api: Api):
        send(api, "15:00:20")
        odd = {"symbol": "ACME", "conditions": ["odd_lot"]}
        api.ingest(trade(timestamp="2025-01-03T09:30:00Z", **odd))
        assert finals(api, at="2025-01-03T09:31:00Z", resolution="12h") == {"12:00": False}

    def test_bars_of_an_earlier_date_do_not_wait(self, api: Api):
        send(api, "15:00:20")
        api.ingest(trade(symbol="ACME", timestamp="2025-01-03T14:00:00Z", conditions=["odd_lot"]))
        assert finals(api, at="2025-01-03T15:00:00Z") == {"15:00": True}


def arrivals(chance: random.Random, settle_ns: int) -> Iterator[dict[str, Any]]:
    """Yield trades in order of arrival. Each arrives less than `settle` after it happened."""
    found = []
    at_ns = OPENING_NS
    for number in range(100):
        at_ns += chance.choice([0, 1, SECOND_NS // 3, 5 * SECOND_NS, 80 * SECOND_NS])
        odd = {"conditions": ["odd_lot"]} if chance.random() < 0.4 else {}
        row = trade(
            symbol="ACME",
            timestamp=format_timestamp(at_ns),
            price=100 + number % 7,
            volume=1 + number % 5,
            **odd,
        )
        found.append((at_ns + chance.randrange(settle_ns), number, row))
    return (row for *_, row in sorted(found, key=lambda one: one[:2]))


@pytest.mark.system
@pytest.mark.parametrize("policy", ["all", "us_equities"])
@pytest.mark.parametrize("exchange", [None, "XNYS"])
@pytest.mark.parametrize("seed", range(2 if SOAK else 1))
def test_a_final_bar_of_a_feed_that_keeps_settle_never_changes(
    api: Api, policy: str, exchange: str | None, seed: int
):
    """Both ways: a final bar is as in the end, and a bar before the last price is not held back for ever."""
    chance = random.Random(f"{policy}{exchange}{seed}")
    market_store().set_instrument(Instrument("ACME", exchange=exchange, bar_policy=policy))
    rows, known, was_final = list(arrivals(chance, 2 * SECOND_NS)), [], 0
    while rows:
        count = chance.randint(1, 10)
        assert api.ingest(*rows[:count], query="dedupe=none").status_code == 200
        del rows[:count]
        for resolution in ("1s", "1m", "5m"):
            query = {"start": "2025-01-02T14:00:00Z", "end": "2025-01-03", "resolution": resolution}
            found = answer(api.get(f"{TREE}/ACME/ohlcv", {**query, "limit": "10000"}))["bars"]
            known += [(resolution, bar) for bar in found if bar["final"]]
            was_final = len([bar for bar in found if bar["final"]])
    in_the_end = {}
    for resolution in ("1s", "1m", "5m"):
        query = {"start": "2025-01-02T14:00:00Z", "end": "2025-01-03", "resolution": resolution}
        for bar in answer(api.get(f"{TREE}/ACME/ohlcv", {**query, "limit": "10000"}))["bars"]:
            in_the_end[resolution, bar["timestamp"]] = {**bar, "final": True}
    assert all(in_the_end[resolution, bar["timestamp"]] == bar for resolution, bar in known)
    assert was_final > 3
