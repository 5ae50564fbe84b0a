"""The simulation of capacity reproduces what was measured, and the page has what it prints."""

import pytest
from django.conf import settings

from benchmarks.scale import CASES, Case, case_rates, hosts_rate, simulate, tables

# So far, at most, the simulation is from a measured rate.
ERROR = 0.15


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_measured_rate_is_reproduced(case: Case):
    one, two = case_rates(case)
    assert one == pytest.approx(case.one_core, rel=ERROR)
    assert two == pytest.approx(case.two_cores, rel=ERROR)


def test_two_web_hosts_answer_nearly_twice_as_much_until_redis_is_full():
    one, two, eight = (hosts_rate(count, held=100) for count in (1, 2, 8))
    assert two >= 1.8 * one
    assert eight < 4 * one


def test_a_single_client_waits_for_each_visit():
    rate = simulate({"a": 4, "b": 1}, [[("a", 300.0), ("b", 700.0)]], clients=1)
    assert rate == pytest.approx(1_000, rel=0.03)


def test_calls_by_turns_take_their_mean():
    rate = simulate({"a": 1}, [[("a", 100.0)], [("a", 300.0)]], clients=2)
    assert rate == pytest.approx(5_000, rel=0.03)


def test_the_page_has_the_tables():
    page = (settings.BASE_DIR / "docs" / "scale.md").read_text().splitlines()
    assert [line for line in tables() if line not in page] == []
