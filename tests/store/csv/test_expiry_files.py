"""Expiry in files: what is deleted, what `verify` says, kills at many moments, and backups of before."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.datasets import KEPT_BARS, TRADES
from store.exceptions import DataDamaged
from store.expiring import REMOVED_AFTER_NS, expire, planned, remove_due
from store.left_snapshot import LeftSnapshot
from store.protocol import ALL_TIME
from tests.chance import SOAK
from tests.store.builders import DAY, SECOND, SYMBOL, Clock, batch, trade, trades_of
from tests.store.expired_days import BEFORE, DATES, RESOLUTIONS, all_bars, store_days

ROOT = Path(__file__).parents[3]
# Of each phase.
MOMENTS = 11 if SOAK else 4
NOW = BEFORE + 2 * DAY
LATER = NOW + REMOVED_AFTER_NS + SECOND


def opened(folder: Path, now: int = NOW) -> CsvStore:
    return CsvStore(folder, clock=Clock(now), segment_rows=50)


def names(folder: Path) -> set[str]:
    return {path.name[:10] for path in (folder / "trades" / SYMBOL).glob("*.csv")}


def damage(store: CsvStore) -> list[str]:
    checks = [store.check(each, SYMBOL) for each in (TRADES, KEPT_BARS) if SYMBOL in store.symbols(each)]
    return [found.message for check in checks for found in check.findings()]


def expire_and_remove(store: CsvStore, now: int = LATER) -> int:
    expire(store, planned(store, TRADES, SYMBOL, BEFORE))
    return remove_due(store, TRADES, SYMBOL, now)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = opened(tmp_path / "store")
    store_days(store)
    store.derive(TRADES, SYMBOL)
    return tmp_path / "store"


def test_files_and_segments_of_removed_dates_are_deleted(folder):
    store = opened(folder)
    size = store.bytes_before(TRADES, SYMBOL, BEFORE)
    assert expire_and_remove(store) == size > 0
    assert names(folder) == set(DATES[3:])
    assert (damage(store), damage(opened(folder))) == ([], [])
    left, derived = store.statistics(TRADES, SYMBOL), store.derive(TRADES, SYMBOL)
    assert derived is not None
    assert left.first_ns is not None
    assert left.rows == derived.rows == trades_of(store).at().rows(ALL_TIME).num_rows
    assert left.first_ns >= BEFORE


def test_a_row_at_the_first_instant_that_stays_stays_in_the_derived_files(folder):
    store = opened(folder)
    store.append(batch(trade(BEFORE)))
    store.derive(TRADES, SYMBOL)
    expire_and_remove(store)
    store.derive(TRADES, SYMBOL)
    assert trades_of(store).at().rows(ALL_TIME)["timestamp"][0].as_py() == BEFORE
    assert damage(store) == []


@pytest.mark.parametrize("lost", [".derived", "index"])
def test_cold_caches_and_lost_derived_files_change_no_bar(folder, lost):
    before = all_bars(opened(folder))
    expire_and_remove(opened(folder))
    for derived in folder.glob("*/*/.derived"):
        shutil.rmtree(derived)
    if lost == "index":
        opened(folder).derive(TRADES, SYMBOL, rebuild=True)
    store = opened(folder)
    assert isinstance(trades_of(store).at(), LeftSnapshot)
    assert all_bars(store) == before


def test_an_index_remembers_what_has_expired(folder):
    store = opened(folder)
    expire_and_remove(store)
    for second in range(150):
        store.append(batch(trade(BEFORE + DAY + second, 1.0)))
    store.derive(TRADES, SYMBOL, rebuild=True)
    assert trades_of(opened(folder)).at().expired == trades_of(store).at().expired
    assert trades_of(store).at().expired.removed_before_ns == BEFORE


def test_a_backup_of_before_is_whole(folder, tmp_path):
    before = all_bars(opened(folder))
    store = opened(folder)
    records = (folder / "trades" / SYMBOL / "commits.jsonl").read_bytes()
    expire(store, planned(store, TRADES, SYMBOL, BEFORE))
    # The rest of a backup that copied the records first is copied before the rows go.
    remove_due(store, TRADES, SYMBOL, NOW + REMOVED_AFTER_NS - SECOND)
    shutil.copytree(folder, tmp_path / "backup", ignore=shutil.ignore_patterns(".derived"))
    remove_due(store, TRADES, SYMBOL, LATER)
    (tmp_path / "backup" / "trades" / SYMBOL / "commits.jsonl").write_bytes(records)
    restored = opened(tmp_path / "backup")
    assert (damage(restored), all_bars(restored)) == ([], before)
    assert trades_of(restored).at().rows(ALL_TIME).num_rows > trades_of(store).at().rows(ALL_TIME).num_rows


def test_a_backup_during_the_removal_is_sound(folder, tmp_path):
    store = opened(folder)
    expire(store, planned(store, TRADES, SYMBOL, BEFORE))
    before = all_bars(store)
    # The records are copied first. The files of some dates are deleted before they are copied.
    shutil.copytree(folder, tmp_path / "backup", ignore=shutil.ignore_patterns(".derived", f"{DATES[1]}*"))
    restored = opened(tmp_path / "backup")
    assert (damage(restored), all_bars(restored)) == ([], before)
    assert remove_due(restored, TRADES, SYMBOL, LATER) > 0
    assert (names(tmp_path / "backup"), damage(restored)) == (set(DATES[3:]), [])


def test_bars_whose_kept_log_is_lost_are_no_empty_answer(folder):
    expire_and_remove(opened(folder))
    shutil.rmtree(folder / "kept_bars")
    with pytest.raises(DataDamaged, match="restore kept_bars/AAPL from a backup"):
        all_bars(opened(folder))


@pytest.mark.system
def test_an_expiry_that_is_killed_loses_nothing_and_goes_on(folder, tmp_path):
    before = all_bars(opened(folder), RESOLUTIONS)
    run_ = [sys.executable, "-m", "tests.store.csv.killed_expiry"]
    whole = shutil.copytree(folder, tmp_path / "whole")

    def run(target: Path, now: int, moment: int) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*run_, str(target), str(now), str(moment)], capture_output=True, cwd=ROOT, check=False
        )

    moments = [int(run(whole, now, 0).stdout) for now in (NOW, LATER)]
    assert min(moments) >= 4
    killed = 0
    for phase, (now, count) in enumerate(zip((NOW, LATER), moments, strict=True)):
        for moment in sorted({1 + index * count // MOMENTS for index in range(MOMENTS)}):
            target = shutil.copytree(folder, tmp_path / f"{phase} {moment}")
            if phase:
                assert run(target, NOW, 0).returncode == 0
            assert run(target, now, moment).returncode == -signal.SIGKILL
            killed += 1
            store = opened(target, LATER)
            assert all_bars(store, RESOLUTIONS) == before, (phase, moment)
            assert damage(store) == [], (phase, moment)
            assert run(target, LATER, 0).returncode == 0
            expire_and_remove(store, LATER + 2 * DAY)
            again = opened(target, LATER)
            assert (all_bars(again, RESOLUTIONS), damage(again)) == (before, []), (phase, moment)
            assert names(target) == set(DATES[3:])
            shutil.rmtree(target)
    assert killed >= 2 * min(MOMENTS, *moments)


def test_kept_bars_that_a_record_names_and_that_are_missing_are_damage(folder):
    """A tool that copies kept bars before trades, while dates expire, makes such a copy."""
    store, kept = opened(folder), folder / "kept_bars" / SYMBOL / "commits.jsonl"
    expire(store, planned(store, TRADES, SYMBOL, BEFORE))
    assert damage(store) == []
    kept.unlink()
    (found,) = damage(opened(folder))
    assert found.startswith(
        f"names the bars of expired dates in commit 1 of kept_bars/{SYMBOL}, which ends at commit 0"
    )
