"""A store of files moves while others read it and write to it: they go with it, and nothing is lost or comes twice."""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from store import moving
from store.csv import CsvStore
from store.csv.log import log_lock
from store.csv.log.move_file import MOVE_FILE, move_of
from store.datasets import TRADES
from store.exceptions import StoreBusy, StoreMoves, StoreUnavailable
from store.instruments import Instrument
from store.market_store import MarketStore
from store.moving import MovableStore, NotMoved, moved_to
from store.protocol import ALL_TIME, CommitId, Receipt
from store.walk import BEGINNING, CommitRecord, LogPosition
from tests.front.front_server import eventually
from tests.store.builders import SECOND, amendment, batch, cancel, stored, trade
from tests.store.conftest import IN_CLUSTER
from tests.store.csv.copying.origins import logs_of

SYMBOLS = ("AAPL", "MSFT")


class Writer(threading.Thread):
    """Writes as another process would, over a store of its own, until it is told to end."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        self.store, self.name, self.receipts = MovableStore(folder), name, list[Receipt]()
        self.is_ended = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.is_ended.wait(0.005):
            number += 1
            rows = [trade(number * SECOND, trade_id=f"{self.name} {number} {each}") for each in range(2)]
            for symbol in SYMBOLS:
                self.receipts.append(self.store.append(batch(*rows, symbol=symbol)))


@contextmanager
def writers(folder: Path) -> Iterator[list[Writer]]:
    begun = [Writer(folder, name) for name in ("a", "b")]
    try:
        for each in begun:
            each.start()
        yield begun
    finally:
        for each in begun:
            each.is_ended.set()
            each.join()


def follow(store: MovableStore, commits: list[CommitId], is_ended: threading.Event) -> None:
    """Take each commit of a log, in order, as live feeds and engines do."""
    position = BEGINNING
    while not is_ended.wait(0.01):
        for piece in store.log(TRADES, "AAPL").commits(position):
            if isinstance(piece, CommitRecord):
                commits.append(piece.id)
                position = LogPosition(piece.id)


def has_commits(store: MarketStore, count: int) -> bool:
    """Whether a store has so many commits."""
    return sum(store.log(TRADES, symbol).end().head.number for symbol in SYMBOLS) == count


@pytest.mark.parametrize(
    "backend", ["csv", pytest.param("cluster", marks=[*IN_CLUSTER.marks, pytest.mark.soak])]
)
def test_writers_and_followers_go_with_the_store(backend: str, tmp_path: Path, request: Any):
    old, to = tmp_path / "old", str(tmp_path / "new")
    if backend != "csv":
        request.getfixturevalue("cluster_store")
        to = request.getfixturevalue("cluster_url")
    CsvStore(old).append(batch(trade(), symbol="AAPL"))
    reader, seen, told = MovableStore(old), list[CommitId](), list[str]()
    reader.set_instrument(Instrument("AAPL", exchange="XNAS"))
    reader.committed.append(lambda _dataset, symbol, _commit: told.append(symbol))
    stamp = reader.change_stamp([(TRADES, "AAPL")])
    page = reader.log(TRADES, "AAPL").at()
    rows = page.rows(ALL_TIME).to_pylist()
    with writers(old) as begun:
        follower = threading.Thread(target=follow, args=(reader, seen, begun[0].is_ended))
        follower.start()
        time.sleep(0.1)
        before = stamp()
        assert MovableStore(old).move(to) < moving.PAUSE_SECONDS
        moved = [len(each.receipts) for each in begun]
        assert stamp() != before
        deadline = time.monotonic() + 20
        while any(len(each.receipts) < count + 6 for each, count in zip(begun, moved, strict=True)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    follower.join()
    new = reader.current
    assert not isinstance(new, CsvStore) or new._path == Path(to)
    # Each write that was acknowledged is there, once, and the old store has a part of it.
    receipts = [each for writer in begun for each in writer.receipts]
    assert {each.stored for each in receipts} == {2}
    assert eventually(partial(has_commits, new, len(receipts) + 1))  # other processes' after milliseconds
    old_logs, new_logs = logs_of(CsvStore(old)), logs_of(new)
    for name, log in old_logs.items():
        assert new_logs[name][: len(log)] == log
    # A follower missed nothing, and got nothing twice.
    assert [each.number for each in seen] == [*range(1, len(seen) + 1)]
    assert len(seen) > 3
    # What was known before the move stands: a snapshot's commit, declarations, hooks.
    assert reader.log(TRADES, "AAPL").at(page.commit).rows(ALL_TIME).to_pylist() == rows
    assert reader.instrument("AAPL").exchange == "XNAS"
    reader.set_instrument(Instrument("MSFT", exchange="XNYS"))
    assert MovableStore(old).instrument("MSFT").exchange == "XNYS"
    first = stamp()
    assert first == stamp()
    receipt = reader.append(batch(trade(-1, trade_id="last"), symbol="AAPL"))
    assert stamp() != first
    assert (receipt.stored, told) == (1, ["ALL", "AAPL"])
    reader.correct(amendment(cancel(-1, trade_id="last")))
    assert logs_of(CsvStore(old)) == old_logs
    # Whoever comes later finds it; files that are opened by their name are as they were, and refuse writes.
    assert stored(MovableStore(old)) == stored(new)
    assert str(moved_to(old)) == to
    with pytest.raises(StoreMoves):
        CsvStore(old).append(batch(trade(7)))
    with pytest.raises(NotMoved):
        MovableStore(old).move(str(tmp_path / "elsewhere"))


def test_a_move_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old, told = MovableStore(tmp_path / "old"), list[str]()
    old.append(batch(trade()))
    with writers(tmp_path / "old") as begun:
        time.sleep(0.1)
        monkeypatch.setattr(moving, "PAUSE_SECONDS", 0.0)
        with pytest.raises(NotMoved, match="more is written"):
            old.move(str(tmp_path / "new"), told.append)
    assert len(told) == 5
    assert not (tmp_path / "old" / MOVE_FILE).exists()
    head = old.log(TRADES, "AAPL").head
    assert head.number == sum(len(each.receipts) for each in begun) / 2 + 1
    monkeypatch.undo()
    old.move(str(tmp_path / "new"))
    assert CsvStore(tmp_path / "new").log(TRADES, "AAPL").head == head


def test_a_store_with_another_history_is_not_moved_to(tmp_path: Path):
    old, other = MovableStore(tmp_path / "old"), CsvStore(tmp_path / "other")
    old.append(batch(trade()))
    other.append(batch(trade(5)))
    old.append(batch(trade(), symbol="A"))
    with pytest.raises(NotMoved, match="another trades/AAPL"):
        old.move(str(tmp_path / "other"))
    assert other.symbols(TRADES) == ["AAPL"]
    assert old.append(batch(trade(1))).stored == 1
    assert other.log(TRADES, "AAPL").head.number == 1


def test_a_store_that_is_gone_after_the_move_is_unavailable(tmp_path: Path):
    MovableStore(tmp_path / "old").append(batch(trade()))
    MovableStore(tmp_path / "old").move(str(tmp_path / "new"))
    (tmp_path / "new").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match="moved is not there"):
        MovableStore(tmp_path / "old").log(TRADES, "AAPL")


def test_writers_wait_for_a_process_that_moves_the_store_and_not_for_one_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(moving, "_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(log_lock, "LOCK_PATIENCE_SECONDS", 0.2)
    store, file = MovableStore(tmp_path), tmp_path / MOVE_FILE
    store.append(batch(trade()))
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreMoves):
            store.append(batch(trade(1)))
        with pytest.raises(StoreBusy):
            MovableStore(tmp_path).move(str(tmp_path.parent / "new"))
        assert store.log(TRADES, "AAPL").head.number == 1
    assert move_of(tmp_path) is None
    assert store.append(batch(trade(1))).stored == 1
    MovableStore(tmp_path).move(str(tmp_path.parent / "new"))
    assert [*file.parent.glob(f"{MOVE_FILE}*")] == [file]
