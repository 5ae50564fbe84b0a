"""The curve of an account: growth, drawdowns, exposure, and the points that are shown of it."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from trading.core.report import EquityPoint, FillResult
from trading.reading.report import EquityCurve, PerformanceReport

HOUR_NS = DAY_NS // 24


def point(at_ns: int, equity: Any, *, high: Any = 0, start: Any = 100, exposure: Any = 0) -> EquityPoint:
    return EquityPoint(at_ns, *(Decimal(str(each)) for each in (equity, max(high, equity), start, exposure)))


def fill(at_ns: int, exposure: Any) -> FillResult:
    return FillResult(at_ns, "AAPL", "", Decimal(1), Decimal(0), Decimal(str(exposure)))


def curve_of(*steps: Any, since_ns: int = 0, until_ns: int) -> EquityCurve:
    curve = EquityCurve.of(PerformanceReport(since_ns, until_ns, steps=list(steps)))
    assert curve is not None
    return curve


def exposure_of(curve: EquityCurve) -> list[float | None]:
    found = curve.exposure(*curve.parts)
    return [
        found.ns / HOUR_NS,
        found.mean_equity,
        found.mean_percent,
        found.largest_percent,
        found.time_in_market,
    ]


def drawdown_of(*percents: float) -> tuple[Any, ...]:
    """Depth, begin, trough, end and longest of points that are a second apart."""
    points = [point(at * SECOND_NS, 100 - each, high=100) for at, each in enumerate(percents)]
    curve = curve_of(*points, until_ns=len(percents) * SECOND_NS)
    return float(curve.drawdown.max()), *curve.drawdown_document().values()


def instants(*seconds: int | None) -> list[str | None]:
    return [None if each is None else format_timestamp(each * SECOND_NS) for each in seconds]


@pytest.mark.parametrize(
    ("percents", "depth", "bounds", "longest"),
    [
        ([0, 0], 0, (None, None, None), 0),
        ([0, 0, 3, 5, 4, 0, 1], 5, (1, 3, 5), 4),
        ([0, 2, 0, 2, 0], 2, (0, 1, 2), 2),
        ([0, 2, 0, 1, 1, 1, 1], 2, (0, 1, 2), 5),
        ([0, 2, 0, 3, 2], 3, (2, 3, None), 3),
        ([4, 3, 0], 4, (0, 0, 2), 2),
    ],
    ids=["none", "one", "the first of equal ones", "the longest lasts", "open", "before the curve"],
)
def test_the_deepest_drawdown_and_the_longest(percents, depth, bounds, longest):
    assert drawdown_of(*percents) == (depth, *instants(*bounds), longest)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_drawdowns_are_those_of_a_naive_search(percents: list[int]):
    zeros = [at for at, each in enumerate(percents) if not each]
    if not any(percents):
        assert drawdown_of(*percents) == (0, None, None, None, 0)
        return
    trough = percents.index(max(percents))
    begin = max((at for at in zeros if at < trough), default=0)
    end = min((at for at in zeros if at > trough), default=None)
    spans, last = [0], None
    for at, percent in enumerate([*percents, 0]):
        if percent:
            last = at if last is None else last
        else:
            spans.append(0 if last is None or not any(percents[last:at]) else at - last)
            last = at if at < len(percents) else None
    assert drawdown_of(*percents) == (max(percents), *instants(begin, trough, end), max(spans))


def test_exposure_is_weighted_by_time():
    steps = [
        point(0, 100),
        fill(6 * HOUR_NS, 50),
        point(12 * HOUR_NS, 200, exposure=60),
        fill(18 * HOUR_NS, 0),
    ]
    curve = curve_of(*steps, until_ns=2 * DAY_NS)
    mean_equity, mean_percent = (12 * 100 + 36 * 200) / 48, (6 * 50 + 6 * 30) / 48
    assert exposure_of(curve) == pytest.approx([48, mean_equity, mean_percent, 50, 0.25])
    assert [each["exposure"] for each in curve.days().values()] == [
        {"mean_pct": 20, "largest_pct": 50, "time_in_market": 0.5},
        {"mean_pct": 0, "largest_pct": 0, "time_in_market": 0},
    ]


def test_the_time_without_equity_has_no_exposure():
    steps = [point(0, 100, exposure=50), point(HOUR_NS, -10, exposure=50), point(3 * HOUR_NS, 100)]
    assert exposure_of(curve_of(*steps, until_ns=4 * HOUR_NS)) == [2, 100, 25, 50, 0.5]


def test_what_lasted_no_time_is_no_exposure():
    curve = curve_of(point(0, 100), fill(HOUR_NS, 80), fill(HOUR_NS, 10), until_ns=2 * HOUR_NS)
    assert exposure_of(curve)[3] == 10


def test_a_curve_begins_with_the_point_before_its_period():
    steps = [
        point(0, 80, high=100, exposure=90),
        point(HOUR_NS, 95, high=100, exposure=95),
        point(11 * HOUR_NS, 100, high=100),
    ]
    curve = curve_of(*steps, since_ns=10 * HOUR_NS, until_ns=12 * HOUR_NS)
    bounds = [format_timestamp(each * HOUR_NS) for each in (10, 10, 11)]
    assert [*curve.drawdown_document().values()] == [*bounds, 3_600]
    assert exposure_of(curve)[::4] == [2, 0.5]


def test_a_fill_before_the_period_changes_what_it_begins_with():
    steps = [point(0, 100), fill(HOUR_NS, 40), fill(3 * HOUR_NS, 0)]
    curve = curve_of(*steps, since_ns=2 * HOUR_NS, until_ns=4 * HOUR_NS)
    assert exposure_of(curve)[2:] == [20, 40, 0.5]
    assert len(curve.at_ns) == 1


def test_a_day_has_its_deepest_point_and_its_close():
    steps = [
        point(0, 100),
        point(HOUR_NS, 90, high=100),
        point(2 * HOUR_NS, 95, high=100),
        point(2 * DAY_NS + HOUR_NS, 110),
    ]
    curve = curve_of(*steps, until_ns=3 * DAY_NS)
    assert {day: (each["equity"], each["max_dd"]) for day, each in curve.days().items()} == {
        0: (95, 10),
        1: (95, 5),
        2: (110, 5),
    }
    assert len(curve.daily_returns()) == 2


def test_the_mark_at_midnight_ends_the_day_before():
    steps = [
        point(HOUR_NS, 100),
        point(2 * HOUR_NS, 102),
        point(DAY_NS + 20_000_000, 104),
        point(DAY_NS + HOUR_NS, 130),
    ]
    curve = curve_of(*steps, until_ns=2 * DAY_NS)
    assert curve.daily_returns() == pytest.approx([0.04, 0.25])
    assert [(each["equity"], each["return_pct"]) for each in curve.days().values()] == [(104, 4), (130, 25)]


def test_an_account_that_was_empty_goes_on_with_its_growth():
    amounts = [(100, 100), (120, 100), (0, 0), (50, 50), (55, 50)]
    steps = [point(day * DAY_NS + HOUR_NS, each, start=start) for day, (each, start) in enumerate(amounts)]
    curve = curve_of(*steps, until_ns=5 * DAY_NS)
    assert curve.growth[-1] == pytest.approx(1.32)
    assert curve.daily_returns() == pytest.approx([0, 0.2, 0, 0, 0.1])


def test_after_a_loss_of_all_nothing_grows():
    curve = curve_of(point(0, 100), point(HOUR_NS, 0), point(DAY_NS + HOUR_NS, 50), until_ns=2 * DAY_NS)
    assert list(curve.growth) == [1, 0, 0]
    assert [each["return_pct"] for each in curve.days().values()] == [-100, None]
    assert list(curve.daily_returns()) == [-1]


def test_time_never_runs_backwards():
    curve = curve_of(point(2 * HOUR_NS, 100, exposure=50), point(HOUR_NS, 100), until_ns=3 * HOUR_NS)
    assert exposure_of(curve) == [1, 100, 0, 0, 0]


@pytest.mark.parametrize("length", [1, 999, 1_000, 1_001, 1_004, 12_345])
def test_a_long_curve_keeps_its_end_and_its_deepest_point(length: int):
    depths = np.arange(length) * 7919 % 5000 / 100
    points = [point(at, 100 - depth, high=100) for at, depth in enumerate(depths)]
    curve = curve_of(*points, until_ns=length)
    kept = curve.thinned()
    assert len(kept) <= 1_000
    assert kept == sorted(kept)
    assert kept[-1] == length - 1
    assert curve.drawdown.argmax() in kept
    assert kept == list(range(length)) if length <= 1_000 else len(kept) > 400
