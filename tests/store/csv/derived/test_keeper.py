"""The keeper folds each changed log once per change, in turn, with rests. The clock is fake."""

import shutil
from pathlib import Path

import pytest

from store.bar_policies import US_EQUITIES
from store.csv import CsvStore
from store.csv.derived.fold import derived_lock
from store.csv.derived.keeper import DerivedKeeper
from store.csv.derived.manifest import read_manifest
from store.datasets import TRADES
from store.exceptions import StorageError
from store.instruments import Instrument
from store.maintained import DerivedBacklog
from tests.store.builders import SYMBOL, batch, trade

REST, RETRY = 2.0, 60.0


class Kept:
    """A store and its keeper. Folds are recorded; they can take time and fail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = CsvStore(folder)
        self.now = 1000.0
        self.takes = 0.0
        self.folds: list[str] = []
        self.error: Exception | None = None
        self.keeper = DerivedKeeper(self.store._all_logs, self._fold, clock=lambda: self.now)

    def append(self, at: int = 0, symbol: str = SYMBOL) -> None:
        self.store.append(batch(trade(at), symbol=symbol))

    def round(self, *, after: float = 0.0, seconds: float = 1.0) -> list[str]:
        """Return the symbols that a round folds, some seconds after the one before."""
        self.now += after
        self.folds = []
        assert self.keeper.round(seconds=seconds) == len(self.folds)
        return self.folds

    def derived(self, symbol: str = SYMBOL) -> Path:
        return self.folder / "trades" / symbol / ".derived"

    def _fold(self, _: str, symbol: str) -> object:
        self.folds.append(symbol)
        self.now += self.takes
        if self.error is not None:
            raise self.error.with_traceback(None)  # it would grow with each round
        return self.store.derive(TRADES, symbol)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    kept = Kept(tmp_path)
    kept.append()
    return kept


def test_a_change_is_folded_once(kept: Kept) -> None:
    assert [kept.round(), kept.round(after=REST), kept.round(after=RETRY)] == [[SYMBOL], [], []]
    kept.append(1)
    assert [kept.round(), kept.round(after=RETRY)] == [[SYMBOL], []]


def test_unfolded_logs_are_in_the_backlog(kept: Kept) -> None:
    assert kept.keeper.backlog() == DerivedBacklog()
    kept.error = OSError(28, "full")
    kept.round()
    kept.append(symbol="IBM")
    kept.round(after=REST)
    assert kept.keeper.backlog() == DerivedBacklog(logs=2, seconds=REST)
    kept.round(after=REST)
    assert kept.keeper.backlog() == DerivedBacklog(logs=2, seconds=2 * REST)
    kept.error = None
    kept.round(after=RETRY)
    assert kept.keeper.backlog() == DerivedBacklog()


def test_a_log_rests_after_a_fold_for_as_long_as_that_took(kept: Kept) -> None:
    kept.takes = 5.0
    assert kept.round() == [SYMBOL]
    kept.append(1)
    assert [kept.round(after=4.9), kept.round(after=0.2)] == [[], [SYMBOL]]
    kept.takes = 0.0
    kept.append(2)
    assert kept.round(after=5.1) == [SYMBOL]
    kept.append(3)
    assert [kept.round(after=REST - 0.1), kept.round(after=0.2)] == [[], [SYMBOL]]


def test_commits_during_a_fold_are_folded_next(kept: Kept) -> None:
    fold = kept.store.derive

    def beside_a_writer(*arguments: object) -> object:
        derived = fold(*arguments)  # type: ignore[arg-type]
        kept.append(5)
        kept.store.derive = fold  # type: ignore[method-assign]
        return derived

    kept.store.derive = beside_a_writer  # type: ignore[assignment, method-assign]
    assert [kept.round(), kept.round(after=REST), kept.round(after=REST)] == [[SYMBOL], [SYMBOL], []]


@pytest.mark.parametrize("error", [StorageError("damaged"), OSError(28, "full"), ValueError("a defect")])
def test_a_failed_log_is_retried_later_and_does_not_delay_others(kept: Kept, error: Exception) -> None:
    kept.error = error
    assert kept.round() == [SYMBOL]
    kept.error = None
    kept.append(symbol="IBM")
    assert [kept.round(after=REST), kept.round(after=RETRY), kept.round(after=RETRY)] == [
        ["IBM"],
        [SYMBOL],
        [],
    ]


def test_the_rest_after_a_failure_is_a_minute_and_is_forgotten_after_a_success(kept: Kept) -> None:
    kept.error = OSError(28, "full")
    assert [kept.round(), kept.round(after=RETRY - 0.1), kept.round(after=0.1)] == [[SYMBOL], [], [SYMBOL]]
    kept.error = None
    assert kept.round(after=RETRY) == [SYMBOL]
    kept.append(1)
    assert kept.round(after=REST) == [SYMBOL]


def test_a_log_that_another_process_folds_is_checked_again(kept: Kept) -> None:
    with derived_lock(kept.derived().parent):
        assert kept.round() == [SYMBOL]
    assert [kept.round(after=REST), kept.round(after=REST)] == [[SYMBOL], []]


def test_the_longest_rested_is_folded_first_and_a_round_ends_in_time(kept: Kept) -> None:
    kept.takes = 0.6
    for symbol in ("B", "C", "D"):
        kept.append(symbol=symbol)
    first = kept.round() + kept.round()
    assert sorted(first) == [SYMBOL, "B", "C", "D"]
    for symbol in first:
        kept.append(1, symbol=symbol)
    assert kept.round(after=RETRY, seconds=10.0) == first


def test_deleted_files_are_built_again(kept: Kept) -> None:
    kept.round()
    shutil.rmtree(kept.derived())
    assert [kept.round(after=REST), kept.round(after=REST)] == [[SYMBOL], []]
    assert read_manifest(kept.derived()) is not None


def test_another_policy_gets_its_rollups(kept: Kept) -> None:
    kept.append(symbol="IBM")
    kept.round()
    kept.store.set_instrument(Instrument(SYMBOL, US_EQUITIES.name))
    assert [kept.round(after=REST), kept.round(after=REST)] == [["ALL", SYMBOL], []]
    (segment,) = read_manifest(kept.derived()).segments  # type: ignore[union-attr]
    assert [*segment.rollups] == [
        policy.key for policy in (US_EQUITIES, US_EQUITIES.session, US_EQUITIES.auctions)
    ]


@pytest.mark.filterwarnings("error")
def test_other_folders_are_ignored(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    (kept.folder / "trades" / ".DS_Store").write_text("x")
    (kept.folder / "trades" / "lost+found").mkdir()
    (kept.folder / "trades" / "TORN").mkdir()
    (kept.folder / "trades" / "TORN" / "commits.jsonl").write_text('{"commit": 1')
    assert sorted(kept.round()) == [SYMBOL, "TORN"]
    assert kept.round(after=RETRY) == []
    assert caplog.records == []


def test_a_missing_store_has_no_logs_to_keep(tmp_path: Path) -> None:
    assert CsvStore(tmp_path / "later").keeper().round(seconds=1.0) == 0
