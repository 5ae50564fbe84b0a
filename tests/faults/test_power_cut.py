"""A power cut at every write and sync: what was acknowledged is there once, nothing is there in part, and writing goes on."""

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.exceptions import DataDamaged, OutcomeUnknown
from store.protocol import Append
from tests.chance import SOAK
from tests.faults.batches import Findings, all_rows, batch_of, findings, numbers_in, rows_sent
from tests.faults.power import RECORDS, Killed, Luck, Moment, PowerCutDisk, UnsyncedDisk, restored
from tests.faults.table import Tallies, Tally
from tests.store.builders import DAY, SYMBOL, batch, fill_of, instant

BATCHES = range(1, 8)
BY_CHANCE = 10 if SOAK else 1
GENERATIONS = 5
LINES = 40 if SOAK else 2
TRIES = 25 if SOAK else 4


def ingest(store: CsvStore, disk: PowerCutDisk, number: int) -> None:
    store.append(batch_of(number))
    disk.acknowledged(number)


def lucks(rng: random.Random) -> list[Luck]:
    """All that was not synced is lost, or some of it; in the soak also none of it, as after a kill."""
    return [Luck(rng, kept=False), *([Luck(rng, kept=True)] if SOAK else []), *[Luck(rng)] * BY_CHANCE]


def look(folder: Path, moment: Moment, tally: Tally) -> Findings:
    found = findings(all_rows(CsvStore(folder)), moment.acknowledged)
    tally.add(acknowledged=len(moment.acknowledged), lost=len(found.lost), torn=len(found.torn))
    assert not found, f"{moment.after}, in {folder}: {found}"
    return found


def go_on(folder: Path, moment: Moment, rng: random.Random) -> None:
    """Every batch is sent once more: what was acknowledged is recognised, the rest is stored whole or was."""
    store = CsvStore(folder, disk=UnsyncedDisk())
    for number in rng.sample(BATCHES, len(BATCHES)):
        receipt = store.append(batch_of(number))
        if number in moment.acknowledged:
            assert receipt.replayed or receipt.stored == 0
        else:
            assert receipt.replayed or receipt.stored in {0, receipt.received}
    assert all_rows(store) == all_rows(CsvStore(folder)) == rows_sent(BATCHES)


@pytest.mark.parametrize("threads", [1, 5], ids=["one by one", "in groups"])
def test_a_power_cut_at_any_write_or_sync(tmp_path: Path, rng: random.Random, tallied: Tallies, threads: int):
    tally = tallied("01 power cut at every write and sync")
    disk, folders = PowerCutDisk(tmp_path / "store"), count()
    store = CsvStore(tmp_path / "store", disk=disk)
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(ingest, store, disk, number) for number in BATCHES]:
            done.result()
    assert disk.now().acknowledged == set(BATCHES)
    for moment in disk.moments:
        for luck in lucks(rng):
            folder = restored(moment, tmp_path / str(next(folders)), luck)
            look(folder, moment, tally)
            go_on(folder, moment, rng)
            shutil.rmtree(folder)
    assert len(disk.moments) > 10, "a group makes as many calls as one batch does"
    tally.settle()


def test_a_log_whose_unsynced_end_became_nuls_is_refused_until_they_are_cut_off(
    tmp_path: Path, rng: random.Random, tallied: Tallies
):
    """Some file systems leave NULs where an end was never synced.

    They could be a damaged record: nobody guesses.
    """
    tally = tallied("01 power cut that leaves NUL bytes in commits.jsonl")
    disk, refused = PowerCutDisk(tmp_path / "store"), 0
    store = CsvStore(tmp_path / "store", disk=disk)
    for number in BATCHES:
        ingest(store, disk, number)
    disk.now()
    # A log's own sync comes behind its append: only there is a record that no sync has confirmed.
    unsynced = [before for before in disk.moments if before.after == "before sync"] * (8 if SOAK else 2)
    for turn, moment in enumerate(unsynced):
        folder = restored(moment, tmp_path / str(turn), Luck(rng, nuls=True))
        log = folder / "trades" / SYMBOL / RECORDS
        try:
            all_rows(CsvStore(folder))
        except DataDamaged:
            with pytest.raises(DataDamaged):
                CsvStore(folder).append(batch_of(99))
            sound = log.read_bytes().partition(b"\0")[0]
            log.write_bytes(sound[: sound.rfind(b"\n") + 1])
            refused += 1
        look(folder, moment, tally)
        go_on(folder, moment, rng)
        shutil.rmtree(folder)
    assert refused
    tally.settle()


