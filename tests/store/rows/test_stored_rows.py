"""Rows at a commit, against a walk through the corrections one by one."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.bars.prints import STANDS
from store.datasets import TRADES
from store.protocol import Window
from store.rows.stored_rows import (
    ACTION,
    ARRIVAL,
    COMMIT,
    ArrivalRun,
    apply_corrections,
    stored_rows,
    stored_schema,
    visible,
)
from tests.store.builders import NOON, Row, record_batch, trade

Change = dict[str, Any]


def change(arrival: int, commit: int, action: str = "cancel", **new: Any) -> Change:
    """A correction of the trade that `base` has at an arrival number."""
    return (
        trade(arrival % 3, float(arrival + 1))
        | new
        | {"arrival": arrival, "action": action, "commit": commit}
    )


def corrections(*changes: Change) -> pa.Table:
    return pa.Table.from_pylist(
        list(changes), schema=pa.schema([*TRADES.schema, ARRIVAL.field, ACTION.field, COMMIT.field])
    )


def base(*counts: int) -> pa.Table:
    """Trades in commits 1, 2, … of so many rows each; the price tells the arrival."""
    rows = [trade(arrival % 3, float(arrival + 1)) for arrival in range(sum(counts))]
    runs = [ArrivalRun(sum(counts[:n]), n + 1, count) for n, count in enumerate(counts)]
    return stored_rows(pa.Table.from_batches([record_batch(*rows)]), runs)


def prices(rows: pa.Table, commit: int | None = None) -> list[float]:
    found: list[float] = visible(rows, commit).column("price").to_pylist()
    return found


def test_stored_rows_have_arrival_commit_and_until():
    rows = base(2, 0, 3)
    assert rows.schema.equals(stored_schema(TRADES))
    assert rows.column("arrival").to_pylist() == [0, 1, 2, 3, 4]
    assert rows.column("commit").to_pylist() == [1, 1, 3, 3, 3]
    assert set(rows.column("until").to_pylist()) == {STANDS}


def test_runs_keep_their_arrival_numbers():
    table = pa.Table.from_batches([record_batch(trade(1), trade(2), trade(3))])
    rows = stored_rows(table, [ArrivalRun(70, 4, 1), ArrivalRun(900, 9, 2)])
    assert rows.column("arrival").to_pylist() == [70, 900, 901]
    assert rows.column("commit").to_pylist() == [4, 9, 9]


def test_no_rows():
    rows = stored_rows(TRADES.schema.empty_table(), [])
    assert apply_corrections(rows, corrections(change(0, 2))).num_rows == 0
    assert visible(rows).schema.equals(TRADES.schema)


def test_a_cancelled_row_stands_until_its_cancel():
    rows = apply_corrections(base(3), corrections(change(1, 2)))
    assert prices(rows, 1) == [1.0, 2.0, 3.0]
    assert prices(rows, 2) == prices(rows) == [1.0, 3.0]


def test_corrected_row_keeps_its_position():
    rows = apply_corrections(base(7), corrections(change(0, 2, "correct", price=50.0)))
    assert prices(rows, 1) == [1.0, 4.0, 7.0, 2.0, 5.0, 3.0, 6.0]
    assert prices(rows) == [50.0, 4.0, 7.0, 2.0, 5.0, 3.0, 6.0]
    assert rows.schema.equals(stored_schema(TRADES))


def test_row_corrected_twice_in_one_commit_has_one_new_version():
    twice = [change(0, 2, "correct", price=50.0), change(0, 2, "correct", price=60.0), change(0, 3)]
    rows = apply_corrections(base(1), corrections(*twice))
    assert [prices(rows, at) for at in range(4)] == [[], [1.0], [60.0], []]
    assert rows.num_rows == 2


def test_correction_of_an_absent_row_is_ignored():
    rows = base(2)
    assert apply_corrections(rows, corrections(change(5, 2, "correct", price=1.5))).equals(rows)
    assert apply_corrections(rows, corrections()).equals(rows)


def test_a_window_includes_its_start_and_not_its_end():
    assert visible(base(3), window=Window(NOON + 1, NOON + 2)).to_pylist() == [trade(1, 2.0)]


def walked(rows: list[Row], changes: list[Change], at: int) -> list[Row]:
    """What stands at a commit, by taking the changes one after the other."""
    standing: dict[int, Row] = dict(enumerate(rows))
    for each in changes:
        if each["commit"] <= at and each["arrival"] in standing:
            if each["action"] == "cancel":
                del standing[each["arrival"]]
            else:
                standing[each["arrival"]] = {name: each[name] for name in TRADES.schema.names}
    keyed = [
        (row["timestamp"], row["sequence"] is None, row["sequence"] or 0, arrival, row)
        for arrival, row in standing.items()
    ]
    return [row for *_, row in sorted(keyed, key=lambda key: key[:-1])]


@st.composite
def changes_of_six_rows(draw: Any) -> list[Change]:
    made: list[Change] = []
    cancelled: set[int] = set()
    for commit in sorted(draw(st.lists(st.integers(2, 5), max_size=10))):
        arrival = draw(st.sampled_from(sorted(set(range(6)) - cancelled) or [99]))
        action = draw(st.sampled_from(["cancel", "correct"]))
        if action == "cancel":
            cancelled.add(arrival)
        new = {"price": draw(st.sampled_from([7.5, 8.5])), "sequence": draw(st.sampled_from([None, 1, 2]))}
        made.append(change(arrival, commit, action, **new))
    return made


@settings(deadline=None)
@given(changes_of_six_rows(), st.integers(1, 6))
def test_corrections_equal_applying_them_one_by_one(changes: list[Change], cut: int):
    rows = base(6)
    originals = rows.select(TRADES.schema.names).to_pylist()
    whole = apply_corrections(rows, corrections(*changes))
    earlier, later = ([each for each in changes if (each["commit"] > cut) == late] for late in (False, True))
    in_two = apply_corrections(apply_corrections(rows, corrections(*earlier)), corrections(*later))
    repeated = apply_corrections(whole, corrections(*changes))
    for at in range(1, 7):
        expected = walked(originals, changes, at)
        for table in (whole, repeated, in_two):
            assert visible(table, at).to_pylist() == expected


@pytest.mark.parametrize("commit", [0, 1, 2, 3])
def test_visible_rows_have_the_datasets_schema(commit: int):
    rows = apply_corrections(base(1, 1), corrections(change(0, 3)))
    assert visible(rows, commit).schema.equals(TRADES.schema)
