"""The type of a vendor's layout: which columns its files have, and how they become ours."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

import pyarrow as pa
import pyarrow.compute as pc

from store.declarations import Dataset
from trades.conditions.condition_map import ConditionMap


@dataclass(frozen=True, slots=True)
class Derived:
    """A column that is computed from columns of the file. name: what it computes; it identifies the computation.

    compute: takes the sources as arrays of texts, in order; returns an array of the column's type, or of booleans.
    optional: sources that a file may lack; `compute` gets nulls.
    """

    name: str
    sources: tuple[str, ...]
    compute: Callable[..., pa.Array] = field(repr=False)
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VendorLayout:
    """A layout of files, documented by the vendor.

    source: the vendor's page. columns: our column, or `symbol`, to the file's; these are in every such file.
    optional: the same for columns that a file may lack. prepared: columns that are computed from the file's, as texts,
    and may stand in `columns` as the file's. derived: computed columns of ours. kept: computes which rows are read; the
    others are left out. refused: computes which rows no file of the layout may have; refusal: what is said of them. given: values of columns that the files lack. given_by_folder: the same, if the
    path has a folder of this name. prefix: a pattern that is removed from symbols. conditions: the vendor's map. nulls:
    texts that stand for null. fixed_point: our columns whose values are multiples of 1e-9 in files that write them as
    integers. marks: columns that every such file has, and that are not
    read. exact: all columns, in order, that such a file has; empty if it may have others. absent: columns of other layouts of the vendor, which no file of this one has. first_row: a pattern of the
    first row, of files in which no line names the columns; these are named by their positions. zone: the time zone of
    times without an offset; None if the file does not tell it. time_format: see `ReadOptions`. times_end: whether the
    vendor says that the times of bars are those of their ends, or of their beginnings; None if it says neither.
    """

    name: str
    dataset: Dataset
    source: str
    columns: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    derived: Mapping[str, Derived] = field(default_factory=dict)
    kept: Derived | None = None
    prepared: Mapping[str, Derived] = field(default_factory=dict)
    refused: Derived | None = None
    refusal: str = ""
    marks: frozenset[str] = frozenset()
    exact: tuple[str, ...] = ()
    absent: frozenset[str] = frozenset()
    given: Mapping[str, str] = field(default_factory=dict)
    given_by_folder: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    prefix: str = ""
    conditions: ConditionMap | None = None
    nulls: tuple[str, ...] = ()
    fixed_point: tuple[str, ...] = ()
    first_row: str = ""
    zone: str | None = "UTC"
    time_format: str = ""
    times_end: bool | None = None

    @property
    def needed(self) -> frozenset[str]:
        """The file columns without which a file does not have this layout."""
        computed = [*self.prepared.values(), *self.derived.values(), *filter(None, (self.kept, self.refused))]
        sources = {source for each in computed for source in each.sources if source not in each.optional}
        parts = {part for source in self.columns.values() for part in source.split("+")}
        return frozenset({*parts, *sources, *self.marks} - {"", *self.prepared})

    def fits(self, names: Sequence[str], row: Sequence[str] | None) -> bool:
        """Return whether a file with these columns has the layout. row: the first, if no line names the columns."""
        if row is not None:
            return bool(self.first_row) and re.fullmatch(self.first_row, ",".join(row)) is not None
        if self.exact:
            return self.exact == tuple(names)
        return not self.first_row and self.needed <= {*names} and not self.absent.intersection(names)

    def given_for(self, path: PurePath) -> dict[str, str]:
        """Return the values of columns that the file at this path lacks."""
        folders = [values for folder, values in self.given_by_folder.items() if folder in path.parts]
        return {name: value for values in (self.given, *folders) for name, value in values.items()}


def _price(price: pa.Array) -> pa.Array:
    number = price.cast(pa.float64())
    return pc.if_else(pc.equal(number, 0.0), None, number)


def _has_side(bid: pa.Array, ask: pa.Array) -> pa.Array:
    return pc.or_(pc.is_valid(_price(bid)), pc.is_valid(_price(ask)))


BID_PRICE = Derived("price or null", ("bid_price",), _price)
ASK_PRICE = Derived("price or null", ("ask_price",), _price)
HAS_SIDE = Derived("with a side", ("bid_price", "ask_price"), _has_side)
