"""The contents of `/calendar` and `/clock`: how long they are held, and what their keys have."""

from functools import partial

import pytest

from stats.delivery.answers import AnswerKey, finished_answer
from stats.delivery.repeated_calls import RepeatedCall
from stats.sessions.answers import CalendarDates, calendar_snapshot, clock_snapshot
from store.timestamps import DAY_NS, SECOND_NS, parse_timestamp

START, END = parse_timestamp("2024-11-25"), parse_timestamp("2024-12-02")
MIDNIGHT = parse_timestamp("2024-11-21")
NOW_NS = MIDNIGHT - DAY_NS // 2


def content(
    exchange: str = "XNYS", start_ns: int | None = START, end_ns: int | None = END, now_ns: int = NOW_NS
) -> CalendarDates:
    return calendar_snapshot(exchange=exchange, start_ns=start_ns, end_ns=end_ns, now_ns=now_ns)


@pytest.mark.parametrize(
    ("start_ns", "end_ns", "until_ns"),
    [(None, None, MIDNIGHT), (START, None, None), (None, END, None), (START, END, None)],
    ids=["from today", "from a date", "to a date", "between dates"],
)
def test_a_calendar_is_held_until_its_dates_change(default_store, start_ns, end_ns, until_ns):
    held = RepeatedCall(partial(calendar_snapshot, exchange="XNYS", start_ns=start_ns, end_ns=end_ns), "json")
    first = held.newest(NOW_NS)
    assert held.if_newest(MIDNIGHT - 1) is first
    assert held.if_newest(MIDNIGHT) is (None if until_ns else first)
    assert (held.newest(MIDNIGHT).cache_key == first.cache_key) is (until_ns is None)


def test_calendars_differ_by_exchange_and_dates_and_are_the_same_at_any_time():
    keys = {
        each.key_prefix
        for each in (
            content(),
            content("XNAS"),
            content("XTKS"),
            content(start_ns=START + DAY_NS),
            content(end_ns=END + DAY_NS),
        )
    }
    assert len(keys) == 5
    assert content().key_prefix == content(now_ns=MIDNIGHT + DAY_NS).key_prefix
    today = NOW_NS // DAY_NS * DAY_NS
    assert content(start_ns=None, end_ns=None).key_prefix == content(start_ns=today, end_ns=None).key_prefix


@pytest.mark.parametrize("condition", [None, "*"])
def test_a_clock_is_computed_for_each_call(default_store, condition):
    held = RepeatedCall(partial(clock_snapshot, exchange="XNYS", at_ns=None), "json")
    bodies = set()
    for now_ns in (NOW_NS, NOW_NS + SECOND_NS):
        finished = finished_answer(held.newest(now_ns), if_none_match=condition, now_ns=now_ns)
        assert held.if_newest(now_ns) is None
        assert finished.headers == {
            "Content-Type": "application/json",
            "X-Cache": "bypass",
            "Cache-Control": "no-store",
            "Vary": "Accept, Accept-Encoding",
        }
        bodies.add((finished.status, finished.body))
    assert len(bodies) == 2
    assert {status for status, _ in bodies} == {200}


def test_a_clock_at_an_instant_is_the_same_whenever_it_is_asked():
    states = {
        finished_answer(
            AnswerKey(clock_snapshot(exchange="XNYS", at_ns=START, now_ns=now_ns), "json", "gzip"),
            if_none_match=None,
            now_ns=now_ns,
        ).body
        for now_ns in (NOW_NS, MIDNIGHT)
    }
    assert len(states) == 1
