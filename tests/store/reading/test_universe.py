"""`symbols="@NAME"`: the members of a stored universe, within a window or at an instant."""

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import time_machine

from store import open_store
from store.csv import CsvStore
from store.datasets import UNIVERSE_CHANGES
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from store.protocol import Append
from store.reading import Reader
from store.reading.exceptions import InvalidUniverse
from store.timestamps import DAY_NS, SECOND_NS
from tests.store.builders import MINUTE, NOON, trade
from tests.store.reading.stores import add

# A time after NOON that has not come.
AHEAD = 50_000 * DAY_NS


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """A and B from the first minute; C joins in the third, in which B leaves. GONE has no rows. Each has two trades."""
    for place, symbol in enumerate("ABCD"):
        add(tmp_path, trade(0, 10.0 + place), trade(6 * MINUTE, 20.0 + place), symbol=symbol)
    change(tmp_path, (0, "A", "add"), (0, "B", "add"), (0, "GONE", "add"))
    change(tmp_path, (3 * MINUTE, "B", "remove"), (3 * MINUTE, "C", "add"))
    return open_store(tmp_path)


def change(folder: Path, *changes: tuple[int, str, str]) -> None:
    rows = [
        {"timestamp": NOON + place, "member": member, "action": action} for place, member, action in changes
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=UNIVERSE_CHANGES.schema)
    CsvStore(folder).append(Append(UNIVERSE_CHANGES, "X", batch, "test"))


@pytest.mark.parametrize(
    ("begin", "end", "wanted"),
    [(0, 3, "AB"), (0, 4, "ABC"), (3, 9, "AC"), (4, 9, "AC"), (None, None, "ABC"), (None, 3, "AB")],
)
def test_panels_have_all_members_of_the_window(
    reader: Reader, begin: int | None, end: int | None, wanted: str
):
    start_ns, end_ns = (None if each is None else NOON + each * MINUTE for each in (begin, end))
    named, found = reader.panel(list(wanted), start_ns, end_ns), reader.panel("@x", start_ns, end_ns)
    assert (found.symbols, found.time_ns.tolist()) == (tuple(wanted), named.time_ns.tolist())
    np.testing.assert_array_equal(found.values, named.values)


def test_the_members_of_an_instant(reader: Reader):
    assert reader.members("X", NOON + 3 * MINUTE - 1) == ["A", "B", "GONE"]
    assert reader.members("X", NOON + 3 * MINUTE) == ["A", "C", "GONE"]
    assert reader.members("X", NOON - 1) == []


def test_the_members_are_those_stored_by_as_of(reader: Reader, tmp_path: Path):
    before_ns = time.time_ns()
    change(tmp_path, (MINUTE, "D", "add"))
    assert reader.members("X", NOON + MINUTE) == ["A", "B", "D", "GONE"]
    assert reader.panel("@X", NOON, NOON + 2 * MINUTE).symbols == ("A", "B", "D")
    assert reader.panel("@X", NOON, NOON + 2 * MINUTE, as_of=before_ns).symbols == ("A", "B")
    assert reader.panel("@X", as_of=0).symbols == ()


def test_members_of_the_future_do_not_belong_yet(reader: Reader, tmp_path: Path):
    change(tmp_path, (AHEAD, "D", "add"), (AHEAD, "A", "remove"))
    assert reader.members("X") == ["A", "C", "GONE"]
    assert reader.members("X", NOON + AHEAD) == ["C", "D", "GONE"]
    assert reader.panel("@X").symbols == ("A", "B", "C")
    assert reader.panel("@X", NOON + AHEAD, NOON + AHEAD + DAY_NS).symbols == ("A", "C")


def test_without_an_instant_members_are_those_of_as_of(reader: Reader, tmp_path: Path):
    at_ns = time.time_ns()
    change(tmp_path, (at_ns + SECOND_NS - NOON, "D", "add"))
    with time_machine.travel((at_ns + MINUTE) / 1e9, tick=False):
        assert reader.members("X") == ["A", "C", "D", "GONE"]
        assert reader.members("X", as_of=at_ns + SECOND_NS - 1) == ["A", "C", "GONE"]
        assert reader.members("X", as_of=at_ns + SECOND_NS) == ["A", "C", "D", "GONE"]


def test_a_universe_has_a_name_of_its_own(reader: Reader, tmp_path: Path):
    CsvStore(tmp_path).set_instrument(Instrument("A", aliases=("X",), settle=3_600))
    late_ns = time.time_ns() - MINUTE
    change(tmp_path, (late_ns - NOON, "D", "add"))
    assert reader.members("X") == ["A", "C", "D", "GONE"]
    assert reader.members("X", late_ns) == ["A", "C", "D", "GONE"]
    assert reader.version("X", dataset="universe_changes").startswith("3-")
    assert reader.coverage("X", "universe_changes").rows == 6


def test_what_is_no_universe_is_refused(reader: Reader):
    with pytest.raises(UnknownSymbol):
        reader.panel("@NONE")
    with pytest.raises(InvalidUniverse, match="or a universe, as '@SP500'"):
        reader.panel("A")
