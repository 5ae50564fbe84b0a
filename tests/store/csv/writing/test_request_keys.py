"""Idempotency keys on disk: only hashes are stored; plain keys of earlier versions remain valid."""

from pathlib import Path

import msgspec
import pytest

from store.csv import CsvStore
from store.csv.files.commit_records import decode_commit
from store.csv.log import history
from store.csv.writing.batch import PreparedBatch
from store.datasets import TRADES
from store.exceptions import RequestKeyReused
from store.protocol import NO_COMMIT
from tests.store.builders import SYMBOL, amendment, batch, cancel, open_log, trade
from tests.store.csv.version_1 import encode_version_1

SECRET = "md_AbCd1234_" + "Zx9-Yw8_Vu7" * 4
KEYED = [batch(trade(n, trade_id=str(n)), request_key=f"order-{n}") for n in range(8)]


def log_in(folder: Path) -> Path:
    return folder / TRADES.name / SYMBOL / "commits.jsonl"


def as_earlier_version(folder: Path) -> None:
    """Rewrite the log of `KEYED` with plain keys instead of hashes."""
    lines, read, written = [], NO_COMMIT, NO_COMMIT
    for line, sent in zip(log_in(folder).read_bytes().splitlines(), KEYED, strict=True):
        commit, read = decode_commit(line, read)
        *_, digest = PreparedBatch.of(sent).digests()
        facts = msgspec.structs.replace(commit.facts, digest=digest)
        encoded, _ = encode_version_1(
            msgspec.structs.replace(commit, facts=facts), written.hash, sent.request_key
        )
        lines.append(encoded)
        _, written = decode_commit(encoded[:-1], written)
    log_in(folder).write_bytes(b"".join(lines))


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


@pytest.mark.parametrize("tail_commits", [1, 4096], ids=["indexed", "in the tail"])
def test_plain_keys_of_an_earlier_version_hold(tmp_path: Path, monkeypatch, tail_commits: int):
    first = [CsvStore(tmp_path).append(sent) for sent in KEYED]
    as_earlier_version(tmp_path)
    assert b'"request_key":"order-1"' in log_in(tmp_path).read_bytes()
    monkeypatch.setattr(history, "TAIL_COMMITS", tail_commits)
    store = CsvStore(tmp_path)
    for sent, receipt in zip(KEYED, first, strict=True):
        again = store.append(sent)
        assert (again.replayed, again.commit.number) == (True, receipt.commit.number)
    with pytest.raises(RequestKeyReused):
        store.append(batch(trade(99), request_key="order-1"))
