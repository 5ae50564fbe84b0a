"""Group commit: which thread writes which batches, and the result of each."""

import errno
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.writing.batch import PreparedBatch
from store.csv.writing.group_commit import GROUP_LIMIT, GroupCommit, PendingCommit
from store.exceptions import IdConflict, OutcomeUnknown, RequestInProgress, RequestKeyReused, StoreFull
from store.protocol import Amendment, Append, CommitId, Receipt
from tests.patience import PATIENCE_SECONDS
from tests.store.builders import DAY, batch, open_log, stored, trade, trades_of
from tests.store.csv.disks import FailingDisk, WatchedDisk


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


class HeldWrites:
    """Writes of a `GroupCommit`. Each waits until it is released, then sets the results or fails."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.threads: list[int] = []
        self.failure: BaseException | None = None
        self.may_go = threading.Semaphore(0)
        self.groups = GroupCommit(self._write)

    def _write(self, group: Sequence[PendingCommit]) -> None:
        self.sizes.append(len(group))
        self.threads.append(threading.get_ident())
        assert self.may_go.acquire(timeout=PATIENCE_SECONDS)
        if self.failure is not None:
            raise self.failure
        for ticket in group:
            ticket.receipt = Receipt(1, 1, (), CommitId(len(self.sizes), ""))

    def waiting(self) -> int:
        return len(self.groups._waiting)


def prepared(number: int, request_key: str | None = None) -> PreparedBatch:
    return PreparedBatch.of(batch(trade(number), request_key=request_key))


def test_a_group_has_a_limit_and_the_rest_is_led_by_one_of_its_own():
    held, count = HeldWrites(), GROUP_LIMIT + 10
    with ThreadPoolExecutor(count + 1) as pool:
        pool.submit(held.groups.commit, prepared(0))
        wait_until(lambda: len(held.sizes) == 1)
        futures = [pool.submit(held.groups.commit, prepared(number)) for number in range(count)]
        wait_until(lambda: held.waiting() == count)
        held.may_go.release(3)
        for future in futures:
            future.result(PATIENCE_SECONDS)
    assert held.sizes == [1, GROUP_LIMIT, 10]
    assert len(set(held.threads)) == 3


@pytest.mark.parametrize("failure", [OSError("disk"), MemoryError(), KeyboardInterrupt()], ids=repr)
def test_a_failure_reaches_all_of_its_group_and_no_later_batch(failure):
    held = HeldWrites()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(held.groups.commit, prepared(0))
        wait_until(lambda: len(held.sizes) == 1)
        others = [pool.submit(held.groups.commit, prepared(number)) for number in range(1, 5)]
        wait_until(lambda: held.waiting() == 4)
        held.may_go.release()
        first.result(PATIENCE_SECONDS)
        wait_until(lambda: len(held.sizes) == 2)
        held.failure = failure
        held.may_go.release()
        assert [other.exception(PATIENCE_SECONDS) for other in others] == [failure] * 4
        held.failure = None
        held.may_go.release()
        assert pool.submit(held.groups.commit, prepared(9)).result(PATIENCE_SECONDS).stored == 1


def test_a_request_key_that_is_being_written_is_in_progress_and_free_afterwards():
    held = HeldWrites()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(held.groups.commit, prepared(0, "k"))
        wait_until(lambda: len(held.sizes) == 1)
        with pytest.raises(RequestInProgress):
            held.groups.commit(prepared(0, "k"))
        held.may_go.release(2)
        first.result(PATIENCE_SECONDS)
        assert held.groups.commit(prepared(0, "k")).stored == 1


def test_a_batch_without_a_result_is_outcome_unknown():
    with pytest.raises(OutcomeUnknown):
        GroupCommit(lambda _group: None).commit(prepared(0))


def commit(store: CsvStore, work: Append | Amendment) -> Receipt:
    return store.correct(work) if isinstance(work, Amendment) else store.append(work)


def written_together(
    store: CsvStore, disk: WatchedDisk, batches: Sequence[Append | Amendment]
) -> list[Future[Receipt]]:
    """Commit the batches as one group, in this order: they wait for a batch whose sync waits for them."""
    groups = open_log(store).writer._groups
    arrived, inner = threading.Event(), disk.before

    def wait_for_all(name: str, number: int) -> None:
        if name == "sync":
            arrived.wait(PATIENCE_SECONDS)

    disk.calls.clear()
    disk.before = wait_for_all
    with ThreadPoolExecutor(len(batches) + 1) as pool:
        first = pool.submit(store.append, batch(trade(-1)))
        wait_until(lambda: bool(disk.calls["sync"]))
        futures = []
        for number, waiting in enumerate(batches, start=1):
            futures.append(pool.submit(commit, store, waiting))
            wait_until(lambda number=number: len(groups._waiting) == number)  # type: ignore[misc]
        disk.before = inner
        disk.calls.clear()
        arrived.set()
        first.result(PATIENCE_SECONDS)
    return futures


def test_a_group_of_commits_costs_as_many_syncs_as_one(tmp_path: Path):
    disk = WatchedDisk()
    store = CsvStore(tmp_path, disk=disk)
    futures = written_together(store, disk, [batch(trade(number)) for number in range(30)])
    assert sorted(future.result().commit.number for future in futures) == list(range(2, 32))
    assert disk.calls["sync"] <= 4
    assert len(stored(store)) == 31


def test_batches_of_a_group_are_compared_with_each_other(tmp_path: Path):
    disk = WatchedDisk()
    store = CsvStore(tmp_path, disk=disk)
    row, other = trade(1, trade_id="a"), trade(1, 5.0, trade_id="a")
    futures = written_together(
        store, disk, [batch(row), batch(trade(2), trade(DAY)), batch(row), batch(other), batch(trade(2))]
    )
    assert [f.result().stored for f in (futures[0], futures[1], futures[2], futures[4])] == [1, 2, 0, 0]
    assert isinstance(futures[3].exception(), IdConflict)
    assert futures[2].result().commit == futures[4].result().commit == trades_of(store).head
    assert len(stored(store)) == 4


GROUP_CALLS = {"data append": 3, "data sync": 4, "record append": 5, "record sync": 6}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("failing", GROUP_CALLS.values(), ids=list(GROUP_CALLS))
def test_rows_that_could_not_be_written_are_not_duplicates_for_their_group(
    tmp_path: Path, failing: int, lasting: bool, share: float
):
    disk = FailingDisk(code=errno.ENOSPC, lasting=lasting, share=share)
    store = CsvStore(tmp_path, disk=disk)
    store.append(batch(trade(-2)))
    disk.failing = failing
    row, other = trade(1, trade_id="a"), trade(1, 5.0, trade_id="a")
    futures = written_together(store, disk, [batch(row), batch(row), batch(other)])
    in_doubt = failing == GROUP_CALLS["record sync"] or (lasting and failing == GROUP_CALLS["record append"])
    assert disk.failed
    assert [type(f.exception()) for f in futures] == [OutcomeUnknown if in_doubt else StoreFull] * 3
    disk.heal()
    if not in_doubt:
        assert stored(store) == stored(CsvStore(tmp_path)) == [trade(-2), trade(-1)]
    store.append(batch(row))
    assert stored(store) == stored(CsvStore(tmp_path)) == [trade(-2), trade(-1), row]


@pytest.mark.parametrize("failing", [GROUP_CALLS["data append"], GROUP_CALLS["record sync"]])
def test_a_batch_that_is_refused_or_replayed_has_its_own_answer_if_its_groups_write_fails(
    tmp_path: Path, failing: int
):
    disk = FailingDisk(code=errno.ENOSPC)
    store = CsvStore(tmp_path, disk=disk)
    earlier = store.append(batch(trade(-2, trade_id="a"), request_key="k"))
    disk.failing = failing
    futures = written_together(
        store,
        disk,
        [
            batch(trade(1)),
            batch(trade(-2, 5.0, trade_id="a")),
            batch(trade(-2, trade_id="a"), request_key="k"),
            batch(trade(3)),
            batch(trade(-2, 6.0, trade_id="a"), trade(4)),
        ],
    )
    assert disk.failed
    failed = StoreFull if failing == GROUP_CALLS["data append"] else OutcomeUnknown
    assert [type(f.exception()) for f in futures] == [failed, IdConflict, type(None), failed, IdConflict]
    replay = futures[2].result()
    assert replay.replayed
    assert replay.commit == earlier.commit


def test_a_replay_of_a_commit_that_no_sync_has_confirmed_is_in_doubt_with_its_group(tmp_path: Path):
    disk = FailingDisk()
    CsvStore(tmp_path).append(batch(trade(-2), request_key="k"))
    store = CsvStore(tmp_path, disk=disk)
    disk.failing = 1
    with pytest.raises(OutcomeUnknown):
        store.append(batch(trade(-2), request_key="k"))
    with pytest.raises(RequestKeyReused):
        store.append(batch(trade(-3), request_key="k"))
