"""The CSV store without group commit, for comparison: every batch has syncs of its own."""

from pathlib import Path

from store.csv import CsvStore
from store.csv.writing import group_commit


class UngroupedStore(CsvStore):
    """A `CsvStore`; the limit of a group is set for the whole process."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        group_commit.GROUP_LIMIT = 1
