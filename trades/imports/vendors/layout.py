"""The type of a vendor's layout: which columns its files have, and how they become ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

import pyarrow as pa

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
    optional: the same for columns that a file may lack. derived: computed columns. kept: computes which rows are
    read; the others are left out. given: values of columns that the files lack. given_by_folder: the same, if the
    path has a folder of this name. prefix: a pattern that is removed from symbols. conditions: the vendor's map. nulls:
    texts that stand for null. fixed_point: our columns whose values are multiples of 1e-9 in files that write them as
    integers. absent: columns of other layouts of the vendor, which no file of this one has.
    """

    name: str
    dataset: Dataset
    source: str
    columns: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    derived: Mapping[str, Derived] = field(default_factory=dict)
    kept: Derived | None = None
    absent: frozenset[str] = frozenset()
    given: Mapping[str, str] = field(default_factory=dict)
    given_by_folder: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    prefix: str = ""
    conditions: ConditionMap | None = None
    nulls: tuple[str, ...] = ()
    fixed_point: tuple[str, ...] = ()

    @property
    def needed(self) -> frozenset[str]:
        """The file columns without which a file does not have this layout."""
        computed = [*self.derived.values(), *([self.kept] if self.kept else [])]
        sources = {source for each in computed for source in each.sources if source not in each.optional}
        return frozenset({*self.columns.values(), *sources} - {""})

    def given_for(self, path: PurePath) -> dict[str, str]:
        """Return the values of columns that the file at this path lacks."""
        folders = [values for folder, values in self.given_by_folder.items() if folder in path.parts]
        return {name: value for values in (self.given, *folders) for name, value in values.items()}
