"""`symbols="@NAME"`: the members of a stored universe, within a window or at an instant."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import UNIVERSE_CHANGES
from store.exceptions import UnknownSymbol
from store.protocol import Append
from store.reading import Reader
from store.reading.exceptions import InvalidUniverse
from tests.store.builders import MINUTE, NOON, trade
from tests.store.reading.stores import add


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
def test_panels_and_scans_have_all_members_of_the_window(
    reader: Reader, begin: int | None, end: int | None, wanted: str
):
    start_ns, end_ns = (None if each is None else NOON + each * MINUTE for each in (begin, end))
    named, found = reader.panel(list(wanted), start_ns, end_ns), reader.panel("@x", start_ns, end_ns)
    assert (found.symbols, found.time_ns.tolist()) == (tuple(wanted), named.time_ns.tolist())
    np.testing.assert_array_equal(found.values, named.values)
    slices = [
        (time_ns, view.universe, view.close.tolist()) for time_ns, view in reader.scan("@X", start_ns, end_ns)
    ]
    assert slices == [
        (time_ns, view.universe, view.close.tolist())
        for time_ns, view in reader.scan(list(wanted), start_ns, end_ns)
    ]


def test_a_cross_section_has_the_members_of_its_instant(reader: Reader):
    assert reader.cross_section(NOON + 3 * MINUTE - 1, "@X").symbols == ("A", "B")
    assert reader.cross_section(NOON + 3 * MINUTE, "@X").symbols == ("A", "C")
    assert reader.cross_section(NOON - 1, "@X").symbols == ()
    assert reader.members("X", NOON + 3 * MINUTE) == ["A", "C", "GONE"]


def test_the_members_are_those_known_then(reader: Reader):
    first = reader.version("X", dataset="universe_changes")
    assert first.startswith("2-")
    assert reader.panel("@X", as_of=0).symbols == ()


def test_what_is_no_universe_is_refused(reader: Reader):
    with pytest.raises(UnknownSymbol):
        reader.panel("@NONE")
    with pytest.raises(InvalidUniverse, match="or a universe, as '@SP500'"):
        reader.panel("A")
