"""Rollups and versions are read as written, bit by bit, and stored only if smaller than the rows."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from store.bar_policies import EVERY_PRINT, US_EQUITIES, BarPolicy
from store.bars.aggregates import COLUMNS, Aggregates
from store.bars.aggregation import aggregate_prints
from store.bars.prints import STANDS, prints_of
from store.bars.versions import AggregateVersions, versions_of
from store.csv.derived.rollups import Rollups, map_rollups, rollups_of, write_rollups
from store.protocol import ALL_TIME
from store.rows.stored_rows import ArrivalRun, stored_rows
from store.window_list import LEVELS_NS, level_for
from tests.chance import examples
from tests.store.builders import DAY, MINUTE, SECOND, Row, record_batch, trade

EXTREMES = [0, -1, 1, 2**63 - 1, -(2**63)]
HALF_HOUR = 30 * MINUTE
HOUR = 60 * MINUTE
FLOATS = [0.0, -0.0, 1.5, -1e308, 5e-324, float("nan"), float("inf"), float("-inf")]


@st.composite
def aggregates(draw: st.DrawFn) -> Aggregates:
    """Columns of any values; many are constant. Times ascend."""
    times = draw(st.sets(st.integers(ALL_TIME.start_ns, ALL_TIME.end_ns - 1), min_size=1, max_size=4))
    count = len(times)
    columns: list[npt.NDArray[Any]] = [np.array(sorted(times), np.int64)]
    for dtype in [*COLUMNS.values()][1:]:
        values = st.sampled_from(EXTREMES if dtype is np.int64 else FLOATS)
        is_constant = draw(st.booleans())
        columns.append(
            np.full(count, draw(values), dtype)
            if is_constant
            else draw(hnp.arrays(dtype, count, elements=values))
        )
    return Aggregates(*columns)


def bits(levels: Mapping[int, Aggregates]) -> dict[int, list[bytes]]:
    return {
        level: [np.ascontiguousarray(getattr(found, name)).tobytes() for name in COLUMNS]
        for level, found in levels.items()
    }


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(aggregates(), min_size=1, max_size=3), st.none() | aggregates(), st.integers(1, STANDS))
def test_what_is_written_is_read_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory,
    levels: list[Aggregates],
    of_minutes: Aggregates | None,
    end: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "one.arrow"
    rollups = Rollups(
        dict(zip(LEVELS_NS, levels, strict=False)),
        None if of_minutes is None else AggregateVersions(of_minutes, np.full(len(of_minutes), end)),
    )
    mapped = map_rollups(path, write_rollups(path, rollups))
    found = {level_ns: level.within(ALL_TIME) for level_ns, level in mapped.levels.items()}
    assert bits(found) == bits(rollups.levels)
    assert (mapped.versions is None) == (of_minutes is None)
    if mapped.versions and of_minutes:
        versions = mapped.versions.versions(ALL_TIME)
        assert bits({0: versions.aggregates}) == bits({0: of_minutes})
        assert set(versions.until.tolist()) == {end}
        found[0] = versions.aggregates
    for level in found.values():
        dtypes = {getattr(level, each.name).dtype for each in fields(level)}
        assert dtypes <= {np.dtype(np.int64), np.dtype(np.float64)}


def test_a_constant_column_takes_no_space(tmp_path: Path) -> None:
    many = aggregate_prints(prints_of(equal_rows(4096, SECOND), EVERY_PRINT), SECOND)
    path = tmp_path / "rollups.arrow"
    write_rollups(path, Rollups({SECOND: many}, None))
    assert path.stat().st_size < 10 * many.time.nbytes


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


@pytest.mark.parametrize("policy", [EVERY_PRINT, US_EQUITIES])
def test_each_level_is_what_the_prints_make(policy: BarPolicy) -> None:
    words = [None, "odd_lot", "closing_print", "suspicious"]
    rows = [trade(n * SECOND // 9, 1.0 + n % 7, 0.1 * n, conditions=words[n % 4]) for n in range(2000)]
    of_policy = prints_of(stored(rows), policy)
    levels = rollups_of(stored(rows), policy).levels
    assert [*levels] == [*LEVELS_NS]
    assert bits(levels) == bits({level: aggregate_prints(of_policy, level) for level in LEVELS_NS})


@pytest.mark.parametrize(
    ("interval_ns", "level"),
    [(90 * SECOND, SECOND), (90 * MINUTE, HALF_HOUR), (7 * DAY, DAY), (SECOND // 2, None)],
)
def test_the_coarsest_level_that_divides_an_interval_serves_it(interval_ns: int, level: int | None) -> None:
    assert level_for(interval_ns) == level
