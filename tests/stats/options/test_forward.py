"""The forward that calls and puts of one strike imply."""

import numpy as np
import pytest

from stats.options.surface import NEAREST_PAIRS, OptionPairs, paired, parity_forwards
from tests.stats.options.oracle import Option

SPOT, RATE, YIELD, T = 100.0, 0.06, 0.02, 0.5
FORWARD = SPOT * np.exp((RATE - YIELD) * T)
STRIKES = np.array([80.0, 90.0, 95.0, 100.0, 105.0, 110.0, 120.0])
NAN = np.nan


def pairs_of(
    call: list[float] | np.ndarray, put: list[float] | np.ndarray, strikes=STRIKES, spread=0.02
) -> OptionPairs:
    """Quotes around prices at one instant."""
    half = spread / 2
    calls, puts = np.atleast_2d(call), np.atleast_2d(put)
    return OptionPairs(strikes, calls - half, calls + half, puts - half, puts + half)


def priced_pairs(*, american: bool, volatility=0.3, **quoted) -> OptionPairs:
    call, put = (
        [
            Option(is_call, SPOT, strike, T, RATE, YIELD, american=american).price(volatility)
            for strike in STRIKES
        ]
        for is_call in (True, False)
    )
    return pairs_of(call, put, **quoted)


def forwards_of(pairs: OptionPairs, *, t=T, rate=RATE) -> np.ndarray:
    count = len(pairs.call_bid)
    return parity_forwards(pairs, np.full(count, t), np.full(count, rate))


def test_european_pairs_imply_their_forward():
    assert forwards_of(priced_pairs(american=False)) == pytest.approx([FORWARD], rel=1e-12)


def test_american_pairs_imply_it_but_for_the_premiums_of_early_exercise():
    """Near the money the put's premium is larger than the call's by two tenths: the rate is 4 % above the yield."""
    assert forwards_of(priced_pairs(american=True)) == pytest.approx([FORWARD - 0.2], abs=0.01)


def test_a_pair_that_is_off_does_not_move_the_forward():
    pairs = priced_pairs(american=False)
    pairs.call_bid[0, 3] += 3.0
    pairs.call_ask[0, 3] += 3.0
    assert forwards_of(pairs) == pytest.approx([FORWARD], rel=1e-12)


def test_the_middle_one_of_those_nearest_the_money_counts():
    # Forwards 100 + call - put at rate 0; of the far strikes they are absurd, and not heard.
    strikes = np.arange(90.0, 111.0, 2.0)
    implied = np.full(len(strikes), 500.0)
    near = np.abs(strikes - 100) <= 4
    assert near.sum() == NEAREST_PAIRS
    implied[near] = [100.5, 100.1, 100.3, 100.2, 100.4]
    pairs = pairs_of(call=implied - strikes + 500, put=np.full(len(strikes), 500.0), strikes=strikes)
    assert forwards_of(pairs, rate=0.0) == pytest.approx([100.3])


@pytest.mark.parametrize(("count", "middle"), [(1, 101.0), (2, 101.0), (3, 102.0), (4, 102.0)])
def test_of_an_even_number_the_lower_middle_one_counts(count, middle):
    strikes = np.full(4, 100.0) + np.arange(4)
    implied = np.array([101.0, 102.0, 103.0, 104.0])
    call = np.where(np.arange(4) < count, implied - strikes + 5, NAN)
    pairs = pairs_of(call, np.full(4, 5.0), strikes)
    assert forwards_of(pairs, rate=0.0) == pytest.approx([middle])


UNUSABLE = {
    "no call": ([NAN] * 7, [5.0] * 7, T),
    "no put": ([5.0] * 7, [NAN] * 7, T),
    "never both": ([5.0, NAN] * 3 + [5.0], [NAN, 5.0] * 3 + [NAN], T),
    "expired": ([5.0] * 7, [5.0] * 7, 0.0),
    "a forward below zero": ([0.0] * 7, [500.0] * 7, T),
}


@pytest.mark.parametrize(("call", "put", "t"), UNUSABLE.values(), ids=UNUSABLE)
def test_without_a_usable_pair_there_is_none(call, put, t):
    assert np.isnan(forwards_of(pairs_of(call, put), t=t)).all()


def test_one_sided_and_crossed_quotes_are_ignored():
    pairs = priced_pairs(american=False)
    pairs.call_bid[0, :3] = NAN
    pairs.put_ask[0, 4:] = NAN
    pairs.call_ask[0, 3] = pairs.call_bid[0, 3] - 0.01
    assert np.isnan(forwards_of(pairs)).all()


def test_each_instant_has_its_own():
    one = priced_pairs(american=False)
    shifted = pairs_of(
        one.call_bid + 0.01 + np.array([[0.0], [1.0], [NAN]]), np.repeat(one.put_bid + 0.01, 3, axis=0)
    )
    found = forwards_of(shifted)
    assert found[:2] == pytest.approx([FORWARD, FORWARD + np.exp(RATE * T)])
    assert np.isnan(found[2])


def test_no_strikes_imply_nothing():
    nothing = np.empty((2, 0))
    pairs = OptionPairs(np.empty(0), nothing, nothing, nothing, nothing)
    assert np.isnan(forwards_of(pairs)).all()


def test_options_are_paired_by_strike_and_the_first_of_a_kind_counts():
    pairs = paired(
        np.array([110.0, 100.0, 100.0, 100.0]),
        np.array([False, True, False, True]),
        np.array([[1.0, 2.0, 3.0, 9.0]]),
        np.array([[1.5, 2.5, 3.5, 9.5]]),
    )
    assert pairs.strikes.tolist() == [100.0, 110.0]
    assert pairs.call_bid[0, 0] == 2.0
    assert pairs.call_ask[0, 0] == 2.5
    assert np.isnan(pairs.call_bid[0, 1])
    assert pairs.put_bid[0].tolist() == [3.0, 1.0]
    assert pairs.put_ask[0].tolist() == [3.5, 1.5]
