"""Exports of a test: the body, the files, their rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.exports.query import ExportQuery, ExportRequestSerializer, export_parameters
from jobs.exports.writing import ExportWriter


def parameters_of(now_ns: int, **body: Any) -> dict[str, Any]:
    """Return the parameters of the job of a body."""
    serializer = ExportRequestSerializer(data=body)
    serializer.is_valid(raise_exception=True)
    return export_parameters(serializer.validated_data, now_ns=now_ns)


def write(
    folder: Path, parameters: dict[str, Any], report: Callable[[int, int, int], None] = lambda *_: None
) -> dict[str, Any]:
    """Write an export below a folder, and return the result."""
    query = ExportQuery.of(parameters)
    return ExportWriter(query, out=folder / "files", work=folder / "work", report=report).write()


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files of an export, by path."""
    out = folder / "files"
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return an export's manifest."""
    found: dict[str, Any] = orjson.loads((folder / "files" / "manifest.json").read_bytes())
    return found


def parquet_table(folder: Path, manifest: dict[str, Any]) -> pa.Table:
    """Return the rows of all files in their order."""
    paths = [folder / "files" / each["path"] for each in manifest["files"]]
    return pa.concat_tables([pq.ParquetFile(path).read() for path in paths])
