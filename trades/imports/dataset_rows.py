"""A file whose rows are of several datasets, by a column that names them: read as one file for each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from store.datasets import DATASETS
from store.declarations import Dataset
from trades.exceptions import ImportRefused
from trades.imports.blocks import FilePiece, SourceFile


class RowsOfDataset:
    """The rows of a file that are of one dataset (a `SourceFile`). column: the one that names the dataset."""

    def __init__(self, file: SourceFile, column: str, dataset: Dataset) -> None:
        self._file, self._column, self._dataset = file, column, dataset
        self.path, self.size = file.path, file.size
        self.names = tuple(name for name in file.names if name != column)
        self.notes = file.notes

    def pieces(self, names: Sequence[str], nulls: Sequence[str] = ()) -> Iterator[FilePiece]:
        """See `SourceFile`."""
        for piece in self._file.pieces([*names, self._column], nulls):
            is_own = pc.equal(_texts(piece.cells, self._column), self._dataset.name).fill_null(False)
            cells = piece.cells.filter(is_own).select(list(names))
            lines = piece.lines[is_own.to_numpy(zero_copy_only=False)]
            yield replace(piece, cells=cells, lines=lines)


def datasets_in(file: SourceFile, column: str) -> list[Dataset]:
    """Return the datasets that a column names, in their order. Raises `ImportRefused` for another text, or none."""
    if column not in file.names:
        raise ImportRefused(f"there is no column {column!r}; the columns are {','.join(file.names)}")
    found: dict[str, None] = {}
    for piece in file.pieces([column]):
        texts = _texts(piece.cells, column)
        for name in texts.unique().to_pylist():
            if name not in DATASETS:
                wrong = pc.equal(texts, name) if name is not None else pc.is_null(texts)
                line = piece.lines[wrong.fill_null(False).to_numpy(zero_copy_only=False)][0]
                raise ImportRefused(f"line {line}, {column}: {name!r} is no dataset: {', '.join(DATASETS)}")
            found[name] = None
    return [dataset for name, dataset in DATASETS.items() if name in found]


def _texts(cells: pa.Table, column: str) -> pa.ChunkedArray:
    return cells[column].cast(pa.string())
