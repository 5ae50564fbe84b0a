import pytest

from stats.caching.response_cache import seconds_to_live
from store.timestamps import DAY_NS as DAY
from store.timestamps import SECOND_NS

NOW = 1_750_000_000_000_000_000
HOUR = 3_600 * SECOND_NS


@pytest.mark.parametrize(
    ("age_ns", "seconds"),
    [
        pytest.param(-1, 0, id="future"),
        pytest.param(0, 30, id="now"),
        pytest.param(HOUR - 1, 30, id="under an hour"),
        pytest.param(HOUR, 300, id="an hour"),
        pytest.param(DAY - 1, 300, id="under a day"),
        pytest.param(DAY, 3_600, id="a day"),
        pytest.param(3 * DAY - 1, 3_600, id="under three days"),
        pytest.param(3 * DAY, 604_800, id="three days"),
        pytest.param(9_000 * DAY, 604_800, id="old"),
    ],
)
def test_seconds_by_age_of_the_end(age_ns: int, seconds: int):
    assert seconds_to_live(NOW - age_ns, now_ns=NOW, is_period=False) == seconds


@pytest.mark.parametrize(("is_period", "seconds"), [(False, 30), (True, 120)])
def test_everything_stored_ends_now(is_period: bool, seconds: int):
    assert seconds_to_live(None, now_ns=NOW, is_period=is_period) == seconds