def test_power_cuts_one_after_the_other(tmp_path: Path, rng: random.Random, tallied: Tallies):
    tally = tallied("01 power cut at every write and sync")
    for line in range(LINES):
        folder = tmp_path / f"{line}-0"
        folder.mkdir()
        for generation in range(1, GENERATIONS + 1):
            disk = PowerCutDisk(folder)
            store = CsvStore(folder, disk=disk)
            for number in numbers_in(all_rows(store)):
                disk.acknowledged(number)  # what was there after a cut must not be lost by another
            for number in rng.sample(BATCHES, 3):
                ingest(store, disk, number)
            disk.now()
            moment = rng.choice(disk.moments)
            folder = restored(moment, tmp_path / f"{line}-{generation}", Luck(rng))
            look(folder, moment, tally)
        go_on(folder, moment, rng)
    tally.settle()


def rowless(number: int) -> Append:
    """A commit of which only its record is written: of a declaration, or of a fill that found nothing."""
    if number % 2:
        return batch(complete_until=instant(number * DAY), request_key=str(number))
    return batch(fill=fill_of(number, number + 1), request_key=str(number))


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3), (1, 1, 2)], ids=["declares", "fills", "replays"])
def test_a_power_cut_after_a_kill_keeps_commits_without_rows(
    tmp_path: Path, rng: random.Random, tallied: Tallies, order: tuple[int, ...]
):
    """Another process goes on after the killed one: it cannot rely on syncs that the first may not have made."""
    tally = tallied("01 kill at every write and sync, then a power cut")
    for calls in count():
        folder = tmp_path / str(calls)
        disk = PowerCutDisk(folder / "store")
        disk.calls_left = calls
        with suppress(Killed):
            CsvStore(folder / "store", disk=disk).append(rowless(order[0]))
            break
        disk.restart()
        begun = len(disk.moments)
        successor = CsvStore(folder / "store", disk=disk)
        for number in order[1:]:
            successor.append(rowless(number))
            disk.acknowledged(number)
        disk.now()
        for place, moment in enumerate(disk.moments[begun:]):
            for turn, luck in enumerate(lucks(rng)):
                store = CsvStore(restored(moment, folder / f"{place}-{turn}", luck), disk=UnsyncedDisk())
                lost = sum(not store.append(rowless(number)).replayed for number in moment.acknowledged)
                tally.add(acknowledged=len(moment.acknowledged), lost=lost)
    assert calls > 3, "a first commit creates folders, and syncs a record and its folder"
    tally.settle()


def test_a_record_that_the_disk_refused_to_confirm_outlives_a_power_cut_once_it_is_acknowledged(
    tmp_path: Path, rng: random.Random, tallied: Tallies
):
    """After a sync that failed the system takes what was written for clean: a further sync writes none of it."""
    tally = tallied("10 sync of the commit record fails, then a power cut")
    for line in range(TRIES):
        folder = tmp_path / str(line)
        disk = PowerCutDisk(folder / "store")
        store = CsvStore(folder / "store", disk=disk)
        prior = rng.randint(0, 3)
        for number in BATCHES[:prior]:
            ingest(store, disk, number)
        doubted, others = BATCHES[prior], BATCHES[prior + 1 :]
        fail_record_sync(store, disk, doubted)
        writer = rng.choice([store, CsvStore(folder / "store", disk=disk)])
        if rng.random() < 0.5:
            ingest(writer, disk, rng.choice(others))
        ingest(rng.choice([store, writer]), disk, doubted)
        moment = disk.now()
        for number, luck in enumerate(lucks(rng)):
            image = restored(moment, folder / f"image{number}", luck)
            look(image, moment, tally)
            go_on(image, moment, rng)
    tally.settle()


def fail_record_sync(store: CsvStore, disk: PowerCutDisk, number: int) -> None:
    """Have the last sync of an append fail: the one of its record, behind those of its files."""
    disk.fail_record_syncs = 1
    with pytest.raises(OutcomeUnknown):
        store.append(batch_of(number))
    assert disk.fail_record_syncs == 0
