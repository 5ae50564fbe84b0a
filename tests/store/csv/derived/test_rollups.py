"""Which rollups and versions are stored: those that are smaller than the rows."""

import pyarrow as pa
import pytest

from store.bar_policies import EVERY_PRINT
from store.bars.versions import versions_of
from store.csv.derived.rollups import rollups_of
from store.rows.stored_rows import ArrivalRun, stored_rows
from store.window_list import level_for
from tests.store.builders import DAY, MINUTE, SECOND, Row, record_batch, trade

HALF_HOUR = 30 * MINUTE
HOUR = 60 * MINUTE


def equal_rows(count: int, apart_ns: int, commits: int = 1) -> pa.Table:
    return stored([trade(number * apart_ns, 2.0) for number in range(count)], commits)


def stored(rows: list[Row], commits: int = 1) -> pa.Table:
    """Rows of as many commits, each of which stored equally many of them."""
    share = len(rows) // commits
    runs = [ArrivalRun(number * share, number + 1, share) for number in range(commits)]
    return stored_rows(pa.Table.from_batches([record_batch(*rows)]), runs)


@pytest.mark.parametrize(
    ("apart_ns", "levels"),
    [
        (SECOND // 100, [SECOND, MINUTE, HALF_HOUR, HOUR, DAY]),
        (MINUTE // 2, [MINUTE, HALF_HOUR, HOUR, DAY]),
        (DAY, [MINUTE, DAY]),
    ],
)
def test_minutes_and_days_are_always_stored_and_other_levels_if_they_are_shorter_than_the_rows(
    apart_ns: int, levels: list[int]
) -> None:
    assert [*rollups_of(equal_rows(480, apart_ns), EVERY_PRINT).levels] == levels


@pytest.mark.parametrize(
    ("apart_ns", "commits", "is_stored"),
    [(MINUTE // 80, 1, True), (MINUTE // 2, 1, False), (MINUTE // 80, 96, False)],
)
def test_versions_are_left_out_where_there_is_one_for_a_few_rows(
    apart_ns: int, commits: int, is_stored: bool
) -> None:
    rows = equal_rows(480, apart_ns, commits)
    versions = rollups_of(rows, EVERY_PRINT).versions
    assert (versions is not None) == is_stored
    assert versions is None or len(versions) == len(versions_of(rows, EVERY_PRINT, MINUTE))


@pytest.mark.parametrize(
    ("interval_ns", "level"),
    [(90 * SECOND, SECOND), (90 * MINUTE, HALF_HOUR), (7 * DAY, DAY), (SECOND // 2, None)],
)
def test_the_coarsest_level_that_divides_an_interval_serves_it(interval_ns: int, level: int | None) -> None:
    assert level_for(interval_ns) == level
