"""Rows at a commit, against a walk through the corrections one by one."""

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from store.datasets import TRADES
from store.rows.stored_rows import ACTION, ARRIVAL, COMMIT, ArrivalRun, apply_corrections, stored_rows
from tests.memory_store.snapshot import visible
from tests.store.builders import Row, record_batch, trade

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


def base(count: int) -> pa.Table:
    """Trades of one commit; the price tells the arrival."""
    rows = [trade(arrival % 3, float(arrival + 1)) for arrival in range(count)]
    return stored_rows(pa.Table.from_batches([record_batch(*rows)]), [ArrivalRun(0, 1, count)])


def test_no_rows():
    rows = stored_rows(TRADES.schema.empty_table(), [])
    assert apply_corrections(rows, corrections(change(0, 2))).num_rows == 0
    assert visible(rows, 1).schema.equals(TRADES.schema)


def test_row_corrected_twice_in_one_commit_has_one_new_version():
    twice = [change(0, 2, "correct", price=50.0), change(0, 2, "correct", price=60.0), change(0, 3)]
    rows = apply_corrections(base(1), corrections(*twice))
    prices = [visible(rows, at).column("price").to_pylist() for at in range(4)]
    assert prices == [[], [1.0], [60.0], []]
    assert rows.num_rows == 2


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
