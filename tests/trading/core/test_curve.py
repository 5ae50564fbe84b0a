"""The curve of an account: growth, drawdowns, exposure, and the points that are kept of it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.core.folded import these
from trading.core.curve import DAY_NS, Curve, Drawdown, Drawdowns, EquityPoint, ThinnedCurve, equity_point

HOUR_NS = DAY_NS // 24
ZERO = Decimal(0)


def point(at_ns: int, equity: Any, *, high: Any = 0, start: Any = 100, exposure: Any = 0) -> EquityPoint:
    amounts = (Decimal(str(each)) for each in (equity, max(high, equity), start, exposure))
    return equity_point(at_ns, *amounts)


def drawdowns_of(*percents: float) -> Drawdowns:
    found = Drawdowns()
    for at_ns, percent in enumerate(percents):
        found.take(at_ns, Decimal(str(percent)))
    found.until(len(percents))
    return found


@pytest.mark.parametrize(
    ("percents", "deepest", "longest"),
    [
        ([0, 0], None, 0),
        ([0, 0, 3, 5, 4, 0, 1], (5, 1, 3, 5), 4),
        ([0, 2, 0, 2, 0], (2, 0, 1, 2), 2),
        ([0, 2, 0, 1, 1, 1, 1], (2, 0, 1, 2), 5),
        ([0, 2, 0, 3, 2], (3, 2, 3, None), 3),
        ([4, 3, 0], (4, 0, 0, 2), 2),
    ],
    ids=["none", "one", "the first of equal ones", "the longest lasts", "open", "before the curve"],
)
def test_the_deepest_drawdown_and_the_longest(percents, deepest, longest):
    found = drawdowns_of(*percents)
    assert found.deepest == (None if deepest is None else Drawdown(Decimal(deepest[0]), *deepest[1:]))
    assert found.longest_ns == longest


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_drawdowns_are_those_of_a_naive_search(percents: list[int]):
    found, zeros = drawdowns_of(*percents), [at for at, each in enumerate(percents) if not each]
    if not any(percents):
        assert found.deepest is None
        return
    trough = percents.index(max(percents))
    begin = max((at for at in zeros if at < trough), default=next(at for at, p in enumerate(percents) if p))
    end = min((at for at in zeros if at > trough), default=None)
    assert found.deepest == Drawdown(Decimal(max(percents)), begin, trough, end)
    spans, last = [0], None
    for at, percent in enumerate([*percents, 0]):
        if percent:
            last = at if last is None else last
        else:
            spans.append(0 if last is None else at - last)
            last = at if at < len(percents) else None
    assert found.longest_ns == max(spans)


def test_exposure_is_weighted_by_time():
    curve = Curve()
    curve.take(point(0, 100))
    curve.expose(6 * HOUR_NS, Decimal(50))
    curve.take(point(12 * HOUR_NS, 200, exposure=60))
    curve.expose(18 * HOUR_NS, ZERO)
    curve.end(2 * DAY_NS)
    total = curve.exposure()
    assert total.mean_percent == (6 * 50 + 6 * 30) / Decimal(48)
    assert these(total.largest, total.time_in_market) == (50, Decimal("0.25"))
    assert total.mean_equity == (12 * 100 + 36 * 200) / Decimal(48)
    first, second = curve.days[0].exposure, curve.days[1].exposure
    assert these(first.mean_percent, first.time_in_market) == (20, Decimal("0.5"))
    assert these(second.mean_percent, second.largest, second.time_in_market) == (0, 0, 0)


def test_the_time_without_equity_has_no_exposure():
    curve = Curve()
    curve.take(point(0, 100, exposure=50))
    curve.take(point(HOUR_NS, -10, exposure=50))
    curve.take(point(3 * HOUR_NS, 100))
    curve.end(4 * HOUR_NS)
    total = curve.exposure()
    assert these(total.ns, total.mean_percent, total.time_in_market) == (2 * HOUR_NS, 25, Decimal("0.5"))


def test_what_lasted_no_time_is_no_exposure():
    curve = Curve()
    curve.take(point(0, 100))
    curve.expose(HOUR_NS, Decimal(80))
    curve.expose(HOUR_NS, Decimal(10))
    curve.end(2 * HOUR_NS)
    assert curve.exposure().largest == 10


def test_a_curve_begins_with_the_point_before_its_period():
    curve = Curve(since_ns=10 * HOUR_NS)
    curve.take(point(0, 95, high=100, exposure=95))
    curve.take(point(11 * HOUR_NS, 100, high=100))
    curve.end(12 * HOUR_NS)
    assert curve.drawdowns.deepest == Drawdown(Decimal(5), 10 * HOUR_NS, 10 * HOUR_NS, 11 * HOUR_NS)
    assert curve.exposure().ns == 2 * HOUR_NS
    assert curve.exposure().time_in_market == Decimal("0.5")


def test_a_day_has_its_deepest_point_and_its_close():
    curve = Curve()
    curve.take(point(0, 100))
    curve.take(point(HOUR_NS, 90, high=100))
    curve.take(point(2 * HOUR_NS, 95, high=100))
    curve.take(point(2 * DAY_NS + HOUR_NS, 110))
    curve.end(3 * DAY_NS)
    assert {day: these(each.close.equity, each.max_drawdown) for day, each in curve.days.items()} == {
        0: (95, 10),
        1: (95, 5),
        2: (110, 5),
    }
    assert list(curve.closes) == [-1, 0, 2]


def test_the_mark_at_midnight_ends_the_day_before():
    curve = Curve()
    curve.take(point(HOUR_NS, 100))
    curve.take(point(2 * HOUR_NS, 102))
    curve.take(point(DAY_NS + 20_000_000, 104))
    curve.take(point(DAY_NS + HOUR_NS, 130))
    curve.end(2 * DAY_NS)
    assert list(curve.closes.values()) == [1, Decimal("1.04"), Decimal("1.3")]
    assert [each.close.equity for each in curve.days.values()] == [104, 130]
    assert curve.daily_returns() == [Decimal("0.04"), Decimal("0.25")]


def test_an_account_that_was_empty_goes_on_with_its_growth():
    curve = Curve()
    for day, each in enumerate([(100, 100), (120, 100), (0, 0), (50, 50), (55, 50)]):
        curve.take(point(day * DAY_NS + HOUR_NS, each[0], start=each[1]))
    assert curve.growth == Decimal("1.32")
    assert [round(each, 9) for each in curve.daily_returns()] == [0, Decimal("0.2"), 0, 0, Decimal("0.1")]


def test_time_never_runs_backwards():
    curve = Curve()
    curve.take(point(2 * HOUR_NS, 100, exposure=50))
    curve.take(point(HOUR_NS, 100))
    curve.end(3 * HOUR_NS)
    assert curve.exposure().held_ns == 0
    assert curve.exposure().ns == HOUR_NS


@pytest.mark.parametrize("length", [1, 999, 1_000, 1_001, 1_004, 12_345])
def test_a_long_curve_keeps_its_ends_and_its_deepest_point(length: int):
    points = [
        EquityPoint(index, ZERO, ZERO, Decimal(index * 7919 % 5000), Decimal(1), ZERO)
        for index in range(length)
    ]
    curve = ThinnedCurve()
    for each in points:
        curve.take(each)
    kept = curve.points
    assert len(kept) <= 1_000
    assert kept[-1] == points[-1]
    assert max(points, key=lambda each: each.drawdown) in kept
    assert kept == sorted(kept)
    if length <= 1_000:
        assert kept == points
    else:
        assert len(kept) > 400


def test_a_point_without_equity_has_no_growth():
    assert point(0, 0, start=0).growth is None
