"""Idempotency keys on disk: only their hashes are stored."""

from pathlib import Path

from store.csv import CsvStore
from tests.store.builders import amendment, batch, cancel, open_log, trade

SECRET = "md_AbCd1234_" + "Zx9-Yw8_Vu7" * 4


def test_a_key_is_not_on_the_disk(tmp_path: Path):
    store = CsvStore(tmp_path)
    store.append(batch(trade(1), request_key=SECRET))
    store.correct(amendment(cancel(1, price=100.0, volume=1.0), request_key=f"{SECRET}2"))
    store.append(batch(trade(2)))
    open_log(store).commits.write_index()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b'"key_hash":"' in kept
    assert SECRET.encode() not in kept
    again = CsvStore(tmp_path)
    assert again.append(batch(trade(1), request_key=SECRET)).replayed
    assert again.correct(amendment(cancel(1, price=100.0, volume=1.0), request_key=f"{SECRET}2")).replayed
