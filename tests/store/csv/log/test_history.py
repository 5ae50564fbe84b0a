"""A history with an index and later commits agrees with the reference implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.csv.files.disk import Disk
from store.csv.log.commit_log import CommitLog
from store.csv.log.history import CommitHistory
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS
from tests.chance import SOAK
from tests.store.csv.log.plain_history import FIRST_DAY, LogWriter, PlainHistory

pytestmark = pytest.mark.system

DATES = 12
# How many commits and windows are asked about.
ASKED = 6 if SOAK else 3


def windows(writer: LogWriter, count: int) -> list[Window]:
    start, end = FIRST_DAY - 1, FIRST_DAY + DATES + 1
    chosen = [ALL_TIME, Window(start * DAY_NS, end * DAY_NS)]
    for _ in range(count):
        first = writer.random.randrange(start * DAY_NS, end * DAY_NS)
        length = writer.random.choice([1, DAY_NS // 3, DAY_NS, 5 * DAY_NS])
        chosen.append(Window(first, first + length))
    return chosen


def assert_equal(
    history: CommitHistory, plain: PlainHistory, writer: LogWriter, *, asked: int = ASKED
) -> None:
    head = len(plain.commits)
    assert history.head() == plain.head()
    assert (history.committed_at, history.rows) == (plain.committed_at(), plain.rows())
    ats = {0, head, *(writer.random.randint(0, head) for _ in range(asked))}
    for commit in ats:
        assert history.head(commit) == plain.head(commit)
        assert history.completeness(commit) == plain.completeness(commit)
    numbers = np.array(sorted(ats - {0}), np.int64)
    assert history.committed_times(numbers).tolist() == [
        plain.commits[each - 1].facts.committed_at for each in numbers.tolist()
    ]
    for known in (None, *ats):
        for window in windows(writer, asked):
            assert_windows_equal(history, plain, window, known)
            after = writer.random.choice([0, head, writer.random.randint(0, head)])
            assert history.parts_in(window, known, after=after) == plain.parts_in(window, known, after=after)
            assert history.first_from(window.start_ns, known) == plain.first_from(window.start_ns, known)
            bounded = (window, writer.random.choice([DAY_NS, DAY_NS // 1440]), after, known)
            assert history.change_bound(*bounded) == plain.change_bound(*bounded)
    assert_lookups_equal(history, plain, writer)


def assert_windows_equal(
    history: CommitHistory, plain: PlainHistory, window: Window, commit: int | None
) -> None:
    assert history.version(window, commit) == plain.version(window, commit)
    dates, newest = history.newest_by_date(window, commit)
    assert history.fills(window, commit) == plain.fills(window, commit)
    assert history.fill_commits(window) == [number for number, _ in plain.fills(window)]
    assert dict(zip(dates.tolist(), newest.tolist(), strict=True)) == plain.newest_by_date(window, commit)
    assert dates.tolist() == sorted(dates.tolist())


def assert_lookups_equal(history: CommitHistory, plain: PlainHistory, writer: LogWriter) -> None:
    for instant in range(-1, plain.committed_at() + 2, 1 + plain.committed_at() // 20):
        assert history.commit_as_of(instant) == plain.commit_as_of(instant)
    for date in range(FIRST_DAY - 1, FIRST_DAY + DATES + 1):
        assert history.times_on(date) == plain.times_on(date)
        for file in (f"{date}.csv", f"{date}.corrections.csv"):
            assert history.file_end(file) == plain.file_end(file)
    for number in range(51):
        for caller in ("key:1", "key:2", "key:3"):
            assert history.accepted(caller, str(number)) == plain.accepted(caller, str(number))


@settings(max_examples=25 if SOAK else 5, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 40), min_size=1, max_size=4), st.booleans())
def test_answers_do_not_depend_on_when_indexes_were_written(tmp_path_factory, seed, counts, is_one_log):
    path = tmp_path_factory.mktemp("log") / "commits.jsonl"
    writer, log = LogWriter(path, seed, dates=DATES), CommitLog(path.parent, Disk())
    for count in counts:
        writer.write(count)
        log = log if is_one_log else CommitLog(path.parent, Disk())
        assert_equal(log.history(), writer.history, writer)
        log.write_index()
        assert_equal(log.history(), writer.history, writer)
        assert log.history() is log.history()
    writer.write(10)
    assert_equal(log.history(), writer.history, writer)
    assert_equal(CommitLog(path.parent, Disk()).history(), writer.history, writer)
