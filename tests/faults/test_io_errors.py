"""The disk refuses a call: a batch is acknowledged or refused, never half there, and nothing keeps the store from going on."""

import errno
import random
from itertools import count
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.exceptions import OutcomeUnknown, StoreFull, StoreUnavailable
from tests.chance import SOAK
from tests.faults.batches import all_rows, batch_of, findings, numbers_in, rows_sent
from tests.faults.failing_disk import RecordSyncFails
from tests.faults.table import Tallies
from tests.store.csv.disks import FailingDisk

BATCHES = range(1, 6)
CODES = {errno.EIO: StoreUnavailable, errno.ENOSPC: StoreFull, errno.EROFS: StoreUnavailable}
TURNS = 6 if SOAK else 1
TRIES = 100 if SOAK else 15


def sent_to(store: CsvStore) -> dict[int, type[Exception] | None]:
    """How each batch was refused; None where it was acknowledged."""
    outcomes: dict[int, type[Exception] | None] = {}
    for number in BATCHES:
        try:
            store.append(batch_of(number))
        except StoreUnavailable as error:
            outcomes[number] = type(error)
        else:
            outcomes[number] = None
    return outcomes


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from there on"])
def test_an_error_at_any_call_to_the_disk(
    tmp_path: Path, rng: random.Random, tallied: Tallies, *, lasting: bool
):
    tally = tallied("13 I/O error at every call to the disk")
    for turn in range(TURNS):
        for failing in count(1):
            code = rng.choice(list(CODES))
            disk = FailingDisk(
                failing, code=code, lasting=lasting, share=rng.choice([0.0, rng.random(), 1.0])
            )
            folder = tmp_path / f"{turn}-{failing}"
            store = CsvStore(folder, disk=disk)
            outcomes = sent_to(store)
            if not disk.failed:
                break
            acknowledged = {number for number, refusal in outcomes.items() if refusal is None}
            refused = {number for number, refusal in outcomes.items() if refusal is CODES[code]}
            assert set(outcomes.values()) <= {None, OutcomeUnknown, CODES[code]}
            for reader in (store, CsvStore(folder)):
                rows = all_rows(reader)
                found = findings(rows, acknowledged)
                tally.add(acknowledged=len(acknowledged), lost=len(found.lost), torn=len(found.torn))
                assert not found, (code, failing, disk.failed)
                assert not numbers_in(rows) & refused
            disk.heal()
            for number in outcomes.keys() - acknowledged:
                store.append(batch_of(number))
            assert all_rows(store) == all_rows(CsvStore(folder)) == rows_sent(BATCHES)
        assert failing > 20
    tally.settle()


def test_a_record_whose_sync_fails_is_in_doubt_and_its_retry_is_recognised(
    tmp_path: Path, rng: random.Random, tallied: Tallies
):
    """Whoever gets the retry, and whether other batches came between: the rows are there once."""
    tally = tallied("10 sync of the commit record fails")
    for turn in range(TRIES):
        disk, folder = RecordSyncFails(tmp_path / f"switch{turn}"), tmp_path / str(turn)
        stores = [CsvStore(folder, disk=disk), CsvStore(folder, disk=disk)]
        prior, doubted = rng.randrange(4), 10
        for number in range(prior):
            rng.choice(stores).append(batch_of(number))
        disk.switch.touch()
        for _ in range(rng.randint(1, 3)):
            with pytest.raises(OutcomeUnknown):
                rng.choice(stores).append(batch_of(doubted))
            found = findings(all_rows(rng.choice(stores)) if prior else [], range(prior))
            tally.add(acknowledged=prior, lost=len(found.lost), torn=len(found.torn))
        disk.switch.unlink()
        others = list(range(20, 20 + rng.randrange(3)))
        for number in others:
            rng.choice(stores).append(batch_of(number))
        again = rng.choice(stores).append(batch_of(doubted))
        assert again.replayed or again.stored == 0
        everything = rows_sent([*range(prior), doubted, *others])
        assert [all_rows(store) for store in (*stores, CsvStore(folder))] == [everything] * 3
    tally.settle()
