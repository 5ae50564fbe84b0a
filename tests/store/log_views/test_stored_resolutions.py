"""Which resolutions stored bars have, as of any commit. Only commits after the first question are walked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from store.csv import CsvStore
from store.csv.csv_log import CsvLog
from store.datasets import BARS
from store.declarations import Dataset
from store.log_views.log_view import view_of
from store.log_views.stored_resolutions import stored_resolutions
from store.protocol import NO_COMMIT, Append, CommitId
from store.timestamps import DAY_NS
from store.walk import CommitPiece, LogPosition
from tests.store.builders import SYMBOL

START_NS = 20_000 * DAY_NS


class WalkedStore(CsvStore):
    """Notes after which commit each walk begins."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.walks: list[int] = []

    def log(self, dataset: Dataset, symbol: str) -> CsvLog:
        log = super().log(dataset, symbol)
        commits = log.commits

        def walked(after: LogPosition, upto: int | None = None) -> Iterator[CommitPiece]:
            self.walks.append(after.commit.number)
            return commits(after, upto)

        log.commits = walked  # type: ignore[method-assign]
        return log


def put(store: CsvStore, resolution: str, number: int) -> CommitId:
    prices = dict.fromkeys(("open", "high", "low", "close"), 100.0)
    row = {"timestamp": START_NS + number * DAY_NS, "resolution": resolution, **prices, "volume": 1.0}
    filled = [{name: row.get(name) for name in BARS.schema.names}]
    batch = pa.RecordBatch.from_pylist(filled, schema=BARS.schema)
    return store.append(Append(BARS, SYMBOL, batch, "test")).commit


def names(store: CsvStore, commit: CommitId) -> list[str]:
    return [each.value for each in stored_resolutions(view_of(store.log(BARS, SYMBOL).at(commit)))]


@pytest.fixture
def store(tmp_path: Path) -> WalkedStore:
    return WalkedStore(tmp_path / "store")


def test_only_commits_after_the_first_question_are_walked(store: WalkedStore):
    commits = [put(store, resolution, number) for number, resolution in enumerate(["1d", "1h", "1d", "1m"])]
    assert names(store, commits[1]) == ["1h", "1d"]
    assert names(store, commits[3]) == ["1m", "1h", "1d"]
    assert names(store, commits[0]) == ["1d"]
    assert names(store, put(store, "5m", 9)) == ["1m", "5m", "1h", "1d"]
    assert store.walks == [2, 4]


def test_a_log_that_was_restored_is_read_again(store: WalkedStore, tmp_path: Path):
    commits = [put(store, resolution, number) for number, resolution in enumerate(["1d", "1h"])]
    assert names(store, commits[1]) == ["1h", "1d"]
    shutil.rmtree(tmp_path / "store" / "bars")
    restored = WalkedStore(tmp_path / "store")
    other = [put(restored, resolution, number) for number, resolution in enumerate(["1w", "1m", "1w"])]
    assert names(restored, other[1]) == ["1m", "1w"]
    assert names(store, other[0]) == ["1w"]
    assert names(store, other[2]) == ["1m", "1w"]


def test_a_log_without_commits_has_none(store: WalkedStore):

    assert names(store, NO_COMMIT) == []
