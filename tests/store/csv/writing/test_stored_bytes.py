"""What a receipt says of the bytes that a batch added, beside the files."""

from pathlib import Path

from store.csv import CsvStore
from store.csv.writing.batch import PreparedBatch
from store.csv.writing.group_commit import PendingCommit
from store.protocol import NEW_FILE_BYTES
from tests.store.builders import DAY, amendment, batch, cancel, open_log, trade

HEADER = "timestamp,symbol,price,volume,trade_id,exchange,conditions,sequence,received_at\n"


def written(folder: Path) -> int:
    """The bytes in the files of rows, corrections and commits."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in {".csv", ".jsonl"})


def test_bytes_are_those_of_the_files_and_new_files_count_more(tmp_path):
    store = CsvStore(tmp_path)
    before = 0
    for rows, new_files in (
        ([trade(number) for number in range(1000)], 1),
        ([trade(number, 2.0) for number in range(1000)], 0),
        ([trade(number * DAY) for number in range(1, 100)], 99),
        ([trade(number * DAY, 2.0) for number in range(100)], 0),
        ([trade(5000)], 0),
    ):
        receipt = store.append(batch(*rows))
        added = receipt.stored_bytes - new_files * (NEW_FILE_BYTES - len(HEADER))
        assert 0.8 < added / (written(tmp_path) - before) < 1.25
        before = written(tmp_path)
    corrected = store.correct(amendment(cancel(5000, price=100.0, volume=1.0)))
    assert corrected.stored_bytes - NEW_FILE_BYTES < 1.25 * (written(tmp_path) - before)


def test_the_files_of_one_group_are_counted_once(tmp_path):
    """Two batches of a group write to the same new file: only the first one made it."""
    writer = open_log(CsvStore(tmp_path)).writer
    group = [PendingCommit(PreparedBatch.of(batch(trade(number)))) for number in range(2)]
    writer._write_group(group)
    first, second = (pending.receipt.stored_bytes for pending in group if pending.receipt)
    assert second < NEW_FILE_BYTES < first < 2 * NEW_FILE_BYTES
