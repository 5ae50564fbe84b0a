"""The queue of live rows: what follows without a gap, what is known, what jumps."""

import pyarrow as pa
import pytest

from sources.asking import batch_of
from sources.feed import rows
from sources.feed.rows import RowQueue
from store.datasets import TRADES


def trades(*ids: int | str) -> pa.RecordBatch:
    count = len(ids)
    texts = [str(each) for each in ids]
    columns = {
        "timestamp": [*range(count)],
        "trade_id": texts,
        "price": [1.0] * count,
        "volume": [1.0] * count,
    }
    return batch_of(TRADES, columns)


def ids_of(rows: pa.RecordBatch) -> list[str]:
    ids: list[str] = rows["trade_id"].to_pylist()
    return ids


@pytest.mark.parametrize(
    ("known", "waiting", "taken", "jumps", "left"),
    [
        ([4], [5, 6, 7], ["5", "6", "7"], False, []),
        ([4], [3, 4, 5], ["5"], False, []),
        ([4], [5, 5, 6], ["5", "6"], False, []),
        ([4], [5, 8, 9], ["5"], True, ["8", "9"]),
        ([4], [7, 8], [], True, ["7", "8"]),
        ([], [7, 8], ["7", "8"], False, []),
        ([4], [1, 2], [], False, []),
    ],
)
def test_sequential_ids_are_taken_up_to_a_jump(
    known: list[int], waiting: list[int], taken: list[str], jumps: bool, left: list[str]
) -> None:
    queue = RowQueue(is_sequential=True)
    queue.know(trades(*known))
    queue.add(trades(*waiting))
    rows, has_jump = queue.take()
    assert (ids_of(rows), has_jump) == (taken, jumps)
    queue.know(trades(*range(max([4, *waiting]) if not left else int(left[0]))))
    assert ids_of(queue.take()[0] if queue else trades()) == left


@pytest.mark.parametrize(
    ("is_sequential", "known", "waiting", "meets"),
    [
        (True, [4], [5], True),
        (True, [4], [4], True),
        (True, [4], [6], False),
        (True, [4], [], False),
        (False, ["a", "b"], ["b", "c"], True),
        (False, ["a", "b"], ["c"], False),
        (False, [], ["c"], False),
    ],
)
def test_the_queue_meets_history_where_no_trade_can_be_missing(
    is_sequential: bool, known: list[str], waiting: list[str], meets: bool
) -> None:
    queue = RowQueue(is_sequential=is_sequential)
    queue.know(trades(*known))
    if waiting:
        queue.add(trades(*waiting))
    assert queue.meets_history is meets


def test_trades_that_were_taken_and_not_stored_are_not_known() -> None:
    queue = RowQueue(is_sequential=True)
    queue.begin(trades(4))
    queue.add(trades(5, 6))
    queue.take()
    queue.begin(trades(4))
    assert ids_of(queue.unknown(trades(4, 5, 6, 7))) == ["5", "6", "7"]


def test_known_trades_are_left_out_by_their_ids() -> None:
    queue = RowQueue(is_sequential=False)
    queue.know(trades("x1", "x2"))
    assert ids_of(queue.unknown(trades("x2", "x3"))) == ["x3"]
    queue.add(trades("x2", "x3"))
    assert ids_of(queue.take()[0]) == ["x3"]
    assert len(queue) == 0


def test_a_queue_that_is_too_long_is_left_to_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MOST_ROWS", 3)
    queue = RowQueue(is_sequential=True)
    assert queue.add(trades(1, 2))
    assert not queue.add(trades(3, 4))
    assert len(queue) == 0
