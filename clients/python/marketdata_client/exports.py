"""Exports: what is asked for, and the files as they are downloaded, each checked by its SHA-256."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from marketdata_client.bodies import object_in
from marketdata_client.errors import BadAnswer
from marketdata_client.requests import Request, post_once, segment

_EXPORTS = "/api/v1/exports"
MANIFEST = "manifest.json"


def export_request(
    dataset: str, symbols: str | Sequence[str], market: str, params: Mapping[str, Any]
) -> Request:
    listed = [symbols] if isinstance(symbols, str) else list(symbols)
    return post_once(_EXPORTS, {"dataset": dataset, "class": market, "symbols": listed, **params})


def account_export_request(account: str, table: str, params: Mapping[str, Any]) -> Request:
    return post_once(f"/api/v1/accounts/{segment(account)}/exports", {"table": table, **params})


def file_request(job_id: str, path: str, headers: Mapping[str, str] | None = None) -> Request:
    """Return the request of a file, as its bytes are on the server's disk."""
    sent = {"Accept": "*/*", "Accept-Encoding": "identity", **(headers or {})}
    return Request("GET", f"{_EXPORTS}/{segment(job_id)}/files/{quote(path)}", headers=sent)


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of an export. What has arrived of it is in `….part`, so that another attempt, or another process, goes on."""

    path: str
    size: int
    sha256: str
    target: Path

    @property
    def is_complete(self) -> bool:
        return self.target.exists() and _sha256(self.target) == self.sha256

    @property
    def arrived(self) -> int:
        """Bytes of the part."""
        return self._part.stat().st_size if self._part.exists() else 0

    def request(self, job_id: str) -> Request:
        """Return the request of what is missing; of all if the server's file is another one by now."""
        headers = {"Range": f"bytes={self.arrived}-", "If-Range": f'"{self.sha256}"'} if self.arrived else {}
        return file_request(job_id, self.path, headers)

    def opened(self, headers: Mapping[str, str]) -> BinaryIO:
        """Return the part, opened for the body of an answer with these headers. Raises `BadAnswer`."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        found = headers.get("content-range")
        if found is None:
            return self._part.open("wb")
        if not found.startswith(f"bytes {self.arrived}-"):
            raise BadAnswer(f"{self.path}: the answer is not the part that was asked for")
        return self._part.open("ab")

    def finish(self) -> None:
        """Give the part its name. Raises `BadAnswer` if its bytes are wrong; the next attempt begins anew."""
        if _sha256(self._part) != self.sha256:
            self._part.unlink()
            raise BadAnswer(f"{self.path}: the bytes have another SHA-256 than the manifest says")
        self._part.replace(self.target)

    @property
    def _part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")


def manifest_in(body: bytes, dataset_id: object) -> dict[str, Any]:
    """Return a manifest. Raises `BadAnswer` unless its SHA-256 is the data set's id."""
    if hashlib.sha256(body).hexdigest() != dataset_id:
        raise BadAnswer("the manifest has another SHA-256 than the export says")
    return object_in(body)


def files_in(manifest: Mapping[str, Any], folder: Path) -> list[ExportedFile]:
    """Return the files of a manifest. Raises `BadAnswer`, also for a path that leads out of the folder."""
    listed, files = manifest.get("files"), []
    for each in listed if isinstance(listed, list) else [None]:
        match each:
            case {"path": str(path), "bytes": int(size), "sha256": str(sha256)} if _is_below(path):
                files.append(ExportedFile(path, size, sha256, folder / path))
            case _:
                raise BadAnswer("the manifest has a file without a usable path, size and SHA-256")
    return files


def _is_below(path: str) -> bool:
    return not set(path.split("/")) & {"", ".", ".."} and not set(path) & set("\\:\0")


def downloading(done: int, total: int, *, state: str = "downloading") -> dict[str, Any]:
    """Return what is told while files arrive: like a job's document."""
    return {"state": state, "progress": {"done": done, "total": total, "unit": "bytes"}}


def bytes_told(tell: Callable[[dict[str, Any]], object], before: int, total: int) -> Callable[[int], object]:
    """Return what takes the bytes of a file that have arrived. before: the bytes of the files before it."""
    return lambda arrived: tell(downloading(before + arrived, total))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
