"""What processes have counted adds up, over those that live and those that are gone. Real processes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.metrics.declarations import COMMITS
from ops.metrics.process_files import Publisher, remove_files, totals
from tests.patience import PATIENCE_SECONDS

PROGRAM = Path(__file__).with_name("counting_process.py")


class Counting:
    def __init__(self, folder: Path, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def count(self, commits: int) -> list[int]:
        """Commits and requests of all processes, their connections, and how often this one was started."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{commits}\n")
        self.process.stdin.flush()
        return [int(each) for each in self.process.stdout.readline().split()]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[str], Counting]]:
    processes: list[Counting] = []

    def start(name: str) -> Counting:
        processes.append(Counting(tmp_path / "metrics", name))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def test_processes_add_up_and_a_killed_ones_counters_go_on(started):
    one, other = started("web-1"), started("web-2")
    assert one.count(3)[0] == 3
    assert other.count(4) == [7, 2, 10, 1]
    one.kill()
    assert other.count(0) == [7, 3, 5, 1]  # its counters stay, its connections are gone
    again = started("web-1")
    assert again.count(1) == [8, 4, 10, 2]


def test_a_file_that_is_not_whole_is_left_out_and_the_next_process_begins_anew(started, tmp_path: Path):
    one = started("web-1")
    one.count(3)
    one.kill()
    path = tmp_path / "metrics" / "web-1.json"
    path.write_bytes(path.read_bytes()[:-10])
    other = started("web-2")
    assert other.count(1)[0] == 1
    assert started("web-1").count(5) == [6, 2, 10, 1]


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    made = Publisher(tmp_path / "metrics", "this")
    made.start()
    yield made
    made.stop()


def test_where_nothing_can_be_written_what_was_published_stays(publisher, tmp_path: Path, caplog):
    COMMITS.labels("trades").inc()
    published = commits()
    (tmp_path / "metrics" / "this.draft").mkdir()
    COMMITS.labels("trades").inc()
    assert [commits(), commits()] == [published, published]
    assert caplog.text.count("cannot be published") == 1
    (tmp_path / "metrics" / "this.draft").rmdir()
    assert commits() == published + 1


def commits() -> float:
    samples = (sample for family in totals() for sample in family.samples)
    return next(
        each.value
        for each in samples
        if each.name == "marketdata_store_commits_total" and each.labels == {"dataset": "trades"}
    )


def test_files_of_the_last_run_are_forgotten(publisher, tmp_path: Path):
    assert [path.name for path in (tmp_path / "metrics").glob("*.json")] == ["this.json"]
    remove_files(tmp_path / "metrics")
    assert list((tmp_path / "metrics").glob("*.json")) == []
    remove_files(tmp_path / "missing")
