"""What the page `/import` does with a file. It imports pyarrow, so the page imports it only for a request."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from django.conf import settings

from trades.exceptions import ImportRefused, without_path
from trades.imports.csv_file import damage_refused, uncompressed
from trades.imports.formats import container_of
from trades.imports.services import file_import, file_preview
from trades.management.import_command import file_and_options, preview_cells, report_lines

# A cell of a column takes at least so many bytes in memory, however few in the file.
_CELL_BYTES = 4


def preview_or_import(path: Path, options: dict[str, Any], *, is_import: bool, caller: str) -> dict[str, Any]:
    """Return what the page shows of a file: its first rows, or what its import did.

    options: of the command. Raises `ImportsError`s, `OSError`, the store's `StorageError`s.
    """
    _check_size(path)
    file, read = file_and_options(path, options)
    if not is_import:
        preview = file_preview(file=file, options=read)
        names, *rows = preview_cells(preview.first_rows) or [[]]
        bad = [without_path(str(row), path) for row in preview.bad]
        return {"dataset": read.dataset.name, "names": names, "rows": rows, "bad": bad, "guessed": preview.guessed,
                "unread": [each.name for each in preview.unread]}  # fmt: skip
    imported = file_import(
        path=path,
        file=file,
        options=read,
        notes=path.parent / "notes",
        skip_bad=options["skip_bad"],
        confirmed=options["yes"],
        caller=f"{caller} import:{path.name}",
    )
    lines = [*report_lines(imported, read), *map(str, imported.examples)]
    return {"imported": [without_path(line, path).strip() for line in lines]}


def _check_size(path: Path) -> None:
    """Raise `ImportRefused` for a compressed file that has more than a file may have here."""
    most = settings.MAX_IMPORT_BYTES
    with damage_refused():
        if container_of(path) == "parquet":
            found = pq.read_metadata(path)
            declared = sum(found.row_group(each).total_byte_size for each in range(found.num_row_groups))
            size = max(declared, found.num_rows * found.num_columns * _CELL_BYTES)
        else:
            with path.open("rb") as raw:
                size, content = 0, uncompressed(raw)
                while size <= most and (piece := content.read(2**20)):
                    size += len(piece)
    if size > most:
        raise ImportRefused(f"the file has more than {most:,} bytes: import it by manage.py import")
