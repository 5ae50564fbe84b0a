"""Strategies that look ahead are found at the right decision by `knowledge=then`, and honest ones are not."""

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import time_machine
from django.conf import settings

from store.instruments import Instrument
from store.timestamps import parse_timestamp
from tests.api_client import Api, answer, trade
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.system]

_SPEC = importlib.util.spec_from_file_location(
    "meter", settings.BASE_DIR / "docs/examples/lookahead_meter.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
METER = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(METER)

SYMBOL = "ACME"
OHLCV = f"/api/v1/market-data/equities/{SYMBOL}/ohlcv"
Values = tuple[float, float, float, float, float]


# What `in_order` has not sent yet, with its time; None outside of it.
_waiting: list[tuple[int, Callable[[], Any]]] | None = None


def at(moment: str, send: Callable[[], Any]) -> None:
    """Send something at a time of the day, so that its commit has that time."""
    time_ns = parse_timestamp(moment if "T" in moment else f"2025-01-02T{moment}Z")
    if _waiting is not None:
        _waiting.append((time_ns, send))
        return
    _send(time_ns, send)


def _send(time_ns: int, send: Callable[[], Any]) -> None:
    with time_machine.travel(time_ns / 1e9, tick=False):
        response = send()
    assert response.status_code == 200, response.content


@contextmanager
def in_order() -> Iterator[None]:
    """Send what comes meanwhile in order of time: a log takes nothing while its newest commit is ahead of the clock."""
    global _waiting  # noqa: PLW0603 the functions that send are tables
    waiting: list[tuple[int, Callable[[], Any]]] = []
    _waiting = waiting
    try:
        yield
    finally:
        _waiting = None
    for each in sorted(waiting, key=lambda each: each[0]):
        _send(*each)


def live(api: Api, time: str, price: float, volume: float, **others: Any) -> None:
    """A trade that is sent when it happens."""
    row = trade(symbol=SYMBOL, timestamp=f"2025-01-02T{time}Z", price=price, volume=volume, **others)
    at(time, lambda: api.ingest(row))


def late(api: Api, time: str, sent: str, price: float, volume: float, **others: Any) -> None:
    row = trade(symbol=SYMBOL, timestamp=f"2025-01-02T{time}Z", price=price, volume=volume, **others)
    at(sent, lambda: api.ingest(row))


def quiet_hour(api: Api) -> None:
    """A trade of 100 at 10 in each minute from 15:00 to 15:09."""
    market_store().set_instrument(Instrument(SYMBOL, exchange="XNYS", bar_policy="us_equities"))
    for minute in range(10):
        live(api, f"15:0{minute}:30", 10, 100)


def credited(api: Api) -> None:
    for seconds in ("01", "30"):
        live(api, f"15:10:{seconds}", 10, 900, conditions=["odd_lot"])


def credited_much_later(api: Api) -> None:
    live(api, "15:40:00", 10, 5_000, conditions=["odd_lot"])


def late_high(api: Api) -> None:
    late(api, "15:05:40", "15:07:00", 99, 1)


def late_volume(api: Api) -> None:
    late(api, "15:05:40", "15:06:02.001", 10, 5_000)


def received_late(api: Api) -> None:
    late(api, "15:05:40", "2025-02-01T00:00:00Z", 99, 1, received_at="2025-01-02T15:06:03Z")


def correct(api: Api, **named: Any) -> None:
    correction = {"timestamp": "2025-01-02T15:05:30Z", "price": 10, "volume": 100, **named}
    at("15:20:00", lambda: api.correct(correction, symbol=SYMBOL))


def restated_price(api: Api) -> None:
    correct(api, action="correct", new_price=99)


def restated_volume(api: Api) -> None:
    correct(api, action="correct", new_volume=5_000)


def late_vendor_bar(api: Api) -> None:
    bar = (
        f'{{"bars":[{{"timestamp":"2025-01-02T15:30:00Z","symbol":"{SYMBOL}","resolution":"1m","open":10,'
        '"high":99,"low":10,"close":99,"volume":5000}]}'
    )
    at("15:31:30", lambda: api.ingest(bar.encode(), path="/api/v1/bars/ingest"))


def split_later(api: Api) -> None:
    split = f'{{"corporate_actions":[{{"timestamp":"2025-01-06","symbol":"{SYMBOL}","kind":"split","ratio":0.1}}]}}'
    at("2025-01-03T00:00:00Z", lambda: api.ingest(split.encode(), path="/api/v1/corporate-actions/ingest"))


def closing_auction(api: Api) -> None:
    live(api, "21:00:30", 99, 5_000, conditions=["closing_print"])


def above(price: float) -> Callable[[Values], bool]:
    return lambda bar: bar[1] > price


def closes_above(price: float) -> Callable[[Values], bool]:
    return lambda bar: bar[3] > price


def volume_above(volume: float) -> Callable[[Values], bool]:
    return lambda bar: bar[4] > volume


def decide(rule: Callable[[Values], bool]) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """A strategy that buys at each bar that the rule takes."""

    def strategy(bars: Iterable[Any]) -> Iterator[Any]:
        for time_ns, symbol, *values in bars:
            if rule(tuple(values)):
                yield METER.Decision(time_ns, symbol, "buy")

    return strategy


def found(api: Api, rule: Callable[[Values], bool], query: dict[str, str]) -> Any:
    """What the meter finds over pages of bars."""

    def bars(knowledge: str) -> Iterator[Any]:
        asked = {"start": "2025-01-02", "end": "2025-01-03", "resolution": "1m", **query}
        for bar in answer(api.get(OHLCV, {**asked, "knowledge": knowledge}))["bars"]:
            values = (bar[name] for name in ("open", "high", "low", "close", "volume"))
            yield METER.Bar(parse_timestamp(bar["timestamp"]), SYMBOL, *values)

    return METER.difference(decide(rule), bars)


DAYS = {"resolution": "1d"}
LEAKS = {
    "credited volume": (credited, volume_above(1_500), {}, "15:09"),
    "volume credited much later": (credited_much_later, volume_above(1_500), {}, "15:09"),
    "a late print's price": (late_high, above(50), {}, "15:05"),
    "a late print's volume": (late_volume, volume_above(1_500), {}, "15:05"),
    "a print of history that was received late": (received_late, above(50), {}, "15:05"),
    "a corrected price": (restated_price, closes_above(50), {}, "15:05"),
    "a corrected volume": (restated_volume, volume_above(1_500), {}, "15:05"),
    "a vendor's bar that came late": (late_vendor_bar, closes_above(50), {}, "15:30"),
    "a later split": (split_later, closes_above(50), {"adjustment": "split"}, "15:00"),
    "the day before its auction": (closing_auction, closes_above(50), DAYS, "14:30"),
}


@pytest.mark.parametrize(("happens", "rule", "query", "bar"), LEAKS.values(), ids=LEAKS)
def test_a_leak_is_found_at_its_decision(
    api: Api, happens: Callable[[Api], None], rule: Callable[[Values], bool], query: dict[str, str], bar: str
):
    with in_order():
        quiet_hour(api)
        happens(api)
    difference = found(api, rule, query)
    assert difference is not None
    assert difference.time_ns == parse_timestamp(f"2025-01-02T{bar}:00Z")
    assert (difference.now, difference.then) == ("buy", None)


def test_the_answer_counts_what_told_when_rows_were_known(api: Api):
    quiet_hour(api)
    received_late(api)
    asked = {"start": "2025-01-02", "end": "2025-01-03", "resolution": "1m"}
    page = answer(api.get(OHLCV, {**asked, "knowledge": "then"}))
    assert page["knowledge"] == {"received_at": 1, "committed_at": 10, "event": 0}
    first = answer(api.get(OHLCV, {**asked, "knowledge": "then", "limit": "4"}))
    assert first["knowledge"] == {"received_at": 0, "committed_at": 4, "event": 0}
    assert "knowledge" not in answer(api.get(OHLCV, asked))


@pytest.mark.parametrize(("resolution", "status"), [("1d", 200), ("1w", 400), ("1M", 400)])
def test_a_period_in_which_an_action_may_lie_is_not_adjusted_then(api: Api, resolution: str, status: int):
    quiet_hour(api)
    asked = {"start": "2025-01-02", "resolution": resolution, "adjustment": "split", "knowledge": "then"}
    assert api.get(OHLCV, asked).status_code == status
