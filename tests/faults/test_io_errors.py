"""The sync of a record fails: its batch is in doubt, and its retry is recognised."""

import random
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.exceptions import OutcomeUnknown
from tests.chance import SOAK
from tests.faults.batches import all_rows, batch_of, findings, rows_sent
from tests.faults.failing_disk import RecordSyncFails
from tests.faults.table import Tallies

TRIES = 100 if SOAK else 6


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
