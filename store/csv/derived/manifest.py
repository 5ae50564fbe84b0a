"""The manifest: lists the current derived files, and the commit up to which they have all rows.

It is a small JSON file that is replaced as a whole.
"""

import zlib
from contextlib import suppress
from pathlib import Path

import msgspec

from store.csv.derived.segment_files import Seal
from store.csv.files.disk import NO_FILE, FileSignature, signature_if_readable
from store.csv.log.history import CommitHistory
from store.declarations import Dataset
from store.protocol import CommitId

MANIFEST_FILE = "manifest.json"
PARTIAL_SUFFIX = ".partial"
FORMAT = 1


def column_names(dataset: Dataset) -> tuple[str, ...]:
    """Return the names of a dataset's columns."""
    return tuple(column.name for column in dataset.columns)


def rows_file(name: str) -> str:
    """Return the name of a segment's file of stored rows."""
    return f"{name}.rows.arrow"


def rollups_file(name: str, policy_key: str) -> str:
    """Return the name of a segment's file of aggregates under one policy."""
    return f"{name}.{policy_key}.rollups"


class Segment(msgspec.Struct, frozen=True):
    """About a million rows or fewer, of one range of event times. The ranges of segments do not overlap.

    name: the prefix of its files' names. standing: the number of rows that are neither cancelled nor
    replaced. first_ns, last_ns: smallest and largest event time, inclusive. newest: the newest commit that
    stored, cancelled or replaced one of its rows. stored: the seal of the file of stored rows. rollups: that
    of each policy's file, by policy key.
    """

    name: str
    rows: int
    standing: int
    first_ns: int
    last_ns: int
    newest: int
    stored: Seal
    rollups: dict[str, Seal]

    @property
    def seals(self) -> dict[str, Seal]:
        """The seals of its files, by name."""
        rollups = {rollups_file(self.name, key): seal for key, seal in self.rollups.items()}
        return {rows_file(self.name): self.stored, **rollups}


class Manifest(msgspec.Struct, frozen=True):
    """The segments in order of time, and the commit up to which they have all rows.

    columns: those of the dataset. A version of the program that has others makes the segments again.
    """

    commit: int
    hash: str
    columns: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    format: int = FORMAT

    @property
    def head(self) -> CommitId:
        """The commit up to which the segments have all rows."""
        return CommitId(self.commit, self.hash)

    def fits(self, dataset: Dataset, history: CommitHistory) -> bool:
        """Return whether the segments have the dataset's columns, and the history has their commit."""
        return self.columns == column_names(dataset) and history.has(self.head)


class _Sealed(msgspec.Struct, frozen=True):
    """The file's content: a manifest and the CRC-32 of its text."""

    checksum: int
    manifest: msgspec.Raw


_sealed = msgspec.json.Decoder(_Sealed)
_decoder = msgspec.json.Decoder(Manifest)


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in a derived folder; None if it is missing, damaged or of another format."""
    try:
        sealed = _sealed.decode((folder / MANIFEST_FILE).read_bytes())
        if zlib.crc32(sealed.manifest) != sealed.checksum:
            return None
        manifest = _decoder.decode(sealed.manifest)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return manifest if manifest.format == FORMAT else None


def replace_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest. Its files are durable. Needs the folder's lock. Raises `OSError`."""
    text = msgspec.json.encode(manifest)
    partial = folder / f"{MANIFEST_FILE}{PARTIAL_SUFFIX}"
    partial.write_bytes(msgspec.json.encode(_Sealed(zlib.crc32(text), msgspec.Raw(text))))
    partial.replace(folder / MANIFEST_FILE)


def manifest_signature(folder: str) -> FileSignature:
    """Return a value that changes when the manifest is replaced; `NO_FILE` if it cannot be read."""
    return signature_if_readable(f"{folder}/{MANIFEST_FILE}")


def discard_manifest(folder: str, signature: FileSignature) -> bool:
    """Delete a manifest whose files are unusable. Return False if it is missing or was replaced meanwhile.

    signature: the manifest's signature when its files were opened.
    """
    if signature == NO_FILE or signature != manifest_signature(folder):
        return False
    with suppress(OSError):
        Path(folder, MANIFEST_FILE).unlink()
    return True
