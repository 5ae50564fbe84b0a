"""When continuous futures roll, compared with a plain walk from date to date; and the gaps of their prices."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats.market_data.futures.rolls import (
    ROLL_RULES,
    ContractFigures,
    FrontContract,
    RollAdjustment,
    RollRule,
    fronts_of,
)

Case = tuple[list[ContractFigures], int]
DATES = 40


def weekday(day: int) -> int:
    """The first day at or after a day that is not a weekend: days 5 and 6 of each week are none."""
    return day + max(0, 7 - day % 7) if day % 7 >= 5 else day


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Contracts with figures and closes on some weekdays up to their expiry, and a trading date of now."""
    expiries = sorted(draw(st.lists(st.integers(3, DATES), min_size=1, max_size=5, unique=True)))
    days = [day for day in range(DATES) if weekday(day) == day]
    contracts = []
    for expiry in expiries:
        own = [day for day in days if day <= expiry and draw(st.integers(0, 9)) < 8]
        # -1 stands for an unknown one.
        drawn = {day: draw(st.integers(-1, 6)) for day in own}
        figures = {day: math.nan if figure < 0 else float(figure) for day, figure in drawn.items()}
        closes = {day: 100.0 + draw(st.integers(0, 30)) for day in own}
        contracts.append(ContractFigures(expiry, figures, closes))
    return contracts, weekday(draw(st.integers(0, DATES + 5)))


def walked(case: Case, rule: RollRule) -> list[tuple[int, int | None]]:
    """The contract in front on each day, by looking at one day after the other; its changes."""
    contracts, today = case
    days = [day for day in range(today + 1) if weekday(day) == day]
    front = nearest(case, rule, 0, 0)
    fronts: list[tuple[int, int | None]] = [(front, None)]
    for before, day in pairwise(days):
        target = heaviest(case, rule, front, before)
        if target is not None and must_go(contracts[target], rule, day):
            target = None
        if must_go(contracts[front], rule, day) and target is None and front < len(contracts) - 1:
            target = nearest(case, rule, front + 1, day)
        if target is not None:
            front = target
            fronts.append((front, day))
    return fronts


def nearest(case: Case, rule: RollRule, first: int, day: int) -> int:
    """The first contract from an index on that need not go."""
    contracts, _ = case
    staying = [i for i in range(first, len(contracts)) if not must_go(contracts[i], rule, day)]
    return staying[0] if staying else len(contracts) - 1


def heaviest(case: Case, rule: RollRule, front: int, day: int) -> int | None:
    """The contract to roll into by the figures of a day."""
    contracts, _ = case
    own = contracts[front].figures.get(day, 0 if rule.is_zero_if_missing else None)
    if rule.figure is None or own is None:
        return None
    heavier = [i for i in range(front + 1, len(contracts)) if contracts[i].figures.get(day, -1) > own]
    return max(heavier, key=lambda i: (contracts[i].figures[day], -i)) if heavier else None


def must_go(contract: ContractFigures, rule: RollRule, day: int) -> bool:
    return day > contract.expiry if rule.days is None else day >= contract.expiry - rule.days


@pytest.mark.parametrize("name", ["volume", "open_interest"])
@given(case=cases())
def test_rolls_by_figures_are_those_of_a_walk(name: str, case: Case):
    rule = ROLL_RULES[name]
    assert fronts(case, rule, RollAdjustment.NONE) == walked(case, rule)


@given(case=cases(), before=st.integers(0, 9))
def test_rolls_by_days_are_those_of_a_walk(case: Case, before: int):
    _, today = case
    rule = RollRule("days", days=before)
    found = fronts(case, rule, RollAdjustment.NONE)
    assert found == walked(case, rule)
    assert all(date is None or date <= today for _, date in found)


def fronts(case: Case, rule: RollRule, adjustment: RollAdjustment) -> list[tuple[int, int | None]]:
    return [(each.contract, each.date) for each in made(case, rule, adjustment)]


def made(case: Case, rule: RollRule, adjustment: RollAdjustment) -> list[FrontContract]:
    contracts, today = case
    return fronts_of(contracts, rule, adjustment, first_date=0, today=today, trading_date=weekday)


@given(case=cases())
def test_adjusted_closes_meet_at_each_roll(case: Case):
    contracts, _ = case
    for adjustment in (RollAdjustment.DIFFERENCE, RollAdjustment.RATIO):
        found = made(case, ROLL_RULES["volume"], adjustment)
        assert found[-1].adjustment == (0 if adjustment is RollAdjustment.DIFFERENCE else 1)
        for old, new in pairwise(found):
            assert new.date is not None
            both = contracts[old.contract].closes.keys() & contracts[new.contract].closes.keys()
            last = max((day for day in both if new.date - 14 <= day < new.date), default=None)
            if last is None:
                assert old.adjustment == new.adjustment
                continue
            before, after = (
                adjusted(contracts[each.contract].closes[last], each.adjustment, adjustment)
                for each in (old, new)
            )
            assert before == pytest.approx(after)


def adjusted(close: float, by: float, adjustment: RollAdjustment) -> float:
    return close * by if adjustment is RollAdjustment.RATIO else close + by


def test_a_figure_of_today_decides_nothing_today():
    contracts = [
        ContractFigures(30, {0: 5, 1: 1}, {}),
        ContractFigures(60, {0: 1, 1: 5}, {}),
    ]
    for today, expected in ((1, [(0, None)]), (2, [(0, None), (1, 2)])):
        assert fronts((contracts, today), ROLL_RULES["volume"], RollAdjustment.NONE) == expected
